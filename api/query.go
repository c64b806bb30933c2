package api

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/lens"
)

// planQuery is GET /v1/query.
func planQuery(_ echo.Context, q url.Values) (readPlan, error) {
	limit, err := limitParam(q)
	if err != nil {
		return nil, err
	}
	cursor := q.Get("cursor")
	if cursor == "" && q.Has("cursor") {
		return nil, invalid("cursor", "empty", "leave it out for the first page")
	}
	if q.Has("lens") {
		return planResolution(q, cursor, limit)
	}
	for _, name := range []string{"tolerance", "hierarchy", "explain", "receipt"} {
		if q.Has(name) {
			return nil, invalid(name, "without lens there is no answer that it bears on", "add lens, or remove it")
		}
	}
	f, err := selection(q)
	if err != nil {
		return nil, err
	}
	aliases, err := flag(q, "aliases", true)
	if err != nil {
		return nil, err
	}
	return func(r reader) (any, error) {
		return r.page(ask{filter: f, aliases: aliases && f.Subject != "" && !f.SubjectPrefix}, cursor, limit)
	}, nil
}

// planResolution is GET /v1/query with a lens: the same page, every claim with
// its effective confidence, and the lens's answer.
func planResolution(q url.Values, cursor string, limit int) (readPlan, error) {
	l, err := lensParam(q, "")
	if err != nil {
		return nil, err
	}
	a, err := askForReceipt(q)
	if err != nil {
		return nil, err
	}
	return func(r reader) (any, error) {
		in, resolution, err := r.resolve(a, l)
		if err != nil {
			return nil, err
		}
		signed, err := r.receipt(a, l, in, resolution)
		if err != nil {
			return nil, err
		}
		page, err := r.page(a, cursor, limit)
		if err != nil {
			return nil, err
		}
		for i := range page.Assertions {
			a := &page.Assertions[i]
			left := a.SourceClass.EffectiveConfidence(a.Confidence, a.Timestamp, r.at)
			a.EffectiveConfidence = &left
		}
		found, err := r.findings(a, in)
		if err != nil {
			return nil, err
		}
		page.Resolution, page.Receipt = fromResolution(resolution, limit), signed
		found.mark(page.Resolution)
		return page, nil
	}, nil
}

// resolve answers a question by a lens, with the voices if the reader wants an
// explanation.
func (r reader) resolve(a ask, l lens.Lens) (in lens.Input, resolution *lens.Resolution, err error) {
	if in, err = r.input(a, l.Needs()); err != nil {
		return in, nil, err
	}
	if resolution, err = resolveBy(l, in); err != nil {
		return in, nil, err
	}
	if a.explain {
		lens.Explain(in, &resolution.Explanation)
	}
	return in, resolution, nil
}

// resolveBy is what a lens makes of an input. A lens that does not answer such
// questions is the reader's choice, and no failure.
func resolveBy(l lens.Lens, in lens.Input) (*lens.Resolution, error) {
	resolution, err := l.Resolve(in)
	if errors.Is(err, lens.ErrNotForQuestion) {
		return nil, invalid("lens", err.Error(), "choose another lens, or another question")
	}
	if err != nil {
		return nil, fmt.Errorf("lens %s: %w", l.Name(), err)
	}
	return resolution, nil
}

// page reads one page of the claims that a question or a selection has. Under
// several names of one entity the claims of each name follow each other.
func (r reader) page(a ask, cursor string, limit int) (*v1.QueryResponse, error) {
	names, _, err := r.entity(a)
	if err != nil {
		return nil, err
	}
	slices.Sort(names[1:])
	at := 0
	if len(names) > 1 {
		if at, cursor, err = splitCursor(cursor, len(names)); err != nil {
			return nil, err
		}
	}
	page := &v1.QueryResponse{Assertions: []v1.Assertion{}, Index: r.index()}
	for ; at < len(names); at++ {
		f := a.filter
		f.Subject = names[at]
		claims, next, err := r.view.Page(f, cursor, limit-len(page.Assertions))
		if err != nil {
			return nil, err
		}
		for _, claim := range claims {
			page.Assertions = append(page.Assertions, v1.FromClaim(claim))
		}
		cursor = next
		if next == "" && at+1 < len(names) && len(page.Assertions) < limit {
			continue
		}
		switch {
		case len(names) == 1:
			page.NextCursor = next
		case next != "":
			page.NextCursor = joinCursor(at, next)
		case at+1 < len(names):
			page.NextCursor = joinCursor(at+1, "")
		}
		return page, nil
	}
	return page, nil
}

// A cursor over several names says which name is read, then where in it.
func joinCursor(name int, cursor string) string { return strconv.Itoa(name) + "." + cursor }

func splitCursor(cursor string, names int) (name int, rest string, err error) {
	if cursor == "" {
		return 0, "", nil
	}
	number, rest, ok := strings.Cut(cursor, ".")
	name, err = strconv.Atoi(number)
	if !ok || err != nil || name < 0 || name >= names {
		return 0, "", ErrBadCursor
	}
	return name, rest, nil
}

// planSkeptic is GET /v1/skeptic.
func planSkeptic(_ echo.Context, q url.Values) (readPlan, error) {
	limit, err := limitParam(q)
	if err != nil {
		return nil, err
	}
	a, err := askForReceipt(q)
	if err != nil {
		return nil, err
	}
	return func(r reader) (any, error) {
		in, signed, err := r.whole(a, "skeptic")
		if err != nil {
			return nil, err
		}
		result := lens.Skeptic(in)
		if a.explain {
			lens.Explain(in, &result.Explanation)
		}
		found, err := r.findings(a, in)
		if err != nil {
			return nil, err
		}
		answer := fromSkeptic(in, result, limit)
		for i := range answer.Claims {
			answer.Claims[i].Findings = found.of(answer.Claims[i].Object)
		}
		answer.Receipt = signed
		return answer, nil
	}, nil
}

// planLayered is GET /v1/layered.
func planLayered(_ echo.Context, q url.Values) (readPlan, error) {
	a, err := askForReceipt(q)
	if err != nil {
		return nil, err
	}
	return func(r reader) (any, error) {
		in, signed, err := r.whole(a, "layered")
		if err != nil {
			return nil, err
		}
		result := lens.Layered(in)
		if a.explain {
			lens.Explain(in, &result.Explanation)
		}
		found, err := r.findings(a, in)
		if err != nil {
			return nil, err
		}
		answer := fromLayered(in, result)
		if answer.Winner != nil {
			answer.Winner.Findings = found.of(answer.Winner.Object)
		}
		for i := range answer.Tiers {
			answer.Tiers[i].Winner.Findings = found.of(answer.Tiers[i].Winner.Object)
		}
		answer.Receipt = signed
		return answer, nil
	}, nil
}
