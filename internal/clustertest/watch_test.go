package clustertest

import (
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	v1 "github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/client"
)

// follower collects what a watch reports.
type follower struct {
	mu      sync.Mutex
	changes []client.Change
	cancel  context.CancelFunc
	done    sync.WaitGroup
}

func follow(t *testing.T, db *client.Client, after string, q client.Query) *follower {
	ctx, cancel := context.WithCancel(t.Context())
	f := &follower{cancel: cancel}
	f.done.Go(func() {
		for change, err := range db.Watch(ctx, after, q) {
			if err != nil {
				t.Errorf("the watch ended: %v", err)
				return
			}
			f.mu.Lock()
			f.changes = append(f.changes, change)
			f.mu.Unlock()
		}
	})
	t.Cleanup(f.stop)
	return f
}

func (f *follower) stop() { f.cancel(); f.done.Wait() }

func (f *follower) seen() []client.Change {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]client.Change(nil), f.changes...)
}

// claims counts the new claims that were reported, by hash.
func (f *follower) claims() map[assertion.Hash]int {
	count := map[assertion.Hash]int{}
	for _, c := range f.seen() {
		if c.Event != nil && c.Event.Kind == assertion.KindAssertion.String() {
			count[c.Event.Assertion.Hash]++
		}
	}
	return count
}

// feed reads the whole feed of one node.
func feed(t *testing.T, db *client.Client) (positions []string, claims map[assertion.Hash]int) {
	t.Helper()
	claims = map[assertion.Hash]int{}
	for after := ""; ; {
		page, err := db.Feed(t.Context(), after, 7, client.Consistency{})
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Events) == 0 {
			return positions, claims
		}
		for _, e := range page.Events {
			positions = append(positions, e.Position+" "+e.Kind)
			if e.Kind == assertion.KindAssertion.String() {
				claims[e.Assertion.Hash]++
			}
		}
		after = page.Next
	}
}

// A watch whose node is killed goes on at another, and reports every claim once
// and in the order of the log; a watch of an answer ends with the answer of now.
// The feed is the same on every node, also on the one that comes back.
func TestWatchAndFeedOutliveTheLeader(t *testing.T) {
	c := Start(t, Options{})
	leader := c.Leader()
	first := c.Write(0, 100)
	all := c.newClient(append([]*Node{leader}, others(c, leader)...), client.StartAt(0)) // at the leader
	t.Cleanup(all.Close)
	everything := follow(t, all, "0", client.Query{})
	answers := follow(t, all, "0", client.Query{Subject: "subject-0", Predicate: "value", Lens: "recency"})
	c.WaitFor("the watch has reported what is there", func() bool { return len(everything.claims()) == len(first) && len(answers.seen()) > 0 })

	c.Kill(leader)
	want := append(first, c.Write(100, 200, others(c, leader)...)...)
	c.WaitFor("the watch goes on", func() bool { return len(everything.claims()) == len(want) })
	newest := assertion.Number(291) // of the claims 0, 97, 194, 291 on the subject
	c.WaitFor("the watch of the answer has its last one", func() bool {
		seen := answers.seen()
		last := seen[len(seen)-1].Resolution
		return last != nil && last.After.Winner != nil && *last.After.Winner == newest
	})
	everything.stop()
	answers.stop()
	for h, n := range everything.claims() {
		if n != 1 {
			t.Errorf("claim %s was reported %d times", h, n)
		}
	}
	for _, h := range want {
		if everything.claims()[h] != 1 {
			t.Errorf("claim %s was not reported", h)
		}
	}
	var before *v1.Outcome
	for i, change := range answers.seen() {
		r := change.Resolution
		if r == nil || before != nil && r.After.SameAnswer(before) {
			t.Errorf("change %d reports no change: %+v", i, r)
			continue
		}
		before = &r.After
	}

	c.Restart(leader)
	c.WaitEqual()
	var positions []string
	var claims map[assertion.Hash]int
	// A node that was killed before the log had its key for receipts registers
	// it now: an event more, between the reading of one feed and the next.
	c.WaitFor("every node has the same feed", func() bool {
		positions, claims = feed(t, c.Client(c.Nodes[0]))
		return !slices.ContainsFunc(c.Nodes[1:], func(n *Node) bool {
			other, _ := feed(t, c.Client(n))
			return !slices.Equal(other, positions)
		})
	})
	if len(claims) != len(want) {
		t.Errorf("the feed has %d claims, want %d", len(claims), len(want))
	}
	var reported []string
	for _, change := range everything.seen() {
		reported = append(reported, change.Event.Position+" "+change.Event.Kind)
	}
	if diff := cmp.Diff(positions[:min(len(positions), len(reported))], reported); diff != "" {
		t.Errorf("the watch reported something else than the feed (-feed +watch):\n%s", diff)
	}
}
