package api

import (
	"errors"
	"fmt"

	"github.com/labstack/echo/v4"

	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/internal/tracing"
)

// write stores verified entries and counts the claims that were taken in. Each
// entry is decided by itself: what limits keep out is refused in its result, and
// the rest goes on.
func (s *Server) write(c echo.Context, store Store, entries []assertion.Entry) (WriteResult, error) {
	ctx, cancel := s.bounded(c)
	defer cancel()
	admitting, span := tracing.Start(ctx, s.tracer, "admit")
	in, err := s.takeIn(admitting, c, entries)
	if err != nil {
		endPart(span, err)
		return WriteResult{}, err
	}
	out := WriteResult{Results: make([]EntryResult, len(entries))}
	sent, places := make([]assertion.Entry, 0, len(entries)), make([]int, 0, len(entries))
	for i, e := range entries {
		if out.Results[i].Refused = in[i].refused; in[i].refused != nil {
			continue
		}
		if err := s.judge(admitting, c, e, &in[i].admission); err != nil {
			endPart(span, err)
			s.failedWrite(in, true)
			return WriteResult{}, err
		}
		if !in[i].admission.Plain() {
			e = &assertion.Admitted{Entry: e, Admission: in[i].admission}
		}
		sent, places = append(sent, e), append(places, i)
	}
	span.End()
	if len(sent) == 0 {
		s.failedWrite(in, true)
		return out, nil
	}
	result, err := store.Write(ctx, s.caller(c), sent)
	switch {
	case err == nil && len(result.Results) != len(sent):
		s.failedWrite(in, false)
		return WriteResult{}, fmt.Errorf("the store answered %d outcomes for %d entries", len(result.Results), len(sent))
	case err != nil && ctx.Err() != nil && !known(err):
		s.failedWrite(in, false)
		return WriteResult{}, fmt.Errorf("%w: the node did not answer in time (%w)", ErrOutcomeUnknown, err)
	case err != nil:
		s.failedWrite(in, !errors.Is(err, ErrOutcomeUnknown))
		return WriteResult{}, err
	}
	out.Index = result.Index
	stored := 0
	for j, i := range places {
		r := result.Results[j]
		if r.Outcome.stored() {
			r.Findings = in[i].admission.Findings
			if entries[i].Kind() == assertion.KindAssertion {
				stored++
				s.metrics.inspected(&in[i].admission)
			}
		}
		out.Results[i] = r
	}
	s.paidUp(accountOf(c), in, out.Results)
	s.metrics.ingested.Add(float64(stored))
	return out, nil
}
