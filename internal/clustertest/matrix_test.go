package clustertest

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	v1 "github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/auth"
)

// routesOf reads the routes that a node documents: method and path.
func routesOf(t *testing.T, n *Node) (routes [][2]string) {
	t.Helper()
	var document struct {
		Paths map[string]map[string]any `json:"paths"`
	}
	status, body := ask(t, n, http.MethodGet, "/openapi.json", rootSecret)
	if status != http.StatusOK {
		t.Fatalf("openapi.json: %d", status)
	}
	if err := json.Unmarshal(body, &document); err != nil {
		t.Fatal(err)
	}
	for path, methods := range document.Paths {
		for method := range methods {
			routes = append(routes, [2]string{strings.ToUpper(method), path})
		}
	}
	return routes
}

// ask sends a request without a body.
func ask(t *testing.T, n *Node, method, target, secret string) (status int, body []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, n.URL+target, nil)
	if err != nil {
		t.Fatal(err)
	}
	if secret != "" {
		request.Header.Set("X-API-Key", secret)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if body, err = io.ReadAll(answer.Body); err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, body
}

// Over real HTTP, through the leader and a follower: every route that a node
// documents × every kind of key gets what the table of roles says.
func TestEveryRouteByEveryKindOfKey(t *testing.T) {
	c := Start(t, Options{Settings: map[string]string{"auth-enabled": "true", "root-api-key": rootSecret,
		"meter-enabled": "false", "breakers-enabled": "false", "admission-enabled": "false"}})
	root := as(t, rootSecret, c.Nodes[0])
	c.WaitFor("the root key is there", func() bool { _, err := root.APIKeys(t.Context()); return err == nil })
	secrets := map[string]string{"no key": "", "bad key": "stemedb_0123456789abcdef_" + strings.Repeat("0", 64), "admin": rootSecret}
	for kind, want := range map[string]v1.KeyRequest{
		"read-only": {Role: assertion.RoleReadOnly}, "write": {Role: assertion.RoleWrite}, "revoked": {Role: assertion.RoleAdmin},
		"expired": {Role: assertion.RoleAdmin}, "wrong scope": {Role: assertion.RoleWrite, SubjectPrefix: "elsewhere"},
	} {
		if kind == "expired" {
			want.ExpiresAt = uint64(time.Now().Unix()) + 5
		}
		made := c.newKey(root, want)
		secrets[kind] = made.Secret
		if kind == "revoked" {
			if _, err := root.RevokeAPIKey(t.Context(), made.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	leader := c.Leader()
	follower := others(c, leader)[0]
	refusals := map[string]string{"no key": v1.CodeAPIKeyMissing, "bad key": v1.CodeAPIKeyUnknown, "revoked": v1.CodeAPIKeyRevoked, "expired": v1.CodeAPIKeyExpired}
	for _, n := range []*Node{leader, follower} {
		for kind, want := range refusals {
			c.WaitFor(n.Name+" refuses "+kind, func() bool {
				_, err := as(t, secrets[kind], n).Lenses(t.Context())
				return code(t, err) == want
			})
		}
		for _, kind := range []string{"read-only", "write", "wrong scope"} {
			c.WaitFor(n.Name+" knows the key of "+kind, func() bool { _, err := as(t, secrets[kind], n).Lenses(t.Context()); return err == nil })
		}
	}
	table := auth.NewTable()
	asked := 0
	for _, route := range routesOf(t, leader) {
		method, path := route[0], route[1]
		pattern := strings.NewReplacer("{", ":", "}", "").Replace(strings.Replace(path, "{path}", "*", 1))
		demand := table.Access(method, pattern)
		target := strings.NewReplacer("{hash}", strings.Repeat("0", 64), "{agent}", strings.Repeat("0", 64), "{id}", "none", "{path}", "fda://x").Replace(path)
		switch path {
		case "/v1/watch":
			target += "?lens=none" // would not end
		case "/v1/query", "/v1/skeptic", "/v1/layered", "/v1/constraints", "/v1/diff":
			target += "?subject=here&aliases=false"
		}
		for _, n := range []*Node{leader, follower} {
			for kind, secret := range secrets {
				status, body := ask(t, n, method, target, secret)
				var problem v1.Problem
				if status >= 400 {
					if err := json.Unmarshal(body, &problem); err != nil {
						t.Fatalf("%s %s with %s: %d %.100s", method, target, kind, status, body)
					}
				}
				asked++
				if want := wanted(demand, kind, path, refusals); want == "" && (status == http.StatusUnauthorized || status == http.StatusForbidden) || want != "" && problem.Code != want {
					t.Errorf("%s %s at %s with %s: %d %s, want %q", method, target, n.Name, kind, status, problem.Code, want)
				}
			}
		}
	}
	t.Logf("%d requests", asked)

	// A write out of scope is refused once it is known what it is about.
	if got := post(t, follower, secrets["wrong scope"], claimOf(t, signer(5), 1), nil); got != v1.CodeOutOfScope {
		t.Errorf("a claim out of scope: %q", got)
	}
	// The role that the follower has found counts at the leader: what only an admin
	// may do goes through.
	c.newKey(as(t, rootSecret, follower), v1.KeyRequest{Role: assertion.RoleReadOnly})
}

// wanted is the code with which a kind of key is refused, "" if it is let
// through.
func wanted(demand auth.Access, kind, path string, refusals map[string]string) string {
	roles := map[string]assertion.Role{"read-only": assertion.RoleReadOnly, "write": assertion.RoleWrite, "wrong scope": assertion.RoleWrite, "admin": assertion.RoleAdmin}
	role, valid := roles[kind]
	switch {
	case demand == auth.Probe:
		return ""
	case !valid:
		return refusals[kind]
	case !demand.Permits(role):
		return v1.CodeForbidden
	case kind == "wrong scope" && demand == auth.Read && path != "/v1/lenses" && path != "/v1/assert/prepare" && path != "/v1/admission/status":
		return v1.CodeOutOfScope
	}
	return ""
}
