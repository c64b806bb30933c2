package api

import (
	"net/url"

	"github.com/labstack/echo/v4"

	"github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/lens"
)

func fromSource(h assertion.Hash, record *assertion.SourceRecord) v1.Source {
	out := v1.Source{Hash: h, Status: v1.SourceActive, Changes: make([]v1.SourceChange, len(record.Statuses))}
	for i, s := range record.Statuses {
		out.Changes[i] = v1.SourceChange{Status: v1.SourceActive, Reason: s.Entry.Reason, Authority: s.Authority, Commit: v1.FromCommit(s.Commit)}
		if s.Entry.Retracted {
			out.Changes[i].Status = v1.SourceRetracted
		}
		out.Status = out.Changes[i].Status
	}
	if registered := record.Source; registered != nil {
		s := registered.Entry
		commit := v1.FromCommit(registered.Commit)
		out.Registered, out.Registration = true, &commit
		out.URI, out.Title, out.SourceClass = s.URI, s.Title, &s.SourceClass
		out.Content, out.ContentBytes = s.Content, len(s.Content)
	}
	return out
}

// planSource is GET /v1/sources/:hash. A source that nobody registered but that
// claims rest on is there too, without a description.
func planSource(c echo.Context, _ url.Values) (readPlan, error) {
	hash, err := hashInPath(c)
	if err != nil {
		return nil, err
	}
	return func(r reader) (any, error) {
		source, err := r.source(hash)
		if err != nil {
			return nil, err
		}
		return v1.SourceResponse{Source: *source, Index: r.index()}, nil
	}, nil
}

func (r reader) source(h assertion.Hash) (*v1.Source, error) {
	record, err := r.view.Source(h)
	if err != nil {
		return nil, err
	}
	if record.Source == nil && len(record.Statuses) == 0 {
		claims, _, _, err := r.view.Claims(onSource(h), 1)
		if err != nil {
			return nil, err
		}
		if len(claims) == 0 {
			return nil, &fault{code: v1.CodeNotFound, field: "hash", detail: "no source is registered under this hash and no claim rests on it",
				fix: "check the hash; register it with POST /v1/sources"}
		}
	}
	source := fromSource(h, &record)
	return &source, nil
}

// onSource selects every claim on a source, whatever its state.
func onSource(h assertion.Hash) assertion.Filter {
	return assertion.Filter{Source: &h, Lifecycles: assertion.Lifecycles(), Superseded: true, Retracted: true}
}

// planSources is GET /v1/sources.
func planSources(_ echo.Context, q url.Values) (readPlan, error) {
	limit, err := limitParam(q)
	if err != nil {
		return nil, err
	}
	after, err := hashParam(q, "cursor")
	if err != nil {
		return nil, err
	}
	return func(r reader) (any, error) {
		hashes, err := r.view.Sources(after, limit+1)
		if err != nil {
			return nil, err
		}
		out := v1.SourcesResponse{Sources: []v1.Source{}, Index: r.index()}
		for i, h := range hashes {
			if i == limit {
				out.NextCursor = hashes[i-1].String()
				break
			}
			source, err := r.knownSource(h)
			if err != nil {
				return nil, err
			}
			out.Sources = append(out.Sources, *source)
		}
		return out, nil
	}, nil
}

// maxImpactClaims bounds the claims of a source that its impact is counted
// over.
const maxImpactClaims = 10_000

// planImpact is GET /v1/sources/:hash/impact.
func planImpact(c echo.Context, q url.Values) (readPlan, error) {
	hash, err := hashInPath(c)
	if err != nil {
		return nil, err
	}
	limit, err := limitParam(q)
	if err != nil {
		return nil, err
	}
	l, err := lensParam(q, "consensus")
	if err != nil {
		return nil, err
	}
	return func(r reader) (any, error) { return r.impact(hash, l, limit) }, nil
}

// impact counts what rests on a source and resolves each question that it
// speaks to with the source and without it.
func (r reader) impact(h assertion.Hash, l lens.Lens, limit int) (*v1.ImpactResponse, error) {
	source, err := r.source(h)
	if err != nil {
		return nil, err
	}
	source.Content = ""
	out := &v1.ImpactResponse{Source: *source, Questions: []v1.QuestionImpact{}, Index: r.index()}
	claims, _, truncated, err := r.view.Claims(onSource(h), maxImpactClaims)
	if err != nil {
		return nil, err
	}
	out.Claims, out.Truncated = len(claims), truncated
	agents, asked := map[assertion.AgentID]bool{}, map[assertion.Question]bool{}
	for _, claim := range claims {
		for _, s := range claim.Signatures {
			agents[s.AgentID] = true
		}
		derived, err := r.view.Derived(claim.Hash, v1.MaxLimit)
		if err != nil {
			return nil, err
		}
		for _, d := range derived {
			if d.SourceHash != h {
				out.Derived++
			}
		}
		question := assertion.Question{Subject: claim.Subject, Predicate: claim.Predicate}
		if asked[question] || !claim.Visible() || len(out.Questions) == limit {
			continue
		}
		a := ask{filter: assertion.Filter{Subject: question.Subject, Predicate: question.Predicate, Retracted: true}, aliases: true}
		names, _, err := r.entity(a)
		if err != nil {
			return nil, err
		}
		for _, name := range names { // under another name it is the same question
			asked[assertion.Question{Subject: name, Predicate: question.Predicate}] = true
		}
		impact, err := r.questionImpact(a, names, h, l)
		if err != nil {
			return nil, err
		}
		if impact.Changes {
			out.Changed++
		}
		out.Questions = append(out.Questions, *impact)
	}
	out.Agents = len(agents)
	return out, nil
}

// questionImpact reads the claims on a question under its names once and
// resolves them with those on the source and without.
func (r reader) questionImpact(a ask, names []string, h assertion.Hash, l lens.Lens) (*v1.QuestionImpact, error) {
	in, err := r.scan(a, names)
	if err != nil {
		return nil, err
	}
	in.Index = r.index()
	if err := r.provide(&in, l.Needs()); err != nil {
		return nil, err
	}
	outcome := func(drops func(*assertion.Claim) bool) (*v1.Outcome, error) {
		kept, _ := in.Without(drops)
		resolution, err := resolveBy(l, kept)
		if err != nil {
			return nil, err
		}
		return fromOutcome(resolution), nil
	}
	with, err := outcome(func(c *assertion.Claim) bool { return c.SourceRetracted && c.SourceHash != h })
	if err != nil {
		return nil, err
	}
	without, err := outcome(func(c *assertion.Claim) bool { return c.SourceRetracted || c.SourceHash == h })
	if err != nil {
		return nil, err
	}
	return &v1.QuestionImpact{Subject: a.filter.Subject, Predicate: a.filter.Predicate,
		With: with.Winner, Without: without.Winner, Changes: !with.SameWinner(without)}, nil
}
