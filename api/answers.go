package api

import (
	"errors"
	"net/url"
	"slices"
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

// diff is GET /v1/diff. Along known_at it reads two states of the cluster's past,
// along as_of one state at two times. It is no plan of reading, which has one
// view only.
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
	ctx, cancel := s.bounded(c)
	defer cancel()
	open := func(param string, at uint64) (reader, error) {
		want := demand
		if d.axis == axisKnown {
			want.KnownAt = &at
		}
		view, err := store.Read(ctx, want)
		if errors.Is(err, ErrFutureState) {
			f := *faultOf(err)
			f.field, err = param, &f
		}
		return reader{ctx: ctx, server: s, view: view, at: at, known: want.KnownAt}, err
	}
	after, err := open("to", d.to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, after.view.Close()) }()
	before := after
	before.at = d.from
	if d.axis == axisKnown {
		if before, err = open("from", d.from); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, before.view.Close()) }()
	}
	out, err := d.compare(before, after)
	if err != nil {
		return err
	}
	var claims []assertion.Hash
	if s.audited(c) {
		if claims, err = after.answering(out, q); err != nil {
			return err
		}
	}
	return s.told(c, out, out.Index, demand.Level, claims)
}

func (d *diffRequest) compare(before, after reader) (*v1.DiffResponse, error) {
	out := &v1.DiffResponse{Subject: d.ask.filter.Subject, From: d.from, To: d.to, Axis: d.axis, Lens: d.lens.Name(),
		Questions: []v1.QuestionDiff{}, Index: after.index()}
	predicates := []string{d.ask.filter.Predicate}
	if predicates[0] == "" {
		var err error
		if predicates, err = d.predicates(before, after); err != nil {
			return nil, err
		}
		if len(predicates) > maxDiffPredicates {
			predicates, out.Truncated = predicates[:maxDiffPredicates], true
		}
	}
	for _, predicate := range predicates {
		question, short, err := d.question(before, after, predicate)
		if err != nil {
			return nil, err
		}
		out.Truncated = out.Truncated || short
		if !question.Changed && len(question.Added) == 0 && len(question.Removed) == 0 {
			out.Unchanged++
			continue
		}
		out.Questions = append(out.Questions, *question)
	}
	return out, nil
}

// predicates are those of the subject under each name that it has at one of the
// times: names may have been joined or parted between them.
func (d *diffRequest) predicates(before, after reader) (all []string, err error) {
	for _, r := range []reader{before, after} {
		names, _, err := r.entity(d.ask)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			more, err := r.view.Predicates(name, maxDiffPredicates+1)
			if err != nil {
				return nil, err
			}
			all = union(all, more)
		}
	}
	slices.Sort(all)
	return all, nil
}

// question compares one question at the two times. Short says that it has more
// claims than were read.
func (d *diffRequest) question(before, after reader, predicate string) (out *v1.QuestionDiff, short bool, err error) {
	had, then, err := d.side(before, predicate)
	if err != nil {
		return nil, false, err
	}
	has, now, err := d.side(after, predicate)
	if err != nil {
		return nil, false, err
	}
	short = had.Truncated || has.Truncated
	out = &v1.QuestionDiff{Predicate: predicate, Before: *then, After: *now, Changed: !then.SameWinner(now), Truncated: short}
	var cut bool
	out.Added, cut = missingFrom(had.Stated, has.Stated, d.limit)
	out.Truncated = out.Truncated || cut
	out.Removed, cut = missingFrom(has.Stated, had.Stated, d.limit)
	out.Truncated = out.Truncated || cut
	return out, short, nil
}

// side reads and resolves a question at one of the times.
func (d *diffRequest) side(r reader, predicate string) (lens.Input, *v1.Outcome, error) {
	a := d.ask
	a.filter.Predicate = predicate
	if d.axis == axisAsOf {
		a.filter.AsOf = &r.at
	}
	in, err := r.input(a, d.lens.Needs()|lens.NeedsClaims)
	if err != nil {
		return in, nil, err
	}
	resolution, err := resolveBy(d.lens, in)
	if err != nil {
		return in, nil, err
	}
	return in, fromOutcome(resolution), nil
}

// missingFrom are the newest claims of list that others lack, at most limit; cut
// says that there are more.
func missingFrom(others, list []*assertion.Claim, limit int) (missing []v1.Assertion, cut bool) {
	there := make(map[assertion.Hash]bool, len(others))
	for _, c := range others {
		there[c.Hash] = true
	}
	missing = []v1.Assertion{}
	for _, c := range slices.SortedFunc(slices.Values(list), assertion.NewestFirst) {
		if there[c.Hash] {
			continue
		}
		if len(missing) == limit {
			return missing, true
		}
		missing = append(missing, v1.FromClaim(c))
	}
	return missing, false
}
