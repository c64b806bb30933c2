package v1

import "github.com/stemedb/stemedb/assertion"

// QuarantineResponse answers GET /v1/admin/quarantine.
type QuarantineResponse struct {
	// Claims are those in the state of review that was asked for, in log order.
	Claims []QuarantinedClaim `json:"claims"`
	// Pending is how many claims wait for a decision in all.
	Pending    uint64 `json:"pending"`
	NextCursor string `json:"next_cursor,omitempty"`
	Index      uint64 `json:"index"`
}

// QuarantinedClaim is a claim that the content defence quarantined, with what
// reviewers decided on it.
type QuarantinedClaim struct {
	Assertion
	Decisions []Decision `json:"decisions"`
}

// Decision is a reviewer's word on a quarantined claim. The newest counts.
type Decision struct {
	Approved bool   `json:"approved"`
	Reviewer string `json:"reviewer"`
	Reason   string `json:"reason"`
	Commit
}

// DecisionRequest is the body of POST /v1/admin/quarantine/{hash}/approve and
// reject.
type DecisionRequest struct {
	// Reason is for those who ask later, 1 to 1024 bytes.
	Reason string `json:"reason"`
}

// DecisionResponse answers them.
type DecisionResponse struct {
	Hash   assertion.Hash `json:"hash"`
	Review string         `json:"review"`
	// Status is exists if this was decided before, which changes nothing and keeps
	// the earlier reason; else created.
	Status Status `json:"status"`
	Index  uint64 `json:"index"`
}
