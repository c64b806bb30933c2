package api

import (
	"context"
	"math"

	"github.com/labstack/echo/v4"

	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/lens/trust"
)

// Inspector judges what a claim says before it is proposed (package defense). It
// is called once for each claim, by many requests at once.
type Inspector interface {
	// Inspect returns what it found, and whether the claim is to be kept out of
	// answers until it is reviewed. The claim is valid and verified; s is who
	// makes it, now unix seconds.
	Inspect(claim *assertion.Assertion, s Signer, now uint64) (findings []assertion.Finding, quarantine bool)
}

// Signer is an agent whose signature was verified.
type Signer struct {
	Agent assertion.AgentID
	// Trust is the trust in the agent, 0 to 1.
	Trust float64
	// Bound says that the request's API key is bound to the agent.
	Bound bool
}

// judge decides on an entry what the log entry must say beside it: every node
// applies the same, whatever it knows then.
func (s *Server) judge(ctx context.Context, c echo.Context, e assertion.Entry, a *assertion.Admission) error {
	key := keyOf(c)
	if key != nil && key.Role == assertion.RoleAdmin && decides(e) {
		a.Authority = key.ID
	}
	claim, ok := e.(*assertion.Assertion)
	if !ok || s.config.Inspector == nil {
		return nil
	}
	standing, err := s.standing(ctx)
	if err != nil {
		return err
	}
	signer := leastTrusted(claim, standing.scores)
	signer.Bound = key != nil && key.AgentID != nil && *key.AgentID == signer.Agent
	a.Findings, a.Quarantine = s.config.Inspector.Inspect(claim, signer, s.now())
	return nil
}

// decides reports whether an entry decides on what somebody else owns or on what
// nobody does.
func decides(e assertion.Entry) bool {
	switch e := e.(type) {
	case *assertion.Assertion:
		return e.ParentHash != nil
	case *assertion.Epoch:
		return e.Supersedes != nil
	case *assertion.Supersession, *assertion.SourceStatus, *assertion.Alias, *assertion.Label, *assertion.Seeds:
		return true
	}
	return false
}

// leastTrusted is the signer of a claim whom the cluster trusts least: each of
// them adds a voice.
func leastTrusted(claim *assertion.Assertion, scores *trust.Scores) Signer {
	least := Signer{Trust: math.Inf(1)}
	for i := range claim.Signatures {
		agent := claim.Signatures[i].AgentID
		if t := scores.Value(agent, claim.Predicate); t < least.Trust {
			least = Signer{Agent: agent, Trust: t}
		}
	}
	return least
}
