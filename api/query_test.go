package api_test

import (
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/zeebo/blake3"

	"github.com/stemedb/stemedb/api"
	"github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
)

const (
	day      = 86400
	question = "subject=Semaglutide&predicate=nausea_rate"
)

// nausea stores the six claims that docs/lenses.md works through.
func nausea(f *fixture) {
	f.t.Helper()
	for _, c := range []struct {
		agent, source     string
		value, confidence float64
		class             assertion.SourceClass
		age               uint64
	}{
		{"regulator", "label", 20.3, 0.95, assertion.Regulatory, 100 * day},
		{"lab A", "trial A", 44.2, 0.90, assertion.Clinical, 365 * day},
		{"lab B", "trial B", 44.2, 0.80, assertion.Clinical, 0},
		{"patient 1", "forum", 60, 0.60, assertion.Anecdotal, 30 * day},
		{"patient 2", "forum", 60, 0.50, assertion.Anecdotal, 0},
		{"patient 3", "forum", 60, 0.40, assertion.Anecdotal, 0},
	} {
		f.put(signed(claim(func(a *assertion.Assertion) {
			a.Object, a.Confidence, a.SourceClass = assertion.Number(c.value), c.confidence, c.class
			a.SourceHash, a.Timestamp = blake3.Sum256([]byte(c.source)), now-c.age
		}), c.agent))
	}
}

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 1e-9*max(1, math.Abs(want)) {
		t.Errorf("%s = %.17g, want %.17g", what, got, want)
	}
}

func TestSkeptic(t *testing.T) {
	f := newFixture(t)
	nausea(f)
	w := f.get("/v1/skeptic?" + question)
	got := read[v1.SkepticResponse](t, w, http.StatusOK)
	if got.Status != "Contested" || got.Values != 3 || got.Voices != 6 || got.Index != 6 || len(got.Claims) != 3 {
		t.Fatalf("answer %s", w.Body)
	}
	near(t, "conflict score", got.ConflictScore, 0.7781689817812282)
	near(t, "disagreement", got.Disagreement, 1-0.5329421341986809)
	near(t, "share", got.Claims[0].Share, 0.5329421341986809)
	if tier := got.Claims[0].Tiers[0]; tier.SourceClass != assertion.Clinical || tier.Tier != 1 || tier.Weight != 0.85 || tier.Voices != 2 {
		t.Errorf("tier %+v", tier)
	}
	if got.Explanation.Source != "aggregates" || got.Explanation.At != now || f.store.scanned != 0 {
		t.Errorf("explanation %+v, %d claims scanned", got.Explanation, f.store.scanned)
	}
	if w.Header().Get(v1.HeaderIndex) != "6" || w.Header().Get(v1.HeaderConsistency) != "linearizable" {
		t.Errorf("headers %v", w.Header())
	}

	limited := read[v1.SkepticResponse](t, f.get("/v1/skeptic?limit=1&"+question), http.StatusOK)
	if len(limited.Claims) != 1 || limited.Values != 3 || limited.Voices != 6 || limited.ConflictScore != got.ConflictScore {
		t.Errorf("limited %+v", limited)
	}
	// A filter is answered by a scan, and says so; without the forum two values
	// are left.
	filtered := read[v1.SkepticResponse](t, f.get("/v1/skeptic?min_confidence=0.7&"+question), http.StatusOK)
	if filtered.Values != 2 || filtered.Explanation.Source != "scan" || filtered.Explanation.Scanned == 0 ||
		filtered.Explanation.Parameters["min_confidence"] != 0.7 {
		t.Errorf("filtered %+v", filtered)
	}
	nothing := read[v1.SkepticResponse](t, f.get("/v1/skeptic?subject=Nothing&predicate=p"), http.StatusOK)
	if nothing.Status != "NoClaims" || nothing.Claims == nil || nothing.ConflictScore != 0 {
		t.Errorf("nothing %+v", nothing)
	}
}

func TestLayered(t *testing.T) {
	f := newFixture(t)
	nausea(f)
	got := read[v1.LayeredResponse](t, f.get("/v1/layered?"+question), http.StatusOK)
	if got.Winner == nil || got.Winner.Object != assertion.Number(20.3) || len(got.Tiers) != 3 || got.Voices != 6 {
		t.Fatalf("answer %+v", got)
	}
	near(t, "cross-tier conflict", got.CrossTierConflict, 0.7798495000337318)
	if tier := got.Tiers[2]; tier.SourceClass != assertion.Anecdotal || tier.Winner.Object != assertion.Number(60) || tier.Voices != 3 {
		t.Errorf("tier %+v", tier)
	}
	filtered := read[v1.LayeredResponse](t, f.get("/v1/layered?source_class=PeerReviewed&"+question), http.StatusOK)
	if len(filtered.Tiers) != 1 || filtered.Winner.Object != assertion.Number(44.2) {
		t.Errorf("filtered %+v", filtered)
	}
	nothing := read[v1.LayeredResponse](t, f.get("/v1/layered?subject=Nothing&predicate=p"), http.StatusOK)
	if nothing.Winner != nil || nothing.Tiers == nil {
		t.Errorf("nothing %+v", nothing)
	}
}

func TestQueryWithALens(t *testing.T) {
	f := newFixture(t)
	nausea(f)
	for _, test := range []struct {
		lens, source string
		winner       float64
		confidence   float64
	}{
		{"recency", "aggregates", 60, 0.40},
		{"consensus", "aggregates", 60, 0.5},
		{"confidence", "scan", 20.3, 0.95},
		{"authority", "scan", 20.3, 0.95},
		{"layered", "aggregates", 20.3, 1},
		{"skeptic", "aggregates", 44.2, 0.5329421341986809},
	} {
		t.Run(test.lens, func(t *testing.T) {
			got := read[v1.QueryResponse](t, f.get("/v1/query?"+question+"&lens="+test.lens), http.StatusOK)
			r := got.Resolution
			if r == nil || r.Winner == nil || r.Winner.Object != assertion.Number(test.winner) || len(r.RunnersUp) != 2 || r.Lens != test.lens {
				t.Fatalf("resolution %+v", r)
			}
			near(t, "confidence", r.Confidence, test.confidence)
			near(t, "conflict", r.ConflictScore, 0.7781689817812282)
			if r.Explanation.Source != test.source || r.Explanation.Voices != 6 || r.Explanation.Index != 6 {
				t.Errorf("explanation %+v", r.Explanation)
			}
			if len(got.Assertions) != 6 {
				t.Fatalf("%d claims", len(got.Assertions))
			}
			for _, a := range got.Assertions {
				want := a.SourceClass.EffectiveConfidence(a.Confidence, a.Timestamp, now)
				if a.EffectiveConfidence == nil || *a.EffectiveConfidence != want {
					t.Errorf("effective confidence %v, want %g", a.EffectiveConfidence, want)
				}
			}
		})
	}
	// The same answers from a scan as from aggregates.
	for _, lens := range []string{"recency", "consensus", "layered", "skeptic"} {
		counted := read[v1.QueryResponse](t, f.get("/v1/query?"+question+"&lens="+lens), http.StatusOK).Resolution
		scanned := read[v1.QueryResponse](t, f.get("/v1/query?"+question+"&lifecycle=Proposed,Approved&lens="+lens), http.StatusOK).Resolution
		if scanned.Explanation.Source != "scan" {
			t.Fatalf("source %s", scanned.Explanation.Source)
		}
		counted.Explanation, scanned.Explanation = v1.Explanation{}, v1.Explanation{}
		floats := cmp.Comparer(func(a, b float64) bool { return math.Abs(a-b) < 1e-9 })
		if diff := cmp.Diff(counted, scanned, floats, cmp.Comparer(func(a, b assertion.ObjectValue) bool { return a == b })); diff != "" {
			t.Errorf("%s: %s", lens, diff)
		}
	}
	nothing := read[v1.QueryResponse](t, f.get("/v1/query?subject=Nothing&predicate=p&lens=recency"), http.StatusOK)
	if nothing.Assertions == nil || nothing.Resolution.Winner != nil || nothing.Resolution.RunnersUp == nil {
		t.Errorf("nothing: %+v", nothing)
	}
}

func TestQueryFilters(t *testing.T) {
	f := newFixture(t)
	nausea(f)
	epoch := assertion.Hash{7}
	parent := claim(func(a *assertion.Assertion) { a.Subject, a.Epoch = "Semaglutide:Type2Diabetes", &epoch })
	f.put(signed(parent, "x"))
	hash := parent.ContentHash()
	f.put(signed(claim(func(a *assertion.Assertion) {
		a.Subject, a.ParentHash, a.Lifecycle, a.Timestamp = "Semaglutide:Type2Diabetes", &hash, assertion.Rejected, now
	}), "x"))
	accent := claim(func(a *assertion.Assertion) { a.Subject = "caf\u00e9" })
	f.put(signed(accent, "x"))

	agent := assertion.AgentOf(key("lab A"))
	source := assertion.Hash(blake3.Sum256([]byte("forum")))
	for query, want := range map[string]int{
		"":                                       7,
		question:                                 6,
		"subject=Semaglutide*":                   6,
		"subject=Semaglutide:Type2Diabetes":      0,
		"subject=*":                              7,
		"predicate=nausea_rate":                  7,
		"lifecycle=Rejected":                     1, // the parent; the transition is no statement
		"lifecycle=Rejected,Proposed":            8,
		"lifecycle=Rejected&epoch=" + hex(epoch): 1,
		"agent_id=" + agent.String():             1,
		"source_hash=" + hex(source):             3,
		"source_class=Clinical":                  2,
		"min_confidence=0.8":                     4,
		"subject=cafe%CC%81":                     1, // e and a combining accent: the same in NFC
	} {
		got := read[v1.QueryResponse](t, f.get("/v1/query?"+query), http.StatusOK)
		if len(got.Assertions) != want {
			t.Errorf("%s: %d claims, want %d", query, len(got.Assertions), want)
		}
	}
}

func hex(h assertion.Hash) string { return h.String() }

func TestQueryPages(t *testing.T) {
	f := newFixture(t)
	nausea(f)
	var seen []uint64
	cursor := ""
	for range 10 {
		page := read[v1.QueryResponse](t, f.get("/v1/query?limit=4&"+question+cursor), http.StatusOK)
		for _, a := range page.Assertions {
			seen = append(seen, a.Timestamp)
		}
		if page.NextCursor == "" {
			break
		}
		cursor = "&cursor=" + url.QueryEscape(page.NextCursor)
	}
	if len(seen) != 6 || !slices.IsSortedFunc(seen, func(a, b uint64) int { return int(int64(b) - int64(a)) }) {
		t.Errorf("timestamps %v", seen)
	}
	refused(t, f.get("/v1/query?predicate=other"+cursor), http.StatusBadRequest, v1.CodeBadCursor)
	refused(t, f.get("/v1/query?cursor=nonsense"), http.StatusBadRequest, v1.CodeBadCursor)
}

func TestQueryRefusesWhatItDoesNotUnderstand(t *testing.T) {
	f := newFixture(t)
	nausea(f)
	for _, test := range []struct{ target, code, field string }{
		{"/v1/query?subjekt=x", v1.CodeUnknownParameter, "subjekt"},
		{"/v1/query?include=everything", v1.CodeInvalidParameter, "include"},
		{"/v1/query?as_of=yesterday", v1.CodeInvalidParameter, "as_of"},
		{"/v1/query?known_at=-1", v1.CodeInvalidParameter, "known_at"},
		{"/v1/query?explain=true", v1.CodeInvalidParameter, "explain"},
		{"/v1/skeptic?tolerance=-1&" + question, v1.CodeInvalidParameter, "tolerance"},
		{"/v1/skeptic?hierarchy=perhaps&" + question, v1.CodeInvalidParameter, "hierarchy"},
		{"/v1/query?lens=recency,consensus&" + question, v1.CodeInvalidParameter, "lens"},
		{"/v1/diff?subject=a&from=1", v1.CodeMissingParameter, "to"},
		{"/v1/diff?subject=a&from=1&to=2&axis=x", v1.CodeInvalidParameter, "axis"},
		{"/v1/feed?after=1.x", v1.CodeInvalidParameter, "after"},
		{"/v1/query?subject=a&subject=b", v1.CodeInvalidParameter, "subject"},
		{"/v1/query?subject=%zz", v1.CodeInvalidParameter, ""},
		{"/v1/query?subject=", v1.CodeInvalidParameter, "subject"},
		{"/v1/query?predicate=", v1.CodeInvalidParameter, "predicate"},
		{"/v1/query?cursor=", v1.CodeInvalidParameter, "cursor"},
		{"/v1/query?limit=0", v1.CodeInvalidParameter, "limit"},
		{"/v1/query?limit=1001", v1.CodeInvalidParameter, "limit"},
		{"/v1/query?limit=ten", v1.CodeInvalidParameter, "limit"},
		{"/v1/query?lifecycle=proposed", v1.CodeInvalidParameter, "lifecycle"},
		{"/v1/query?lifecycle=", v1.CodeInvalidParameter, "lifecycle"},
		{"/v1/query?source_class=Rumour", v1.CodeInvalidParameter, "source_class"},
		{"/v1/query?agent_id=AB", v1.CodeInvalidParameter, "agent_id"},
		{"/v1/query?source_hash=ab", v1.CodeInvalidParameter, "source_hash"},
		{"/v1/query?epoch=ab", v1.CodeInvalidParameter, "epoch"},
		{"/v1/query?min_confidence=NaN", v1.CodeInvalidParameter, "min_confidence"},
		{"/v1/query?min_confidence=1.5", v1.CodeInvalidParameter, "min_confidence"},
		{"/v1/query?consistency=strong", v1.CodeInvalidParameter, "consistency"},
		{"/v1/query?consistency=", v1.CodeInvalidParameter, "consistency"},
		{"/v1/query?consistency=bounded", v1.CodeMissingParameter, "max_stale"},
		{"/v1/query?max_stale=5", v1.CodeInvalidParameter, "max_stale"},
		{"/v1/query?consistency=bounded&max_stale=-1", v1.CodeInvalidParameter, "max_stale"},
		{"/v1/query?consistency=bounded&max_stale=0", v1.CodeInvalidParameter, "max_stale"},
		{"/v1/query?consistency=bounded&max_stale=2h", v1.CodeInvalidParameter, "max_stale"},
		{"/v1/query?consistency=bounded&max_stale=NaN", v1.CodeInvalidParameter, "max_stale"},
		{"/v1/query?consistency=bounded&max_stale=1e300", v1.CodeInvalidParameter, "max_stale"},
		{"/v1/query?consistency=bounded&max_stale=soon", v1.CodeInvalidParameter, "max_stale"},
		{"/v1/query?min_index=-1", v1.CodeInvalidParameter, "min_index"},
		{"/v1/query?lens=majority&" + question, v1.CodeUnknownLens, "lens"},
		{"/v1/query?lens=&" + question, v1.CodeUnknownLens, "lens"},
		{"/v1/query?lens=recency&subject=Semaglutide", v1.CodeMissingParameter, "predicate"},
		{"/v1/query?lens=recency&predicate=p", v1.CodeMissingParameter, "subject"},
		{"/v1/query?lens=recency&subject=Sema*&predicate=p", v1.CodeInvalidParameter, "subject"},
		{"/v1/skeptic", v1.CodeMissingParameter, "subject"},
		{"/v1/skeptic?lens=skeptic&" + question, v1.CodeUnknownParameter, "lens"},
		{"/v1/skeptic?limit=0&" + question, v1.CodeInvalidParameter, "limit"},
		{"/v1/layered?subject=Semaglutide", v1.CodeMissingParameter, "predicate"},
		{"/v1/layered?limit=1&" + question, v1.CodeUnknownParameter, "limit"},
		{"/v1/health?verbose", v1.CodeUnknownParameter, "verbose"},
		{"/readyz?verbose=no", v1.CodeInvalidParameter, "verbose"},
		{"/v1/assertions/XYZ", assertion.CodeHashInvalid, "hash"},
		{"/v1/assertions/" + strings.Repeat("AB", 32), assertion.CodeHashInvalid, "hash"},
	} {
		p := refused(t, f.get(test.target), http.StatusBadRequest, test.code)
		if p.Field != test.field {
			t.Errorf("%s: field %q, want %q", test.target, p.Field, test.field)
		}
	}
	if len(f.store.demands) != 0 {
		t.Errorf("the store was asked %d times for requests that cannot be answered", len(f.store.demands))
	}
	p := refused(t, f.get("/v1/query?lens=majority&"+question), http.StatusBadRequest, v1.CodeUnknownLens)
	if !strings.Contains(p.Detail, "recency, consensus, confidence, authority, votes, trust, truth, layered, skeptic") {
		t.Errorf("the names are not listed: %s", p.Detail)
	}
	p = refused(t, f.get("/v1/layered?limit=1&"+question), http.StatusBadRequest, v1.CodeUnknownParameter)
	if !strings.Contains(p.Fix, "source_class") {
		t.Errorf("the parameters are not listed: %s", p.Fix)
	}
	refused(t, f.get("/v1/assertions/"+strings.Repeat("ab", 32)), http.StatusNotFound, v1.CodeAssertionNotFound)
}

func TestConsistencyReachesTheStore(t *testing.T) {
	f := newFixture(t)
	for _, test := range []struct {
		query  string
		want   api.Consistency
		header string
	}{
		{"", api.Consistency{}, "linearizable"},
		{"?consistency=linearizable&min_index=7", api.Consistency{MinIndex: 7}, "linearizable"},
		{"?consistency=bounded&max_stale=5", api.Consistency{Level: api.Bounded, MaxStale: 5 * time.Second}, "bounded"},
		{"?consistency=bounded&max_stale=0.25", api.Consistency{Level: api.Bounded, MaxStale: 250 * time.Millisecond}, "bounded"},
		{"?consistency=bounded&max_stale=500ms", api.Consistency{Level: api.Bounded, MaxStale: 500 * time.Millisecond}, "bounded"},
		{"?consistency=local", api.Consistency{Level: api.Local}, "local"},
	} {
		w := f.get("/v1/query" + test.query)
		read[v1.QueryResponse](t, w, http.StatusOK)
		if got := f.store.demands[len(f.store.demands)-1]; got != test.want {
			t.Errorf("%s: %+v, want %+v", test.query, got, test.want)
		}
		if got := w.Header().Get(v1.HeaderConsistency); got != test.header {
			t.Errorf("%s: header %q", test.query, got)
		}
	}
}

func TestPrepare(t *testing.T) {
	f := newFixture(t)
	a := claim(func(a *assertion.Assertion) { a.Subject = "cafe\u0301" }) // not in NFC
	a.Signatures = []assertion.Signature{}
	got := read[v1.PrepareResponse](t, f.do(http.MethodPost, "/v1/assert/prepare", text(t, a), jsonType), http.StatusOK)
	if got.Assertion.Subject != "caf\u00e9" || got.Assertion.Signatures == nil {
		t.Errorf("not normalised: %+v", got.Assertion)
	}
	if got.Hash != got.Assertion.ContentHash() || got.Sign != got.Hash.String() || got.Content != fmt.Sprintf("%x", got.Assertion.ContentBytes()) {
		t.Errorf("answer %+v", got)
	}
	// What it says to sign is what is accepted.
	signed := got.Assertion
	signed.Sign(key("x"), now)
	if created := read[v1.AssertResponse](t, f.assert(text(t, &signed)), http.StatusCreated); created.Hash != got.Hash {
		t.Errorf("stored as %s, prepared as %s", created.Hash, got.Hash)
	}
	a.Confidence = 2
	refused(t, f.do(http.MethodPost, "/v1/assert/prepare", text(t, a), jsonType), http.StatusBadRequest, assertion.CodeConfidenceOutOfRange)
}
