package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/client"
	"github.com/stemedb/stemedb/internal/clustertest"
	"github.com/stemedb/stemedb/internal/localcluster"
	"github.com/stemedb/stemedb/internal/settings"
)

// leaks are the forms in which a secret may show: itself, in another case, its
// bytes in base64, and a half of it.
func leaks(secret string) []string {
	forms := []string{secret, strings.ToUpper(secret), secret[:len(secret)/2], secret[len(secret)/2:], base64.StdEncoding.EncodeToString([]byte(secret))}
	if raw, err := hex.DecodeString(secret); err == nil {
		forms = append(forms, base64.StdEncoding.EncodeToString(raw), string(raw))
	}
	return forms
}

// A server whose every secret is set, by value or by file, that is asked with
// right and wrong keys: none of the secrets is in what it writes, answers or
// exposes, nor in what the configuration prints.
func TestSecretsStaySecret(t *testing.T) {
	for _, byFile := range []bool{false, true} {
		t.Run(map[bool]string{false: "by environment", true: "by file"}[byFile], func(t *testing.T) {
			secrets := map[string]string{"root-api-key": rootSecret, "gossip-key": gossipSecret, "otlp-headers": "authorization=" + strings.Repeat("c0de", 16)}
			given := 0
			var env []string
			for _, s := range settings.All() {
				if !s.Secret {
					continue
				}
				value := secrets[s.Name]
				if value == "" {
					t.Fatalf("this test knows no value for the secret %s", s.Name)
				}
				name := s.Env()
				if byFile {
					path := filepath.Join(t.TempDir(), s.Name)
					if err := os.WriteFile(path, []byte(value+"\n"), 0o600); err != nil {
						t.Fatal(err)
					}
					name, value = name+"_FILE", path
				}
				env = append(env, name+"="+value)
				given++
			}
			if given != len(secrets) {
				t.Errorf("%d secrets are declared, %d are known here", given, len(secrets))
			}

			c := clustertest.New(t, clustertest.Options{Nodes: 1, Settings: map[string]string{"auth-enabled": "true", "log-level": "debug"}})
			node := c.Nodes[0]
			node.Env = env
			if err := c.Cluster.Start(); err != nil {
				t.Fatal(err)
			}
			c.WaitReady()
			var seen bytes.Buffer // all that came out of the server
			ask := func(method, path, key, body string) int {
				t.Helper()
				r, err := http.NewRequestWithContext(t.Context(), method, node.URL+path, strings.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				r.Header.Set("Content-Type", "application/json")
				if key != "" {
					r.Header.Set(v1.HeaderAPIKey, key)
				}
				resp, err := http.DefaultClient.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				if err := errors.Join(resp.Header.Write(&seen), resp.Write(&seen)); err != nil {
					t.Fatal(err)
				}
				return resp.StatusCode
			}
			root, err := client.New([]string{node.URL}, client.WithAPIKey(rootSecret))
			if err != nil {
				t.Fatal(err)
			}
			defer root.Close()
			c.WaitFor("the root key is good", func() bool { _, err := root.APIKeys(t.Context()); return err == nil })
			made, err := root.CreateAPIKey(t.Context(), v1.KeyRequest{Name: "writer", Role: assertion.RoleWrite})
			if err != nil {
				t.Fatal(err)
			}
			c.WaitFor("the key that was made is good", func() bool { return ask(http.MethodGet, "/v1/lenses", made.Secret, "") != http.StatusUnauthorized })
			secrets["a key that was made"], secrets["a wrong key"] = made.Secret[len(made.Secret)-64:], strings.Repeat("7f3a", 16)
			for _, key := range []string{rootSecret, made.Secret, secrets["a wrong key"], "stemedb_0123456789abcdef_" + secrets["a wrong key"], ""} {
				for _, path := range []string{"/v1/keys", "/v1/query", "/v1/audit/queries", "/v1/cluster", "/v1/assert", "/openapi.json", "/readyz?verbose=true"} {
					ask(http.MethodGet, path, key, "")
					ask(http.MethodPost, path, key, `{"subject":1}`)
				}
			}
			r, err := root.Document(t.Context(), 0, "/metrics")
			if err != nil {
				t.Fatal(err)
			}
			seen.Write(r)
			if !strings.Contains(seen.String(), "stemedb_http_requests_total{") || !strings.Contains(seen.String(), v1.CodeAPIKeyUnknown) {
				t.Error("the requests did not reach what this test is about")
			}
			c.Stop(node)
			seen.WriteString(c.Log(node))

			for _, form := range []string{"yaml", "json"} {
				cmd := exec.CommandContext(t.Context(), clustertest.Binary(t, "stemedb"), "config", "--data-dir=x", "--output="+form)
				cmd.Env = append(localcluster.CleanEnv(), env...)
				out, err := cmd.CombinedOutput()
				if err != nil {
					t.Errorf("config: %v\n%s", err, out)
				}
				seen.Write(out)
			}
			// A wrong value is told of without saying it.
			for _, wrong := range []string{"--gossip-key=" + rootSecret + "zz", "--root-api-key=" + strings.Repeat("aB3", 4), "--log-level=" + "loud"} {
				cmd := exec.CommandContext(t.Context(), clustertest.Binary(t, "stemedb"), "serve", "--data-dir="+t.TempDir(), wrong)
				cmd.Env = append(localcluster.CleanEnv(), env...)
				out, err := cmd.CombinedOutput()
				if err == nil {
					t.Errorf("serve takes %s", wrong)
				}
				seen.Write(out)
			}
			secrets["a weak root key"] = strings.Repeat("aB3", 4)
			for name, secret := range secrets {
				for _, form := range leaks(secret) {
					if at := strings.Index(seen.String(), form); at >= 0 {
						t.Errorf("%s shows as %q: …%.200s", name, form, seen.String()[max(0, at-100):])
					}
				}
			}
		})
	}
}
