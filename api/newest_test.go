package api_test

import (
	"context"
	"net/http"
	"strconv"
	"testing"

	"github.com/stemedb/stemedb/api"
	"github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
)

// nearsighted is a store whose pages read two claims each.
type nearsighted struct {
	*store
	pages int
}

func (s *nearsighted) Read(ctx context.Context, c api.Consistency) (api.View, error) {
	v, err := s.store.Read(ctx, c)
	if err != nil {
		return nil, err
	}
	return nearView{v.(view), s}, nil
}

type nearView struct {
	view
	store *nearsighted
}

func (v nearView) Page(f assertion.Filter, cursor string, limit int) (claims []*assertion.Claim, next string, err error) {
	v.store.pages++
	before, _ := strconv.Atoi(cursor)
	it := v.Scan(f)
	defer it.Close()
	it.StopAfter(before + 2)
	for it.Next() && len(claims) < limit {
		if it.Scanned() > before {
			claims = append(claims, it.Claim())
		}
	}
	if it.Stopped() {
		next = strconv.Itoa(before + 2)
	}
	return claims, next, it.Err()
}

// However many hidden claims are newer, recency finds the newest visible one.
func TestRecencyBehindHiddenClaims(t *testing.T) {
	made := func(value float64, source byte, timestamp uint64, change ...func(*assertion.Assertion)) *assertion.Assertion {
		return signed(claim(append(change, func(a *assertion.Assertion) {
			a.Object, a.SourceHash, a.Timestamp = assertion.Number(value), assertion.Hash{source}, timestamp
		})...), "x")
	}
	deprecated := func(a *assertion.Assertion) { a.Lifecycle = assertion.Deprecated }
	for name, tc := range map[string]struct {
		hide  func(f *fixture, i int)
		pages int // that are read to find it
	}{
		"newer, on a retracted source": {pages: 1, hide: func(f *fixture, i int) { f.put(made(2, 2, now-100+uint64(i))) }},
		"newer, deprecated":            {pages: 1, hide: func(f *fixture, i int) { f.put(made(2, 3, now-100+uint64(i), deprecated)) }},
		"newer, superseded": {pages: 1, hide: func(f *fixture, i int) {
			c := made(2, 4, now-100+uint64(i))
			f.put(c)
			f.record(retraction("x", c.ContentHash()))
		}},
		"of the same second": {pages: 4, hide: func(f *fixture, i int) { f.put(made(float64(3+i), 2, now-500)) }},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			s := &nearsighted{store: f.store}
			f.server.Attach("n1", s)
			f.put(made(1, 1, now-500), made(9, 5, now-900))
			for i := range 7 {
				tc.hide(f, i)
			}
			f.record(&assertion.SourceStatus{Source: assertion.Hash{2}, Retracted: true, Reason: "r"})
			answer := read[v1.QueryResponse](t, f.get("/v1/query?lens=recency&aliases=false&limit=1&"+question), http.StatusOK)
			if answer.Resolution == nil || answer.Resolution.Winner == nil || answer.Resolution.Winner.Object != assertion.Number(1) {
				t.Fatalf("the answer is %+v", answer.Resolution)
			}
			if source := answer.Resolution.Explanation.Source; source != "aggregates" {
				t.Fatalf("read from %s", source)
			}
			if got := s.pages - 1; got != tc.pages { // the answer itself lists one
				t.Errorf("%d pages read, want %d", got, tc.pages)
			}
		})
	}
}
