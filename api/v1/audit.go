package v1

import "github.com/stemedb/stemedb/assertion"

// AuditRecord is one query that carried an agent's id or an API key.
type AuditRecord struct {
	// ID names the record: the node that answered, a dash, and a number that
	// grows with time.
	ID   string `json:"id"`
	Node string `json:"node"`
	// AgentID is who asked, as the request said; absent if it named nobody.
	AgentID assertion.AgentID `json:"agent_id,omitzero"`
	// KeyID names the API key that the request was let through with, if it needed
	// one.
	KeyID string `json:"key_id,omitempty"`
	// AskedAt is the node's clock, unix seconds.
	AskedAt uint64 `json:"asked_at"`
	// Path and Query are the request's.
	Path  string `json:"path"`
	Query string `json:"query"`
	// Index is the log index of the state that answered, Consistency how fresh it
	// had to be.
	Index       uint64 `json:"index"`
	Consistency string `json:"consistency"`
	// Claims are those that the answer shows, at most 100: those of a list, a
	// chain, a page of the feed or a diff. Of an answer that shows none, by
	// skeptic, layered or constraints, they are the newest on its questions,
	// whether they counted or not. Answers of figures alone (conflicts, impact)
	// and of what is no claim name none, nor does a watch, which is recorded when
	// it begins.
	Claims    []assertion.Hash `json:"claims"`
	RequestID string           `json:"request_id"`
}

// AuditResponse answers GET /v1/audit/queries.
type AuditResponse struct {
	// Queries are those that this node answered, newest first.
	Queries    []AuditRecord `json:"queries"`
	NextCursor string        `json:"next_cursor,omitempty"`
	// Dropped counts the queries since the start of the node that were not
	// recorded because too many came at once.
	Dropped uint64 `json:"dropped"`
}
