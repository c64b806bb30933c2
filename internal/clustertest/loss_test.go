package clustertest

import (
	"encoding/json"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stemedb/stemedb/client"
)

// eachLogStore runs a test with each kind of log store, as the settings of its nodes.
func eachLogStore(t *testing.T, test func(t *testing.T, settings map[string]string)) {
	t.Helper()
	for _, kind := range []string{"boltdb", "wal"} {
		t.Run(kind, func(t *testing.T) { test(t, map[string]string{"log-store": kind}) })
	}
}

func TestALeaderKilledDuringIngestionLosesNothing(t *testing.T) {
	eachLogStore(t, leaderKilledDuringIngestion)
}

func leaderKilledDuringIngestion(t *testing.T, settings map[string]string) {
	t.Helper()
	// As a cluster is without settings.
	settings["raft-heartbeat-timeout"], settings["raft-election-timeout"], settings["raft-leader-lease"] = "500ms", "500ms", "400ms"
	settings["trust-interval"], settings["truth-interval"] = "1s", "10s"
	c := Start(t, Options{Settings: settings})
	leader := c.Leader()
	killed := sync.OnceFunc(func() { c.Kill(leader) })
	hashes := c.Load(c.Client(), 0, 1500, 8, func(n int) {
		if n == 400 {
			killed()
		}
	})
	if leader.Running() || len(hashes) != 1500 {
		t.Fatalf("%d acknowledged, the leader runs: %v", len(hashes), leader.Running())
	}
	for _, n := range c.Running() {
		c.MustHold(n, client.Consistency{}, hashes)
	}
	c.Restart(leader)
	c.MustHold(leader, client.Consistency{}, hashes)
	if s := c.WaitEqual(); s.Count != 1500 {
		t.Errorf("%d claims, want 1500", s.Count)
	}
}

func TestAStoppingLeaderFailsNoRequest(t *testing.T) {
	c := Start(t, Options{})
	leader := c.Leader()
	var stopped sync.WaitGroup
	hashes := c.Load(c.Client(), 0, 1200, 8, func(n int) {
		if n == 300 {
			stopped.Go(func() {
				if err := leader.Stop(stopTime); err != nil {
					t.Error(err)
				}
			})
		}
	})
	stopped.Wait()
	if code := leader.ExitCode(); code != 0 {
		t.Errorf("the stopped leader's exit code is %d, want 0", code)
	}
	c.WaitLog(leader, 0, "leadership handed over")
	if now := c.Leader(); now == leader {
		t.Errorf("%s still leads", now.Name)
	}
	for _, n := range c.Running() {
		c.MustHold(n, client.Consistency{}, hashes)
	}
	c.Restart(leader)
	if s := c.WaitEqual(); s.Count != 1200 {
		t.Errorf("%d claims, want 1200", s.Count)
	}
}

func TestAFrozenLeaderIsReplacedAndComesBack(t *testing.T) {
	// A write that was forwarded to the frozen leader takes its whole time.
	c := Start(t, Options{Settings: map[string]string{"write-timeout": "2s"}})
	leader := c.Leader()
	hashes := c.Write(0, 100)
	c.Pause(leader)
	others := others(c, leader)
	hashes = append(hashes, c.Write(1000, 100, others...)...) // waits for the election
	c.Resume(leader)
	c.MustHold(leader, client.Consistency{}, hashes) // the old leader must not answer from its past
	if s := c.WaitEqual(); s.Count != 200 {
		t.Errorf("%d claims, want 200", s.Count)
	}
}

// recovery is what a node logs of its replay.
type recovery struct {
	First   uint64 `json:"replayed_first"`
	Last    uint64 `json:"replayed_last"`
	Applied uint64 `json:"replayed"`
	Skipped uint64 `json:"skipped"`
	Index   uint64 `json:"applied"`
}

func TestAllNodesKilledAtOnce(t *testing.T) {
	eachLogStore(t, func(t *testing.T, settings map[string]string) { allKilledAtOnce(t, settings["log-store"]) })
}

func allKilledAtOnce(t *testing.T, kind string) {
	t.Helper()
	count, settings := 4000, map[string]string{"memtable-bytes": "524288"} // flushes, as a large run has them with the default
	if text := os.Getenv("STEMEDB_TEST_CLAIMS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatalf("STEMEDB_TEST_CLAIMS: %v", err)
		}
		count, settings = n, map[string]string{}
	}
	settings["log-store"] = kind
	c := Start(t, Options{Settings: settings})
	const requests, writers = 200, 4
	size := (count + requests - 1) / requests
	var wg sync.WaitGroup
	work := make(chan int)
	for range writers {
		wg.Go(func() {
			for from := range work {
				if _, err := c.tryWrite(from, min(size, count-from)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for from := 0; from < count; from += size {
		work <- from
	}
	close(work)
	wg.Wait()
	before := c.WaitEqual()
	marks := map[*Node]int{}
	for _, n := range c.Nodes {
		marks[n] = len(c.Log(n))
	}
	c.KillAll()
	killed := time.Now()
	if err := c.Cluster.Start(); err != nil {
		t.Fatal(err)
	}
	c.WaitReady()
	after := c.WaitEqual()
	t.Logf("all nodes were back %v after they were killed with %d claims", time.Since(killed).Round(time.Millisecond), count)
	if after.Content != before.Content || after.Count != uint64(count) {
		t.Errorf("before the kill %d claims with digest %s, after it %d with %s", before.Count, before.Digest, after.Count, after.Digest)
	}
	for _, n := range c.Nodes {
		var r recovery
		if err := json.Unmarshal([]byte(c.WaitLog(n, marks[n], `"msg":"recovered"`)), &r); err != nil {
			t.Fatal(err)
		}
		t.Logf("%s replayed %d entries, %d to %d of %d, and skipped %d", n.Name, r.Applied, r.First, r.Last, r.Index, r.Skipped)
		if r.First <= before.Index/4 || r.Applied > before.Index/2 {
			t.Errorf("%s replayed %d entries from %d on, of %d: that is a full replay", n.Name, r.Applied, r.First, before.Index)
		}
	}
}

func TestANodeAwayPastTruncationGetsASnapshot(t *testing.T) { eachLogStore(t, awayPastTruncation) }

func awayPastTruncation(t *testing.T, settings map[string]string) {
	t.Helper()
	settings["snapshot-interval"], settings["snapshot-threshold"], settings["trailing-logs"] = "100ms", "40", "10"
	c := Start(t, Options{Settings: settings})
	hashes := c.Write(0, 20)
	c.WaitEqual()
	away := c.Followers()[0]
	c.Kill(away)
	leader := c.Leader()
	from := len(c.Log(leader))
	hashes = append(hashes, c.Load(c.Client(others(c, away)...), 1000, 400, 2, func(int) {})...)
	c.WaitLog(leader, from, "compacting logs")
	mark := len(c.Log(away))
	c.Restart(away)
	c.WaitLog(away, mark, "Installed remote snapshot")
	c.MustHold(away, client.Consistency{}, hashes)
	if s := c.WaitEqual(); s.Count != 420 {
		t.Errorf("%d claims, want 420", s.Count)
	}
}

// others are the nodes but one.
func others(c *Cluster, but *Node) []*Node {
	var list []*Node
	for _, n := range c.Nodes {
		if n != but {
			list = append(list, n)
		}
	}
	return list
}
