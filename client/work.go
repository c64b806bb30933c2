package client

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	v1 "github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
)

const (
	// defaultWork is the most leading zero bits that the client proves unless told
	// otherwise: about ten seconds of one processor. A first claim takes 16 bits, a
	// batch of 1,000 claims of a new agent 20.
	defaultWork = 26
	// maxProofs bounds the proofs of work for one request.
	maxProofs = 5
)

// WithMaxWork bounds the proof of work that the client makes for one request, in
// leading zero bits; 0 makes none. The default is 26.
func WithMaxWork(bits int) Option { return func(c *Client) { c.maxWork = bits } }

// workWanted reports whether a node has refused a request for want of a proof of
// work that it takes.
func workWanted(err error) bool {
	var refusal *Error
	if !errors.As(err, &refusal) {
		return false
	}
	switch refusal.Code {
	case v1.CodeWorkRequired, v1.CodeWorkInvalid, v1.CodeWorkStale, v1.CodeWorkReused:
		return true
	}
	return false
}

// prove makes the proof of work that a refusal demands. One that demands nothing
// comes from the log, where an earlier proof was good for nothing any more: the
// node is asked anew.
func (c *Client) prove(ctx context.Context, refused error) (*assertion.Work, error) {
	var refusal *Error
	if !errors.As(refused, &refusal) || refusal.Work == nil {
		return nil, nil //nolint:nilnil // without a proof the node says what it demands
	}
	if refusal.Work.Bits > c.maxWork {
		return nil, fmt.Errorf("a proof of %d bits is more than the %d that this client makes: send fewer claims at once, or allow more (%w)", refusal.Work.Bits, c.maxWork, refused)
	}
	work, err := assertion.SolveWork(ctx, refusal.Work.AgentID, uint64(max(time.Now().Unix(), 0)), refusal.Work.Bits)
	if err != nil {
		return nil, fmt.Errorf("%w; %w", refused, err)
	}
	return &work, nil
}

// AdmissionStatus tells what an agent may do: trust, tier, proof of work, quota
// and circuit breaker.
func (c *Client) AdmissionStatus(ctx context.Context, agent assertion.AgentID) (*v1.AdmissionStatus, error) {
	return get[v1.AdmissionStatus](ctx, c, "/v1/admission/status", map[string][]string{"agent_id": {agent.String()}})
}

// CircuitBreakers lists the circuit breakers that a node knows. This and the
// reset need the role admin.
func (c *Client) CircuitBreakers(ctx context.Context) (*v1.CircuitBreakersResponse, error) {
	return get[v1.CircuitBreakersResponse](ctx, c, "/v1/admin/circuit_breakers", nil)
}

// ResetCircuitBreaker closes a circuit breaker on every node. It is named by an
// agent id, or as the list has it: agent:HEX, key:ID, address:IP.
func (c *Client) ResetCircuitBreaker(ctx context.Context, principal string) (*v1.CircuitBreakerReset, error) {
	return sendJSON[v1.CircuitBreakerReset](ctx, c, "POST", "/v1/admin/circuit_breakers/"+url.PathEscape(principal)+"/reset", nil)
}
