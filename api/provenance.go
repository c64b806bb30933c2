package api

import (
	"errors"
	"fmt"
	"math"
	"net/url"

	"github.com/labstack/echo/v4"

	"github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
)

// planClaim is GET /v1/assertions/:hash.
func planClaim(c echo.Context, q url.Values) (readPlan, error) {
	hash, err := hashInPath(c)
	if err != nil {
		return nil, err
	}
	until, err := latest(q)
	if err != nil {
		return nil, err
	}
	return func(r reader) (any, error) {
		claim, err := r.claim(hash, until)
		if err != nil {
			return nil, err
		}
		return r.detail(claim, until)
	}, nil
}

// latest is as_of, the latest timestamp of whatever a past state holds; without
// it everything is.
func latest(q url.Values) (uint64, error) {
	asOf, err := instant(q, "as_of")
	if err != nil || asOf == nil {
		return math.MaxUint64, err
	}
	return *asOf, nil
}

// claim is a claim that was made by then.
func (r reader) claim(h assertion.Hash, until uint64) (*assertion.Claim, error) {
	claim, err := r.view.Get(h)
	if err == nil && claim.Timestamp > until {
		err = fmt.Errorf("%w: it was made later than as_of", ErrNotFound)
	}
	return claim, err
}

// detail is a claim with everything that bears on it and was decided by then.
func (r reader) detail(claim *assertion.Claim, until uint64) (*v1.AssertionDetail, error) {
	out := &v1.AssertionDetail{Index: r.index()}
	past := *claim
	var err error
	if out.Votes, out.VoteWeight, err = r.votes(claim.Hash, until); err != nil {
		return nil, err
	}
	if out.Transitions, past.Stage, err = r.transitions(claim, until); err != nil {
		return nil, err
	}
	if out.Decisions, err = r.decisions(claim); err != nil {
		return nil, err
	}
	if out.Supersessions, past.Superseded, err = r.supersessions(claim.Hash, until); err != nil {
		return nil, err
	}
	out.Assertion = v1.FromClaim(&past)
	out.Source, err = r.knownSource(claim.SourceHash)
	return out, err
}

func (r reader) votes(claim assertion.Hash, until uint64) (votes []v1.Vote, weight float64, err error) {
	held, err := r.view.Votes(claim, until)
	votes = make([]v1.Vote, len(held))
	for i, v := range held {
		votes[i] = v1.Vote{Hash: v.Entry.Hash(), Vote: *v.Entry, Commit: v1.FromCommit(v.Commit)}
		weight += v.Entry.Weight
	}
	return votes, weight, err
}

// transitions are a claim's until then, and the stage that they led to.
func (r reader) transitions(claim *assertion.Claim, until uint64) ([]v1.Transition, assertion.Lifecycle, error) {
	children, err := r.view.Transitions(claim.Hash)
	out, stage := make([]v1.Transition, 0, len(children)), claim.Lifecycle
	for _, child := range children {
		if child.Timestamp > until {
			continue
		}
		stage = child.Lifecycle
		t := v1.Transition{Hash: child.Hash, Lifecycle: child.Lifecycle, Authority: child.Authority, Commit: v1.FromCommit(child.Commit)}
		for _, s := range child.Signatures {
			t.Signers = append(t.Signers, s.AgentID)
		}
		out = append(out, t)
	}
	return out, stage, err
}

// supersessions are those of a claim until then, and whether one of them hides
// it.
func (r reader) supersessions(claim assertion.Hash, until uint64) (out []v1.Supersession, hidden bool, err error) {
	held, err := r.view.Supersessions(claim)
	out = make([]v1.Supersession, 0, len(held))
	for _, s := range held {
		if s.Entry.Timestamp > until {
			continue
		}
		hidden = hidden || s.Entry.Type != assertion.Refines
		out = append(out, v1.Supersession{Hash: s.Entry.Hash(), Supersession: *s.Entry, Authority: s.Authority, Commit: v1.FromCommit(s.Commit)})
	}
	return out, hidden, err
}

// knownSource is what is registered of a source, without its content; nil if
// nothing is.
func (r reader) knownSource(h assertion.Hash) (*v1.Source, error) {
	record, err := r.view.Source(h)
	if err != nil || record.Source == nil && len(record.Statuses) == 0 {
		return nil, err
	}
	source := fromSource(h, &record)
	source.Content = ""
	return &source, nil
}

// planEpoch is GET /v1/epochs/:hash.
func planEpoch(c echo.Context, _ url.Values) (readPlan, error) {
	hash, err := hashInPath(c)
	if err != nil {
		return nil, err
	}
	return func(r reader) (any, error) {
		epoch, err := r.view.Epoch(hash)
		if errors.Is(err, ErrNotFound) {
			return nil, &fault{code: v1.CodeNotFound, field: "hash", detail: "there is no epoch of this hash", fix: "check the hash"}
		}
		if err != nil {
			return nil, err
		}
		out := v1.Epoch{Hash: hash, Epoch: *epoch.Entry, Authority: epoch.Authority, Commit: v1.FromCommit(epoch.Commit)}
		superseded, err := r.view.SupersededEpochs()
		if by, ok := superseded[hash]; ok {
			out.SupersededBy = &by
		}
		return out, err
	}, nil
}

// The bounds of a trace.
const (
	defaultTraceDepth = 8
	maxTraceDepth     = 64
	maxTraceNodes     = 256
)

// planTrace is GET /v1/trace/:hash.
func planTrace(c echo.Context, q url.Values) (readPlan, error) {
	hash, err := hashInPath(c)
	if err != nil {
		return nil, err
	}
	depth, err := number(q, "depth", defaultTraceDepth, 0, maxTraceDepth)
	if err != nil {
		return nil, err
	}
	until, err := latest(q)
	if err != nil {
		return nil, err
	}
	return func(r reader) (any, error) {
		if _, err := r.claim(hash, until); err != nil {
			return nil, err
		}
		return r.trace(hash, depth, until)
	}, nil
}

// trace walks the chain of a claim by distance: its parent, what it is derived
// from, and what supersedes or refines it, as far as it was made by then.
func (r reader) trace(root assertion.Hash, depth int, until uint64) (*v1.TraceResponse, error) {
	out := &v1.TraceResponse{Root: root, Nodes: []v1.TraceNode{}, Edges: []v1.TraceEdge{}, Index: r.index()}
	type place struct {
		hash  assertion.Hash
		depth int
	}
	queue, seen := []place{{root, 0}}, map[assertion.Hash]bool{root: true}
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		node, edges, err := r.traceNode(at.hash, until, at.depth == 0)
		if err != nil {
			return nil, err
		}
		node.Depth = at.depth
		out.Nodes = append(out.Nodes, *node)
		for _, edge := range edges {
			switch {
			case seen[edge.To]:
			case at.depth == depth || len(seen) == maxTraceNodes:
				out.Truncated = true
				continue // no edge to a node that is not shown
			default:
				seen[edge.To] = true
				queue = append(queue, place{edge.To, at.depth + 1})
			}
			out.Edges = append(out.Edges, edge)
		}
	}
	return out, nil
}

func (r reader) traceNode(h assertion.Hash, until uint64, root bool) (*v1.TraceNode, []v1.TraceEdge, error) {
	node := &v1.TraceNode{Hash: h, Votes: []v1.Vote{}, Transitions: []v1.Transition{}, Supersessions: []v1.Supersession{}}
	claim, err := r.claim(h, until)
	if errors.Is(err, ErrNotFound) {
		return node, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	detail, err := r.detail(claim, until)
	if err != nil {
		return nil, nil, err
	}
	if claim.Review.Hides() {
		node.Review = claim.Review.String()
	}
	if root || !claim.Review.Hides() { // who asks for a hidden claim itself gets it
		node.Assertion, node.Source = &detail.Assertion, detail.Source
	}
	node.Votes, node.Transitions, node.Supersessions = detail.Votes, detail.Transitions, detail.Supersessions
	var edges []v1.TraceEdge
	if claim.ParentHash != nil {
		edges = append(edges, v1.TraceEdge{From: h, To: *claim.ParentHash, Relation: v1.RelationParent})
	}
	for _, from := range claim.DerivedFrom {
		edges = append(edges, v1.TraceEdge{From: h, To: from, Relation: v1.RelationDerivedFrom})
	}
	for _, s := range node.Supersessions {
		if s.By == nil {
			continue
		}
		relation := v1.RelationSupersededBy
		if s.Type == assertion.Refines {
			relation = v1.RelationRefinedBy
		}
		edges = append(edges, v1.TraceEdge{From: h, To: *s.By, Relation: relation})
	}
	return node, edges, nil
}
