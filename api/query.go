package api

import (
	"errors"
	"fmt"
	"net/url"

	"github.com/labstack/echo/v4"

	"github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/lens"
)

// planClaim is GET /v1/assertions/:hash.
func planClaim(c echo.Context, _ url.Values) (readPlan, error) {
	hash, err := assertion.ParseHash(c.Param("hash"))
	if err != nil {
		f := *faultOf(err)
		f.field = "hash"
		return nil, &f
	}
	return func(r reader) (any, error) {
		claim, err := r.view.Get(hash)
		if err != nil {
			return nil, err
		}
		return v1.FromClaim(claim), nil
	}, nil
}

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
	f, err := selection(q)
	if err != nil {
		return nil, err
	}
	return func(r reader) (any, error) { return r.page(f, cursor, limit) }, nil
}

// planResolution is GET /v1/query with a lens: the same page, every claim with
// its effective confidence, and the lens's answer.
func planResolution(q url.Values, cursor string, limit int) (readPlan, error) {
	l, err := lens.Lookup(q.Get("lens"))
	if errors.Is(err, lens.ErrUnknownLens) {
		return nil, &fault{code: v1.CodeUnknownLens, field: "lens", detail: err.Error(), fix: "use one of these names"}
	}
	if err != nil {
		return nil, err
	}
	f, err := question(q)
	if err != nil {
		return nil, err
	}
	return func(r reader) (any, error) {
		in, err := r.input(f, l.Needs())
		if err != nil {
			return nil, err
		}
		resolution, err := l.Resolve(in)
		if err != nil {
			return nil, fmt.Errorf("lens %s: %w", l.Name(), err)
		}
		page, err := r.page(f, cursor, limit)
		if err != nil {
			return nil, err
		}
		for i := range page.Assertions {
			a := &page.Assertions[i]
			left := a.SourceClass.EffectiveConfidence(a.Confidence, a.Timestamp, r.at)
			a.EffectiveConfidence = &left
		}
		page.Resolution = fromResolution(resolution, limit)
		return page, nil
	}, nil
}

// page reads one page of the claims that f selects.
func (r reader) page(f assertion.Filter, cursor string, limit int) (*v1.QueryResponse, error) {
	claims, next, err := r.view.Page(f, cursor, limit)
	if err != nil {
		return nil, err
	}
	page := &v1.QueryResponse{Assertions: make([]v1.Assertion, len(claims)), NextCursor: next}
	page.Index, _ = r.view.Applied()
	for i, claim := range claims {
		page.Assertions[i] = v1.FromClaim(claim)
	}
	return page, nil
}

// planSkeptic is GET /v1/skeptic.
func planSkeptic(_ echo.Context, q url.Values) (readPlan, error) {
	limit, err := limitParam(q)
	if err != nil {
		return nil, err
	}
	f, err := question(q)
	if err != nil {
		return nil, err
	}
	return func(r reader) (any, error) {
		in, err := r.input(f, lens.NeedsTally)
		if err != nil {
			return nil, err
		}
		return fromSkeptic(in, lens.Skeptic(in), limit), nil
	}, nil
}

// planLayered is GET /v1/layered.
func planLayered(_ echo.Context, q url.Values) (readPlan, error) {
	f, err := question(q)
	if err != nil {
		return nil, err
	}
	return func(r reader) (any, error) {
		in, err := r.input(f, lens.NeedsTally)
		if err != nil {
			return nil, err
		}
		return fromLayered(in, lens.Layered(in)), nil
	}, nil
}
