package api

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"

	"github.com/labstack/echo/v4"

	"github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/auth"
	"github.com/stemedb/stemedb/lens/trust"
)

// workDemand is the proof of work that a request needs.
type workDemand struct {
	agent assertion.AgentID // whose proof it is
	sum   auth.Demand
}

// demandWork is the proof of work that the assertions of suspects need. All of an
// agent's assertions in the request rest on it, also those that would need none
// after the others.
func (s *Server) demandWork(ctx context.Context, scores *trust.Scores, suspects [][]assertion.AgentID, out []taken) (*workDemand, error) {
	demand := new(workDemand)
	if !slices.ContainsFunc(suspects, func(of []assertion.AgentID) bool { return len(of) > 0 }) {
		return demand, nil
	}
	return demand, s.viewing(ctx, Consistency{Level: Local}, func(v View) (err error) {
		for i, signers := range suspects {
			if out[i].work, err = s.gate.demand(v, scores, signers, demand); err != nil {
				return err
			}
		}
		return nil
	})
}

// demand adds one assertion by some signers to a demand, and reports whether it
// rests on a proof of work.
func (g *gate) demand(v View, scores *trust.Scores, signers []assertion.AgentID, into *workDemand) (needed bool, err error) {
	for _, agent := range signers {
		soFar, err := g.soFar(v, agent)
		if err != nil {
			return false, err
		}
		if soFar >= auth.FreeAfter {
			continue
		}
		needed = true
		into.sum.Add(agent, soFar, overallTrust(scores, agent))
		if into.agent == (assertion.AgentID{}) {
			into.agent = agent
		}
	}
	return needed, nil
}

// suspects are the signers of whose assertions a proof of work may be asked.
func (s *Server) suspects(scores *trust.Scores, signers []assertion.AgentID) (out []assertion.AgentID) {
	if !s.config.Limits.Work {
		return nil
	}
	for _, agent := range signers {
		if !s.knownAgent(scores, agent) {
			out = append(out, agent)
		}
	}
	return out
}

// knownAgent reports whether no proof of work is asked of an agent: it is trusted,
// or has made enough assertions.
func (s *Server) knownAgent(scores *trust.Scores, agent assertion.AgentID) bool {
	return overallTrust(scores, agent) >= auth.FreeTrust || s.gate.established.has(agent)
}

// freshSigners are the signers of a claim whose signatures are not stored, as
// far as this node knows.
func freshSigners(store Store, signers []assertion.AgentID, claim assertion.Hash) (fresh []assertion.AgentID, err error) {
	stored, err := store.Signers(claim)
	if err != nil {
		return nil, err
	}
	for _, agent := range signers {
		if !slices.Contains(stored, agent) {
			fresh = append(fresh, agent)
		}
	}
	return fresh, nil
}

// provedWork is the proof of work that the request brings, if it needs one.
func (s *Server) provedWork(c echo.Context, demand *workDemand) (*assertion.Work, error) {
	bits := demand.sum.Difficulty()
	if bits == 0 {
		return nil, nil //nolint:nilnil // no proof is needed
	}
	header := c.Request().Header
	refuse := func(code, field, detail string) error {
		s.metrics.refusals.WithLabelValues(refusedByWork).Inc()
		return &fault{code: code, field: field, detail: detail, work: &v1.WorkDemand{AgentID: demand.agent, Bits: bits, WindowSeconds: assertion.WorkWindowSeconds},
			fix: fmt.Sprintf("find a nonce so that BLAKE3(nonce, agent %s, timestamp) begins with %d zero bits, and send both in %s and %s; the SDK and stemectl do it by themselves",
				demand.agent, bits, v1.HeaderPoWNonce, v1.HeaderPoWTimestamp)}
	}
	nonce, at := header.Get(v1.HeaderPoWNonce), header.Get(v1.HeaderPoWTimestamp)
	if nonce == "" && at == "" {
		return nil, refuse(v1.CodeWorkRequired, "", "the agent has few assertions and is not trusted yet: this takes a proof of work")
	}
	work := &assertion.Work{Agent: demand.agent}
	var err error
	if work.Nonce, err = strconv.ParseUint(nonce, 10, 64); err != nil {
		return nil, refuse(v1.CodeWorkInvalid, v1.HeaderPoWNonce, "not a decimal number of 64 bits")
	}
	if work.Timestamp, err = strconv.ParseUint(at, 10, 64); err != nil {
		return nil, refuse(v1.CodeWorkInvalid, v1.HeaderPoWTimestamp, "not unix seconds")
	}
	if !work.Timely(s.now()) {
		return nil, refuse(v1.CodeWorkStale, v1.HeaderPoWTimestamp, fmt.Sprintf("more than %d seconds from this node's time", assertion.WorkWindowSeconds))
	}
	if got := work.Bits(); got < bits {
		return nil, refuse(v1.CodeWorkInvalid, v1.HeaderPoWNonce, fmt.Sprintf("the proof has %d leading zero bits, %d are needed", got, bits))
	}
	return work, nil
}

// maxEstablished bounds the agents that are known to need no further proof.
const maxEstablished = 1 << 16

// established remembers agents with so many assertions that a proof of work is
// never asked of them again: none of those goes away.
type established struct {
	mu     sync.Mutex
	agents map[assertion.AgentID]struct{}
}

func (e *established) has(agent assertion.AgentID) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	_, ok := e.agents[agent]
	return ok
}

func (e *established) add(agent assertion.AgentID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.agents == nil || len(e.agents) >= maxEstablished {
		e.agents = map[assertion.AgentID]struct{}{} // they are counted again
	}
	e.agents[agent] = struct{}{}
}

// soFar is how many assertions of an agent are stored, at most auth.FreeAfter.
func (g *gate) soFar(v View, agent assertion.AgentID) (int, error) {
	if g.established.has(agent) {
		return auth.FreeAfter, nil
	}
	everything := assertion.Filter{Agent: &agent, Lifecycles: assertion.Lifecycles(), Superseded: true, Retracted: true, Quarantined: true}
	claims, _, err := v.Page(everything, "", auth.FreeAfter)
	if len(claims) >= auth.FreeAfter {
		g.established.add(agent)
	}
	return len(claims), err
}
