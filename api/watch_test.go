package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
)

// answer reads the next event, which must be an answer, with its id.
func (s *stream) answer() (id string, change v1.ResolutionChange) {
	s.t.Helper()
	id, name, data := s.next()
	if err := json.Unmarshal([]byte(data), &change); err != nil || name != v1.WatchResolution {
		s.t.Fatalf("%s %s: %v", name, data, err)
	}
	return id, change
}

// reads is how often the server has opened a view.
func (s *store) reads() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.demands)
}

func (f *fixture) awaitReads(n int) {
	f.t.Helper()
	for range 1000 {
		if f.store.reads() >= n {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	f.t.Fatalf("%d views were opened, want %d", f.store.reads(), n)
}

// valued is a claim of a value by one agent on a source of its own.
func valued(agent string, value float64, change ...func(*assertion.Assertion)) *assertion.Assertion {
	a := claim(change...)
	a.Object, a.SourceHash = assertion.Number(value), assertion.Hash{byte(value)}
	return signed(a, agent)
}

// Each filter alone selects; a stage that is hidden otherwise is told unless the
// client names the stages that it wants.
func TestWatchFilters(t *testing.T) {
	f := newFixture(t)
	clinical := valued("a", 1, func(a *assertion.Assertion) { a.SourceClass = assertion.Clinical })
	approved := valued("b", 2, func(a *assertion.Assertion) { a.Lifecycle = assertion.Approved })
	rejected := valued("c", 3, func(a *assertion.Assertion) { a.Lifecycle = assertion.Rejected })
	weak := valued("d", 4, func(a *assertion.Assertion) { a.Confidence = 0.1 })
	era := valued("e", 5, func(a *assertion.Assertion) { a.Epoch = &assertion.Hash{7} })
	for _, c := range []*assertion.Assertion{clinical, approved, rejected, weak, era} {
		f.put(c)
		f.record(vote("v", c.ContentHash(), 1)) // no claim, and so in no selection
	}
	for query, want := range map[string][]*assertion.Assertion{
		"source_class=Clinical":               {clinical},
		"lifecycle=Approved":                  {approved},
		"lifecycle=Rejected,Approved":         {approved, rejected},
		"epoch=07" + strings.Repeat("00", 31): {era},
		"min_confidence=0.5":                  {clinical, approved, rejected, era},
		"min_confidence=0":                    {clinical, approved, rejected, weak, era},
		"include=superseded,retracted":        {clinical, approved, rejected, weak, era},
		"lifecycle=Approved&subject=S*":       {approved},
	} {
		w := watching(t, f, "/v1/watch?after=0&"+query)
		for _, c := range want {
			if _, _, data := w.next(); !strings.Contains(data, `"hash":"`+c.ContentHash().String()) {
				t.Errorf("%s: %s instead of the claim of %v", query, data, c.Object)
			}
		}
	}
}

// What a watch cannot do it says before it begins.
func TestWatchRefusals(t *testing.T) {
	f := newFixture(t)
	for query, field := range map[string]string{
		"lifecycle=Bogus": "lifecycle", "source_class=Bogus": "source_class", "min_confidence=2": "min_confidence", "include=all": "include",
		"tolerance=1%25": "tolerance", "hierarchy=true": "hierarchy", "aliases=false": "aliases", "subject=S*&tolerance=1": "tolerance",
	} {
		if p := refused(t, f.get("/v1/watch?"+query), http.StatusBadRequest, v1.CodeInvalidParameter); p.Field != field {
			t.Errorf("%s: the fault is in %s", query, p.Field)
		}
	}
}

// The position of an answer lies behind all that the answer rests on. Whoever
// comes back with it is told the answer of now as a first one, from a state that
// is no older.
func TestWatchOfAnAnswerResumes(t *testing.T) {
	f := newFixture(t)
	nausea(f)
	id, first := watching(t, f, "/v1/watch?after=2&lens=consensus&"+question).answer()
	if id != "6.65535" || first.Position != id || !first.First || first.Before != nil {
		t.Errorf("%s: %+v", id, first)
	}
	again, same := watching(t, f, "/v1/watch?lens=consensus&"+question, "Last-Event-ID: "+id).answer()
	if again != id || !same.First || same.Before != nil || !same.After.SameAnswer(&first.After) {
		t.Errorf("%s: %+v", again, same)
	}
	ahead := watching(t, f, "/v1/watch?lens=consensus&"+question, "Last-Event-ID: 8.65535")
	for i, lab := range []string{"lab C", "lab D"} {
		f.put(signed(claim(func(a *assertion.Assertion) { a.Object, a.SourceHash = assertion.Number(44.2), assertion.Hash{byte(i)} }), lab))
	}
	if at, change := ahead.answer(); at != "8.65535" || *change.After.Winner != assertion.Number(44.2) {
		t.Errorf("a node that was behind told the answer of %s: %+v", at, change)
	}
}

// A question is answered again when something bears on it: not a claim on
// another question, but one under another name of the subject.
func TestWatchAnswersAgainWhenItMatters(t *testing.T) {
	f := newFixture(t)
	f.put(valued("a", 1))
	w := watching(t, f, "/v1/watch?lens=recency&"+question)
	w.answer()
	f.awaitReads(2) // the answer, and a look at what follows
	step := func(views int, what string, write func()) {
		t.Helper()
		before := f.store.reads()
		write()
		f.awaitReads(before + 1)
		if views == 2 {
			f.awaitReads(before + 2)
		}
		time.Sleep(20 * time.Millisecond) // for a view too many
		if got := f.store.reads() - before; got != views {
			t.Errorf("%s: %d views, want %d", what, got, views)
		}
	}
	other := func(a *assertion.Assertion) { a.Subject = "Ozempic" }
	step(1, "another subject", func() { f.put(valued("b", 2, other)) })
	step(1, "another predicate", func() { f.put(valued("b", 2, func(a *assertion.Assertion) { a.Predicate = "price" })) })
	step(1, "a co-signer elsewhere", func() { f.put(valued("c", 2, other)) })
	step(2, "a co-signer", func() { f.put(valued("c", 1)) })
	step(2, "a vote", func() { f.record(vote("v", valued("a", 1).ContentHash(), 1)) })
	step(2, "an alias", func() { f.post("/v1/concepts/aliases", assertion.Alias{Name: "Ozempic", Canonical: "Semaglutide"}) })
	if _, change := w.answer(); *change.Before.Winner != assertion.Number(1) || *change.After.Winner != assertion.Number(2) {
		t.Errorf("%+v", change)
	}
	step(2, "the other name", func() { f.put(valued("d", 3, other, func(a *assertion.Assertion) { a.Timestamp = now })) })
	if _, change := w.answer(); *change.After.Winner != assertion.Number(3) {
		t.Errorf("%+v", change)
	}
}

// A time that has not passed is said once, with the parameter that names it.
func TestFutureTimesNameTheirParameter(t *testing.T) {
	f := newFixture(t)
	nausea(f)
	for target, field := range map[string]string{
		fmt.Sprintf("/v1/query?known_at=%d", now+9):                        "known_at",
		fmt.Sprintf("/v1/diff?subject=Semaglutide&from=1&to=%d", now+9):    "to",
		fmt.Sprintf("/v1/diff?subject=S&from=%d&to=%d", now+8, now+9):      "to",
		fmt.Sprintf("/v1/skeptic?known_at=%d&as_of=1&%s", now+9, question): "known_at",
	} {
		if p := refused(t, f.get(target), http.StatusBadRequest, v1.CodeInvalidParameter); p.Field != field {
			t.Errorf("%s: the fault is in %q", target, p.Field)
		}
	}
}
