package auth_test

import (
	"crypto/ed25519"
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/auth"
)

func made(t testing.TB) (id, secret string) {
	t.Helper()
	id, err := auth.NewID()
	if err != nil {
		t.Fatal(err)
	}
	secret, err = auth.NewSecret(id)
	if err != nil {
		t.Fatal(err)
	}
	return id, secret
}

func TestIdentify(t *testing.T) {
	const now = 1000
	id, secret := made(t)
	_, older := made(t)
	older = strings.Replace(older, older[len("stemedb_"):len("stemedb_")+16], id, 1)
	before := auth.HashSecret(older)
	rootSecret := strings.Repeat("0123456789abcdef", 3) + "x"
	root := &assertion.APIKey{ID: auth.RootID, Role: assertion.RoleAdmin, Secret: auth.HashSecret(rootSecret)}
	key := func(change func(*assertion.APIKey)) *assertion.APIKey {
		k := &assertion.APIKey{ID: id, Role: assertion.RoleWrite, Secret: auth.HashSecret(secret), Previous: &before, PreviousUntil: now + 1}
		change(k)
		return k
	}
	for name, test := range map[string]struct {
		change func(*assertion.APIKey)
		secret string
		want   error
	}{
		"right":                  {func(*assertion.APIKey) {}, secret, nil},
		"root":                   {func(*assertion.APIKey) {}, rootSecret, nil},
		"previous in time":       {func(*assertion.APIKey) {}, older, nil},
		"previous too late":      {func(k *assertion.APIKey) { k.PreviousUntil = now }, older, auth.ErrExpiredKey},
		"no previous":            {func(k *assertion.APIKey) { k.Previous = nil }, older, auth.ErrUnknownKey},
		"expires later":          {func(k *assertion.APIKey) { k.ExpiresAt = now + 1 }, secret, nil},
		"expired":                {func(k *assertion.APIKey) { k.ExpiresAt = now }, secret, auth.ErrExpiredKey},
		"revoked":                {func(k *assertion.APIKey) { k.Revoked = true }, secret, auth.ErrRevokedKey},
		"revoked, wrong secret":  {func(k *assertion.APIKey) { k.Revoked = true }, secret + "0", auth.ErrUnknownKey},
		"another id":             {func(*assertion.APIKey) {}, strings.Replace(secret, id, "ffffffffffffffff", 1), auth.ErrUnknownKey},
		"one character too much": {func(*assertion.APIKey) {}, secret + "0", auth.ErrUnknownKey},
		"empty":                  {func(*assertion.APIKey) {}, "", auth.ErrUnknownKey},
		"huge":                   {func(*assertion.APIKey) {}, strings.Repeat("a", 1<<20), auth.ErrUnknownKey},
		"no hash at all":         {func(k *assertion.APIKey) { k.Secret, k.Previous = assertion.Hash{}, nil }, secret, auth.ErrUnknownKey},
	} {
		ring := auth.NewKeyring([]*assertion.APIKey{key(test.change), root})
		got, err := ring.Identify(test.secret, now)
		if !errors.Is(err, test.want) || (err == nil) != (got != nil) {
			t.Errorf("%s: %v, %v, want %v", name, got, err, test.want)
		}
		if err != nil && test.secret != "" && strings.Contains(err.Error(), test.secret) {
			t.Errorf("%s: the error repeats the secret", name)
		}
	}
}

// No secret but the right one identifies a key.
func TestSecretsAreNotGuessed(t *testing.T) {
	id, secret := made(t)
	ring := auth.NewKeyring([]*assertion.APIKey{{ID: id, Role: assertion.RoleAdmin, Secret: auth.HashSecret(secret)}})
	rapid.Check(t, func(t *rapid.T) {
		guess := []byte(secret)
		at := rapid.IntRange(0, len(guess)-1).Draw(t, "at")
		guess[at] ^= rapid.ByteRange(1, 127).Draw(t, "flip")
		if _, err := ring.Identify(string(guess), 0); !errors.Is(err, auth.ErrUnknownKey) {
			t.Fatalf("%q: %v", guess, err)
		}
	})
}

func TestWeakRootSecrets(t *testing.T) {
	_, another := made(t)
	for secret, weak := range map[string]bool{
		"0f5a6c1be2d94387a1c0de5b7f93e8126d4b0a97c3f1e85d2b6a7094fc31e8da": false,
		"correct-horse-battery-staple-and-a-few-more-words":                false,
		"password":                             true,
		strings.Repeat("a", 64):                true,
		strings.Repeat("abcdef", 10):           true,
		strings.Repeat("a", 40) + "b":          true,
		"with space" + strings.Repeat("q", 30): true,
		strings.Repeat("0123456789abcdef", 20): true,
		another:                                true,
	} {
		err := auth.CheckRootSecret(secret)
		if errors.Is(err, auth.ErrWeakSecret) != weak {
			t.Errorf("%s: %v", secret, err)
		}
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("%s: the error repeats it", secret)
		}
	}
}

func TestBindingAndScope(t *testing.T) {
	signer := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	agent, other := assertion.AgentOf(signer), assertion.AgentID{1}
	claim := &assertion.Assertion{Subject: "Semaglutide:Type2Diabetes", Signatures: []assertion.Signature{{AgentID: other}, {AgentID: agent}}}
	vote := &assertion.Vote{AgentID: agent}
	for name, test := range map[string]struct {
		key   assertion.APIKey
		entry assertion.Entry
		ok    bool
	}{
		"free":                       {assertion.APIKey{}, claim, true},
		"bound, among the signers":   {assertion.APIKey{AgentID: &agent}, claim, true},
		"bound to another":           {assertion.APIKey{AgentID: &assertion.AgentID{2}}, claim, false},
		"bound, a vote":              {assertion.APIKey{AgentID: &agent}, vote, true},
		"bound, another's vote":      {assertion.APIKey{AgentID: &other}, vote, false},
		"bound, a source":            {assertion.APIKey{AgentID: &agent}, &assertion.Source{}, true},
		"bound, an unsigned alias":   {assertion.APIKey{AgentID: &agent}, &assertion.Alias{}, false},
		"in scope":                   {assertion.APIKey{SubjectPrefix: "Semaglutide"}, claim, true},
		"out of scope":               {assertion.APIKey{SubjectPrefix: "Aspirin"}, claim, false},
		"scope wider than the claim": {assertion.APIKey{SubjectPrefix: "Semaglutide:Type2Diabetes:x"}, claim, false},
		"scope, a vote":              {assertion.APIKey{SubjectPrefix: "Semaglutide"}, vote, false},
	} {
		if err := auth.CheckEntry(&test.key, test.entry); (err == nil) != test.ok || err != nil && !errors.Is(err, auth.ErrOutOfScope) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRolesIncludeEachOther(t *testing.T) {
	for demand, least := range map[auth.Access]assertion.Role{auth.Probe: 0, auth.Docs: 1, auth.Metrics: 1, auth.Read: 1, auth.Write: 2, auth.Admin: 3} {
		for role := assertion.Role(0); role <= assertion.RoleAdmin; role++ {
			if demand.Permits(role) != (role >= least) {
				t.Errorf("demand %d, role %d: %t", demand, role, demand.Permits(role))
			}
		}
	}
	if auth.NewTable().Access("GET", "/v1/elsewhere").Permits(assertion.RoleAdmin) {
		t.Error("a route that is not in the table is served")
	}
}

// Each of three nodes grants a third of 30 a second: ten at once, then one each
// 100 ms.
func TestRateIsShared(t *testing.T) {
	var l auth.Limiter
	key := &assertion.APIKey{ID: "a", RatePerSecond: 30}
	at := time.Unix(1000, 0)
	for i := range 10 {
		if _, ok := l.Allow(key, 3, at); !ok {
			t.Fatalf("request %d is one too many", i+1)
		}
	}
	wait, ok := l.Allow(key, 3, at)
	if ok || wait != 100*time.Millisecond {
		t.Errorf("the eleventh: %v, %v", wait, ok)
	}
	if _, ok := l.Allow(key, 3, at.Add(wait)); !ok {
		t.Error("after the wait")
	}
	if _, ok := l.Allow(&assertion.APIKey{ID: "b", RatePerSecond: 1}, 3, at); !ok {
		t.Error("another key")
	}
	if _, ok := l.Allow(&assertion.APIKey{ID: "c"}, 3, at); !ok {
		t.Error("a key without a rate")
	}
	// Alone, the node grants all of it from then on: 30 a second.
	at = at.Add(wait)
	granted := 0
	for i := range 1000 {
		if _, ok := l.Allow(key, 1, at.Add(time.Duration(i)*time.Millisecond)); ok {
			granted++
		}
	}
	if granted < 29 || granted > 30 {
		t.Errorf("%d in the second after", granted)
	}
}
