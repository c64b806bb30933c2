package v1

import (
	"strings"

	"github.com/stemedb/stemedb/assertion"
)

// Problem is the body of every answer that is not a success: RFC 9457 problem
// details with the extensions code, field, fix, request_id, trace_id and checks.
type Problem struct {
	// Type is a reference to the code's documentation.
	Type string `json:"type"`
	// Title is the code's short meaning; it does not vary.
	Title string `json:"title"`
	// Status is the HTTP status.
	Status int `json:"status"`
	// Detail is what was wrong this time.
	Detail string `json:"detail"`
	// Instance is the path of the request.
	Instance string `json:"instance"`
	// Code is stable: programs branch on it (docs/errors.md).
	Code string `json:"code"`
	// Field is the field or parameter at fault, a path such as
	// signatures[2].signature.
	Field string `json:"field,omitempty"`
	// Fix is what to do.
	Fix string `json:"fix,omitempty"`
	// RequestID names the request in the node's log.
	RequestID string `json:"request_id"`
	// TraceID names the trace of the request; empty if it has none.
	TraceID string `json:"trace_id,omitempty"`
	// Checks are the conditions that a node is not ready for; /readyz only.
	Checks []Check `json:"checks,omitempty"`
	// Work is the proof of work that the request needs.
	Work *WorkDemand `json:"work,omitempty"`
}

// WorkDemand is a proof of work that a request needs (assertion.Work).
type WorkDemand struct {
	AgentID assertion.AgentID `json:"agent_id"`
	// Bits is how many leading zero bits it must have.
	Bits int `json:"bits"`
	// WindowSeconds is how far its timestamp may be from the cluster's time.
	WindowSeconds int `json:"window_seconds"`
}

// Error returns one sentence: code, field, detail, fix.
func (p *Problem) Error() string {
	var s strings.Builder
	s.WriteString(p.Code)
	for _, part := range []string{p.Field, p.Detail} {
		if part != "" {
			s.WriteString(": ")
			s.WriteString(part)
		}
	}
	if p.Fix != "" {
		s.WriteString("; ")
		s.WriteString(p.Fix)
	}
	return s.String()
}
