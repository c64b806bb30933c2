package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stemedb/stemedb/api"
	"github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/auth"
)

const rootSecret = "0f5a6c1be2d94387a1c0de5b7f93e8126d4b0a97c3f1e85d2b6a7094fc31e8da"

// guarded is a fixture that demands keys, and has the root key.
func guarded(t *testing.T, options ...func(*api.Config)) *fixture {
	t.Helper()
	f := newFixture(t, append(options, func(c *api.Config) { c.Auth.Enabled = true })...)
	f.record(&assertion.APIKey{ID: auth.RootID, Revision: 1, Role: assertion.RoleAdmin, Secret: auth.HashSecret(rootSecret)})
	return f
}

// newKey makes a key through the API, as root, and returns its secret.
func (f *fixture) newKey(want v1.KeyRequest) v1.KeySecret {
	f.t.Helper()
	body, err := json.Marshal(want)
	if err != nil {
		f.t.Fatal(err)
	}
	return read[v1.KeySecret](f.t, f.do(http.MethodPost, "/v1/keys", string(body), jsonType, "X-API-Key: "+rootSecret), http.StatusCreated)
}

// Every registered route × every kind of key gets the code that the table of
// roles says; a route that is not in the table serves nobody.
func TestEveryRouteDemandsItsRole(t *testing.T) {
	f := guarded(t)
	table := auth.NewTable()
	routes := f.server.Routes()
	if table.Len() != len(routes) {
		t.Errorf("%d routes, %d rows in the table of roles", len(routes), table.Len())
	}
	secrets := map[string]string{"none": "", "bad": "stemedb_0123456789abcdef_" + strings.Repeat("0", 64), "malformed": "no-key-of-this-cluster", "admin": rootSecret}
	for _, role := range []assertion.Role{assertion.RoleReadOnly, assertion.RoleWrite} {
		secrets[role.String()] = f.newKey(v1.KeyRequest{Role: role}).Secret
	}
	expiring := f.newKey(v1.KeyRequest{Role: assertion.RoleAdmin, ExpiresAt: now + 10})
	secrets["expired"] = expiring.Secret
	revoked := f.newKey(v1.KeyRequest{Role: assertion.RoleAdmin})
	secrets["revoked"] = revoked.Secret
	read[v1.KeyResponse](t, f.do(http.MethodDelete, "/v1/keys/"+revoked.ID, "", "X-API-Key: "+rootSecret), http.StatusOK)
	f.now += 10
	refusals := map[string]string{"none": v1.CodeAPIKeyMissing, "bad": v1.CodeAPIKeyUnknown, "malformed": v1.CodeAPIKeyUnknown,
		"expired": v1.CodeAPIKeyExpired, "revoked": v1.CodeAPIKeyRevoked}
	for _, r := range routes {
		pattern := strings.NewReplacer("{", ":", "}", "").Replace(strings.Replace(r.Path, "{path}", "*", 1))
		demand := table.Access(r.Method, pattern)
		if demand == auth.Nobody {
			t.Errorf("%s %s is not in the table of roles", r.Method, pattern)
			continue
		}
		if r.Path == "/v1/watch" {
			r.Path += "?lens=none" // would not end
		}
		target := strings.NewReplacer("{hash}", strings.Repeat("0", 64), "{agent}", strings.Repeat("0", 64), "{id}", "none", "{path}", "fda://x").Replace(r.Path)
		for kind, secret := range secrets {
			var headers []string
			if secret != "" {
				headers = append(headers, "X-API-Key: "+secret)
			}
			w := f.do(r.Method, target, "", headers...)
			var problem v1.Problem
			if w.Code >= 400 {
				if err := json.Unmarshal(w.Body.Bytes(), &problem); err != nil {
					t.Fatal(err)
				}
			}
			want, refused := refusals[kind]
			role := map[string]assertion.Role{"read-only": 1, "write": 2, "admin": 3}[kind]
			if !refused && !demand.Permits(role) {
				want, refused = v1.CodeForbidden, true
			}
			if demand == auth.Probe {
				want, refused = "", false
			}
			switch denied := w.Code == http.StatusUnauthorized || w.Code == http.StatusForbidden; {
			case refused && problem.Code != want:
				t.Errorf("%s %s with %s key: %d %s, want %s", r.Method, target, kind, w.Code, problem.Code, want)
			case !refused && denied:
				t.Errorf("%s %s with %s key: %d %s", r.Method, target, kind, w.Code, problem.Code)
			}
			if secret != "" && strings.Contains(w.Body.String(), secret) {
				t.Errorf("%s %s: the answer repeats the secret", r.Method, target)
			}
			if w.Code == http.StatusUnauthorized && w.Header().Get("WWW-Authenticate") == "" {
				t.Errorf("%s %s: 401 without WWW-Authenticate", r.Method, target)
			}
		}
	}
	for kind, secret := range secrets {
		if secret != "" && strings.Contains(f.log.String(), secret) {
			t.Errorf("the log holds the secret of the %s key", kind)
		}
	}
}

func TestBearerIsAKey(t *testing.T) {
	f := guarded(t)
	for header, want := range map[string]int{"Authorization: Bearer " + rootSecret: 200, "Authorization: bearer " + rootSecret: 200, "Authorization: Basic " + rootSecret: 401} {
		if w := f.do(http.MethodGet, "/v1/keys", "", header); w.Code != want {
			t.Errorf("%.25s: %d, want %d", header, w.Code, want)
		}
	}
}

func TestDocsAndMetricsMayBeOpen(t *testing.T) {
	for _, open := range []bool{false, true} {
		f := guarded(t, func(c *api.Config) { c.Auth.OpenDocs, c.Auth.OpenMetrics = open, open })
		for _, path := range []string{"/docs", "/openapi.json", "/metrics"} {
			if w := f.get(path); (w.Code == http.StatusOK) != open {
				t.Errorf("open %t: %s answers %d", open, path, w.Code)
			}
		}
	}
}

// The life of a key: update, rotation with overlap, revocation.
func TestLifeOfAKey(t *testing.T) {
	f := guarded(t)
	root := "X-API-Key: " + rootSecret
	key := f.newKey(v1.KeyRequest{Role: assertion.RoleReadOnly, Name: "reader"})
	answers := func(secret string) int { return f.do(http.MethodGet, "/v1/lenses", "", "X-API-Key: "+secret).Code }
	if got := answers(key.Secret); got != http.StatusOK {
		t.Fatal(got)
	}
	path := "/v1/keys/" + key.ID
	updated := read[v1.KeyResponse](t, f.do(http.MethodPatch, path, `{"role":"write","name":"writer"}`, jsonType, root), http.StatusOK)
	if updated.Role != assertion.RoleWrite || updated.Name != "writer" || updated.Revision != 2 {
		t.Errorf("%+v", updated)
	}
	rotated := read[v1.KeySecret](t, f.do(http.MethodPost, path+"/rotate", `{"overlap_seconds":60}`, jsonType, root), http.StatusOK)
	if rotated.Secret == key.Secret || answers(key.Secret) != http.StatusOK || answers(rotated.Secret) != http.StatusOK {
		t.Error("within the overlap both secrets are good")
	}
	f.now += 60
	if answers(key.Secret) != http.StatusUnauthorized || answers(rotated.Secret) != http.StatusOK {
		t.Error("after the overlap the new one alone is")
	}
	list := read[v1.KeysResponse](t, f.do(http.MethodGet, "/v1/keys", "", root), http.StatusOK)
	if len(list.Keys) != 2 || list.Keys[0].LastUsedAt != f.now || strings.Contains(fmt.Sprintf("%+v", list), rotated.Secret) {
		t.Errorf("%+v", list)
	}
	read[v1.KeyResponse](t, f.do(http.MethodDelete, path, "", root), http.StatusOK)
	if answers(rotated.Secret) != http.StatusUnauthorized {
		t.Error("a revoked key is let through")
	}
	for method, body := range map[string]string{http.MethodPatch: `{"role":"admin"}`, http.MethodDelete: ""} {
		refused(t, f.do(method, path, body, jsonType, root), http.StatusConflict, v1.CodeKeyConflict)
	}
	// Neither a key nor its hash is in the feed.
	feed := f.do(http.MethodGet, "/v1/feed", "", root).Body.String()
	if strings.Contains(feed, "api_key") || strings.Contains(feed, key.ID) {
		t.Error(feed)
	}
}

// A bound key writes only as its agent, a restricted one only on its subjects,
// and asks only about them.
func TestBoundAndRestrictedKeys(t *testing.T) {
	f := guarded(t)
	agent := assertion.AgentOf(key("x"))
	bound := f.newKey(v1.KeyRequest{Role: assertion.RoleWrite, AgentID: &agent}).Secret
	scoped := f.newKey(v1.KeyRequest{Role: assertion.RoleWrite, SubjectPrefix: "Sema"}).Secret
	post := func(secret string, a *assertion.Assertion) int {
		return f.do(http.MethodPost, "/v1/assert", text(t, a), jsonType, "X-API-Key: "+secret).Code
	}
	other := claim(func(a *assertion.Assertion) { a.Subject = "Aspirin" })
	before, _ := f.store.state()
	for name, got := range map[string]int{"another agent": post(bound, signed(claim(), "y")), "another subject": post(scoped, signed(other, "x"))} {
		if got != http.StatusForbidden {
			t.Errorf("%s: %d", name, got)
		}
	}
	if after, _ := f.store.state(); after != before {
		t.Error("a refusal stored something")
	}
	for name, got := range map[string]int{"its agent": post(bound, signed(claim(), "x")), "its subject": post(scoped, signed(claim(), "y"))} {
		if got/100 != 2 {
			t.Errorf("%s: %d", name, got)
		}
	}
	batch := f.do(http.MethodPost, "/v1/assert/batch", text(t, signed(other, "x"))+"\n"+text(t, signed(claim(), "z")), ndjsonType, "X-API-Key: "+scoped)
	lines := read[v1.BatchResponse](t, batch, http.StatusOK).Results
	if lines[0].Code != v1.CodeOutOfScope || lines[1].Status != v1.StatusCosigned {
		t.Errorf("%+v", lines)
	}
	for target, want := range map[string]int{
		"/v1/query?subject=Semaglutide": 200, "/v1/query?subject=Sema*": 200, "/v1/query?subject=S*": 403, "/v1/query?subject=Aspirin": 403, "/v1/query": 403,
		"/v1/skeptic?" + question + "&aliases=false": 200, "/v1/skeptic?" + question: 403, "/v1/query?lens=recency&" + question: 403,
		"/v1/subjects?prefix=Sema": 200, "/v1/subjects": 403, "/v1/feed": 403, "/v1/conflicts": 403, "/v1/lenses": 200,
		"/v1/assertions/" + claim().ContentHash().String(): 403, "/v1/health": 200,
	} {
		if w := f.do(http.MethodGet, target, "", "X-API-Key: "+scoped); w.Code != want {
			t.Errorf("%s: %d, want %d", target, w.Code, want)
		}
	}
}

func TestKeyRate(t *testing.T) {
	f := guarded(t)
	secret := f.newKey(v1.KeyRequest{Role: assertion.RoleReadOnly, RatePerSecond: 2}).Secret
	codes := map[int]int{}
	for range 5 {
		w := f.do(http.MethodGet, "/v1/lenses", "", "X-API-Key: "+secret)
		codes[w.Code]++
		if w.Code == http.StatusTooManyRequests && w.Header().Get("Retry-After") != "1" {
			t.Errorf("Retry-After %q", w.Header().Get("Retry-After"))
		}
	}
	if codes[http.StatusOK] != 2 || codes[http.StatusTooManyRequests] != 3 {
		t.Errorf("%v", codes)
	}
	f.now++
	if w := f.do(http.MethodGet, "/v1/lenses", "", "X-API-Key: "+secret); w.Code != http.StatusOK {
		t.Errorf("a second later: %d", w.Code)
	}
}

// A read with a key is audited under the key, also where it names no agent.
func TestKeysAreAudited(t *testing.T) {
	f := guarded(t)
	reader := f.newKey(v1.KeyRequest{Role: assertion.RoleReadOnly})
	read[v1.SkepticResponse](t, f.do(http.MethodGet, "/v1/skeptic?"+question, "", "X-API-Key: "+reader.Secret), http.StatusOK)
	got := f.audited(1, "X-API-Key: "+rootSecret)
	shown, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 || got[0].KeyID != reader.ID || strings.Contains(string(shown), "agent_id") || strings.Contains(string(shown), reader.Secret) {
		t.Errorf("%s", shown)
	}
}
