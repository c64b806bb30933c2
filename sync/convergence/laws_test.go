package convergence

import (
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"pgregory.net/rapid"

	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/sync/gossip"
)

func TestAPeerThatKeepsUpWithConstantWritesIsNotLate(t *testing.T) {
	b := newBench(t)
	b.SetLive([]string{"a"})
	for i := uint64(1); i <= 100; i++ { // each report is one interval old
		b.now = b.now.Add(time.Second)
		b.Local(10*i, 10*i)
		b.report("a", 10*(i-1), 10*(i-1), 0)
	}
	if p := b.Status().Peers[0]; p.LagEntries != 10 || p.LagSeconds > 1 {
		t.Errorf("always one report behind: %d entries, %v s; want 10 entries and at most 1 s", p.LagEntries, p.LagSeconds)
	}
}

func TestAStuckPeersLagIsItsAgeHoweverMuchIsWritten(t *testing.T) {
	b := newBench(t)
	b.SetLive([]string{"a"})
	b.Local(5, 5)
	b.report("a", 5, 5, 0)
	const writes = 5 * maxPending
	for i := uint64(1); i <= writes; i++ {
		b.now = b.now.Add(time.Second)
		b.Local(5+i, 5+i)
	}
	if got := b.Status().Peers[0].LagSeconds; got != writes-1 {
		t.Errorf("behind for %v s, want %d", got, writes-1)
	}
	if n := len(b.pending); n > maxPending {
		t.Errorf("%d commits are remembered, want at most %d", n, maxPending)
	}
}

func TestANodeBehindItsPeersFindsOutThatItDiverged(t *testing.T) {
	b := newBench(t)
	b.SetLive([]string{"a", "b"})
	b.Local(5, 5)
	b.report("a", 9, 9, 2) // not reached yet
	b.report("b", 9, 9, 2)
	if s := b.Status(); s.Diverged {
		t.Fatalf("compared what this node has not applied: %+v", s)
	}
	b.digests[9] = assertion.Hash{1}
	b.Local(9, 9)
	if s := b.Status(); !s.Diverged || !s.Minority {
		t.Errorf("at index 9 both peers disagree: %+v", s)
	}
	for i := range uint64(5 * maxWaiting) {
		b.report("a", 100+i, 100+i, 2)
	}
	if n := len(b.peers["a"].waiting); n > maxWaiting {
		t.Errorf("%d reports wait, want at most %d", n, maxWaiting)
	}
}

func TestOneDivergenceIsCountedOnceHoweverLongItLasts(t *testing.T) {
	b := newBench(t)
	b.SetLive([]string{"a"})
	say := func(index uint64, digest byte) {
		b.digests[index] = assertion.Hash{1}
		b.Local(index, index)
		b.report("a", index, index, digest)
	}
	for i := uint64(1); i <= 20; i++ {
		say(i, 2)
	}
	b.metric(`stemedb_sync_divergence_total 1`)
	say(21, 1) // repaired
	if s := b.Status(); s.Diverged {
		t.Errorf("agrees again: %+v", s)
	}
	say(22, 2)
	b.metric(`stemedb_sync_divergence_total 2`)
}

func TestALivePeerThatNeverReportedHasNoLagButHoldsUpConvergence(t *testing.T) {
	b := newBench(t)
	b.SetLive([]string{"a"})
	b.Local(100, 100)
	if b.Status().Converged {
		t.Error("converged without a word from a live peer")
	}
	if n := testutil.CollectAndCount(b.Tracker.metrics.lagEntries); n != 0 {
		t.Errorf("%d series of lag for a peer that never reported", n)
	}
}

// Whatever nodes report: the verdict follows from the last reports alone, and
// the series are those of the live peers.
func TestVerdictsFollowFromTheReports(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		b := newBench(t)
		b.t = t
		names := []string{"a", "b", "c"}
		live := map[string]bool{}
		last := map[string]uint64{}
		applied, commit := uint64(0), uint64(0)
		for step := range rapid.IntRange(1, 40).Draw(rt, "steps") {
			b.now = b.now.Add(time.Duration(rapid.IntRange(0, 2000).Draw(rt, "ms")) * time.Millisecond)
			switch rapid.IntRange(0, 2).Draw(rt, "kind") {
			case 0:
				applied += rapid.Uint64Range(0, 5).Draw(rt, "applied")
				commit = max(commit, applied)
				b.Local(applied, applied)
			case 1:
				live = map[string]bool{}
				var ids []string
				for _, name := range names {
					if rapid.Bool().Draw(rt, name) {
						live[name], ids = true, append(ids, name)
					} else {
						delete(last, name)
					}
				}
				b.SetLive(ids)
			case 2:
				name := rapid.SampledFrom(names).Draw(rt, "name")
				index := last[name] + rapid.Uint64Range(0, 5).Draw(rt, "index")
				b.Observe(gossip.Report{NodeID: name, Index: index, CommitIndex: index, SentAtMillis: int64(step)})
				if live[name] {
					last[name], commit = index, max(commit, index)
				}
			}
			s := b.Status()
			converged := applied >= commit
			for _, p := range s.Peers {
				if !live[p.NodeID] {
					rt.Fatalf("%s is not live and has a verdict", p.NodeID)
				}
				if want := commit - last[p.NodeID]; p.LagEntries != want {
					rt.Fatalf("%s lags by %d, want %d", p.NodeID, p.LagEntries, want)
				}
				if p.LagEntries == 0 && p.LagSeconds != 0 || p.LagSeconds < 0 {
					rt.Fatalf("%s lags by %d entries and %v s", p.NodeID, p.LagEntries, p.LagSeconds)
				}
				converged = converged && p.LagEntries == 0
			}
			if s.Converged != converged || len(s.Peers) != len(live) {
				rt.Fatalf("status %s, want converged %v and %d peers", fmt.Sprintf("%+v", s), converged, len(live))
			}
			if n := testutil.CollectAndCount(b.Tracker.metrics.lagEntries); n > len(live) {
				rt.Fatalf("%d series for %d live peers", n, len(live))
			}
		}
	})
}
