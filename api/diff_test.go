package api_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
)

func (f *fixture) diff(query string) v1.DiffResponse {
	f.t.Helper()
	return read[v1.DiffResponse](f.t, f.get("/v1/diff?subject=Semaglutide&"+query), http.StatusOK)
}

func objects(claims []v1.Assertion) string {
	out := ""
	for _, c := range claims {
		out += c.Object.String() + " "
	}
	return out
}

// said at a time: an agent states values on one source one after the other.
func restated(value float64, at uint64) *assertion.Assertion {
	return signed(claim(func(a *assertion.Assertion) { a.Object, a.Timestamp = assertion.Number(value), at }), "x")
}

// A claim that came and was restated between the times was added like the one
// that replaced it; one from before that was restated is still there. One that
// was retracted is not.
func TestDiffListsStatedClaims(t *testing.T) {
	f := newFixture(t)
	f.put(restated(1, now-100))
	wrong := valued("y", 9, func(a *assertion.Assertion) { a.Timestamp = now - 100 })
	f.put(wrong)
	f.store.clock += 10
	f.put(restated(2, now-50), restated(3, now-40))
	f.record(retraction("y", wrong.ContentHash()))
	f.store.clock += 10
	for axis, want := range map[string]struct {
		query, removed string
		reads          int
	}{
		"known_at": {fmt.Sprintf("from=%d&to=%d", now+5, now+15), "9 ", 2},
		"as_of":    {fmt.Sprintf("from=%d&to=%d&axis=as_of", now-60, now-20), "", 1}, // retracted later
	} {
		before := f.store.reads()
		diff := f.diff(want.query)
		if reads := f.store.reads() - before; reads != want.reads {
			t.Errorf("%s: %d states were read", axis, reads)
		}
		if len(diff.Questions) != 1 {
			t.Fatalf("%s: %+v", axis, diff)
		}
		q := diff.Questions[0]
		if objects(q.Added) != "3 2 " || objects(q.Removed) != want.removed || q.Truncated || !q.Changed {
			t.Errorf("%s: added %s, removed %s: %+v", axis, objects(q.Added), objects(q.Removed), q)
		}
		short := f.diff(want.query + "&limit=1").Questions[0]
		if objects(short.Added) != "3 " || !short.Truncated {
			t.Errorf("%s: limited %+v", axis, short)
		}
		if exact := f.diff(want.query + "&limit=2").Questions[0]; len(exact.Added) != 2 || exact.Truncated {
			t.Errorf("%s: limited exactly %+v", axis, exact)
		}
	}
}

// Names that were parted between the times take their predicates with them.
func TestDiffComparesThePredicatesOfBothTimes(t *testing.T) {
	f := newFixture(t)
	f.put(valued("x", 1, func(a *assertion.Assertion) { a.Subject, a.Predicate = "Ozempic", "price" }))
	f.post("/v1/concepts/aliases", assertion.Alias{Name: "Ozempic", Canonical: "Semaglutide"})
	f.store.clock += 10
	f.post("/v1/concepts/aliases", assertion.Alias{Name: "Ozempic", Canonical: "Semaglutide", Removed: true})
	f.store.clock += 10
	diff := f.diff(fmt.Sprintf("from=%d&to=%d", now+5, now+15))
	if len(diff.Questions) != 1 || diff.Questions[0].Predicate != "price" || len(diff.Questions[0].Removed) != 1 || diff.Questions[0].After.Winner != nil {
		t.Errorf("%+v", diff)
	}
}

// A lens that does not answer a question is refused wherever it is asked.
func TestLensForOtherQuestions(t *testing.T) {
	f := newFixture(t)
	nausea(f)
	for _, target := range []string{
		"/v1/query?lens=constraints&" + question, fmt.Sprintf("/v1/diff?lens=constraints&subject=Semaglutide&from=1&to=%d", now-1),
		"/v1/sources/" + claim().SourceHash.String() + "/impact?lens=constraints",
	} {
		if p := refused(t, f.get(target), http.StatusBadRequest, v1.CodeInvalidParameter); p.Field != "lens" {
			t.Errorf("%s: the fault is in %q", target, p.Field)
		}
	}
}

// The impact of a source is that on the answers which queries give: under every
// name of the subject, each question once.
func TestImpactReadsAllNames(t *testing.T) {
	f := newFixture(t)
	source := claim().SourceHash
	f.put(signed(claim(), "x"), signed(claim(func(a *assertion.Assertion) { a.Subject = "Ozempic" }), "x"))
	f.put(valued("y", 5, func(a *assertion.Assertion) { a.Subject = "Ozempic" }), valued("z", 5, func(a *assertion.Assertion) { a.Subject = "Ozempic" }))
	impact := func() v1.ImpactResponse {
		return read[v1.ImpactResponse](t, f.get("/v1/sources/"+source.String()+"/impact"), http.StatusOK)
	}
	if got := impact(); len(got.Questions) != 2 {
		t.Errorf("two entities: %+v", got.Questions)
	}
	f.post("/v1/concepts/aliases", assertion.Alias{Name: "Ozempic", Canonical: "Semaglutide"})
	got := impact()
	if len(got.Questions) != 1 || *got.Questions[0].With != assertion.Number(5) || *got.Questions[0].Without != assertion.Number(5) || got.Changed != 0 {
		t.Errorf("one entity: %+v", got.Questions)
	}
}
