package api_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/stemedb/stemedb/api"
	"github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/auth"
)

const documentURL = "openapi.json"

// contract is the served OpenAPI document with its schemas compiled. For the
// test they are closed: a field that an answer has and the document has not is
// a fault, although readers must bear it.
type contract struct {
	t        *testing.T
	document map[string]any
	compiler *jsonschema.Compiler
	compiled map[string]*jsonschema.Schema
}

func newContract(t *testing.T, f *fixture) *contract {
	t.Helper()
	w := f.get("/openapi.json")
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(w.Body.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	closeObjects(document)
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	if err := compiler.AddResource(documentURL, document); err != nil {
		t.Fatal(err)
	}
	return &contract{t: t, document: document.(map[string]any), compiler: compiler, compiled: map[string]*jsonschema.Schema{}}
}

func closeObjects(node any) {
	switch node := node.(type) {
	case map[string]any:
		if _, open := node["additionalProperties"]; node["type"] == "object" && node["properties"] != nil && !open {
			node["additionalProperties"] = false
		}
		for _, child := range node {
			closeObjects(child)
		}
	case []any:
		for _, child := range node {
			closeObjects(child)
		}
	}
}

// at walks the document; nil if there is nothing.
func (c *contract) at(path ...string) any {
	var node any = c.document
	for _, name := range path {
		object, ok := node.(map[string]any)
		if !ok {
			return nil
		}
		node = object[name]
	}
	return node
}

// schema compiles the schema at a path of the document.
func (c *contract) schema(path ...string) *jsonschema.Schema {
	c.t.Helper()
	var pointer strings.Builder
	for _, name := range path {
		pointer.WriteString("/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name))
	}
	where := documentURL + "#" + strings.ReplaceAll(pointer.String(), "{", "%7B")
	where = strings.ReplaceAll(where, "}", "%7D")
	if known := c.compiled[where]; known != nil {
		return known
	}
	compiled, err := c.compiler.Compile(where)
	if err != nil {
		c.t.Fatalf("%s: %v", where, err)
	}
	c.compiled[where] = compiled
	return compiled
}

// holds checks a real answer against the document: its status, media type and
// body must be documented for the route.
func (c *contract) holds(method, path string, w *httptest.ResponseRecorder) {
	c.t.Helper()
	media, _, err := mime.ParseMediaType(w.Header().Get("Content-Type"))
	if err != nil {
		c.t.Fatal(err)
	}
	where := []string{"paths", path, strings.ToLower(method), "responses", strconv.Itoa(w.Code), "content", media, "schema"}
	if c.at(where...) == nil {
		c.t.Errorf("%s %s: status %d as %s is not documented: %.300s", method, path, w.Code, media, w.Body)
		return
	}
	if media != v1.MediaJSON && media != v1.MediaProblem || path == "/openapi.json" {
		return
	}
	body, err := jsonschema.UnmarshalJSON(bytes.NewReader(w.Body.Bytes()))
	if err != nil {
		c.t.Fatal(err)
	}
	if err := c.schema(where...).Validate(body); err != nil {
		c.t.Errorf("%s %s: %v\n%s", method, path, err, w.Body)
	}
	if problem, ok := body.(map[string]any); ok && media == v1.MediaProblem {
		described, _ := c.at("paths", path, strings.ToLower(method), "responses", strconv.Itoa(w.Code), "description").(string)
		if !strings.Contains(described, "`"+problem["code"].(string)+"`") {
			c.t.Errorf("%s %s: the code %s is not documented for this route", method, path, problem["code"])
		}
	}
}

// call is one request of the walk over the routes.
type call struct {
	target, body string
	headers      []string
	prepare      func(*fixture)
}

// calls are requests for every route, at least one that succeeds and, where the
// route can refuse, one that is refused.
func calls(t *testing.T) map[string][]call {
	t.Helper()
	good := text(t, signed(claim(func(a *assertion.Assertion) {
		a.Vector, a.DerivedFrom, a.SourceMetadata = []float32{1}, []assertion.Hash{{1}}, []byte(`{"a":1}`)
		a.Epoch, a.VisualHash = &assertion.Hash{2}, &assertion.VisualHash{3}
	}), "x"))
	unsigned := text(t, &assertion.Assertion{Subject: "s", Predicate: "p", Object: assertion.Text("t"), Timestamp: now, Signatures: []assertion.Signature{}})
	parentless := text(t, signed(claim(func(a *assertion.Assertion) { a.ParentHash = &assertion.Hash{9} }), "x"))
	noLeader := func(f *fixture) { f.store.assertErr, f.store.readErr = api503, api503 }
	tooLate := func(f *fixture) { f.store.readErr = api.ErrMinIndexNotReached }
	detached := func(f *fixture) { f.server.Attach("n1", nil) }
	panics := func(f *fixture) { f.store.panics = true }
	notReady := func(f *fixture) { f.store.unready = []v1.Check{{Name: "lag", Detail: "behind"}} }
	bearer := []string{jsonType}
	label := claim().SourceHash.String()
	register := func(f *fixture) {
		f.post("/v1/sources", map[string]any{"hash": label, "title": "Label", "uri": "fda://label/1"})
		f.post("/v1/sources/"+label+"/retract", map[string]any{"reason": "fabricated"})
	}
	poison := saying("poison").ContentHash().String()
	quarantine := func(f *fixture) { f.record(quarantined()) }
	breaking := func(f *fixture) {
		breakers := auth.NewBreakers()
		for range 5 {
			breakers.Failure(auth.KeyPrincipal("broken"), auth.InvalidInput, time.Unix(int64(now), 0))
		}
		f.server = unattached(t, func(c *api.Config) { c.Limits.Breakers = breakers }).server
		f.server.Attach("n1", f.store)
	}
	owned := assertion.AgentOf(key("x"))
	rootKey := func(f *fixture) {
		f.record(&assertion.APIKey{ID: "abc", Revision: 1, Role: assertion.RoleWrite, Secret: assertion.Hash{1}})
	}
	alias := func(f *fixture) {
		f.post("/v1/concepts/aliases", assertion.Alias{Name: "Ozempic", Canonical: "Semaglutide"})
	}
	return map[string][]call{
		"POST /v1/assert": {
			{target: "/v1/assert", body: good, headers: bearer}, {target: "/v1/assert", body: good, headers: bearer},
			{target: "/v1/assert", body: unsigned, headers: bearer}, {target: "/v1/assert", body: good},
			{target: "/v1/assert", body: parentless, headers: bearer}, {target: "/v1/assert?x=1", body: good, headers: bearer},
			{target: "/v1/assert", body: strings.Repeat(" ", v1.MaxAssertBytes+1), headers: bearer},
			{target: "/v1/assert", body: good, headers: bearer, prepare: noLeader},
			{target: "/v1/assert", body: good, headers: bearer, prepare: detached},
			{target: "/v1/assert", body: good, headers: bearer, prepare: panics},
		},
		"POST /v1/assert/batch": {
			{target: "/v1/assert/batch", body: good + "\n{}\n" + good, headers: []string{ndjsonType}},
			{target: "/v1/assert/batch", body: "[" + good + "]", headers: bearer},
			{target: "/v1/assert/batch", body: "{", headers: bearer}, {target: "/v1/assert/batch", body: "[]", headers: bearer},
			{target: "/v1/assert/batch", body: good, headers: []string{ndjsonType}, prepare: noLeader},
		},
		"POST /v1/assert/prepare": {
			{target: "/v1/assert/prepare", body: unsigned, headers: bearer}, {target: "/v1/assert/prepare", body: good, headers: bearer},
			{target: "/v1/assert/prepare", body: "[]", headers: bearer},
		},
		"GET /v1/assertions/{hash}": {
			{target: "/v1/assertions/" + claim().ContentHash().String()}, {target: "/v1/assertions/1"},
			{target: "/v1/assertions/" + strings.Repeat("0", 64)}, {target: "/v1/assertions/" + strings.Repeat("0", 64), prepare: noLeader},
		},
		"GET /v1/query": {
			{target: "/v1/query"}, {target: "/v1/query?limit=1"}, {target: "/v1/query?subject=Nothing"},
			{target: "/v1/query?" + question + "&lens=recency"}, {target: "/v1/query?" + question + "&lens=consensus"},
			{target: "/v1/query?" + question + "&lens=votes&receipt=true"}, {target: "/v1/query?" + question + "&lens=epoch,truth&explain=true&receipt=true"},
			{target: "/v1/query?" + question + "&receipt=true"},
			{target: "/v1/query?" + question + "&lens=authority&min_confidence=0.1&lifecycle=Proposed&source_class=Clinical&agent_id=" +
				strings.Repeat("0", 64) + "&source_hash=" + strings.Repeat("0", 64) + "&epoch=" + strings.Repeat("0", 64)},
			{target: "/v1/query?lens=none&" + question}, {target: "/v1/query?cursor=x"}, {target: "/v1/query?nope=1"},
			{target: "/v1/query", prepare: noLeader}, {target: "/v1/query", prepare: tooLate}, {target: "/v1/query", prepare: detached},
		},
		"GET /v1/skeptic": {
			{target: "/v1/skeptic?" + question}, {target: "/v1/skeptic?limit=1&" + question}, {target: "/v1/skeptic?receipt=true&" + question}, {target: "/v1/skeptic?min_confidence=0.5&" + question},
			{target: "/v1/skeptic?subject=Nothing&predicate=p"}, {target: "/v1/skeptic"}, {target: "/v1/skeptic?" + question, prepare: noLeader},
		},
		"GET /v1/layered": {
			{target: "/v1/layered?" + question}, {target: "/v1/layered?receipt=true&" + question}, {target: "/v1/layered?subject=Nothing&predicate=p"}, {target: "/v1/layered"},
			{target: "/v1/layered?" + question, prepare: tooLate},
		},
		"POST /v1/vote": {
			{target: "/v1/vote", body: text(t, vote("x", claim().ContentHash(), 0.5)), headers: bearer},
			{target: "/v1/vote", body: text(t, vote("x", assertion.Hash{1}, 0.5)), headers: bearer}, {target: "/v1/vote", body: "{}", headers: bearer},
		},
		"POST /v1/epoch": {
			{target: "/v1/epoch", body: text(t, epoch("x", "2026", nil)), headers: bearer},
			{target: "/v1/epoch", body: text(t, epoch("x", "2026", &assertion.Hash{1})), headers: bearer}, {target: "/v1/epoch", body: "[]", headers: bearer},
		},
		"GET /v1/epochs/{hash}": {
			{target: "/v1/epochs/" + epoch("x", "2026", nil).Hash().String(), prepare: func(f *fixture) { f.post("/v1/epoch", epoch("x", "2026", nil)) }},
			{target: "/v1/epochs/" + strings.Repeat("0", 64)}, {target: "/v1/epochs/1"},
		},
		"POST /v1/supersede": {
			{target: "/v1/supersede", body: text(t, retraction("x", signed(claim()).ContentHash())), headers: bearer},
			{target: "/v1/supersede", body: text(t, retraction("y", claim().ContentHash())), headers: bearer},
			{target: "/v1/supersede", body: text(t, retraction("x", assertion.Hash{1})), headers: bearer},
		},
		"POST /v1/sources": {
			{target: "/v1/sources", body: `{"content":"the label","title":"Label"}`, headers: bearer}, {target: "/v1/sources", body: `{}`, headers: bearer},
		},
		"GET /v1/sources": {{target: "/v1/sources", prepare: register}, {target: "/v1/sources?cursor=1"}},
		"GET /v1/sources/{hash}": {
			{target: "/v1/sources/" + label, prepare: register}, {target: "/v1/sources/" + label}, {target: "/v1/sources/" + strings.Repeat("0", 64)},
		},
		"GET /v1/sources/{hash}/impact": {
			{target: "/v1/sources/" + label + "/impact", prepare: register}, {target: "/v1/sources/" + strings.Repeat("0", 64) + "/impact"},
			{target: "/v1/sources/" + label + "/impact?lens=none"},
		},
		"POST /v1/sources/{hash}/retract": {
			{target: "/v1/sources/" + label + "/retract", body: `{"reason":"fabricated"}`, headers: bearer},
			{target: "/v1/sources/" + label + "/retract", body: `{"reason":""}`, headers: bearer},
			{target: "/v1/sources/" + strings.Repeat("0", 64) + "/retract", body: `{"reason":"x"}`, headers: bearer},
		},
		"POST /v1/sources/{hash}/reinstate": {
			{target: "/v1/sources/" + label + "/reinstate", body: `{"reason":"checked"}`, headers: bearer}, {target: "/v1/sources/1/reinstate", body: `{"reason":"x"}`, headers: bearer},
		},
		"POST /v1/concepts/aliases": {
			{target: "/v1/concepts/aliases", body: `{"alias":"Ozempic","canonical":"Semaglutide"}`, headers: bearer},
			{target: "/v1/concepts/aliases", body: `{"alias":"a","canonical":"a"}`, headers: bearer},
		},
		"GET /v1/concepts/aliases": {{target: "/v1/concepts/aliases", prepare: alias}, {target: "/v1/concepts/aliases?cursor=x"}},
		"GET /v1/concepts/{path}": {
			{target: "/v1/concepts/Semaglutide"}, {target: "/v1/concepts/Ozempic", prepare: alias}, {target: "/v1/concepts/fda://nothing/here"},
		},
		"POST /v1/trust/endorsements": {
			{target: "/v1/trust/endorsements", body: text(t, endorsement("x", "y")), headers: bearer},
			{target: "/v1/trust/endorsements", body: text(t, endorsement("x", "x")), headers: bearer},
		},
		"POST /v1/trust/seeds": {
			{target: "/v1/trust/seeds", body: `{"agents":[]}`, headers: bearer},
			{target: "/v1/trust/seeds", body: `{"agents":["` + strings.Repeat("0", 64) + `"]}`, headers: bearer},
		},
		"GET /v1/trust/{agent}": {
			{target: "/v1/trust/" + assertion.AgentOf(key("x")).String(), prepare: func(f *fixture) { f.post("/v1/trust/endorsements", endorsement("x", "y")) }},
			{target: "/v1/trust/" + assertion.AgentOf(key("x")).String(), prepare: computeTrust}, {target: "/v1/trust/1"},
		},
		"POST /v1/admin/gold": {
			{target: "/v1/admin/gold", body: `{"subject":"s","predicate":"p","object":{"Number":1}}`, headers: bearer}, {target: "/v1/admin/gold", body: `{}`, headers: bearer},
		},
		"GET /v1/admin/gold": {
			{target: "/v1/admin/gold", prepare: computeTrust}, {target: "/v1/admin/gold?x"},
		},
		"GET /debug/pprof/{profile}": {
			{target: "/debug/pprof/heap"}, {target: "/debug/pprof/goroutine?debug=1"}, {target: "/debug/pprof/profile?seconds=1"}, {target: "/debug/pprof/trace?seconds=1"},
			{target: "/debug/pprof/cmdline"}, {target: "/debug/pprof/profile?seconds=31"},
		},
		"GET /v1/admin/log_level": {{target: "/v1/admin/log_level"}, {target: "/v1/admin/log_level?x"}},
		"POST /v1/admin/log_level": {
			{target: "/v1/admin/log_level", body: `{"level":"debug"}`, headers: bearer}, {target: "/v1/admin/log_level", body: `{"level":"loud"}`, headers: bearer},
			{target: "/v1/admin/log_level", body: `{}`},
		},
		"GET /v1/admission/status": {
			{target: "/v1/admission/status?agent_id=" + owned.String(), prepare: computeTrust}, {target: "/v1/admission/status"}, {target: "/v1/admission/status?agent_id=1"},
		},
		"GET /v1/admin/circuit_breakers": {{target: "/v1/admin/circuit_breakers", prepare: breaking}, {target: "/v1/admin/circuit_breakers"}},
		"POST /v1/admin/circuit_breakers/{agent}/reset": {
			{target: "/v1/admin/circuit_breakers/key:none/reset", prepare: breaking}, {target: "/v1/admin/circuit_breakers/x/reset", prepare: breaking},
			{target: "/v1/admin/circuit_breakers/key:none/reset"},
		},
		"GET /v1/admin/quarantine": {
			{target: "/v1/admin/quarantine", prepare: quarantine}, {target: "/v1/admin/quarantine?state=lost"}, {target: "/v1/admin/quarantine?cursor=x"},
		},
		"POST /v1/admin/quarantine/{hash}/approve": {
			{target: "/v1/admin/quarantine/" + poison + "/approve", body: `{"reason":"r"}`, headers: bearer, prepare: quarantine},
			{target: "/v1/admin/quarantine/" + poison + "/approve", body: `{"reason":""}`, headers: bearer},
			{target: "/v1/admin/quarantine/" + poison + "/approve", body: `{"reason":"r"}`, headers: bearer},
		},
		"POST /v1/admin/quarantine/{hash}/reject": {
			{target: "/v1/admin/quarantine/" + poison + "/reject", body: `{"reason":"r"}`, headers: bearer, prepare: quarantine},
			{target: "/v1/admin/quarantine/" + poison + "/reject", body: `{"why":"r"}`, headers: bearer},
		},
		"GET /v1/cluster/keys": {
			{target: "/v1/cluster/keys", prepare: func(f *fixture) { f.record(&assertion.NodeKey{NodeID: "n1", Key: assertion.AgentID{1}}) }}, {target: "/v1/cluster/keys?x"},
		},
		"GET /v1/cluster/autopilot": {{target: "/v1/cluster/autopilot"}, {target: "/v1/cluster/autopilot?x"}, {target: "/v1/cluster/autopilot", prepare: membersErr(api.ErrRemoved)}},
		"POST /v1/cluster/restore": {
			{target: "/v1/cluster/restore", body: restoreBody(t, true, claim()), headers: []string{"Content-Type: " + v1.MediaBinary}},
			{target: "/v1/cluster/restore", body: restoreBody(t, false, claim()), headers: []string{"Content-Type: " + v1.MediaBinary}},
			{target: "/v1/cluster/restore", body: "\x00\x00\x00\x09x", headers: []string{"Content-Type: " + v1.MediaBinary}},
			{target: "/v1/cluster/restore", headers: []string{"Content-Type: " + v1.MediaBinary}},
			{target: "/v1/cluster/restore", body: "{}", headers: bearer},
		},
		"GET /v1/cluster/backup": {
			{target: "/v1/cluster/backup"}, {target: "/v1/cluster/backup?kind=log&after=1&after_term=1&consistency=local"}, {target: "/v1/cluster/backup?kind=part"},
			{target: "/v1/cluster/backup?after=1"}, {target: "/v1/cluster/backup?kind=log&after=x"},
			{target: "/v1/cluster/backup?kind=log", prepare: membersErr(api.ErrLogGap)}, {target: "/v1/cluster/backup?kind=log", prepare: membersErr(api.ErrLogUnchanged)},
			{target: "/v1/cluster/backup", prepare: membersErr(api.ErrOverloaded)},
		},
		"GET /v1/admin/settings": {{target: "/v1/admin/settings"}, {target: "/v1/admin/settings?x"}},
		"POST /v1/cluster/join": {
			{target: "/v1/cluster/join", body: `{"node":"n4","cluster_addr":"h:1"}`, headers: bearer}, {target: "/v1/cluster/join", body: `{"node":"n4"}`, headers: bearer},
			{target: "/v1/cluster/join", body: `{"node":"n4","cluster_addr":"h:1"}`, headers: bearer, prepare: membersErr(api.ErrMembership)},
		},
		"POST /v1/cluster/remove": {
			{target: "/v1/cluster/remove", body: `{"node":"n1","force":true}`, headers: bearer}, {target: "/v1/cluster/remove", body: `{}`, headers: bearer},
			{target: "/v1/cluster/remove", body: `{"node":"n1","x":1}`, headers: bearer}, {target: "/v1/cluster/remove", body: `{"node":"n1"}`},
			{target: "/v1/cluster/remove", body: `{"node":"n1"}`, headers: bearer, prepare: membersErr(api.ErrQuorumAtRisk)},
			{target: "/v1/cluster/remove", body: `{"node":"n9"}`, headers: bearer, prepare: membersErr(api.ErrNoMember)},
			{target: "/v1/cluster/remove", body: `{"node":"n1"}`, headers: bearer, prepare: membersErr(api.ErrOutcomeUnknown)},
		},
		"POST /v1/cluster/promote": {
			{target: "/v1/cluster/promote", body: `{"node":"n1"}`, headers: bearer}, {target: "/v1/cluster/promote", body: `{"node":"n1","cluster_addr":"h:1"}`, headers: bearer},
		},
		"POST /v1/cluster/demote": {
			{target: "/v1/cluster/demote", body: `{"node":"n1"}`, headers: bearer}, {target: "/v1/cluster/demote", body: `{"node":"n1"}`, headers: bearer, prepare: membersErr(api.ErrNoLeader)},
		},
		"POST /v1/cluster/transfer": {
			{target: "/v1/cluster/transfer", body: `{}`, headers: bearer}, {target: "/v1/cluster/transfer", body: `{}`, headers: bearer, prepare: detached},
		},
		"POST /v1/cluster/snapshot": {
			{target: "/v1/cluster/snapshot", body: `{}`, headers: bearer}, {target: "/v1/cluster/snapshot", body: `{"force":true}`, headers: bearer},
		},
		"GET /v1/trace/{hash}": {
			{target: "/v1/trace/" + claim().ContentHash().String(), prepare: func(f *fixture) { f.post("/v1/supersede", retraction("x", claim().ContentHash())) }},
			{target: "/v1/trace/" + strings.Repeat("0", 64)}, {target: "/v1/trace/" + claim().ContentHash().String() + "?depth=x"},
		},
		"GET /v1/constraints": {
			{target: "/v1/constraints?subject=svc", prepare: func(f *fixture) {
				for i, predicate := range []string{"must_use", "forbidden"} {
					f.put(signed(claim(func(a *assertion.Assertion) {
						a.Subject, a.Predicate, a.Object, a.SourceHash = "svc", predicate, assertion.Reference("TLS"), assertion.Hash{byte(i)}
					}), "x"))
				}
			}}, {target: "/v1/constraints"},
		},
		"GET /v1/keys": {{target: "/v1/keys", prepare: func(f *fixture) { f.newKey(v1.KeyRequest{Role: assertion.RoleWrite, AgentID: &owned}) }},
			{target: "/v1/keys?x"}, {target: "/v1/keys", prepare: noLeader}},
		"POST /v1/keys": {
			{target: "/v1/keys", body: `{"role":"read-only","name":"n","expires_at":9999999999,"subject_prefix":"S","rate_per_second":5}`, headers: bearer},
			{target: "/v1/keys", body: `{"role":"boss"}`, headers: bearer}, {target: "/v1/keys", body: `{"role":"admin","expires_at":1}`, headers: bearer},
			{target: "/v1/keys", body: `{"rule":"admin"}`, headers: bearer}, {target: "/v1/keys", body: `{"role":"admin"} {}`, headers: bearer},
			{target: "/v1/keys", body: `{"role":"admin"}`}, {target: "/v1/keys", body: `{"role":"admin"}`, headers: bearer, prepare: noLeader},
		},
		"PATCH /v1/keys/{id}": {
			{target: "/v1/keys/abc", body: `{"role":"admin","name":"x","rate_per_second":1}`, headers: bearer, prepare: rootKey},
			{target: "/v1/keys/none", body: `{}`, headers: bearer}, {target: "/v1/keys/abc", body: `{"role":"x"}`, headers: bearer, prepare: rootKey},
		},
		"DELETE /v1/keys/{id}": {{target: "/v1/keys/abc", prepare: rootKey}, {target: "/v1/keys/none"}, {target: "/v1/keys/abc", prepare: func(f *fixture) {
			rootKey(f)
			f.do(http.MethodDelete, "/v1/keys/abc", "")
		}}},
		"POST /v1/keys/{id}/rotate": {
			{target: "/v1/keys/abc/rotate", body: `{"overlap_seconds":60}`, headers: bearer, prepare: rootKey},
			{target: "/v1/keys/abc/rotate", body: `{"overlap_seconds":99999999}`, headers: bearer, prepare: rootKey}, {target: "/v1/keys/none/rotate", body: `{}`, headers: bearer},
		},
		"GET /v1/conflicts": {{target: "/v1/conflicts"}, {target: "/v1/conflicts?cursor=!"}},
		"GET /v1/subjects":  {{target: "/v1/subjects"}, {target: "/v1/subjects?prefix=x&cursor=YQ"}},
		"GET /v1/lenses":    {{target: "/v1/lenses"}, {target: "/v1/lenses?x"}},
		"GET /v1/feed":      {{target: "/v1/feed", prepare: everyKind}, {target: "/v1/feed?after=x"}},
		"GET /v1/watch":     {{target: "/v1/watch?after=0&limit=1"}, {target: "/v1/watch?after=0", prepare: func(f *fixture) { f.store.readErr = api503 }}},
		"GET /v1/export":    {{target: "/v1/export?subject=x*", prepare: everyKind}, {target: "/v1/export?since=x"}, {target: "/v1/export", prepare: func(f *fixture) { f.store.readErr = api503 }}},
		"GET /v1/audit/queries": {
			{target: "/v1/audit/queries", prepare: func(f *fixture) {
				f.do(http.MethodGet, "/v1/skeptic?"+question, "", "X-Agent-Id: "+strings.Repeat("ab", 32))
				f.audited(1)
			}}, {target: "/v1/audit/queries?cursor=x"}, {target: "/v1/audit/queries?agent_id=1"},
		},
		"GET /v1/audit/query/{id}": {
			{target: "/v1/audit/query/n1-1000000", prepare: func(f *fixture) { f.auditEntry() }},
			{target: "/v1/audit/query/n2-1"}, {target: "/v1/audit/query/x"}, {target: "/v1/audit/query/n1-1"},
		},
		"GET /v1/diff": {
			{target: fmt.Sprintf("/v1/diff?subject=Semaglutide&from=%d&to=%d&axis=as_of", now-200*day, now)},
			{target: "/v1/diff?subject=Semaglutide&from=1&to=2"}, {target: "/v1/diff?subject=Semaglutide&from=3&to=2"}, {target: "/v1/diff?from=1&to=2"},
		},
		"GET /v1/health":    {{target: "/v1/health"}, {target: "/v1/health?x"}, {target: "/v1/health", prepare: detached}},
		"GET /v1/cluster":   {{target: "/v1/cluster"}, {target: "/v1/cluster", prepare: detached}},
		"GET /livez":        {{target: "/livez"}, {target: "/livez?x"}},
		"GET /readyz":       {{target: "/readyz"}, {target: "/readyz?verbose"}, {target: "/readyz", prepare: notReady}, {target: "/readyz", prepare: detached}},
		"GET /metrics":      {{target: "/metrics"}},
		"GET /openapi.json": {{target: "/openapi.json"}, {target: "/openapi.json?x"}},
		"GET /docs":         {{target: "/docs"}, {target: "/docs?x"}},
	}
}

// membersErr makes every question about the membership fail.
func membersErr(err error) func(*fixture) {
	return func(f *fixture) { f.store.membersErr = err }
}

// Every registered route is documented and nothing else is; every real answer,
// good or bad, is one that the document allows.
func TestEveryRouteKeepsItsDocument(t *testing.T) {
	walk := calls(t)
	routes := newFixture(t).server.Routes()
	documented := 0
	for _, item := range newContract(t, newFixture(t)).at("paths").(map[string]any) {
		documented += len(item.(map[string]any))
	}
	if documented != len(routes) || len(walk) != len(routes) {
		t.Fatalf("%d routes are registered, %d documented, %d called", len(routes), documented, len(walk))
	}
	for _, r := range routes {
		t.Run(r.Method+" "+r.Path, func(t *testing.T) {
			requests := walk[r.Method+" "+r.Path]
			if len(requests) == 0 {
				t.Fatal("the route is never called")
			}
			good, bad := false, false
			for _, request := range requests {
				f := newFixture(t)
				nausea(f)
				f.put(signed(claim(), "x"))
				c := newContract(t, f)
				if request.prepare != nil {
					request.prepare(f)
				}
				w := f.do(r.Method, request.target, request.body, request.headers...)
				c.holds(r.Method, r.Path, w)
				good, bad = good || w.Code < 300, bad || w.Code >= 400
			}
			if !good || !bad && r.Path != "/metrics" {
				t.Errorf("answered well: %t, refused: %t", good, bad)
			}
		})
	}
}

// The examples of the document are valid requests.
func TestExamplesOfTheDocument(t *testing.T) {
	f := newFixture(t)
	c := newContract(t, f)
	for path, item := range c.at("paths").(map[string]any) {
		for method := range item.(map[string]any) {
			where := []string{"paths", path, method, "requestBody", "content", v1.MediaJSON}
			example := c.at(append(where, "example")...)
			if example == nil {
				continue
			}
			if err := c.schema(append(where, "schema")...).Validate(example); err != nil {
				t.Errorf("%s %s: %v", method, path, err)
			}
			body, err := json.Marshal(example)
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(path, "/v1/assert") {
				read[v1.PrepareResponse](t, f.do(http.MethodPost, "/v1/assert/prepare", string(body), jsonType), http.StatusOK)
			}
		}
	}
}

// What the document takes for a claim is what the decoder takes for one.
func TestClaimsMatchTheirSchema(t *testing.T) {
	f := newFixture(t)
	c := newContract(t, f)
	schema := c.schema("components", "schemas", "AssertionInput")
	for _, object := range []string{`{"type":"Text","value":"a"}`, `{"Number":1}`, `{"Boolean":true}`, `{"Reference":"a"}`,
		`{"type":"Number","value":"a"}`, `{"Text":1}`, `{"Number":1,"Text":"a"}`, `"a"`} {
		body := `{"subject":"s","predicate":"p","object":` + object + `,"confidence":1,"source_hash":"` + strings.Repeat("0", 64) + `","timestamp":1}`
		value, err := jsonschema.UnmarshalJSON(strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		valid := schema.Validate(value) == nil
		accepted := f.do(http.MethodPost, "/v1/assert/prepare", body, jsonType).Code == http.StatusOK
		if valid != accepted {
			t.Errorf("%s: valid by the schema: %t, accepted: %t", object, valid, accepted)
		}
	}
}

func TestDocsPage(t *testing.T) {
	f := newFixture(t)
	w := f.get("/docs")
	page := w.Body.String()
	for _, r := range f.server.Routes() {
		if !strings.Contains(page, "</span>"+r.Path) {
			t.Errorf("%s is not on the page", r.Path)
		}
	}
	for _, wanted := range []string{`id="signature_invalid"`, `id="schema-Assertion"`, "curl &#39;http://localhost:18180/v1/skeptic?subject=Semaglutide&amp;predicate=nausea_rate&#39;"} {
		if !strings.Contains(page, wanted) {
			t.Errorf("%s is not on the page", wanted)
		}
	}
	for _, foreign := range []string{"<script", "<link", "src=", "@import", "url(", "https://"} {
		if strings.Contains(page, foreign) {
			t.Errorf("the page holds %s: it must work without internet", foreign)
		}
	}
	if !strings.HasPrefix(w.Header().Get("Content-Security-Policy"), "default-src 'none'") {
		t.Errorf("headers %v", w.Header())
	}
}
