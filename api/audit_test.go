package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
)

// Every way of reading claims leaves a record when it names an agent: with the
// claims that the answer shows, or the newest on its questions.
func TestEveryReadOfClaimsIsAudited(t *testing.T) {
	f := newFixture(t)
	nausea(f)
	var constrained []assertion.Hash
	for i, predicate := range []string{"must_use", "forbidden"} {
		c := valued("x", float64(i), func(a *assertion.Assertion) { a.Subject, a.Predicate = "svc", predicate })
		f.put(c)
		constrained = append(constrained, c.ContentHash())
	}
	f.record(vote("v", constrained[0], 1))
	agent := "X-Agent-Id: " + strings.Repeat("ab", 32)
	done := 0
	record := func(target string) v1.AuditRecord {
		t.Helper()
		if w := f.do(http.MethodGet, target, "", agent); w.Code != http.StatusOK {
			t.Fatalf("%s: %s", target, w.Body)
		}
		done++
		return f.audited(done)[0]
	}
	for target, claims := range map[string]int{
		fmt.Sprintf("/v1/diff?subject=Semaglutide&axis=as_of&from=%d&to=%d", now-50*day, now): 4,
		"/v1/feed":                             8,
		"/v1/feed?after=8":                     0,
		"/v1/constraints?subject=svc":          2,
		"/v1/skeptic?" + question:              6,
		"/v1/layered?" + question:              6,
		"/v1/conflicts":                        0,
		"/v1/query?subject=svc&limit=1":        1,
		"/v1/trace/" + constrained[0].String(): 1,
	} {
		got := record(target)
		if path, _, _ := strings.Cut(target, "?"); got.Path != path || len(got.Claims) != claims || got.Index != 9 || got.Consistency != "linearizable" {
			t.Errorf("%s: %d claims, want %d: %+v", target, len(got.Claims), claims, got)
		}
	}
	for _, target := range []string{"/v1/watch?after=0", "/v1/watch?lens=recency&" + question} {
		watching(t, f, target, agent).next()
		done++
		if got := f.audited(done)[0]; got.Path != "/v1/watch" || got.Index != 9 || got.Consistency != "local" || len(got.Claims) != 0 {
			t.Errorf("%s: %+v", target, got)
		}
	}
	f.do(http.MethodGet, "/v1/diff?subject=Semaglutide&from=2&to=1", "", agent) // refused
	f.do(http.MethodGet, "/v1/diff?subject=Semaglutide&from=1&to=2", "")        // by nobody
	if got := record("/v1/subjects"); len(f.audited(done)) != done || got.Path != "/v1/subjects" {
		t.Errorf("%+v", f.audited(done))
	}
}

// A request that names an agent nobody could have is refused on every route of
// the API, so that no read escapes the audit by a typing error.
func TestIllFormedAgentsAreRefused(t *testing.T) {
	f := newFixture(t)
	c := newContract(t, f)
	for _, r := range f.server.Routes() {
		if !strings.HasPrefix(r.Path, "/v1/") {
			continue
		}
		target := strings.NewReplacer("{hash}", strings.Repeat("0", 64), "{path}", "a", "{agent}", strings.Repeat("0", 64), "{id}", "n1-1").Replace(r.Path)
		w := f.do(r.Method, target, "", "X-Agent-Id: nonsense")
		if p := refused(t, w, http.StatusBadRequest, assertion.CodeHashInvalid); p.Field != v1.HeaderAgentID {
			t.Errorf("%s %s: %+v", r.Method, r.Path, p)
		}
		c.holds(r.Method, r.Path, w)
	}
	for _, target := range []string{"/livez", "/metrics"} {
		if w := f.do(http.MethodGet, target, "", "X-Agent-Id: nonsense"); w.Code != http.StatusOK {
			t.Errorf("%s: %s", target, w.Body)
		}
	}
	body := text(t, signed(claim(), "x"))
	agent := strings.Repeat("ab", 32)
	f.do(http.MethodPost, "/v1/assert", body, jsonType, "X-Agent-Id: "+agent)
	if got := f.store.callers; len(got) != 1 || got[0].AgentID != agent {
		t.Errorf("written on behalf of %+v", got)
	}
}
