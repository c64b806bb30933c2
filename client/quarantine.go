package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	v1 "github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
)

// Quarantine returns a page of the claims that the content defence keeps out of
// answers, in a state of review: assertion.ReviewPending, ReviewApproved or
// ReviewRejected. This and the decisions need the role admin. limit 0 is the
// node's default.
func (c *Client) Quarantine(ctx context.Context, state assertion.Review, cursor string, limit int) (*v1.QuarantineResponse, error) {
	q := url.Values{"state": {state.String()}}
	if cursor != "" {
		q.Set("cursor", cursor)
	}
	if limit > 0 {
		q.Set("limit", strconv.Itoa(limit))
	}
	return get[v1.QuarantineResponse](ctx, c, "/v1/admin/quarantine", q)
}

// ApproveClaim lets answers show a quarantined claim; the reason is for those
// who ask later.
func (c *Client) ApproveClaim(ctx context.Context, claim assertion.Hash, reason string) (*v1.DecisionResponse, error) {
	return decide(ctx, c, claim, "approve", reason)
}

// RejectClaim confirms that answers leave a quarantined claim out.
func (c *Client) RejectClaim(ctx context.Context, claim assertion.Hash, reason string) (*v1.DecisionResponse, error) {
	return decide(ctx, c, claim, "reject", reason)
}

func decide(ctx context.Context, c *Client, claim assertion.Hash, verb, reason string) (*v1.DecisionResponse, error) {
	return sendJSON[v1.DecisionResponse](ctx, c, http.MethodPost, "/v1/admin/quarantine/"+claim.String()+"/"+verb, v1.DecisionRequest{Reason: reason})
}
