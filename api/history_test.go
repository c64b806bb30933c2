package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/zeebo/blake3"

	"github.com/stemedb/stemedb/api"
	"github.com/stemedb/stemedb/api/receipt"
	"github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/internal/auditlog"
	"github.com/stemedb/stemedb/lens"
	"github.com/stemedb/stemedb/lens/trust"
	"github.com/stemedb/stemedb/lens/truth"
)

func vote(name string, claim assertion.Hash, weight float64) *assertion.Vote {
	v := &assertion.Vote{AssertionHash: claim, Weight: weight, Timestamp: now - 10}
	v.Sign(key(name))
	return v
}

func epoch(name, title string, supersedes *assertion.Hash) *assertion.Epoch {
	e := &assertion.Epoch{Name: title, Supersedes: supersedes, Timestamp: now - 10}
	if supersedes != nil {
		e.SupersessionType = assertion.Replaces
	}
	e.Sign(key(name))
	return e
}

func retraction(name string, claim assertion.Hash) *assertion.Supersession {
	s := &assertion.Supersession{Superseded: claim, Type: assertion.Retracts, Reason: "typing error", Timestamp: now - 10}
	s.Sign(key(name))
	return s
}

func endorsement(from, to string) *assertion.Endorsement {
	e := &assertion.Endorsement{Endorsed: assertion.AgentOf(key(to)), Weight: 1, Timestamp: now - 10}
	e.Sign(key(from))
	return e
}

// post stores an entry that is new.
func (f *fixture) post(path string, body any) v1.AssertResponse {
	f.t.Helper()
	return read[v1.AssertResponse](f.t, f.do(http.MethodPost, path, text(f.t, body), jsonType), http.StatusCreated)
}

// record stores what no route takes.
func (f *fixture) record(entries ...assertion.Entry) {
	f.t.Helper()
	if _, err := f.store.Write(f.t.Context(), api.Caller{}, entries); err != nil {
		f.t.Fatal(err)
	}
}

// computeTrust stores trust in x, whom a gold label proved right, and y, whom x
// endorses.
func computeTrust(f *fixture) {
	f.t.Helper()
	scores, err := trust.Compute(trust.Input{Index: 7, At: now,
		Verdicts:     []trust.Verdict{{Agent: assertion.AgentOf(key("x")), Predicate: "nausea_rate", Right: true, At: now}},
		Endorsements: []trust.Endorsement{{From: assertion.AgentOf(key("x")), To: assertion.AgentOf(key("y")), Weight: 1}}})
	if err != nil {
		f.t.Fatal(err)
	}
	data, err := scores.Encode()
	if err != nil {
		f.t.Fatal(err)
	}
	f.record(&assertion.Computed{Of: assertion.KindTrust, Index: 7, Data: data},
		&assertion.Label{Subject: "Semaglutide", Predicate: "nausea_rate", Object: assertion.Number(44.2)},
		&assertion.Seeds{Agents: []assertion.AgentID{assertion.AgentOf(key("x"))}})
}

// learnTruth stores a model that was learnt from 30 questions in which x is
// right against y every time, as a gold label says.
func learnTruth(f *fixture) *truth.Model {
	f.t.Helper()
	var labels []assertion.Recorded[*assertion.Label]
	for i := range 30 {
		labels = append(labels, assertion.Recorded[*assertion.Label]{Commit: assertion.Commit{Position: assertion.Position{Index: 9}},
			Entry: &assertion.Label{Subject: fmt.Sprint(i), Predicate: "nausea_rate", Object: assertion.Number(1)}})
	}
	b := truth.NewBuilder(labels)
	for i := range 30 {
		for j, agent := range []string{"x", "y"} {
			b.Add(&assertion.Claim{SignatureCommits: make([]assertion.Commit, 1), Assertion: assertion.Assertion{Subject: fmt.Sprint(i), Predicate: "nausea_rate",
				Object: assertion.Number(float64(1 + j)), Confidence: 1, Signatures: []assertion.Signature{{AgentID: assertion.AgentOf(key(agent))}}}})
		}
	}
	model, err := b.Learn(7, now)
	if err != nil {
		f.t.Fatal(err)
	}
	data, err := model.Encode()
	if err != nil {
		f.t.Fatal(err)
	}
	f.record(&assertion.Computed{Of: assertion.KindTruth, Index: 7, Data: data})
	return model
}

// The truth lens answers by what was learnt, names it, and shows what each
// voice weighs; before anything was learnt it answers by consensus.
func TestTruthLens(t *testing.T) {
	f := newFixture(t)
	says := func(agent string, value float64) {
		a := claim()
		a.Object, a.SourceHash = assertion.Number(value), assertion.Hash{byte(value)}
		f.put(signed(a, agent))
	}
	says("x", 1)
	says("y", 2)
	says("stranger", 2)
	if r := f.resolved("truth", ""); r.Winner.Object != assertion.Number(2) || !r.Explanation.TruthHash.IsZero() {
		t.Errorf("before: %+v", r)
	}
	model := learnTruth(f)
	r := f.resolved("truth", "&explain=true")
	if r.Winner.Object != assertion.Number(1) || *r.Explanation.TruthHash != model.Hash() || r.Explanation.Method == "" || r.Explanation.MethodChoice == "" {
		t.Errorf("after: %+v", r)
	}
	for _, w := range r.Explanation.Weights {
		if right := w.Object == assertion.Number(1); (*w.Reliability > 0.8) != right || *w.Independence != 1 {
			t.Errorf("%v: reliability %v by %q", w.Object, *w.Reliability, w.ReliabilityBasis)
		}
	}
}

// Every resolved answer can be had with a receipt that holds by itself; it is
// signed by the node and states the very answer.
func TestReceipts(t *testing.T) {
	f := newFixture(t)
	nausea(f)
	everyKind(f)
	f.store.clock++ // so that now has passed
	check := func(what string, got *v1.Receipt) *receipt.Report {
		t.Helper()
		if got == nil {
			t.Fatalf("%s: no receipt", what)
		}
		report, err := receipt.Verify(got)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if key, _ := f.store.Sign(nil); got.NodeKey != key {
			t.Errorf("%s: signed by %s", what, got.NodeKey)
		}
		return report
	}
	for _, name := range lens.Names() {
		if name == "constraints" {
			continue
		}
		for _, more := range []string{"", "&tolerance=30%25&hierarchy=true", "&include=retracted,superseded", fmt.Sprintf("&as_of=%d", now), fmt.Sprintf("&known_at=%d", now)} {
			answer := read[v1.QueryResponse](t, f.get("/v1/query?receipt=true&lens="+name+"&"+question+more), http.StatusOK)
			check(name+more, answer.Receipt)
			if won := answer.Resolution.Winner; won == nil || *answer.Receipt.Statement.Answer.Object != won.Object || answer.Receipt.Statement.Index != answer.Index {
				t.Errorf("%s%s: %+v", name, more, answer.Receipt.Statement)
			}
		}
	}
	if votes := check("votes", read[v1.QueryResponse](t, f.get("/v1/query?receipt=true&lens=votes&include=retracted,superseded&"+question), http.StatusOK).Receipt).Votes; votes != 1 {
		t.Errorf("%d votes", votes)
	}
	check("skeptic", f.skeptic("&receipt=true").Receipt)
	check("layered", read[v1.LayeredResponse](t, f.get("/v1/layered?receipt=true&"+question), http.StatusOK).Receipt)
	if f.skeptic("").Receipt != nil {
		t.Error("a receipt that nobody asked for")
	}
	refused(t, f.get("/v1/query?receipt=true&"+question), http.StatusBadRequest, v1.CodeInvalidParameter)
}

// everyKind stores an entry of every kind.
func everyKind(f *fixture) {
	f.t.Helper()
	computeTrust(f)
	learnTruth(f)
	hash := claim().ContentHash()
	f.put(signed(claim(), "colleague"))
	f.record(vote("x", hash, 1), epoch("x", "2026", nil), retraction("x", hash), endorsement("x", "y"),
		&assertion.Source{Hash: blake3.Sum256([]byte("c")), Title: "t", Content: "c"}, &assertion.SourceStatus{Source: claim().SourceHash, Retracted: true, Reason: "r"},
		&assertion.Alias{Name: "a", Canonical: "b"}, &assertion.NodeKey{NodeID: "n1"})
	f.record(quarantined(), &assertion.Decision{Claim: saying("poison").ContentHash(), Approved: true, Reviewer: "ops", Reason: "r"})
}

// quarantined is the entry of a claim that a content defence has quarantined.
func quarantined() assertion.Entry {
	return &assertion.Admitted{Entry: signed(saying("poison"), "mallory"),
		Admission: assertion.Admission{Quarantine: true, Findings: []assertion.Finding{{Code: "pattern", Rule: "poison"}}}}
}

func (f *fixture) skeptic(query string) v1.SkepticResponse {
	f.t.Helper()
	return read[v1.SkepticResponse](f.t, f.get("/v1/skeptic?"+question+query), http.StatusOK)
}

func (f *fixture) resolved(lens, query string) *v1.Resolution {
	f.t.Helper()
	return read[v1.QueryResponse](f.t, f.get("/v1/query?"+question+"&lens="+lens+query), http.StatusOK).Resolution
}

// Only a signer may retract; what is retracted leaves the answers and stays in
// the history.
func TestRetractionBelongsToTheSigner(t *testing.T) {
	f := newFixture(t)
	nausea(f)
	wrong := signed(claim(func(a *assertion.Assertion) { a.Object, a.SourceHash = assertion.Number(99), assertion.Hash{9} }), "owner")
	f.put(wrong)
	hash := wrong.ContentHash()
	p := refused(t, f.do(http.MethodPost, "/v1/supersede", text(t, retraction("stranger", hash)), jsonType), http.StatusForbidden, v1.CodeNotOwner)
	if p.Field != "agent_id" {
		t.Errorf("%+v", p)
	}
	// Who co-signs agrees, and owns nothing by that.
	f.put(signed(claim(func(a *assertion.Assertion) { a.Object, a.SourceHash = assertion.Number(99), assertion.Hash{9} }), "stranger"))
	before, digest := f.store.state()
	refused(t, f.do(http.MethodPost, "/v1/supersede", text(t, retraction("stranger", hash)), jsonType), http.StatusForbidden, v1.CodeNotOwner)
	forged := retraction("owner", hash)
	forged.Reason = "changed on the way"
	refused(t, f.do(http.MethodPost, "/v1/supersede", text(t, forged), jsonType), http.StatusBadRequest, assertion.CodeSignatureInvalid)
	if count, after := f.store.state(); count != before || after != digest {
		t.Error("a refusal changed the state")
	}
	if got := f.skeptic(""); got.Values != 4 {
		t.Fatalf("%d values before", got.Values)
	}
	f.post("/v1/supersede", retraction("owner", hash))
	again := read[v1.AssertResponse](t, f.do(http.MethodPost, "/v1/supersede", text(t, retraction("owner", hash)), jsonType), http.StatusOK)
	if again.Status != v1.StatusExists {
		t.Errorf("again: %+v", again)
	}
	if got := f.skeptic(""); got.Values != 3 {
		t.Errorf("%d values after", got.Values)
	}
	if got := f.skeptic("&include=superseded"); got.Values != 4 {
		t.Errorf("%d values with what is superseded", got.Values)
	}
	detail := read[v1.AssertionDetail](t, f.get("/v1/assertions/"+hash.String()), http.StatusOK)
	if !detail.Superseded || len(detail.Supersessions) != 1 || detail.Supersessions[0].Reason != "typing error" {
		t.Errorf("%+v", detail)
	}
}

// A vote tips the answer; of an agent's votes the newest counts.
func TestVotesTip(t *testing.T) {
	f := newFixture(t)
	nausea(f)
	label := read[v1.QueryResponse](t, f.get("/v1/query?"+question+"&source_class=Regulatory"), http.StatusOK).Assertions[0].Hash
	trial := read[v1.QueryResponse](t, f.get("/v1/query?"+question+"&source_class=Clinical"), http.StatusOK).Assertions[0].Hash
	if r := f.resolved("votes", ""); r.Confidence != 0 || r.Winner.Object != assertion.Number(44.2) {
		t.Errorf("without votes: %+v", r.Winner)
	}
	f.post("/v1/vote", vote("reader", label, 0.6))
	if r := f.resolved("votes", ""); r.Winner.Object != assertion.Number(20.3) || r.Confidence != 1 {
		t.Errorf("after a vote: %+v", r.Winner)
	}
	f.post("/v1/vote", vote("other", trial, 0.7))
	if r := f.resolved("votes", "&explain=true"); r.Winner.Object != assertion.Number(44.2) || len(r.Explanation.Weights) != 6 || r.Explanation.Weights[0].VoteWeight == nil {
		t.Errorf("after two: %+v", r)
	}
	second := vote("other", trial, 0.1)
	second.Timestamp = now + 100 // of a clock ahead of ours: it counts when its time has come
	second.Sign(key("other"))
	f.post("/v1/vote", second)
	later := fmt.Sprintf("as_of=%d", now+100)
	if r := f.resolved("votes", ""); r.Winner.Object != assertion.Number(44.2) {
		t.Errorf("before the second thought: %+v", r.Winner)
	}
	if r := f.resolved("votes", "&"+later); r.Winner.Object != assertion.Number(20.3) {
		t.Errorf("after the second thought: %+v", r.Winner)
	}
	for query, want := range map[string]float64{"": 0.1, later: 0.1, fmt.Sprintf("as_of=%d", now): 0.7} {
		detail := read[v1.AssertionDetail](t, f.get("/v1/assertions/"+trial.String()+"?"+query), http.StatusOK)
		if len(detail.Votes) != 1 || detail.VoteWeight != want {
			t.Errorf("%s: votes %+v", query, detail.Votes)
		}
	}
}

// A claim that its signer moves to another stage keeps its votes.
func TestVotesOutliveApproval(t *testing.T) {
	f := newFixture(t)
	nausea(f)
	proposed := signed(claim(func(a *assertion.Assertion) { a.Object, a.SourceHash = assertion.Number(12), assertion.Hash{9} }), "owner")
	f.put(proposed)
	hash := proposed.ContentHash()
	f.post("/v1/vote", vote("reader", hash, 0.6))
	approved := signed(claim(func(a *assertion.Assertion) {
		a.Object, a.SourceHash, a.ParentHash, a.Lifecycle, a.Timestamp = assertion.Number(12), assertion.Hash{9}, &hash, assertion.Approved, now-5
	}), "owner")
	f.put(approved)
	if r := f.resolved("votes", ""); r.Winner.Object != assertion.Number(12) || r.Confidence != 1 {
		t.Errorf("after the approval: %+v", r.Winner)
	}
	// As of a time before the approval, the claim is still proposed; as of one
	// before the claim there is none.
	path := "/v1/assertions/" + hash.String()
	if detail := read[v1.AssertionDetail](t, f.get(path), http.StatusOK); detail.Lifecycle != assertion.Approved || len(detail.Transitions) != 1 {
		t.Errorf("now %+v", detail)
	}
	for _, path := range []string{path, "/v1/trace/" + hash.String()} {
		refused(t, f.get(path+"?as_of=5"), http.StatusNotFound, v1.CodeAssertionNotFound)
	}
	if detail := read[v1.AssertionDetail](t, f.get(fmt.Sprintf("%s?as_of=%d", path, now-6)), http.StatusOK); detail.Lifecycle != assertion.Proposed || len(detail.Transitions) != 0 {
		t.Errorf("before the approval %+v", detail)
	}
	trace := read[v1.TraceResponse](t, f.get(fmt.Sprintf("/v1/trace/%s?as_of=%d", hash, now-6)), http.StatusOK)
	if node := trace.Nodes[0]; node.Assertion.Lifecycle != assertion.Proposed || len(node.Transitions) != 0 {
		t.Errorf("before the approval %+v", node)
	}
}

// A retracted source takes its claims out of every answer, from aggregates and
// scans alike; what was known before stays known; reinstated, they are back.
func TestRetractedSource(t *testing.T) {
	f := newFixture(t)
	nausea(f)
	before := f.skeptic("")
	forum := read[v1.QueryResponse](t, f.get("/v1/query?"+question+"&source_class=Anecdotal"), http.StatusOK).Assertions[0].SourceHash
	then := f.store.clock
	f.store.clock += 100
	impact := read[v1.ImpactResponse](t, f.get("/v1/sources/"+forum.String()+"/impact"), http.StatusOK)
	if impact.Claims != 3 || impact.Agents != 3 || len(impact.Questions) != 1 || impact.Changed != 1 ||
		*impact.Questions[0].With != assertion.Number(60) || *impact.Questions[0].Without != assertion.Number(44.2) {
		t.Errorf("impact %+v", impact)
	}
	f.post("/v1/sources/"+forum.String()+"/retract", map[string]string{"reason": "invented"})
	for _, query := range []string{"", "&min_confidence=0.1"} {
		if got := f.skeptic(query); got.Values != 2 || got.Voices != 3 {
			t.Errorf("%q: %d values of %d voices", query, got.Values, got.Voices)
		}
	}
	if got := f.skeptic("&include=retracted"); got.Values != 3 {
		t.Errorf("with what is retracted: %d values", got.Values)
	}
	if r := f.resolved("consensus", ""); r.Winner.Object != assertion.Number(44.2) {
		t.Errorf("consensus %+v", r.Winner)
	}
	f.store.clock += 100
	f.record(&assertion.Clock{})
	if got := f.skeptic(fmt.Sprintf("&known_at=%d", then)); got.Values != before.Values || got.ConflictScore != before.ConflictScore {
		t.Errorf("as known before: %+v", got)
	}
	diff := read[v1.DiffResponse](t, f.get(fmt.Sprintf("/v1/diff?subject=Semaglutide&from=%d&to=%d", then, then+100)), http.StatusOK)
	if len(diff.Questions) != 1 || !diff.Questions[0].Changed || len(diff.Questions[0].Removed) != 3 || len(diff.Questions[0].Added) != 0 ||
		*diff.Questions[0].Before.Winner != assertion.Number(60) || *diff.Questions[0].After.Winner != assertion.Number(44.2) {
		t.Errorf("diff %+v", diff)
	}
	source := read[v1.SourceResponse](t, f.get("/v1/sources/"+forum.String()), http.StatusOK)
	if source.Status != v1.SourceRetracted || source.Registered || source.Changes[0].Reason != "invented" {
		t.Errorf("source %+v", source)
	}
	f.post("/v1/sources/"+forum.String()+"/reinstate", map[string]string{"reason": "checked"})
	if got := f.skeptic(""); got.Values != 3 {
		t.Errorf("reinstated: %d values", got.Values)
	}
}

// A question is read under every name of its subject, and says so.
func TestAliasesJoinNames(t *testing.T) {
	f := newFixture(t)
	nausea(f)
	f.put(signed(claim(func(a *assertion.Assertion) {
		a.Subject, a.Object, a.SourceHash = "Ozempic", assertion.Number(5), assertion.Hash{5}
	}), "z"))
	if got := f.skeptic(""); got.Values != 3 || got.Explanation.Aliases != nil {
		t.Errorf("without alias: %+v", got)
	}
	f.post("/v1/concepts/aliases", assertion.Alias{Name: "Ozempic", Canonical: "Semaglutide"})
	got := f.skeptic("")
	if got.Values != 4 || len(got.Explanation.Aliases) != 2 {
		t.Errorf("with alias: %+v", got)
	}
	if got := f.skeptic("&aliases=false"); got.Values != 3 {
		t.Errorf("aliases=false: %d values", got.Values)
	}
	var pages []v1.Assertion
	cursor := ""
	for {
		page := read[v1.QueryResponse](t, f.get("/v1/query?limit=3&"+question+cursor), http.StatusOK)
		pages = append(pages, page.Assertions...)
		if page.NextCursor == "" {
			break
		}
		cursor = "&cursor=" + page.NextCursor
	}
	if len(pages) != 7 || pages[6].Subject != "Ozempic" {
		t.Errorf("%d claims in pages", len(pages))
	}
	concept := read[v1.ConceptResponse](t, f.get("/v1/concepts/Ozempic"), http.StatusOK)
	if concept.Canonical != "Semaglutide" || len(concept.Names) != 2 || len(concept.Predicates) != 1 {
		t.Errorf("%+v", concept)
	}
	f.post("/v1/concepts/aliases", assertion.Alias{Name: "Ozempic", Canonical: "Semaglutide", Removed: true})
	if got := f.skeptic(""); got.Values != 3 {
		t.Errorf("parted: %d values", got.Values)
	}
}

func TestConceptPaths(t *testing.T) {
	f := newFixture(t)
	for i, subject := range []string{"fda://drug/semaglutide", "fda://drug/semaglutide/oral", "fda://drug/tirzepatide"} {
		f.put(signed(claim(func(a *assertion.Assertion) { a.Subject, a.SourceHash = subject, assertion.Hash{byte(i)} }), "x"))
	}
	drug := read[v1.ConceptResponse](t, f.get("/v1/concepts/fda://drug"), http.StatusOK)
	if !drug.Path || *drug.SourceClass != assertion.Regulatory || len(drug.Children) != 2 || drug.Children[0] != "fda://drug/semaglutide" {
		t.Errorf("%+v", drug)
	}
	oral := read[v1.ConceptResponse](t, f.get("/v1/concepts/fda:%2F%2Fdrug%2Fsemaglutide%2Foral"), http.StatusOK)
	if oral.Parent != "fda://drug/semaglutide" || len(oral.Predicates) != 1 {
		t.Errorf("%+v", oral)
	}
}

// Trust weighs voices, and the answer names the computation.
func TestTrustLens(t *testing.T) {
	f := newFixture(t)
	f.put(signed(claim(func(a *assertion.Assertion) { a.Object, a.SourceHash = assertion.Number(1), assertion.Hash{1} }), "x"),
		signed(claim(func(a *assertion.Assertion) {
			a.Object, a.SourceHash, a.Confidence = assertion.Number(2), assertion.Hash{2}, 1
		}), "z"))
	if r := f.resolved("trust", ""); r.Winner.Object != assertion.Number(2) || !r.Explanation.TrustHash.IsZero() {
		t.Errorf("without trust: %+v", r.Winner)
	}
	computeTrust(f)
	r := f.resolved("trust", "&explain=true")
	// x: 1 of 1 right on the predicate; the prior is (1 + 2 × p) / 3 with p = 0.5 +
	// 0.5 × the EigenTrust of x over the largest, that of y. 2 has 1 × 0.5.
	var weighed float64
	for _, w := range r.Explanation.Weights {
		if w.AgentID == assertion.AgentOf(key("x")) {
			weighed = *w.Trust
		}
	}
	if r.Winner.Object != assertion.Number(1) || r.Explanation.TrustHash.IsZero() || weighed <= 0.5 {
		t.Errorf("with trust: %+v", r)
	}
	of := read[v1.TrustResponse](t, f.get("/v1/trust/"+assertion.AgentOf(key("x")).String()+"?predicate=nausea_rate"), http.StatusOK)
	near(t, "trust", of.Trust, weighed)
	near(t, "rank", of.TrustRank, 0.55)
	if of.Right != 1 || of.TrustHash != *r.Explanation.TrustHash || len(of.Predicates) != 1 {
		t.Errorf("%+v", of)
	}
}

// The trace leads from a conclusion to what it was derived from and to what
// replaced it.
func TestTrace(t *testing.T) {
	f := newFixture(t)
	base := signed(claim(), "x")
	f.put(base)
	baseHash := base.ContentHash()
	missing := assertion.Hash{0xee}
	conclusion := signed(claim(func(a *assertion.Assertion) {
		a.Object, a.SourceHash, a.DerivedFrom = assertion.Text("common"), assertion.Hash{3}, []assertion.Hash{baseHash, missing}
	}), "y")
	better := signed(claim(func(a *assertion.Assertion) {
		a.Object, a.SourceHash = assertion.Text("very common"), assertion.Hash{3}
	}), "y")
	f.put(conclusion, better)
	betterHash := better.ContentHash()
	replaced := &assertion.Supersession{Superseded: conclusion.ContentHash(), By: &betterHash, Type: assertion.Replaces, Reason: "new table", Timestamp: now}
	replaced.Sign(key("y"))
	f.post("/v1/supersede", replaced)
	got := read[v1.TraceResponse](t, f.get("/v1/trace/"+conclusion.ContentHash().String()), http.StatusOK)
	relations := map[assertion.Hash]string{}
	for _, e := range got.Edges {
		relations[e.To] = e.Relation
	}
	if len(got.Nodes) != 4 || relations[baseHash] != v1.RelationDerivedFrom || relations[missing] != v1.RelationDerivedFrom || relations[betterHash] != v1.RelationSupersededBy {
		t.Errorf("%d nodes, edges %v", len(got.Nodes), relations)
	}
	for _, n := range got.Nodes {
		if (n.Assertion == nil) != (n.Hash == missing) {
			t.Errorf("%s: %+v", n.Hash, n.Assertion)
		}
	}
	if flat := read[v1.TraceResponse](t, f.get("/v1/trace/"+conclusion.ContentHash().String()+"?depth=0"), http.StatusOK); len(flat.Nodes) != 1 || !flat.Truncated {
		t.Errorf("depth 0: %+v", flat)
	}
	early := read[v1.TraceResponse](t, f.get(fmt.Sprintf("/v1/trace/%s?as_of=%d", conclusion.ContentHash(), now-1)), http.StatusOK)
	if len(early.Nodes[0].Supersessions) != 0 || len(early.Nodes) != 3 {
		t.Errorf("before the replacement: %d nodes", len(early.Nodes))
	}
}

// Pages of the feed, of whatever size, hold every event once and in order.
func TestFeedIsCompleteAndOrdered(t *testing.T) {
	f := newFixture(t)
	nausea(f)
	everyKindOn(f)
	all := read[v1.FeedResponse](t, f.get("/v1/feed?limit=1000"), http.StatusOK)
	kinds := map[string]bool{}
	for _, e := range all.Events {
		kinds[e.Kind] = true
	}
	for k := assertion.KindAssertion; k <= assertion.KindCosignature; k++ {
		if k != assertion.KindClock && !kinds[k.String()] {
			t.Errorf("the feed lacks a %s", k)
		}
	}
	after, events := "0", []v1.Event(nil)
	for {
		page := read[v1.FeedResponse](t, f.get("/v1/feed?limit=4&after="+after), http.StatusOK)
		if len(page.Events) == 0 {
			break
		}
		events, after = append(events, page.Events...), page.Next
	}
	if text(t, events) != text(t, all.Events) {
		t.Errorf("%d events in pages, %d at once", len(events), len(all.Events))
	}
}

func everyKindOn(f *fixture) {
	f.put(signed(claim(), "x"))
	everyKind(f)
}

// stream reads server-sent events.
type stream struct {
	t    *testing.T
	scan *bufio.Scanner
}

func (s *stream) next() (id, name, data string) {
	s.t.Helper()
	for s.scan.Scan() {
		line := s.scan.Text()
		switch {
		case strings.HasPrefix(line, "id: "):
			id = line[4:]
		case strings.HasPrefix(line, "event: "):
			name = line[7:]
		case strings.HasPrefix(line, "data: "):
			data = line[6:]
		case line == "" && name != "":
			return id, name, data
		}
	}
	s.t.Fatalf("the stream ended: %v", s.scan.Err())
	return "", "", ""
}

func watching(t *testing.T, f *fixture, target string, headers ...string) *stream {
	t.Helper()
	server := httptest.NewServer(f.server)
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(func() { cancel(); server.Close() })
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+target, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	w, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Body.Close() })
	if w.StatusCode != http.StatusOK || w.Header.Get("Content-Type") != v1.MediaEvents {
		t.Fatalf("status %d, %s", w.StatusCode, w.Header.Get("Content-Type"))
	}
	return &stream{t, bufio.NewScanner(w.Body)}
}

// A watch tells of what was there and of what comes; one that is resumed by the
// id of its last event goes on right after it.
func TestWatchResumes(t *testing.T) {
	f := newFixture(t)
	first, second, third := signed(claim(), "a"), signed(claim(), "b"), signed(claim(func(a *assertion.Assertion) { a.Subject = "Other" }), "a")
	f.put(first)
	w := watching(t, f, "/v1/watch?after=0")
	id, name, data := w.next()
	if name != v1.WatchEvent || !strings.Contains(data, first.ContentHash().String()) {
		t.Fatalf("%s %s", name, data)
	}
	f.put(second, third)
	_, _, cosigned := w.next()
	_, _, other := w.next()
	if !strings.Contains(cosigned, "cosignature") || !strings.Contains(other, "Other") {
		t.Fatalf("%s\n%s", cosigned, other)
	}
	resumed := watching(t, f, "/v1/watch?after=0", "Last-Event-ID: "+id)
	if _, _, again := resumed.next(); again != cosigned {
		t.Errorf("resumed with %s", again)
	}
	filtered := watching(t, f, "/v1/watch?after=0&subject=Other")
	if _, _, only := filtered.next(); only != other {
		t.Errorf("filtered: %s", only)
	}
}

// With a lens only another answer is told, after the one that holds.
func TestWatchOfAnAnswer(t *testing.T) {
	f := newFixture(t)
	nausea(f)
	w := watching(t, f, "/v1/watch?"+question+"&lens=consensus")
	var change v1.ResolutionChange
	read := func() {
		t.Helper()
		_, name, data := w.next()
		change = v1.ResolutionChange{}
		if err := json.Unmarshal([]byte(data), &change); err != nil || name != v1.WatchResolution {
			t.Fatalf("%s %s: %v", name, data, err)
		}
	}
	read()
	if !change.First || *change.After.Winner != assertion.Number(60) {
		t.Errorf("first %+v", change)
	}
	f.put(signed(claim(func(a *assertion.Assertion) { a.Subject = "Other" }), "q")) // another question
	for i, name := range []string{"lab C", "lab D"} {
		f.put(signed(claim(func(a *assertion.Assertion) { a.Object, a.SourceHash = assertion.Number(44.2), assertion.Hash{byte(i)} }), name))
	}
	read()
	if change.First || *change.Before.Winner != assertion.Number(60) || *change.After.Winner != assertion.Number(44.2) {
		t.Errorf("then %+v", change)
	}
}

// audited waits until so many reads are in the audit, and returns them.
func (f *fixture) audited(n int, headers ...string) []v1.AuditRecord {
	f.t.Helper()
	for range 1000 {
		got := read[v1.AuditResponse](f.t, f.do(http.MethodGet, "/v1/audit/queries", "", headers...), http.StatusOK)
		if len(got.Queries) >= n {
			return got.Queries
		}
		time.Sleep(5 * time.Millisecond)
	}
	f.t.Fatalf("%d reads did not reach the audit", n)
	return nil
}

// auditEntry puts a record with a known id into a fresh audit.
func (f *fixture) auditEntry() {
	f.t.Helper()
	audit, err := auditlog.Open("audit", auditlog.Options{FS: vfs.NewMem(), Now: func() time.Time { return time.Unix(1, 0) }})
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = audit.Close() }) // it was read
	f.server.KeepAudit(audit)
	f.do(http.MethodGet, "/v1/query?"+question, "", "X-Agent-Id: "+strings.Repeat("ab", 32))
	f.audited(1)
}

// Reads that name an agent are recorded with the claims that answered; others
// are not; switched off, nothing is.
func TestReadsOfAgentsAreAudited(t *testing.T) {
	f := newFixture(t)
	nausea(f)
	f.skeptic("")
	agent, other := strings.Repeat("ab", 32), strings.Repeat("cd", 32)
	for _, target := range []string{"/v1/skeptic?" + question, "/v1/query?" + question + "&lens=consensus&limit=2", "/v1/assertions/" + strings.Repeat("0", 64)} {
		f.do(http.MethodGet, target, "", "X-Agent-Id: "+agent, "X-Request-Id: r1")
	}
	f.do(http.MethodGet, "/v1/layered?"+question, "", "X-Agent-Id: "+other)
	f.do(http.MethodGet, "/v1/layered?"+question, "", "X-Agent-Id: nonsense")
	all := f.audited(3)
	if len(all) != 3 || all[0].Path != "/v1/layered" || len(all[0].Claims) != 6 || all[0].AgentID.String() != other {
		t.Fatalf("%+v", all)
	}
	query := all[1]
	if query.Path != "/v1/query" || len(query.Claims) != 2 || query.RequestID != "r1" || query.AskedAt != now || query.Index == 0 || query.Node != "n1" {
		t.Errorf("%+v", query)
	}
	one := read[v1.AuditRecord](t, f.get("/v1/audit/query/"+query.ID), http.StatusOK)
	if text(t, one) != text(t, query) {
		t.Errorf("alone %+v", one)
	}
	of := read[v1.AuditResponse](t, f.get("/v1/audit/queries?limit=1&agent_id="+agent), http.StatusOK)
	if len(of.Queries) != 1 || of.NextCursor == "" {
		t.Fatalf("first page %+v", of)
	}
	of = read[v1.AuditResponse](t, f.get("/v1/audit/queries?agent_id="+agent+"&cursor="+of.NextCursor), http.StatusOK)
	if len(of.Queries) != 1 || of.Queries[0].Path != "/v1/skeptic" || of.NextCursor != "" {
		t.Errorf("second page %+v", of)
	}
	f.server.KeepAudit(nil)
	refused(t, f.get("/v1/audit/queries"), http.StatusNotFound, v1.CodeNotFound)
	refused(t, f.get("/v1/audit/query/n1-1"), http.StatusNotFound, v1.CodeNotFound)
	f.do(http.MethodGet, "/v1/skeptic?"+question, "", "X-Agent-Id: "+agent)
}
