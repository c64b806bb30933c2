package api_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stemedb/stemedb/api"
	"github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
)

// screen quarantines texts with the word poison and flags those with the word
// odd. It remembers whom it was told.
type screen struct{ signers []api.Signer }

func (s *screen) Inspect(claim *assertion.Assertion, signer api.Signer, _ uint64) ([]assertion.Finding, bool) {
	s.signers = append(s.signers, signer)
	said := claim.Object.String()
	switch {
	case strings.Contains(said, "poison"):
		return []assertion.Finding{{Code: "pattern", Rule: "poison"}}, true
	case strings.Contains(said, "odd"):
		return []assertion.Finding{{Code: "prompt_injection"}}, false
	}
	return nil, false
}

func (s *screen) option(c *api.Config) { c.Inspector = s }

func saying(value string) *assertion.Assertion {
	return claim(func(a *assertion.Assertion) { a.Object = assertion.Text(value) })
}

const askNausea = "subject=Semaglutide&predicate=nausea_rate"

func TestQuarantineAndReview(t *testing.T) {
	f := newFixture(t, new(screen).option)
	sober, poison := signed(saying("sober"), "alice"), signed(saying("poison"), "mallory")
	f.put(sober)
	got := read[v1.AssertResponse](t, f.assert(text(t, poison)), http.StatusAccepted)
	if got.Status != v1.StatusQuarantined || got.Hash != poison.ContentHash() || len(got.Findings) != 1 || got.Findings[0].Rule != "poison" {
		t.Fatalf("answer %+v", got)
	}
	again := read[v1.AssertResponse](t, f.assert(text(t, poison)), http.StatusAccepted)
	if again.Status != v1.StatusQuarantined {
		t.Errorf("the same again: %+v", again)
	}
	batch := read[v1.BatchResponse](t, f.do(http.MethodPost, "/v1/assert/batch", "["+text(t, signed(saying("more poison"), "malice"))+"]", jsonType), http.StatusOK)
	if r := batch.Results[0]; r.Status != v1.StatusQuarantined || len(r.Findings) != 1 {
		t.Errorf("in a batch: %+v", r)
	}

	values := func(more string) int {
		return len(read[v1.SkepticResponse](t, f.get("/v1/skeptic?"+askNausea+more), http.StatusOK).Claims)
	}
	claims := func(more string) int {
		return len(read[v1.QueryResponse](t, f.get("/v1/query?"+askNausea+more), http.StatusOK).Assertions)
	}
	if values("") != 1 || claims("") != 1 || values("&include=quarantined") != 3 || claims("&include=quarantined") != 3 {
		t.Errorf("pending: %d values, %d claims; with quarantined ones %d, %d", values(""), claims(""), values("&include=quarantined"), claims("&include=quarantined"))
	}
	detail := read[v1.AssertionDetail](t, f.get("/v1/assertions/"+got.Hash.String()), http.StatusOK)
	if detail.Review != "pending" || len(detail.Findings) != 1 {
		t.Errorf("by its hash: %+v", detail.Assertion)
	}

	list := read[v1.QuarantineResponse](t, f.get("/v1/admin/quarantine?limit=1"), http.StatusOK)
	if list.Pending != 2 || len(list.Claims) != 1 || list.Claims[0].Hash != got.Hash || list.NextCursor == "" {
		t.Fatalf("list: %+v", list)
	}
	rest := read[v1.QuarantineResponse](t, f.get("/v1/admin/quarantine?cursor="+list.NextCursor), http.StatusOK)
	if len(rest.Claims) != 1 || rest.NextCursor != "" || rest.Claims[0].Hash == got.Hash {
		t.Errorf("second page: %+v", rest)
	}

	path := "/v1/admin/quarantine/" + got.Hash.String()
	decided := read[v1.DecisionResponse](t, f.do(http.MethodPost, path+"/approve", `{"reason":"a quotation"}`, jsonType), http.StatusOK)
	if decided.Review != "approved" || values("") != 2 {
		t.Errorf("approved: %+v, %d values", decided, values(""))
	}
	read[v1.DecisionResponse](t, f.do(http.MethodPost, path+"/reject", `{"reason":"no: an advertisement"}`, jsonType), http.StatusOK)
	if values("") != 1 {
		t.Errorf("rejected, and %d values", values(""))
	}
	rejected := read[v1.QuarantineResponse](t, f.get("/v1/admin/quarantine?state=rejected"), http.StatusOK)
	if len(rejected.Claims) != 1 || len(rejected.Claims[0].Decisions) != 2 || rejected.Pending != 1 {
		t.Fatalf("rejected: %+v", rejected)
	}
	if d := rejected.Claims[0].Decisions[1]; d.Approved || d.Reviewer != "operator" || d.Reason != "no: an advertisement" || d.CommittedAt != now {
		t.Errorf("the decision: %+v", d)
	}

	refused(t, f.do(http.MethodPost, path+"/approve", `{}`, jsonType), http.StatusBadRequest, assertion.CodeDecisionInvalid)
	refused(t, f.do(http.MethodPost, path+"/approve", `{"reason":"x","reviewer":"someone else"}`, jsonType), http.StatusBadRequest, assertion.CodeInvalidJSON)
	refused(t, f.do(http.MethodPost, "/v1/admin/quarantine/"+sober.ContentHash().String()+"/approve", `{"reason":"x"}`, jsonType), http.StatusNotFound, v1.CodeTargetNotFound)
	refused(t, f.get("/v1/admin/quarantine?state=lost"), http.StatusBadRequest, v1.CodeInvalidParameter)
	refused(t, f.get("/v1/admin/quarantine?cursor=x"), http.StatusBadRequest, v1.CodeBadCursor)
}

func TestFindingsAreMarkedInAnswers(t *testing.T) {
	f := newFixture(t, new(screen).option)
	f.put(signed(saying("sober"), "alice"))
	odd := signed(saying("odd"), "bob")
	got := read[v1.AssertResponse](t, f.assert(text(t, odd)), http.StatusCreated)
	if len(got.Findings) != 1 {
		t.Errorf("the answer to the writer: %+v", got)
	}
	f.put(signed(saying("odd"), "carol")) // the same content: a co-signature
	for _, c := range read[v1.SkepticResponse](t, f.get("/v1/skeptic?"+askNausea), http.StatusOK).Claims {
		if marked := len(c.Findings) == 1; marked != (c.Object == assertion.Text("odd")) {
			t.Errorf("skeptic: %+v", c)
		}
	}
	r := read[v1.QueryResponse](t, f.get("/v1/query?lens=consensus&"+askNausea), http.StatusOK)
	if w := r.Resolution.Winner; w.Object != assertion.Text("odd") || len(w.Findings) != 1 || len(r.Resolution.RunnersUp[0].Findings) != 0 {
		t.Errorf("resolution: %+v", r.Resolution)
	}
	layered := read[v1.LayeredResponse](t, f.get("/v1/layered?"+askNausea), http.StatusOK)
	if len(layered.Winner.Findings) != 1 || len(layered.Tiers[0].Winner.Findings) != 1 {
		t.Errorf("layered: %+v", layered)
	}
}

// A co-signature cannot wait for a review by itself; a transition takes effect and
// shows its text nowhere.
func TestCosignaturesAndTransitionsAreScreened(t *testing.T) {
	f := newFixture(t)
	a := signed(saying("poison"), "alice")
	f.put(a) // before there was a defence
	screened := newFixture(t, new(screen).option)
	screened.store = f.store
	screened.server.Attach("n1", f.store)
	refused(t, screened.assert(text(t, signed(saying("poison"), "mallory"))), http.StatusForbidden, v1.CodeContentRefused)
	hash := a.ContentHash()
	child := signed(claim(func(a *assertion.Assertion) {
		a.Object, a.ParentHash, a.Lifecycle = assertion.Text("poison"), &hash, assertion.Rejected
	}), "alice")
	read[v1.AssertResponse](t, screened.assert(text(t, child)), http.StatusAccepted)
	if got := read[v1.AssertionDetail](t, screened.get("/v1/assertions/"+hash.String()), http.StatusOK); got.Lifecycle != assertion.Rejected {
		t.Errorf("the owner's transition did not take effect: %s", got.Lifecycle)
	}
}

// The least trusted signer counts, and a key that is bound to it is known.
func TestTheDefenceKnowsWhoAsks(t *testing.T) {
	s := new(screen)
	f := guarded(t, s.option)
	alice := assertion.AgentOf(key("alice"))
	bound := f.newKey(v1.KeyRequest{Role: assertion.RoleWrite, AgentID: &alice})
	for _, c := range []struct {
		secret string
		bound  bool
	}{{bound.Secret, true}, {rootSecret, false}} {
		s.signers = nil
		f.do(http.MethodPost, "/v1/assert", text(t, signed(saying("sober"), "alice")), jsonType, "X-API-Key: "+c.secret)
		if len(s.signers) != 1 || s.signers[0] != (api.Signer{Agent: alice, Trust: 0.5, Bound: c.bound}) {
			t.Errorf("told %+v, want alice, 0.5, %v", s.signers, c.bound)
		}
	}
}

// An admin key decides on claims that its holder does not own; another does not.
func TestAdminsDecideOnOthersClaims(t *testing.T) {
	f := guarded(t)
	writer := f.newKey(v1.KeyRequest{Role: assertion.RoleWrite}).Secret
	send := func(path string, body any, secret string) (code int, problem string) {
		w := f.do(http.MethodPost, path, text(t, body), jsonType, "X-API-Key: "+secret)
		if w.Code >= 400 {
			problem = read[v1.Problem](t, w, w.Code).Code
		}
		return w.Code, problem
	}
	a := signed(claim(), "alice")
	if code, _ := send("/v1/assert", a, writer); code != http.StatusCreated {
		t.Fatal(code)
	}
	hash := a.ContentHash()
	ruling := signed(claim(func(a *assertion.Assertion) { a.ParentHash, a.Lifecycle = &hash, assertion.Approved }), "operator")
	if code, problem := send("/v1/assert", ruling, writer); code != http.StatusForbidden || problem != v1.CodeNotOwner {
		t.Errorf("with a write key: %d %s", code, problem)
	}
	if code, problem := send("/v1/assert", ruling, rootSecret); code != http.StatusCreated {
		t.Errorf("with an admin key: %d %s", code, problem)
	}
	detail := read[v1.AssertionDetail](t, f.do(http.MethodGet, "/v1/assertions/"+hash.String(), "", "X-API-Key: "+writer), http.StatusOK)
	if detail.Lifecycle != assertion.Approved || len(detail.Transitions) != 1 || detail.Transitions[0].Authority != "root" {
		t.Errorf("after the ruling: %+v", detail)
	}
	answer := read[v1.SkepticResponse](t, f.do(http.MethodGet, "/v1/skeptic?"+askNausea, "", "X-API-Key: "+writer), http.StatusOK)
	if answer.Voices != 1 {
		t.Errorf("%d voices: the ruling counts as one", answer.Voices)
	}
	if code, problem := send("/v1/supersede", retraction("operator", hash), writer); code != http.StatusForbidden || problem != v1.CodeNotOwner {
		t.Errorf("a retraction with a write key: %d %s", code, problem)
	}
	if code, problem := send("/v1/supersede", retraction("operator", hash), rootSecret); code != http.StatusCreated {
		t.Errorf("a retraction with an admin key: %d %s", code, problem)
	}
	detail = read[v1.AssertionDetail](t, f.do(http.MethodGet, "/v1/assertions/"+hash.String(), "", "X-API-Key: "+writer), http.StatusOK)
	if !detail.Superseded || detail.Supersessions[0].Authority != "root" {
		t.Errorf("after the retraction: %+v", detail)
	}
}
