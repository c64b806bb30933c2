package node

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/index"
	"github.com/stemedb/stemedb/lens/trust"
	"github.com/stemedb/stemedb/lens/truth"
)

// computed is the newest result of a background computation that a node has
// applied; nil if there is none yet.
func computed[T any](t *testing.T, n *Node, kind assertion.Kind, decode func([]byte) (*T, error)) *T {
	t.Helper()
	view, err := n.Read(t.Context(), Consistency{Level: Local})
	if err != nil {
		t.Fatal(err)
	}
	defer view.Close()
	newest, found, err := view.Computed(kind)
	if err != nil || !found {
		return nil
	}
	result, err := decode(newest.Entry.Data)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// A gold label reaches the trust in agents on every node, by way of the log.
func TestGoldLabelsBecomeTrust(t *testing.T) {
	c := startCluster(t, 3, nil)
	right := claim(t, 1)
	write(t, c.leader(), 1, 1)
	label := &assertion.Label{Subject: right.Subject, Predicate: right.Predicate, Object: right.Object}
	if _, err := c.follower().Write(t.Context(), Caller{}, label); err != nil {
		t.Fatal(err)
	}
	agent := right.Signatures[0].AgentID
	for _, n := range c.up() {
		waitFor(t, func() bool {
			scores := computed(t, n, assertion.KindTrust, trust.Decode)
			a, known := scores.Agent(agent)
			return known && a.Right == 1 && a.Wrong == 0
		})
	}
}

// What is claimed becomes a model of the truth lens on every node, by way of
// the log; the same claims are not learnt twice.
func TestClaimsBecomeAModel(t *testing.T) {
	c := startCluster(t, 3, func(_ int, cfg *Config) { cfg.TruthInterval = 50 * time.Millisecond })
	for signer := range 3 {
		for i := range 6 {
			a := claim(t, signer*100+i)
			a.Subject, a.Predicate, a.Object = fmt.Sprint("subject ", i), "predicate", assertion.Number(float64(signer/2))
			a.Signatures = nil
			a.Sign(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{byte(signer + 1)}, ed25519.SeedSize)), 1)
			if _, err := c.leader().Write(t.Context(), Caller{}, a); err != nil {
				t.Fatal(err)
			}
		}
	}
	models := map[assertion.Hash]int{}
	for _, n := range c.up() {
		waitFor(t, func() bool {
			model := computed(t, n, assertion.KindTruth, truth.Decode)
			if model == nil || model.Claims != 18 {
				return false
			}
			models[model.Hash()]++
			return true
		})
	}
	if len(models) != 1 {
		t.Errorf("the nodes have %d models", len(models))
	}
}

// The key that a node signs with is in the log of every node, and stays the
// same when the node comes back.
func TestNodesRegisterTheirKeys(t *testing.T) {
	c := startCluster(t, 3, nil)
	waitFor(t, func() bool {
		view, err := c.leader().Read(t.Context(), Consistency{})
		if err != nil {
			return false
		}
		defer view.Close()
		keys, err := view.NodeKeys()
		if err != nil {
			t.Fatal(err)
		}
		registered := map[string]assertion.AgentID{}
		for _, k := range keys {
			registered[k.Entry.NodeID] = k.Entry.Key
		}
		for _, n := range c.up() {
			key, _ := n.Sign([]byte("message"))
			if registered[n.id] != key {
				return false
			}
		}
		return len(registered) == len(c.up())
	})
}

// What was known at a time does not change when more becomes known, also in a
// cluster where nothing is written between; a time that has not come is refused.
func TestKnownAtIsFinal(t *testing.T) {
	c := startCluster(t, 3, nil)
	write(t, c.leader(), 0, 5)
	then := uint64(time.Now().Unix())
	count := func(n *Node) int {
		t.Helper()
		view, err := n.Read(t.Context(), Consistency{Level: Local, KnownAt: &then})
		if err != nil {
			t.Fatal(err)
		}
		defer view.Close()
		if view.Applied().CommittedAt <= then {
			t.Fatalf("the log's time is %d, the read's %d", view.Applied().CommittedAt, then)
		}
		return counted(t, view)
	}
	before := count(c.follower()) // waits until the second is over, and moves the log's time on
	write(t, c.leader(), 5, 5)
	for _, n := range c.up() {
		if after := count(n); after != before || before != 5 {
			t.Errorf("%s: %d claims, then %d", n.id, before, after)
		}
	}
	future := then + 3600
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if _, err := c.leader().Read(ctx, Consistency{KnownAt: &future}); !errors.Is(err, ErrFutureState) {
		t.Errorf("a read of the future: %v", err)
	}
}

func counted(t *testing.T, view *index.View) (n int) {
	t.Helper()
	it := view.Scan(assertion.Filter{})
	for it.Next() {
		n++
	}
	if err := it.Close(); err != nil {
		t.Fatal(err)
	}
	return n
}
