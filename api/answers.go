package api

import (
	"context"
	"errors"
	"net/url"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/lens"
)

// lenses is GET /v1/lenses. It needs no state.
func (s *Server) lenses(c echo.Context) error {
	out := v1.LensesResponse{Parameters: []v1.Parameter{}}
	for _, d := range lens.Describe() {
		out.Lenses = append(out.Lenses, v1.Lens{Name: d.Name, Rule: d.Rule, Formula: d.Formula, Filter: d.Filter, Aggregates: d.Aggregates})
	}
	for _, p := range queryDoc().params {
		out.Parameters = append(out.Parameters, v1.Parameter{Name: p.name, Description: p.description})
	}
	return s.ok(c, out)
}

// planConstraints is GET /v1/constraints.
func planConstraints(_ echo.Context, q url.Values) (readPlan, error) {
	f, err := subjectOnly(q)
	if err != nil {
		return nil, err
	}
	a, err := askOf(f, q)
	if err != nil {
		return nil, err
	}
	return func(r reader) (any, error) {
		tallies := map[string]*assertion.Tally{}
		for _, predicate := range lens.ConstraintPredicates() {
			each := a
			each.filter.Predicate = predicate
			in, err := r.input(each, lens.NeedsTally)
			if err != nil {
				return nil, err
			}
			tallies[predicate] = in.Tally
		}
		return fromConstraints(a.filter.Subject, r.index(), lens.Constraints(tallies)), nil
	}, nil
}

// The axes of time that a diff may be taken along.
const (
	axisKnown = "known_at"
	axisAsOf  = "as_of"
)

// maxDiffPredicates bounds the questions that a diff compares.
const maxDiffPredicates = 200

// diffRequest is a GET /v1/diff that has been understood.
type diffRequest struct {
	ask      ask
	lens     lens.Lens
	from, to uint64
	axis     string
	limit    int
}

func diffParams(q url.Values) (d diffRequest, err error) {
	read := subjectOnly // and each predicate of it in turn
	if q.Has("predicate") {
		read = question
	}
	f, err := read(q)
	if err != nil {
		return d, err
	}
	if d.ask, err = askOf(f, q); err != nil {
		return d, err
	}
	if d.lens, err = lensParam(q, "consensus"); err != nil {
		return d, err
	}
	if d.from, err = required(q, "from"); err != nil {
		return d, err
	}
	if d.to, err = required(q, "to"); err != nil {
		return d, err
	}
	if d.from > d.to {
		return d, invalid("from", "later than to", "exchange them")
	}
	switch d.axis = q.Get("axis"); {
	case !q.Has("axis"):
		d.axis = axisKnown
	case d.axis != axisKnown && d.axis != axisAsOf:
		return d, invalid("axis", "neither known_at nor as_of", "use known_at or as_of")
	}
	d.limit, err = limitParam(q)
	return d, err
}

// diff is GET /v1/diff. It reads two states: along known_at two of the cluster's
// past, along as_of the newest one at two times.
func (s *Server) diff(c echo.Context) (err error) {
	start := time.Now()
	defer s.metrics.asked("diff", start)
	q := c.QueryParams()
	demand, err := consistency(q)
	if err != nil {
		return err
	}
	d, err := diffParams(q)
	if err != nil {
		return err
	}
	store, err := s.store()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(c.Request().Context(), s.config.RequestTimeout)
	defer cancel()
	open := func(at uint64) (reader, error) {
		want := demand
		if d.axis == axisKnown {
			want.KnownAt = &at
		}
		view, err := store.Read(ctx, want)
		return reader{ctx: ctx, server: s, view: view, at: at, known: want.KnownAt}, err
	}
	after, err := open(d.to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, after.view.Close()) }()
	before, err := open(d.from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, before.view.Close()) }()
	out, err := d.compare(before, after)
	if err != nil {
		return err
	}
	setIndex(c, out.Index)
	c.Response().Header()[v1.HeaderConsistency] = []string{demand.Level.String()}
	return s.ok(c, out)
}

func (d *diffRequest) compare(before, after reader) (*v1.DiffResponse, error) {
	out := &v1.DiffResponse{Subject: d.ask.filter.Subject, From: d.from, To: d.to, Axis: d.axis, Lens: d.lens.Name(),
		Questions: []v1.QuestionDiff{}, Index: after.index()}
	predicates := []string{d.ask.filter.Predicate}
	if predicates[0] == "" {
		names, _, err := after.entity(d.ask)
		if err != nil {
			return nil, err
		}
		predicates = nil
		for _, name := range names {
			more, err := after.view.Predicates(name, maxDiffPredicates+1)
			if err != nil {
				return nil, err
			}
			predicates = union(predicates, more)
		}
		if len(predicates) > maxDiffPredicates {
			predicates, out.Truncated = predicates[:maxDiffPredicates], true
		}
	}
	for _, predicate := range predicates {
		question, truncated, err := d.question(before, after, predicate)
		if err != nil {
			return nil, err
		}
		out.Truncated = out.Truncated || truncated
		if !question.Changed && len(question.Added) == 0 && len(question.Removed) == 0 {
			out.Unchanged++
			continue
		}
		out.Questions = append(out.Questions, *question)
	}
	return out, nil
}

// question compares one question at the two times.
func (d *diffRequest) question(before, after reader, predicate string) (*v1.QuestionDiff, bool, error) {
	out := &v1.QuestionDiff{Predicate: predicate, Added: []v1.Assertion{}, Removed: []v1.Assertion{}}
	truncated := false
	side := func(r reader, at uint64) (map[assertion.Hash]*assertion.Claim, []*assertion.Claim, *v1.Outcome, error) {
		a := d.ask
		a.filter.Predicate = predicate
		if d.axis == axisAsOf {
			a.filter.AsOf = &at
		}
		in, err := r.input(a, d.lens.Needs()|lens.NeedsClaims)
		if err != nil {
			return nil, nil, nil, err
		}
		truncated = truncated || in.Truncated
		resolution, err := d.lens.Resolve(in)
		if errors.Is(err, lens.ErrNotForQuestion) {
			return nil, nil, nil, invalid("lens", err.Error(), "choose another lens, or name the predicate")
		}
		if err != nil {
			return nil, nil, nil, err
		}
		counted, stated := map[assertion.Hash]*assertion.Claim{}, map[assertion.Hash]*assertion.Claim{}
		for _, c := range in.Stated { // joined values are written over in in.Claims
			stated[c.Hash] = c
		}
		list := make([]*assertion.Claim, len(in.Claims))
		for i, c := range in.Claims {
			list[i] = stated[c.Hash]
			counted[c.Hash] = c
		}
		return counted, list, fromOutcome(resolution), nil
	}
	had, hadList, then, err := side(before, d.from)
	if err != nil {
		return nil, false, err
	}
	has, hasList, now, err := side(after, d.to)
	if err != nil {
		return nil, false, err
	}
	list := func(claims []*assertion.Claim, other map[assertion.Hash]*assertion.Claim, into *[]v1.Assertion) {
		for _, c := range claims {
			if other[c.Hash] == nil && len(*into) < d.limit {
				*into = append(*into, v1.FromClaim(c))
			}
		}
	}
	list(hasList, had, &out.Added)
	list(hadList, has, &out.Removed)
	out.Before, out.After = *then, *now
	out.Changed = !then.SameWinner(now)
	return out, truncated, nil
}
