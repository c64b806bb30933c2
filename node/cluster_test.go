package node

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/fsm"
	"github.com/stemedb/stemedb/index"
	"github.com/stemedb/stemedb/internal/localcluster"
)

// cluster is a set of nodes in this process, on real ports and disks.
type cluster struct {
	t       testing.TB
	configs []Config
	nodes   []*Node // nil where the node is down
}

// startCluster starts a new cluster of the given size and waits until every
// node is ready. tweak, if not nil, changes each node's settings.
func startCluster(t testing.TB, size int, tweak func(i int, c *Config)) *cluster {
	t.Helper()
	c := &cluster{t: t, nodes: make([]*Node, size)}
	for i := range size {
		c.configs = append(c.configs, c.config(i, size, tweak))
	}
	for i := range c.configs {
		for j := range c.configs {
			if i != j {
				c.configs[i].Join = append(c.configs[i].Join, c.configs[j].ClusterAddr)
			}
		}
		c.start(i)
	}
	t.Cleanup(c.stop)
	c.waitReady()
	return c
}

func (c *cluster) config(i, expect int, tweak func(int, *Config)) Config {
	c.t.Helper()
	ports := reservePorts(c.t)
	cfg := DefaultConfig()
	cfg.NodeID = fmt.Sprintf("n%d", i)
	cfg.DataDir = filepath.Join(c.t.TempDir(), cfg.NodeID)
	cfg.ClusterAddr = fmt.Sprintf("127.0.0.1:%d", ports.ClusterPort())
	cfg.GossipAddr = fmt.Sprintf("127.0.0.1:%d", ports.GossipPort())
	cfg.BootstrapExpect = expect
	// A standstill of the machine is to elect no other leader.
	cfg.HeartbeatTimeout, cfg.ElectionTimeout, cfg.LeaderLease = 2*time.Second, 2*time.Second, 2*time.Second
	cfg.Stabilization = 200 * time.Millisecond
	cfg.SyncInterval = 50 * time.Millisecond
	cfg.TrustInterval = 50 * time.Millisecond
	cfg.TruthInterval = time.Hour // tests that learn say so
	cfg.Logger = slog.New(slog.NewTextHandler(testLog{c.t}, &slog.HandlerOptions{Level: slog.LevelWarn})).With("test", c.t.Name())
	if tweak != nil {
		tweak(i, &cfg)
	}
	return cfg
}

// testLog writes log lines only in verbose runs.
type testLog struct{ t testing.TB }

func (l testLog) Write(p []byte) (int, error) {
	if testing.Verbose() {
		return os.Stderr.Write(p)
	}
	return len(p), nil
}

func (c *cluster) start(i int) {
	c.t.Helper()
	n, err := Start(c.t.Context(), c.configs[i])
	if err != nil {
		c.t.Fatalf("start node %d: %v", i, err)
	}
	c.nodes[i] = n
}

// halt stops a node without handing over anything, as near to a crash as a
// process can do to itself.
func (c *cluster) halt(i int) {
	c.t.Helper()
	n := c.nodes[i]
	c.nodes[i] = nil
	n.stopOnce.Do(func() {
		n.stopping.Store(true)
		n.raft.Shutdown()
		if err := n.close(); err != nil {
			c.t.Logf("halt node %d: %v", i, err)
		}
	})
}

func (c *cluster) stop() {
	var wg sync.WaitGroup
	for i, n := range c.nodes {
		if n != nil {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
				defer cancel()
				if err := n.Stop(ctx); err != nil {
					c.t.Errorf("stop node %d: %v", i, err)
				}
			})
		}
	}
	wg.Wait()
}

func (c *cluster) up() []*Node {
	var up []*Node
	for _, n := range c.nodes {
		if n != nil {
			up = append(up, n)
		}
	}
	return up
}

// waitReady waits until every running node is ready, they agree on a leader that
// has begun its term, and what comes to the log by itself after a start is there:
// each node's key for receipts, and the newest command format.
func (c *cluster) waitReady() {
	c.t.Helper()
	waitFor(c.t, func() bool {
		leader := c.leaderOrNil()
		if leader == nil || leader.appliedTerm.Load() != leader.raft.CurrentTerm() {
			return false
		}
		for _, n := range c.up() {
			self, member := n.server(n.id)
			if !n.Ready(c.t.Context()).Ready || n.Health().Leader != leader.id || !member || self.Suffrage != 0 {
				return false
			}
			if registered, err := n.keyRegistered(); err != nil || !registered || n.fsm.Format() != fsm.FormatVersion {
				return false
			}
		}
		return true
	})
}

func (c *cluster) leaderOrNil() *Node {
	for _, n := range c.up() {
		if n.leads() {
			return n
		}
	}
	return nil
}

func (c *cluster) leader() *Node {
	c.t.Helper()
	var leader *Node
	waitFor(c.t, func() bool { leader = c.leaderOrNil(); return leader != nil })
	return leader
}

func (c *cluster) follower() *Node {
	c.t.Helper()
	leader := c.leader()
	for _, n := range c.up() {
		if n != leader {
			return n
		}
	}
	c.t.Fatal("no follower is up")
	return nil
}

func (c *cluster) number(n *Node) int {
	for i, other := range c.nodes {
		if other == n {
			return i
		}
	}
	return -1
}

// waitEqual waits until every running node has applied the same index and knows of
// no entry that is not committed, and returns the digest that they must share.
func (c *cluster) waitEqual() assertion.Hash {
	c.t.Helper()
	type state struct {
		index, count uint64
		digest       assertion.Hash
	}
	var states []state
	waitFor(c.t, func() bool {
		states = states[:0]
		for _, n := range c.up() {
			at, digest, count := n.fsm.Current()
			states = append(states, state{at, count, digest})
			if at != states[0].index || n.raft.CommitIndex() != n.raft.LastIndex() {
				return false
			}
		}
		return true
	})
	for i, s := range states {
		if s != states[0] {
			c.t.Fatalf("node %s holds %d claims with digest %s, the first node %d with %s", c.up()[i].id, s.count, s.digest, states[0].count, states[0].digest)
		}
	}
	return states[0].digest
}

// reservePorts reserves a node's ports until the test ends: a node that is down
// finds them free when it starts again.
func reservePorts(t testing.TB) *localcluster.Block {
	t.Helper()
	blocks, err := localcluster.ReserveBlocks(1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := blocks[0].Release(); err != nil {
			t.Error(err)
		}
	})
	return blocks[0]
}

// claim makes the i-th of a family of signed claims.
func claim(t testing.TB, i int) *assertion.Assertion {
	t.Helper()
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	a := &assertion.Assertion{
		Subject: fmt.Sprintf("subject-%d", i%7), Predicate: "value", Object: assertion.Number(float64(i)),
		Confidence: 0.5, SourceClass: assertion.Clinical, SourceHash: assertion.Hash{byte(i)}, Timestamp: 1700000000 + uint64(i),
	}
	if err := a.Normalize(); err != nil {
		t.Fatal(err)
	}
	a.Sign(key, a.Timestamp)
	if err := a.Validate(); err != nil {
		t.Fatal(err)
	}
	return a
}

// write stores claims i..i+count-1 through a node and returns their hashes.
func write(t testing.TB, n *Node, from, count int) []assertion.Hash {
	t.Helper()
	entries := make([]assertion.Entry, count)
	for i := range entries {
		entries[i] = claim(t, from+i)
	}
	// A write that meets a dying leader has an unknown outcome: it is repeated, as
	// a client does.
	result, err := n.Write(t.Context(), Caller{RequestID: "test"}, entries...)
	repeated := false
	for tries := 0; errors.Is(err, ErrOutcomeUnknown) && tries < 5; tries++ {
		repeated = true
		result, err = n.Write(t.Context(), Caller{RequestID: "test"}, entries...)
	}
	if err != nil {
		t.Fatalf("assert through %s: %v", n.id, err)
	}
	hashes := make([]assertion.Hash, count)
	for i, r := range result.Results {
		if r.Outcome != index.Created && (!repeated || r.Outcome != index.Exists) {
			t.Fatalf("claim %d: outcome %v, want created", from+i, r.Outcome)
		}
		hashes[i] = r.Hash
	}
	return hashes
}

// mustHold fails unless the node serves every claim at the given consistency.
func mustHold(t testing.TB, n *Node, c Consistency, hashes []assertion.Hash) {
	t.Helper()
	view, err := n.Read(t.Context(), c)
	if err != nil {
		t.Fatalf("read from %s: %v", n.id, err)
	}
	defer view.Close()
	for _, h := range hashes {
		if _, err := view.Get(h); err != nil {
			t.Fatalf("node %s, at index %d: claim %s: %v", n.id, view.Applied().Index, h, err)
		}
	}
}

func portOf(address string) string {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		panic(err)
	}
	return port
}
