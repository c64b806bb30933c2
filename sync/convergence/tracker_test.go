package convergence

import (
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/sync/gossip"
)

// bench is a tracker with a clock and a memory of digests that a test moves.
type bench struct {
	*Tracker
	t       *testing.T
	now     time.Time
	digests map[uint64]assertion.Hash
	metrics *prometheus.Registry
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, now: time.Unix(1000, 0), digests: map[uint64]assertion.Hash{}, metrics: prometheus.NewRegistry()}
	tracker, err := New(Config{
		NodeID: "self", Interval: time.Second, Now: func() time.Time { return b.now }, Registerer: b.metrics,
		DigestAt: func(i uint64) (assertion.Hash, bool) { d, ok := b.digests[i]; return d, ok },
		Logger:   slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	b.Tracker = tracker
	return b
}

func (b *bench) report(id string, index, commit uint64, digest byte) {
	b.Observe(gossip.Report{NodeID: id, Index: index, CommitIndex: commit, Digest: assertion.Hash{digest}, SentAtMillis: b.now.UnixMilli()})
}

func (b *bench) metric(text string) {
	b.t.Helper()
	name, _, _ := strings.Cut(strings.TrimSpace(text), "{")
	name, _, _ = strings.Cut(name, " ")
	var found []string
	families, err := b.metrics.Gather()
	if err != nil {
		b.t.Fatal(err)
	}
	for _, f := range families {
		found = append(found, f.GetName())
	}
	err = testutil.GatherAndCompare(b.metrics, strings.NewReader(b.described(name)+text+"\n"), name)
	if err != nil {
		b.t.Errorf("%v (among %v)", err, found)
	}
}

// described gives the HELP and TYPE lines that the comparison wants.
func (b *bench) described(name string) string {
	families, err := b.metrics.Gather()
	if err != nil {
		b.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return "# HELP " + name + " " + f.GetHelp() + "\n# TYPE " + name + " " + strings.ToLower(f.GetType().String()) + "\n"
		}
	}
	return ""
}

func TestLagIsCountedFromTheFirstMissedCommit(t *testing.T) {
	b := newBench(t)
	b.SetLive([]string{"a"})
	b.Local(10, 10)
	b.report("a", 10, 10, 0)
	if s := b.Status(); !s.Converged || s.Peers[0].LagEntries != 0 {
		t.Fatalf("status %+v, want converged", s)
	}
	b.Local(15, 15)
	b.now = b.now.Add(4 * time.Second)
	b.report("a", 12, 15, 0)
	s := b.Status()
	if s.Converged || s.Peers[0].LagEntries != 3 || s.Peers[0].LagSeconds != 4 {
		t.Errorf("status %+v, want 3 entries and 4 s behind", s)
	}
	b.metric(`stemedb_sync_lag_entries{peer="a"} 3`)
	b.metric(`stemedb_sync_lag_seconds{peer="a"} 4`)
	b.metric(`stemedb_sync_converged 0`)
	b.metric(`stemedb_sync_cycles_total{peer="a"} 2`)
	b.report("a", 15, 15, 0)
	b.metric(`stemedb_sync_lag_seconds{peer="a"} 0`)
	b.metric(`stemedb_sync_converged 1`)
}

func TestAPeerMayBeAheadOfThisNode(t *testing.T) {
	b := newBench(t)
	b.SetLive([]string{"a"})
	b.Local(10, 10)
	b.report("a", 20, 20, 0) // this node has not heard of the commit yet
	if s := b.Status(); s.Converged || s.Peers[0].LagEntries != 0 || s.Peers[0].CommitIndex != 20 {
		t.Errorf("status %+v: this node itself is behind", s)
	}
}

func TestConvergenceIsTimedUntilTheLastLiveNode(t *testing.T) {
	b := newBench(t)
	b.SetLive([]string{"a", "b"})
	b.Local(5, 5)
	b.report("a", 5, 5, 0)
	b.now = b.now.Add(2 * time.Second)
	if got := testutil.CollectAndCount(b.Tracker.metrics.convergence); got != 1 {
		t.Fatalf("%d series", got)
	}
	if n := b.converged(); n != 0 {
		t.Errorf("%d commits converged before the last node reported", n)
	}
	b.report("b", 5, 5, 0)
	if n := b.converged(); n != 1 {
		t.Errorf("%d commits converged, want 1", n)
	}
}

func (b *bench) converged() uint64 {
	families, err := b.metrics.Gather()
	if err != nil {
		b.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "stemedb_sync_convergence_seconds" {
			h := f.GetMetric()[0].GetHistogram()
			if n := h.GetSampleCount(); n > 0 && h.GetSampleSum() != 2*float64(n) {
				b.t.Errorf("convergence took %v s in all, want 2 s each", h.GetSampleSum())
			}
			return h.GetSampleCount()
		}
	}
	return 0
}

func TestSilenceIsAFailureForEachThreeIntervals(t *testing.T) {
	b := newBench(t)
	b.SetLive([]string{"a"})
	b.report("a", 1, 1, 0)
	for _, step := range []struct {
		after time.Duration
		want  string
	}{{3 * time.Second, "0"}, {4 * time.Second, "1"}, {7 * time.Second, "2"}, {8 * time.Second, "2"}} {
		b.now = time.Unix(1000, 0).Add(step.after)
		b.Local(1, 1)
		b.metric(`stemedb_sync_failures_total{peer="a"} ` + step.want)
	}
	b.report("a", 1, 1, 0) // it speaks again: the count stays, and starts anew
	b.now = b.now.Add(2 * time.Second)
	b.Local(1, 1)
	b.metric(`stemedb_sync_failures_total{peer="a"} 2`)
}

func TestDivergenceIsCountedOnceAnIndexAndTheMinorityKnowsItself(t *testing.T) {
	b := newBench(t)
	b.SetLive([]string{"a", "b"})
	b.digests[7] = assertion.Hash{1}
	b.Local(7, 7)
	b.report("a", 7, 7, 2)
	b.report("a", 7, 7, 2) // the same again
	s := b.Status()
	if !s.Diverged || s.Minority {
		t.Errorf("one against one: %+v, want diverged without a minority", s)
	}
	b.metric(`stemedb_sync_divergence_total 1`)
	b.report("b", 7, 7, 2)
	s = b.Status()
	if !s.Minority || s.Peers[0].DigestAgrees || s.Peers[1].DigestAgrees {
		t.Errorf("one against two: %+v, want this node in the minority", s)
	}
	b.metric(`stemedb_sync_divergence_total 2`)
	b.report("b", 8, 8, 9) // an index that this node does not remember says nothing
	b.metric(`stemedb_sync_divergence_total 2`)
	b.digests[6] = assertion.Hash{1}
	b.report("a", 6, 6, 1) // from before, overtaken by the others
	b.report("a", 7, 7, 2)
	b.metric(`stemedb_sync_divergence_total 2`)
	b.report("a", 9, 9, 1) // waits, and is overtaken
	b.digests[9], b.digests[10] = assertion.Hash{1}, assertion.Hash{1}
	b.report("a", 10, 10, 2)
	b.Local(10, 10)
	b.report("a", 10, 10, 2)
	b.metric(`stemedb_sync_divergence_total 2`)
}

// A peer that dies takes its lag along but not its counters, which nobody may have
// scraped yet; one that is removed from the cluster leaves nothing.
func TestPeersThatAreGoneLeaveNoSeries(t *testing.T) {
	b := newBench(t)
	b.SetLive([]string{"a", "b"})
	b.report("a", 1, 9, 0)
	b.report("b", 9, 9, 0)
	b.SetLive([]string{"b"})
	b.Local(9, 9)
	if s := b.Status(); len(s.Peers) != 1 || !s.Converged {
		t.Errorf("status %+v, want b alone and converged", s)
	}
	b.report("a", 1, 9, 0) // not live: not counted
	b.SetMembers([]string{"self", "a", "b"})
	b.metric(`stemedb_sync_lag_entries{peer="b"} 0`)
	b.metric("stemedb_sync_cycles_total{peer=\"a\"} 1\nstemedb_sync_cycles_total{peer=\"b\"} 1")
	b.metric("stemedb_sync_failures_total{peer=\"a\"} 0\nstemedb_sync_failures_total{peer=\"b\"} 0")
	b.SetMembers([]string{"self"}) // b is alive, and counted as long as it is
	b.metric(`stemedb_sync_cycles_total{peer="b"} 1`)
	b.metric(`stemedb_sync_failures_total{peer="b"} 0`)
	b.SetLive([]string{"a", "b"}) // it comes back, and counts from 0
	b.metric("stemedb_sync_cycles_total{peer=\"a\"} 0\nstemedb_sync_cycles_total{peer=\"b\"} 1")
}
