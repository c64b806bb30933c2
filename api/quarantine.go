package api

import (
	"net/url"

	"github.com/labstack/echo/v4"

	"github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
)

// planQuarantine is GET /v1/admin/quarantine.
func planQuarantine(_ echo.Context, q url.Values) (readPlan, error) {
	limit, err := limitParam(q)
	if err != nil {
		return nil, err
	}
	state := assertion.ReviewPending
	if q.Has("state") {
		if err := state.UnmarshalText([]byte(q.Get("state"))); err != nil || state == assertion.NotQuarantined {
			return nil, invalid("state", "no state of a review", "use pending, approved or rejected")
		}
	}
	after, err := afterParam(q.Get("cursor"), q.Has("cursor"))
	if err != nil {
		return nil, ErrBadCursor
	}
	return func(r reader) (any, error) {
		claims, err := r.view.Reviews(state, after, limit+1)
		if err != nil {
			return nil, err
		}
		out := &v1.QuarantineResponse{Claims: []v1.QuarantinedClaim{}, Pending: r.view.Pending(), Index: r.index()}
		if len(claims) > limit {
			claims = claims[:limit]
			out.NextCursor = v1.FormatPosition(claims[limit-1].Commit.Position)
		}
		for _, claim := range claims {
			decisions, err := r.decisions(claim)
			if err != nil {
				return nil, err
			}
			out.Claims = append(out.Claims, v1.QuarantinedClaim{Assertion: v1.FromClaim(claim), Decisions: decisions})
		}
		return out, nil
	}, nil
}

// decisions are those on a claim that was quarantined; none on others.
func (r reader) decisions(claim *assertion.Claim) ([]v1.Decision, error) {
	out := []v1.Decision{}
	if claim.Review == assertion.NotQuarantined {
		return out, nil
	}
	held, err := r.view.Decisions(claim.Hash)
	for _, d := range held {
		out = append(out, v1.Decision{Approved: d.Entry.Approved, Reviewer: d.Entry.Reviewer, Reason: d.Entry.Reason, Commit: v1.FromCommit(d.Commit)})
	}
	return out, err
}

// decide is POST /v1/admin/quarantine/:hash/approve and reject.
func decide(approved bool) func(*Server) echo.HandlerFunc {
	return simple(func(s *Server, c echo.Context) error {
		store, err := s.store()
		if err != nil {
			return err
		}
		hash, err := hashInPath(c)
		if err != nil {
			return err
		}
		var want v1.DecisionRequest
		if err := strictBody(c, &want); err != nil {
			return err
		}
		d := &assertion.Decision{Claim: hash, Approved: approved, Reviewer: administrator(c), Reason: want.Reason}
		if err := d.Validate(); err != nil {
			return err
		}
		result, err := s.write(c, store, []assertion.Entry{d})
		if err != nil {
			return err
		}
		if f := entryRefusal(d, result.Results[0]); f != nil {
			return f
		}
		setIndex(c, result.Index)
		return s.ok(c, v1.DecisionResponse{Hash: hash, Review: d.Review().String(), Status: status(result.Results[0].Outcome), Index: result.Index})
	})
}
