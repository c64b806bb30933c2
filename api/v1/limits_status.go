package v1

import "github.com/stemedb/stemedb/assertion"

// AdmissionStatus answers GET /v1/admission/status: what an agent may do.
type AdmissionStatus struct {
	AgentID assertion.AgentID `json:"agent_id"`
	// Trust is that in the agent whatever the predicate, Tier and Multiplier follow
	// from it.
	Trust      float64 `json:"trust"`
	Tier       string  `json:"tier"`
	Multiplier float64 `json:"multiplier"`
	// Assertions is how many of the agent are stored, as far as it matters: at most
	// 50.
	Assertions int `json:"assertions"`
	// Work is what the next assertion takes; nil if nothing.
	Work *WorkDemand `json:"work,omitempty"`
	// Quota is nil if nothing is metered.
	Quota *Quota `json:"quota,omitempty"`
	// Breaker is closed, open or half_open; "" if there are no breakers.
	Breaker string `json:"breaker,omitempty"`
	Index   uint64 `json:"index"`
}

// Quota is how many units there are in an hour, how many are left, and when the
// next hour begins, unix seconds.
type Quota struct {
	Limit     uint64 `json:"limit"`
	Remaining uint64 `json:"remaining"`
	Reset     uint64 `json:"reset"`
}

// CircuitBreakersResponse answers GET /v1/admin/circuit_breakers.
type CircuitBreakersResponse struct {
	Breakers []CircuitBreaker `json:"breakers"`
	// Open is how many keep somebody out.
	Open int `json:"open"`
}

// CircuitBreaker is the breaker of an agent, a key or an address.
type CircuitBreaker struct {
	// Principal is agent:HEX, key:ID or address:IP.
	Principal string `json:"principal"`
	// State is closed, open or half_open.
	State string `json:"state"`
	// Failures are those of the last minute by reason.
	Failures map[string]int `json:"failures"`
	// OpenedAt and Until bound the time in which it is or was open, unix seconds.
	OpenedAt uint64 `json:"opened_at,omitempty"`
	Until    uint64 `json:"until,omitempty"`
}

// CircuitBreakerReset answers POST /v1/admin/circuit_breakers/{agent}/reset.
type CircuitBreakerReset struct {
	Principal string `json:"principal"`
	// Reset says whether there was anything to clear.
	Reset bool `json:"reset"`
}
