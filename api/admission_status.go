package api

import (
	"net/http"
	"net/url"
	"slices"

	"github.com/labstack/echo/v4"

	"github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/auth"
)

// planAdmission is GET /v1/admission/status.
func planAdmission(c echo.Context, q url.Values) (readPlan, error) {
	agent, named := agentOf(c)
	if key := keyOf(c); key != nil && key.AgentID != nil {
		agent, named = *key.AgentID, true
	}
	if q.Has("agent_id") {
		var err error
		if agent, err = assertion.ParseAgentID(q.Get("agent_id")); err != nil {
			return nil, invalid("agent_id", err.Error(), "give the agent's public key in lower-case hexadecimal")
		}
	} else if !named {
		return nil, missing("agent_id", "name the agent, or use an API key that is bound to it")
	}
	return func(r reader) (any, error) { return r.admissionOf(agent) }, nil
}

func (r reader) admissionOf(agent assertion.AgentID) (*v1.AdmissionStatus, error) {
	scores, err := r.trust()
	if err != nil {
		return nil, err
	}
	limits, now := r.server.config.Limits, r.server.config.Now()
	trust := overallTrust(scores, agent)
	tier := auth.TierOf(trust)
	out := &v1.AdmissionStatus{AgentID: agent, Trust: trust, Tier: tier.String(), Multiplier: tier.Multiplier(), Index: r.index()}
	if out.Assertions, err = r.server.gate.soFar(r.view, agent); err != nil {
		return nil, err
	}
	if limits.Work {
		var demand auth.Demand
		demand.Add(agent, out.Assertions, trust)
		if bits := demand.Difficulty(); bits > 0 {
			out.Work = &v1.WorkDemand{AgentID: agent, Bits: bits, WindowSeconds: assertion.WorkWindowSeconds}
		}
	}
	p := auth.AgentPrincipal(agent)
	if limits.Meter != nil {
		quota := limits.Meter.Quota(p, tier.Quota(), now)
		out.Quota = &v1.Quota{Limit: quota.Limit, Remaining: quota.Remaining, Reset: quota.Reset}
	}
	if limits.Breakers != nil {
		state, _ := limits.Breakers.Of(p, now)
		out.Breaker = state.String()
	}
	return out, nil
}

// breakers are the circuit breakers, or the fault that there are none.
func (s *Server) breakers() (*auth.Breakers, error) {
	if b := s.config.Limits.Breakers; b != nil {
		return b, nil
	}
	return nil, &fault{code: v1.CodeNotFound, detail: "there are no circuit breakers on this node", fix: "switch them on with STEMEDB_BREAKERS_ENABLED=true"}
}

// listBreakers is GET /v1/admin/circuit_breakers.
func (s *Server) listBreakers(c echo.Context) error {
	breakers, err := s.breakers()
	if err != nil {
		return err
	}
	out := v1.CircuitBreakersResponse{Breakers: []v1.CircuitBreaker{}}
	for _, b := range breakers.List(s.config.Now()) {
		one := v1.CircuitBreaker{Principal: b.Principal.String(), State: b.State.String(), Failures: map[string]int{}}
		for reason, n := range b.Failures {
			one.Failures[reason.String()] = n
		}
		if b.State != auth.Closed {
			one.OpenedAt, one.Until = uint64(max(b.OpenedAt.Unix(), 0)), uint64(max(b.Until.Unix(), 0))
		}
		if b.State == auth.Open {
			out.Open++
		}
		out.Breakers = append(out.Breakers, one)
	}
	return s.ok(c, out)
}

// resetBreaker is POST /v1/admin/circuit_breakers/:agent/reset.
func (s *Server) resetBreaker(c echo.Context) error {
	breakers, err := s.breakers()
	if err != nil {
		return err
	}
	who := c.Param("agent")
	p, err := auth.ParsePrincipal(who)
	if agent, bare := assertion.ParseAgentID(who); bare == nil {
		p, err = auth.AgentPrincipal(agent), nil
	}
	if err != nil {
		return invalid("agent", err.Error(), "give an agent id, agent:HEX, key:ID or address:IP, as the list has them")
	}
	return s.ok(c, v1.CircuitBreakerReset{Principal: p.String(), Reset: breakers.Reset(p, s.config.Now())})
}

func admissionDoc() operation {
	return operation{
		id: "admissionStatus", tag: tagKeys, summary: "What an agent may do",
		description: "Its trust and tier, the proof of work that its next assertion takes, what is left of its quota as this node knows, and its circuit breaker.",
		params: slices.Concat([]paramDoc{{in: inQuery, name: "agent_id", schema: hashSchema, example: zeros,
			description: "The agent; by default the one that the API key is bound to, or that X-Agent-Id names."}}, consistencyParams()),
		answers: []answerDoc{{http.StatusOK, "What the agent may do.", v1.MediaJSON, "AdmissionStatus"}},
		codes:   readCodes(),
	}
}

func listBreakersDoc() operation {
	return operation{
		id: "circuitBreakers", tag: tagKeys, summary: "The circuit breakers",
		description: "Those that are open or half-open, and those with failures in the last minute, as this node knows.",
		answers:     []answerDoc{{http.StatusOK, "The breakers.", v1.MediaJSON, "CircuitBreakersResponse"}},
		codes:       []string{v1.CodeNotFound},
	}
}

func resetBreakerDoc() operation {
	return operation{
		id: "resetCircuitBreaker", tag: tagKeys, summary: "Close a circuit breaker", description: "On every node, a moment later.",
		params: []paramDoc{{in: inPath, name: "agent", schema: `{"type":"string"}`, required: true, example: "key:ingest",
			description: "An agent id, or a principal as the list has it: agent:HEX, key:ID, address:IP."}},
		answers: []answerDoc{{http.StatusOK, "Whether there was anything to clear.", v1.MediaJSON, "CircuitBreakerReset"}},
		codes:   []string{v1.CodeInvalidParameter, v1.CodeNotFound},
	}
}
