package api_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stemedb/stemedb/api"
	"github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/auth"
	"github.com/stemedb/stemedb/lens/trust"
)

// limited is a fixture with API keys and the given limits.
func limited(t *testing.T, limits api.Limits) *fixture {
	t.Helper()
	return guarded(t, func(c *api.Config) { c.Limits, c.Auth.OpenMetrics = limits, true })
}

// numbered is the i-th claim of an agent.
func numbered(i int, signers ...string) *assertion.Assertion {
	return signed(claim(func(a *assertion.Assertion) {
		a.Object, a.Timestamp = assertion.Number(float64(i)), now-1000-uint64(i)
	}), signers...)
}

func lines(t *testing.T, claims ...*assertion.Assertion) string {
	var out strings.Builder
	for _, c := range claims {
		out.WriteString(text(t, c) + "\n")
	}
	return out.String()
}

func (f *fixture) status(agent, secret string) v1.AdmissionStatus {
	f.t.Helper()
	return read[v1.AdmissionStatus](f.t, f.do(http.MethodGet, "/v1/admission/status?agent_id="+assertion.AgentOf(key(agent)).String(), "", "X-API-Key: "+secret), http.StatusOK)
}

// trusted makes the cluster trust agents so far.
func (f *fixture) trusted(values map[string]float64) {
	f.t.Helper()
	var verdicts []trust.Verdict
	for name, v := range values {
		right := int(v*1000 + 0.5)
		for i := range 1000 {
			verdicts = append(verdicts, trust.Verdict{Agent: assertion.AgentOf(key(name)), Predicate: "p", Right: i < right, At: now - 10})
		}
	}
	scores, err := trust.Compute(trust.Input{Index: 1, At: now, Verdicts: verdicts})
	if err != nil {
		f.t.Fatal(err)
	}
	data, err := scores.Encode()
	if err != nil {
		f.t.Fatal(err)
	}
	f.record(&assertion.Computed{Of: assertion.KindTrust, Index: 1, Data: data})
}

func TestQuotaOfAnAgent(t *testing.T) {
	f := limited(t, api.Limits{Meter: auth.NewMeter()})
	writer, alice := f.newKey(v1.KeyRequest{Role: assertion.RoleWrite}).Secret, assertion.AgentOf(key("alice"))
	bound := f.newKey(v1.KeyRequest{Role: assertion.RoleWrite, AgentID: &alice}).Secret
	send := func(path, body, media string) *httptest.ResponseRecorder {
		return f.do(http.MethodPost, path, body, media, "X-API-Key: "+bound)
	}
	w := send("/v1/assert", text(t, numbered(0, "alice")), jsonType)
	read[v1.AssertResponse](t, w, http.StatusCreated)
	// 10 for the assertion and 1 for the body.
	if got := w.Header(); got.Get("X-Quota-Limit") != "10000" || got.Get("X-Quota-Remaining") != "9989" || got.Get("X-Quota-Reset") != strconv.FormatUint(now/3600*3600+3600, 10) {
		t.Errorf("headers %v", got)
	}
	var claims []*assertion.Assertion
	for i := range 999 {
		claims = append(claims, numbered(i+1, "alice"))
	}
	claims = append(claims, numbered(9999, "alice", "bob"))
	batch := read[v1.BatchResponse](t, send("/v1/assert/batch", lines(t, claims...), ndjsonType), http.StatusOK)
	created, refusedLines := 0, 0
	for _, r := range batch.Results {
		switch {
		case r.Status == v1.StatusCreated:
			created++
		case r.Status == v1.StatusRefused && r.Code == v1.CodeQuotaExceeded && r.Hash != nil:
			refusedLines++
		default:
			t.Fatalf("line %+v", r)
		}
	}
	// 9,989 units make 908 more of 11.
	if created != 908 || refusedLines != 92 {
		t.Errorf("%d created, %d refused", created, refusedLines)
	}
	// Through a key that is nobody's a little more fits: what is laid out for agents
	// is charged to them only when it is stored.
	var more []*assertion.Assertion
	for i := range 1000 {
		more = append(more, numbered(i+20000, "carol"))
	}
	carols := 0
	for _, r := range read[v1.BatchResponse](t, f.do(http.MethodPost, "/v1/assert/batch", lines(t, more...), ndjsonType, "X-API-Key: "+writer), http.StatusOK).Results {
		if r.Status == v1.StatusCreated {
			carols++
		}
	}
	if carols < 909 || carols > 909*9/8 {
		t.Errorf("%d claims of carol's were created", carols)
	}
	if left := f.status("carol", rootSecret).Quota.Remaining; left != 0 && left > 11 {
		t.Errorf("carol has %d left", left)
	}
	w = send("/v1/assert", text(t, numbered(5000, "alice")), jsonType)
	refused(t, w, http.StatusTooManyRequests, v1.CodeQuotaExceeded)
	if wait, err := strconv.Atoi(w.Header().Get("Retry-After")); err != nil || uint64(wait) != now/3600*3600+3600-now {
		t.Errorf("Retry-After %q", w.Header().Get("Retry-After"))
	}
	fresh := f.newKey(v1.KeyRequest{Role: assertion.RoleWrite}).Secret
	for path, body := range map[string]any{"/v1/assert": numbered(0, "bob"), "/v1/vote": vote("bob", numbered(0).ContentHash(), 1)} {
		if w := f.do(http.MethodPost, path, text(t, body), jsonType, "X-API-Key: "+fresh); w.Code >= 300 {
			t.Fatal(w.Code, w.Body)
		}
	}
	if left := f.status("bob", rootSecret).Quota.Remaining; left != 10000-11 {
		t.Errorf("bob has %d left after an assertion; the vote of a newcomer is the sender's", left)
	}
	if n := f.metric(`stemedb_limit_refusals_total{limit="quota"}`); int(n) != 93+1000-carols {
		t.Errorf("the metric says %v refusals by quota, not %d", n, 93+1000-carols)
	}
	f.now += 3600
	read[v1.AssertResponse](t, send("/v1/assert", text(t, numbered(5000, "alice")), jsonType), http.StatusCreated)
}

// The quota follows the tier of trust; reads are charged to the key, or to the
// agent that it is bound to.
func TestQuotaByTierAndOfReads(t *testing.T) {
	f := limited(t, api.Limits{Meter: auth.NewMeter()})
	f.trusted(map[string]float64{"untrusted": 0.1, "limited": 0.4, "trusted": 0.8, "authority": 0.95})
	for agent, want := range map[string]uint64{"untrusted": 1000, "limited": 5000, "new": 10000, "trusted": 20000, "authority": 100000} {
		s := f.status(agent, rootSecret)
		if s.Quota.Limit != want || s.Quota.Remaining != want {
			t.Errorf("%s: %+v, %+v", agent, s, s.Quota)
		}
	}
	alice := assertion.AgentOf(key("authority"))
	bound := f.newKey(v1.KeyRequest{Role: assertion.RoleReadOnly, AgentID: &alice})
	loose := f.newKey(v1.KeyRequest{Role: assertion.RoleReadOnly})
	rich := f.newKey(v1.KeyRequest{Role: assertion.RoleReadOnly, QuotaPerHour: 1_000_000})
	for _, c := range []struct{ target, secret, limit, left string }{
		{"/v1/skeptic?" + askNausea, loose.Secret, "10000", "9995"},
		{"/v1/query?lens=consensus&" + askNausea, loose.Secret, "10000", "9990"},
		{"/v1/query?lens=epoch,consensus&" + askNausea, loose.Secret, "10000", "9984"},
		{"/v1/skeptic?" + askNausea, bound.Secret, "100000", "99995"},
		{"/v1/skeptic?" + askNausea, rich.Secret, "1000000", "999995"},
		{"/v1/skeptic?" + askNausea, rootSecret, "", ""},
	} {
		w := f.do(http.MethodGet, c.target, "", "X-API-Key: "+c.secret)
		if w.Code != http.StatusOK || w.Header().Get("X-Quota-Limit") != c.limit || w.Header().Get("X-Quota-Remaining") != c.left {
			t.Errorf("%s: %d, limit %s, %s left, want %s, %s", c.target, w.Code, w.Header().Get("X-Quota-Limit"), w.Header().Get("X-Quota-Remaining"), c.limit, c.left)
		}
	}
}

// Whatever somebody sends in another's name neither uses up that one's quota
// nor opens that one's breaker.
func TestAVictimIsNotHurt(t *testing.T) {
	f := limited(t, api.Limits{Meter: auth.NewMeter(), Breakers: auth.NewBreakers(), Work: true})
	f.trusted(map[string]float64{"victim": 0.8})
	victims := f.newKey(v1.KeyRequest{Role: assertion.RoleWrite}).Secret
	victim := assertion.AgentOf(key("victim"))
	stored, theVote := numbered(0, "victim"), vote("victim", numbered(0).ContentHash(), 1)
	post := func(secret, path string, body any, headers ...string) int {
		return f.do(http.MethodPost, path, text(t, body), append(headers, jsonType, "X-API-Key: "+secret)...).Code
	}
	if code := post(victims, "/v1/assert", stored); code != http.StatusCreated {
		t.Fatal(code)
	}
	if code := post(victims, "/v1/vote", theVote); code != http.StatusCreated {
		t.Fatal(code)
	}
	before := f.status("victim", rootSecret)
	forged := numbered(1, "victim")
	forged.Signatures[0].Signature[5] ^= 1
	invalid := numbered(2, "victim")
	invalid.Confidence = 7
	named := "X-Agent-Id: " + victim.String()
	attacks := map[string]func(secret string) int{
		"replays of claims": func(s string) int { return post(s, "/v1/assert", stored, named) },
		"replays of votes":  func(s string) int { return post(s, "/v1/vote", theVote, named) },
		"replays with bad proofs of work": func(s string) int {
			return post(s, "/v1/assert", stored, named, "X-PoW-Nonce: x", "X-PoW-Timestamp: y")
		},
		"forged signatures": func(s string) int { return post(s, "/v1/assert", forged, named) },
		"invalid claims":    func(s string) int { return post(s, "/v1/assert", invalid, named) },
		"reads": func(s string) int {
			return f.do(http.MethodGet, "/v1/skeptic?"+askNausea, "", named, "X-API-Key: "+s).Code
		},
	}
	for name, attack := range attacks {
		attacker := f.newKey(v1.KeyRequest{Role: assertion.RoleWrite})
		codes := map[int]int{}
		for range 20 {
			codes[attack(attacker.Secret)]++
		}
		after := f.status("victim", rootSecret)
		if *after.Quota != *before.Quota || after.Breaker != "closed" {
			t.Errorf("%s: the victim had %+v, has %+v and a breaker that is %s", name, before.Quota, after.Quota, after.Breaker)
		}
		if name == "forged signatures" || name == "invalid claims" {
			if codes[http.StatusBadRequest] != 5 || codes[http.StatusTooManyRequests] != 15 {
				t.Errorf("%s: %v, and the attacker's key is not kept out", name, codes)
			}
		}
	}
	if code := post(victims, "/v1/assert", numbered(3, "victim")); code != http.StatusCreated {
		t.Errorf("the victim's next claim: %d", code)
	}
}

func TestBreakerOfAKey(t *testing.T) {
	breakers := auth.NewBreakers()
	f := limited(t, api.Limits{Breakers: breakers})
	agent := assertion.AgentOf(key("alice"))
	bound := f.newKey(v1.KeyRequest{Role: assertion.RoleWrite, AgentID: &agent}).Secret
	sound, forged := numbered(0, "alice"), numbered(1, "alice")
	forged.Signatures[0].Signature[5] ^= 1
	post := func(body any) *httptest.ResponseRecorder {
		return f.do(http.MethodPost, "/v1/assert", text(t, body), jsonType, "X-API-Key: "+bound)
	}
	for range 5 {
		refused(t, post(forged), http.StatusBadRequest, assertion.CodeSignatureInvalid)
	}
	w := post(sound)
	refused(t, w, http.StatusTooManyRequests, v1.CodeCircuitOpen)
	if wait := w.Header().Get("Retry-After"); wait != "30" && wait != "31" { // failures of one instant are told apart
		t.Errorf("Retry-After %q", wait)
	}
	refused(t, f.do(http.MethodGet, "/v1/skeptic?"+askNausea, "", "X-API-Key: "+bound), http.StatusTooManyRequests, v1.CodeCircuitOpen)
	admin := func(method, target string) *httptest.ResponseRecorder {
		return f.do(method, target, "", "X-API-Key: "+rootSecret)
	}
	list := read[v1.CircuitBreakersResponse](t, admin(http.MethodGet, "/v1/admin/circuit_breakers"), http.StatusOK)
	if len(list.Breakers) != 1 || list.Open != 1 || list.Breakers[0].Principal != "agent:"+agent.String() || list.Breakers[0].State != "open" ||
		list.Breakers[0].Failures["invalid_signature"] != 5 || list.Breakers[0].Until != now+30 {
		t.Fatalf("list %+v", list)
	}
	if open := f.metric("stemedb_circuit_breakers_open"); open != 1 {
		t.Errorf("the gauge says %v", open)
	}
	f.now += 31
	refused(t, post(forged), http.StatusBadRequest, assertion.CodeSignatureInvalid) // the trial, which fails
	refused(t, post(sound), http.StatusTooManyRequests, v1.CodeCircuitOpen)
	f.now += 31
	read[v1.AssertResponse](t, post(sound), http.StatusCreated) // the trial, which succeeds
	for range 4 {
		refused(t, post(forged), http.StatusBadRequest, assertion.CodeSignatureInvalid)
	}
	read[v1.AssertResponse](t, post(numbered(2, "alice")), http.StatusCreated)
	refused(t, post(forged), http.StatusBadRequest, assertion.CodeSignatureInvalid)
	refused(t, post(sound), http.StatusTooManyRequests, v1.CodeCircuitOpen)
	reset := read[v1.CircuitBreakerReset](t, admin(http.MethodPost, "/v1/admin/circuit_breakers/"+agent.String()+"/reset"), http.StatusOK)
	if !reset.Reset {
		t.Errorf("reset %+v", reset)
	}
	read[v1.AssertResponse](t, post(numbered(3, "alice")), http.StatusCreated)
	refused(t, admin(http.MethodPost, "/v1/admin/circuit_breakers/nobody/reset"), http.StatusBadRequest, v1.CodeInvalidParameter)
}

// What depends on the state, or is an administrator's, is no failure.
func TestWhatIsNoFailure(t *testing.T) {
	f := limited(t, api.Limits{Breakers: auth.NewBreakers()})
	writer := f.newKey(v1.KeyRequest{Role: assertion.RoleWrite}).Secret
	orphan := signed(claim(func(a *assertion.Assertion) { a.ParentHash = &assertion.Hash{9} }), "alice")
	for range 10 {
		refused(t, f.do(http.MethodPost, "/v1/assert", text(t, orphan), jsonType, "X-API-Key: "+writer), http.StatusNotFound, v1.CodeParentNotFound)
		refused(t, f.do(http.MethodGet, "/v1/query?lens=none", "", "X-API-Key: "+writer), http.StatusBadRequest, v1.CodeUnknownLens)
		refused(t, f.do(http.MethodPost, "/v1/assert", "{", jsonType, "X-API-Key: "+rootSecret), http.StatusBadRequest, assertion.CodeInvalidJSON)
	}
	bad := "{}\n" + lines(t, numbered(0, "alice")) // one good line is enough
	for range 10 {
		read[v1.BatchResponse](t, f.do(http.MethodPost, "/v1/assert/batch", bad, ndjsonType, "X-API-Key: "+writer), http.StatusOK)
	}
	for range 5 {
		read[v1.BatchResponse](t, f.do(http.MethodPost, "/v1/assert/batch", "{}\n{}", ndjsonType, "X-API-Key: "+writer), http.StatusOK)
	}
	refused(t, f.do(http.MethodPost, "/v1/assert/batch", "{}\n{}", ndjsonType, "X-API-Key: "+writer), http.StatusTooManyRequests, v1.CodeCircuitOpen)
}

// Nothing is charged for what was certainly not stored.
func TestChargesAreGivenBack(t *testing.T) {
	f := limited(t, api.Limits{Meter: auth.NewMeter()})
	alice := assertion.AgentOf(key("alice"))
	writer := f.newKey(v1.KeyRequest{Role: assertion.RoleWrite, AgentID: &alice}).Secret
	post := func(want int) {
		t.Helper()
		if w := f.do(http.MethodPost, "/v1/assert", text(t, numbered(0, "alice")), jsonType, "X-API-Key: "+writer); w.Code != want {
			t.Fatalf("%d: %s", w.Code, w.Body)
		}
	}
	f.store.assertErr = api.ErrNoLeader
	post(http.StatusServiceUnavailable)
	if left := f.status("alice", rootSecret).Quota.Remaining; left != 10000 {
		t.Errorf("%d left after nothing was stored", left)
	}
	f.store.assertErr = api.ErrOutcomeUnknown
	post(http.StatusServiceUnavailable)
	f.store.assertErr = nil
	if left := f.status("alice", rootSecret).Quota.Remaining; left != 10000-11 {
		t.Errorf("%d left after what may have been stored", left)
	}
}

// proof makes the headers of the proof of work that a refusal demands.
func proof(t *testing.T, w *httptest.ResponseRecorder, f *fixture) []string {
	t.Helper()
	var p v1.Problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.Work == nil {
		t.Fatalf("%v: %d %s demands nothing", err, w.Code, w.Body)
	}
	work, err := assertion.SolveWork(t.Context(), p.Work.AgentID, f.now, p.Work.Bits)
	if err != nil {
		t.Fatal(err)
	}
	return []string{"X-PoW-Nonce: " + strconv.FormatUint(work.Nonce, 10), "X-PoW-Timestamp: " + strconv.FormatUint(work.Timestamp, 10)}
}

func TestProofOfWork(t *testing.T) {
	f := limited(t, api.Limits{Work: true})
	writer := f.newKey(v1.KeyRequest{Role: assertion.RoleWrite}).Secret
	post := func(path, body, media string, headers ...string) *httptest.ResponseRecorder {
		return f.do(http.MethodPost, path, body, append(headers, media, "X-API-Key: "+writer)...)
	}
	assertWith := func(a *assertion.Assertion, headers ...string) *httptest.ResponseRecorder {
		return post("/v1/assert", text(t, a), jsonType, headers...)
	}
	first := assertWith(numbered(0, "alice"))
	if p := refused(t, first, http.StatusPreconditionRequired, v1.CodeWorkRequired); p.Work.Bits != 16 || p.Work.AgentID != assertion.AgentOf(key("alice")) {
		t.Fatalf("demand %+v", p.Work)
	}
	if s := f.status("alice", rootSecret); s.Work == nil || s.Work.Bits != 16 || s.Assertions != 0 {
		t.Errorf("status %+v", s)
	}
	headers := proof(t, first, f)
	read[v1.AssertResponse](t, assertWith(numbered(0, "alice"), headers...), http.StatusCreated)
	read[v1.AssertResponse](t, assertWith(numbered(0, "alice"), headers...), http.StatusOK) // the same again, after a lost answer
	refused(t, assertWith(numbered(1, "alice"), headers...), http.StatusConflict, v1.CodeWorkReused)
	refused(t, assertWith(numbered(1, "bob"), headers...), http.StatusPreconditionRequired, v1.CodeWorkInvalid)
	refused(t, assertWith(numbered(1, "alice"), "X-PoW-Nonce: 1x", headers[1]), http.StatusPreconditionRequired, v1.CodeWorkInvalid)
	refused(t, assertWith(numbered(1, "alice"), headers[0]), http.StatusPreconditionRequired, v1.CodeWorkInvalid)
	refused(t, assertWith(numbered(1, "alice"), headers[0], "X-PoW-Timestamp: "+strconv.FormatUint(now+301, 10)), http.StatusPreconditionRequired, v1.CodeWorkStale)

	// A batch takes what its claims would take one by one: 9 × 2^16 + 40 × 2^8, and
	// nothing for the rest.
	var claims []*assertion.Assertion
	for i := range 60 {
		claims = append(claims, numbered(i+1, "alice"))
	}
	body := lines(t, claims...)
	w := post("/v1/assert/batch", body, ndjsonType)
	if p := refused(t, w, http.StatusPreconditionRequired, v1.CodeWorkRequired); p.Work.Bits != 20 {
		t.Fatalf("a batch of 60 takes %d bits, want 20", p.Work.Bits)
	}
	for _, r := range read[v1.BatchResponse](t, post("/v1/assert/batch", body, ndjsonType, proof(t, w, f)...), http.StatusOK).Results {
		if r.Status != v1.StatusCreated {
			t.Fatalf("line %+v", r)
		}
	}
	read[v1.AssertResponse](t, assertWith(numbered(100, "alice")), http.StatusCreated)
	if s := f.status("alice", rootSecret); s.Work != nil || s.Assertions != 50 {
		t.Errorf("status of the established: %+v", s)
	}
	// Ten assertions on, less is asked for.
	for i := range 10 {
		f.record(numbered(200+i, "carol"))
	}
	if p := refused(t, assertWith(numbered(300, "carol")), http.StatusPreconditionRequired, v1.CodeWorkRequired); p.Work.Bits != 8 {
		t.Errorf("after ten assertions %d bits, want 8", p.Work.Bits)
	}
	// Every signer is a voice: new ones brought along by an established one prove
	// theirs.
	if p := refused(t, assertWith(numbered(400, "alice", "sybil-1", "sybil-2")), http.StatusPreconditionRequired, v1.CodeWorkRequired); p.Work.Bits != 17 || p.Work.AgentID != assertion.AgentOf(key("sybil-1")) {
		t.Errorf("two sybils prove %+v", p.Work)
	}
	// A vote takes none, nor does an administrator's claim, nor a trusted agent's.
	read[v1.AssertResponse](t, post("/v1/vote", text(t, vote("dave", numbered(0).ContentHash(), 1)), jsonType), http.StatusCreated)
	read[v1.AssertResponse](t, f.do(http.MethodPost, "/v1/assert", text(t, numbered(500, "erin")), jsonType, "X-API-Key: "+rootSecret), http.StatusCreated)
	f.trusted(map[string]float64{"frank": 0.61, "grace": 0.59})
	fresh := guarded(t, func(c *api.Config) { c.Limits.Work = true })
	fresh.trusted(map[string]float64{"frank": 0.61, "grace": 0.59})
	key := fresh.newKey(v1.KeyRequest{Role: assertion.RoleWrite}).Secret
	for agent, want := range map[string]int{"frank": http.StatusCreated, "grace": http.StatusPreconditionRequired} {
		if w := fresh.do(http.MethodPost, "/v1/assert", text(t, numbered(1, agent)), jsonType, "X-API-Key: "+key); w.Code != want {
			t.Errorf("%s: %d, want %d", agent, w.Code, want)
		}
	}
	if n := f.metric(`stemedb_limit_refusals_total{limit="work"}`); n != 8 {
		t.Errorf("the metric says %v refusals for want of work, not 8", n)
	}
}

// Without limits nothing is asked for, and the status says so.
func TestStatusWithoutLimits(t *testing.T) {
	f := guarded(t)
	s := f.status("alice", rootSecret)
	if s.Work != nil || s.Quota != nil || s.Breaker != "" || s.Tier != "verified" || s.Trust != 0.5 || s.Multiplier != 1 {
		t.Errorf("status %+v", s)
	}
	for _, target := range []string{"/v1/admin/circuit_breakers"} {
		refused(t, f.do(http.MethodGet, target, "", "X-API-Key: "+rootSecret), http.StatusNotFound, v1.CodeNotFound)
	}
	refused(t, f.do(http.MethodGet, "/v1/admission/status", "", "X-API-Key: "+rootSecret), http.StatusBadRequest, v1.CodeMissingParameter)
	alice := assertion.AgentOf(key("alice"))
	bound := f.newKey(v1.KeyRequest{Role: assertion.RoleReadOnly, AgentID: &alice})
	own := read[v1.AdmissionStatus](t, f.do(http.MethodGet, "/v1/admission/status", "", "X-API-Key: "+bound.Secret), http.StatusOK)
	if own.AgentID != alice {
		t.Errorf("a bound key asks for %s", own.AgentID)
	}
}

// Replays in great number, while their outcome is not known yet, of what is
// hidden, or of votes, leave their agent's quota and breaker as they are.
func TestReplaysOfEveryKindAreTheSenders(t *testing.T) {
	f := limited(t, api.Limits{Meter: auth.NewMeter(), Breakers: auth.NewBreakers()})
	s := new(screen)
	screened := unattached(t, s.option, func(c *api.Config) { c.Auth.Enabled = true })
	screened.server.Attach("n1", f.store)
	victim := assertion.AgentOf(key("victim"))
	own := f.newKey(v1.KeyRequest{Role: assertion.RoleWrite, AgentID: &victim}).Secret
	hidden := signed(saying("poison"), "victim")
	read[v1.AssertResponse](t, screened.do(http.MethodPost, "/v1/assert", text(t, hidden), jsonType, "X-API-Key: "+own), http.StatusAccepted)
	var stored []*assertion.Assertion
	for i := range 300 {
		stored = append(stored, numbered(i, "victim"))
	}
	if w := f.do(http.MethodPost, "/v1/assert/batch", lines(t, stored...), ndjsonType, "X-API-Key: "+own); w.Code != http.StatusOK {
		t.Fatal(w.Code, w.Body)
	}
	theVote := vote("victim", stored[0].ContentHash(), 1)
	f.takes(t, "/v1/vote", theVote, own)
	before := f.status("victim", rootSecret)
	for name, send := range map[string]func(secret string){
		"a batch of claims": func(secret string) {
			f.do(http.MethodPost, "/v1/assert/batch", strings.Repeat(lines(t, stored...), 3), ndjsonType, "X-API-Key: "+secret)
		},
		"a hidden claim": func(secret string) {
			f.do(http.MethodPost, "/v1/assert/batch", strings.Repeat(lines(t, hidden), 500), ndjsonType, "X-API-Key: "+secret)
		},
		"votes": func(secret string) {
			for range 300 {
				f.do(http.MethodPost, "/v1/vote", text(t, theVote)+strings.Repeat(" ", 4096), jsonType, "X-API-Key: "+secret)
			}
		},
	} {
		attacker := f.newKey(v1.KeyRequest{Role: assertion.RoleWrite, QuotaPerHour: assertion.MaxKeyQuota}).Secret
		ingested := f.metric("stemedb_assertions_ingested_total")
		send(attacker)
		after := f.status("victim", rootSecret)
		if *after.Quota != *before.Quota || after.Breaker != "closed" {
			t.Errorf("%s: the victim had %+v, has %+v, and its breaker is %s", name, before.Quota, after.Quota, after.Breaker)
		}
		if n := f.metric("stemedb_assertions_ingested_total"); n != ingested {
			t.Errorf("%s: %v repetitions are counted as taken in", name, n-ingested)
		}
	}
	// Half-open, the victim's trial is its own.
	for i := range 5 {
		forged := numbered(1000+i, "victim")
		forged.Signatures[0].Signature[5] ^= 1
		f.do(http.MethodPost, "/v1/assert", text(t, forged), jsonType, "X-API-Key: "+own)
	}
	f.now += 31
	attacker := f.newKey(v1.KeyRequest{Role: assertion.RoleWrite}).Secret
	f.do(http.MethodPost, "/v1/vote", text(t, theVote), jsonType, "X-API-Key: "+attacker)
	f.do(http.MethodPost, "/v1/assert", text(t, stored[0]), jsonType, "X-API-Key: "+attacker)
	f.takes(t, "/v1/assert", numbered(2000, "victim"), own)
	if s := f.status("victim", rootSecret); s.Breaker != "closed" {
		t.Errorf("after a good trial the breaker is %s", s.Breaker)
	}
}

// A claim that is refused before it was tried leaves the trial of its payer to
// the next.
func TestARefusedTrialEnds(t *testing.T) {
	breakers, meter := auth.NewBreakers(), auth.NewMeter()
	f := limited(t, api.Limits{Breakers: breakers, Meter: meter})
	victim := auth.AgentPrincipal(assertion.AgentOf(key("victim")))
	for range 5 {
		breakers.Failure(victim, auth.InvalidInput, time.Unix(int64(f.now), 0))
	}
	f.now += 31
	meter.Charge(victim, auth.BaseQuota, auth.BaseQuota, time.Unix(int64(f.now), 0))
	writer := f.newKey(v1.KeyRequest{Role: assertion.RoleWrite}).Secret
	tryable := func(after string) {
		t.Helper()
		now := time.Unix(int64(f.now), 0)
		if wait, ok := breakers.Allow(victim, now); !ok {
			t.Fatalf("after %s the next trial has to wait %s", after, wait)
		}
		breakers.Release(victim)
	}
	tryable("nothing")
	refused(t, f.do(http.MethodPost, "/v1/assert", text(t, numbered(0, "victim")), jsonType, "X-API-Key: "+writer), http.StatusTooManyRequests, v1.CodeQuotaExceeded)
	tryable("a refused claim")
	mixed := lines(t, numbered(1, "victim"), numbered(2, "other"))
	if got := read[v1.BatchResponse](t, f.do(http.MethodPost, "/v1/assert/batch", mixed, ndjsonType, "X-API-Key: "+writer), http.StatusOK); got.Results[0].Status != v1.StatusRefused || got.Results[1].Status != v1.StatusCreated {
		t.Fatalf("batch: %+v", got)
	}
	tryable("a batch of which one line was stored")
}

// takes sends an entry with a key, which must be stored.
func (f *fixture) takes(t *testing.T, path string, body any, secret string) {
	t.Helper()
	if w := f.do(http.MethodPost, path, text(t, body), jsonType, "X-API-Key: "+secret); w.Code != http.StatusCreated {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
}

// One proof admits one request, however its lines are arranged.
func TestAProofAdmitsOneRequest(t *testing.T) {
	f := limited(t, api.Limits{Work: true})
	writer := f.newKey(v1.KeyRequest{Role: assertion.RoleWrite}).Secret
	batch := func(body string, headers ...string) *httptest.ResponseRecorder {
		return f.do(http.MethodPost, "/v1/assert/batch", body, append(headers, ndjsonType, "X-API-Key: "+writer)...)
	}
	orphan := signed(claim(func(a *assertion.Assertion) { a.ParentHash = &assertion.Hash{9} }), "front")
	stored := map[string]int{}
	var headers []string
	for _, sybil := range []string{"s1", "s2", "s3"} {
		var body strings.Builder
		body.WriteString(lines(t, orphan)) // moves the others to another place
		for i := range 100 {
			body.WriteString(lines(t, numbered(i, "front", sybil)))
		}
		if headers == nil {
			headers = proof(t, batch(body.String()), f)
		}
		w := batch(body.String(), headers...)
		if w.Code != http.StatusOK {
			continue
		}
		for _, r := range read[v1.BatchResponse](t, w, http.StatusOK).Results {
			if r.Status == v1.StatusCreated || r.Status == v1.StatusCosigned {
				stored[sybil]++
			}
		}
	}
	if stored["s1"] != 100 || stored["s2"]+stored["s3"] != 0 {
		t.Errorf("one proof admitted %v", stored)
	}
}

// A key that may not read a subject may not read it by another spelling either,
// and a watch ends with its key.
func TestScopeAndWatchOfAKey(t *testing.T) {
	f := guarded(t)
	scoped := f.newKey(v1.KeyRequest{Role: assertion.RoleReadOnly, SubjectPrefix: "Cafe"})
	for _, target := range []string{"/v1/query?subject=Cafe%CC%81&aliases=false", "/v1/subjects?prefix=Cafe%CC%81"} {
		refused(t, f.do(http.MethodGet, target, "", "X-API-Key: "+scoped.Secret), http.StatusForbidden, v1.CodeOutOfScope)
	}
	reader := f.newKey(v1.KeyRequest{Role: assertion.RoleReadOnly})
	web := httptest.NewServer(f.server)
	defer web.Close()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, web.URL+"/v1/watch?after=0", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-API-Key", reader.Secret)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	// Once the watch has told a claim it asks for its key before it tells the next.
	f.takes(t, "/v1/assert", numbered(2, "x"), rootSecret)
	stream := bufio.NewReader(answer.Body)
	for first, line := numbered(2, "x").ContentHash().String(), ""; !strings.Contains(line, first); {
		if line, err = stream.ReadString('\n'); err != nil {
			t.Fatalf("%v after %q", err, line)
		}
	}
	read[v1.KeyResponse](t, f.do(http.MethodDelete, "/v1/keys/"+reader.ID, "", "X-API-Key: "+rootSecret), http.StatusOK)
	f.takes(t, "/v1/assert", numbered(1, "x"), rootSecret)
	told, err := io.ReadAll(stream) // ends, since the watch does
	if err != nil || !strings.Contains(string(told), v1.CodeAPIKeyRevoked) || strings.Contains(string(told), numbered(1, "x").ContentHash().String()) {
		t.Errorf("%v: the watch told %q", err, told)
	}
}

func TestTheLastAdminKeyStays(t *testing.T) {
	f := guarded(t)
	root := func(method, path, body string) *httptest.ResponseRecorder {
		headers := []string{"X-API-Key: " + rootSecret}
		if body != "" {
			headers = append(headers, jsonType)
		}
		return f.do(method, path, body, headers...)
	}
	f.newKey(v1.KeyRequest{Role: assertion.RoleAdmin, ExpiresAt: now + 1000})
	refused(t, root(http.MethodDelete, "/v1/keys/root", ""), http.StatusConflict, v1.CodeKeyConflict)
	refused(t, root(http.MethodPatch, "/v1/keys/root", `{"role":"write"}`), http.StatusConflict, v1.CodeKeyConflict)
	refused(t, root(http.MethodPatch, "/v1/keys/root", `{"name":"a","NAME":"b"}`), http.StatusBadRequest, assertion.CodeInvalidJSON)
	read[v1.KeyResponse](t, root(http.MethodPatch, "/v1/keys/root", `{"name":"the first"}`), http.StatusOK)
	other := f.newKey(v1.KeyRequest{Role: assertion.RoleAdmin})
	read[v1.KeyResponse](t, root(http.MethodDelete, "/v1/keys/root", ""), http.StatusOK)
	refused(t, f.do(http.MethodDelete, "/v1/keys/"+other.ID, "", "X-API-Key: "+other.Secret), http.StatusConflict, v1.CodeKeyConflict)
}
