package clustertest

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	v1 "github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/client"
)

const rootSecret = "0f5a6c1be2d94387a1c0de5b7f93e8126d4b0a97c3f1e85d2b6a7094fc31e8da"

func as(t *testing.T, secret string, n *Node, options ...client.Option) *client.Client {
	t.Helper()
	db, err := client.New([]string{n.URL}, append(options, client.WithAPIKey(secret))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	return db
}

// newKey makes an API key, and another one if nobody knows what became of the first.
func (c *Cluster) newKey(db *client.Client, k v1.KeyRequest) (made *v1.KeySecret) {
	c.t.Helper()
	c.WaitFor("an API key is made", func() bool {
		var err error
		made, err = db.CreateAPIKey(c.t.Context(), k)
		if err != nil && !errors.Is(err, client.Code(v1.CodeOutcomeUnknown)) {
			c.t.Fatal(err)
		}
		return err == nil
	})
	return made
}

// code is the code of the problem that a call answers, "" without one.
func code(t *testing.T, err error) string {
	t.Helper()
	var problem *client.Error
	if err != nil && !errors.As(err, &problem) {
		t.Fatal(err)
	}
	if problem == nil {
		return ""
	}
	return problem.Code
}

// Three nodes that start at once make one root key; a key made through one is
// good on all, through leader and followers, and revoked through another it is
// refused by every node soon after; all of it outlives a restart of the whole
// cluster with another root secret in the settings, which changes nothing.
func TestKeysOnEveryNode(t *testing.T) {
	c := Start(t, Options{Settings: map[string]string{"auth-enabled": "true", "root-api-key": rootSecret}})
	var keys *v1.KeysResponse
	c.WaitFor("the root key is there", func() (ok bool) {
		var err error
		keys, err = as(t, rootSecret, c.Nodes[0]).APIKeys(t.Context())
		return err == nil
	})
	if len(keys.Keys) != 1 || keys.Keys[0].Revision != 1 {
		t.Fatalf("the root keys: %+v", keys.Keys)
	}
	leader := c.Leader()
	follower := others(c, leader)[0]
	made := c.newKey(as(t, rootSecret, follower), v1.KeyRequest{Name: "writer", Role: assertion.RoleWrite})
	unused := c.newKey(as(t, rootSecret, leader), v1.KeyRequest{Name: "used once, on one node", Role: assertion.RoleReadOnly})
	c.WaitFor("one node knows the key that is used once", func() bool { _, err := as(t, unused.Secret, leader).Lenses(t.Context()); return err == nil })
	for i, n := range c.Nodes {
		db := as(t, made.Secret, n)
		c.WaitFor(n.Name+" knows the key", func() bool { _, err := db.Lenses(t.Context()); return err == nil })
		if _, err := db.Assert(t.Context(), Claim(t, i)); err != nil {
			t.Errorf("a write through %s: %v", n.Name, err)
		}
		if _, err := db.APIKeys(t.Context()); code(t, err) != v1.CodeForbidden {
			t.Errorf("%s lets a writer list the keys: %v", n.Name, err)
		}
		if _, err := as(t, "", n).Lenses(t.Context()); code(t, err) != v1.CodeAPIKeyMissing {
			t.Errorf("%s answers without a key: %v", n.Name, err)
		}
	}
	for _, n := range c.Nodes { // one of them has seen it
		c.WaitFor(n.Name+" knows when the key was last used", func() bool {
			listed, err := as(t, rootSecret, n).APIKeys(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, k := range listed.Keys {
				if k.ID == unused.ID {
					return k.LastUsedAt > 0
				}
			}
			return false
		})
	}
	// Rotated through a follower, both secrets are good on every node for the overlap;
	// rotated without one, the old secret is good on none.
	rotated, err := as(t, rootSecret, follower).RotateAPIKey(t.Context(), made.ID, 3600)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range c.Nodes {
		c.WaitFor(n.Name+" knows the new secret", func() bool { _, err := as(t, rotated.Secret, n).Lenses(t.Context()); return err == nil })
		if _, err := as(t, made.Secret, n).Lenses(t.Context()); err != nil {
			t.Errorf("%s refuses the old secret within the overlap: %v", n.Name, err)
		}
	}
	again, err := as(t, rootSecret, follower).RotateAPIKey(t.Context(), made.ID, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range c.Nodes {
		c.WaitFor(n.Name+" refuses the old secret", func() bool {
			_, err := as(t, rotated.Secret, n).Lenses(t.Context())
			return code(t, err) == v1.CodeAPIKeyUnknown
		})
	}
	made.Secret = again.Secret
	// Nothing that a client says of itself gives it a role.
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, follower.URL+"/v1/keys", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"X-Role", "X-Stemedb-Role", "X-Forwarded-User", "X-Agent-Id", "X-Stemedb-Node"} {
		request.Header.Set(name, "admin")
	}
	request.Header.Set("X-API-Key", made.Secret)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusForbidden && answer.StatusCode != http.StatusBadRequest {
		t.Errorf("headers made the status %d", answer.StatusCode)
	}

	if _, err := as(t, rootSecret, leader).RevokeAPIKey(t.Context(), made.ID); err != nil {
		t.Fatal(err)
	}
	revoked := time.Now()
	for _, n := range c.Nodes {
		db := as(t, made.Secret, n)
		c.WaitFor(n.Name+" refuses the key", func() bool { _, err := db.Lenses(t.Context()); return code(t, err) == v1.CodeAPIKeyRevoked })
	}
	t.Logf("every node refuses the revoked key after %v", time.Since(revoked).Round(time.Millisecond))

	for _, n := range c.Nodes {
		c.Kill(n)
		n.Settings["root-api-key"] = "a-different-secret-9f8e7d6c5b4a-that-is-strong"
	}
	for _, n := range c.Nodes { // one alone is not ready
		c.do(n.Start())
	}
	c.WaitReady()
	c.WaitFor("the first root key is good", func() bool {
		_, err := as(t, rootSecret, c.Nodes[0]).APIKeys(context.WithoutCancel(t.Context()))
		return err == nil
	})
	if _, err := as(t, "a-different-secret-9f8e7d6c5b4a-that-is-strong", c.Nodes[0]).APIKeys(t.Context()); code(t, err) != v1.CodeAPIKeyUnknown {
		t.Errorf("the root key was overwritten: %v", err)
	}
	if _, err := as(t, made.Secret, c.Nodes[1]).Lenses(t.Context()); code(t, err) != v1.CodeAPIKeyRevoked {
		t.Errorf("a revoked key is back: %v", err)
	}
}
