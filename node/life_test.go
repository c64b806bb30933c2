package node

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stemedb/stemedb/fsm"
	"github.com/stemedb/stemedb/index"
	"github.com/stemedb/stemedb/transport"
)

func TestThreeNodesFormOneClusterAndShareWrites(t *testing.T) {
	c := startCluster(t, 3, nil)
	id := c.leader().ClusterID()
	for i, n := range c.nodes {
		if n.ClusterID() != id || id == "" {
			t.Errorf("node %d is in cluster %q, the leader in %q", i, n.ClusterID(), id)
		}
		hashes := write(t, n, 100*i, 20)
		for _, other := range c.nodes { // read your write anywhere, at once
			mustHold(t, other, Consistency{}, hashes)
		}
	}
	c.waitEqual()
	again, err := c.follower().Write(t.Context(), Caller{}, claim(t, 0))
	if err != nil || again.Results[0].Outcome != index.Exists {
		t.Errorf("the same claim again: %v, %v, want exists", again, err)
	}
	if members := c.follower().Cluster().Members; len(members) != 3 {
		t.Errorf("cluster view has %d members: %+v", len(members), members)
	}
}

func TestANewClusterElectsItsFirstLeaderAtOnce(t *testing.T) {
	c := startCluster(t, 3, func(_ int, cfg *Config) { // longer than waitFor waits
		cfg.HeartbeatTimeout, cfg.ElectionTimeout, cfg.LeaderLease = time.Minute, time.Minute, time.Minute
	})
	write(t, c.follower(), 0, 5)
}

func TestLosingTheLeaderLosesNothing(t *testing.T) {
	c := startCluster(t, 3, nil)
	hashes := write(t, c.leader(), 0, 50)
	lost := c.number(c.leader())
	c.halt(lost)
	hashes = append(hashes, write(t, c.up()[0], 1000, 5)...) // waits for the election
	for _, n := range c.up() {
		mustHold(t, n, Consistency{}, hashes)
	}
	c.start(lost) // the same settings: it resumes
	c.waitReady()
	mustHold(t, c.nodes[lost], Consistency{}, hashes)
	c.waitEqual()
}

func TestAFourthNodeJoinsAsVoter(t *testing.T) {
	c := startCluster(t, 3, nil)
	hashes := write(t, c.leader(), 0, 30)
	c.add(func(cfg *Config) { cfg.BootstrapExpect = 3 }) // the settings of the others
	c.waitReady()
	if got, want := c.nodes[3].ClusterID(), c.nodes[0].ClusterID(); got != want {
		t.Fatalf("the newcomer is in cluster %q, want %q", got, want)
	}
	mustHold(t, c.nodes[3], Consistency{}, hashes)
	c.waitEqual()
}

func TestANodeAwayPastTruncationCatchesUpFromASnapshot(t *testing.T) {
	c := startCluster(t, 3, func(_ int, cfg *Config) {
		cfg.SnapshotInterval, cfg.SnapshotThreshold, cfg.TrailingLogs = 20*time.Millisecond, 16, 4
	})
	hashes := write(t, c.leader(), 0, 10)
	away := c.number(c.follower())
	c.halt(away)
	for i := range 60 {
		hashes = append(hashes, write(t, c.leader(), 1000+10*i, 2)...)
	}
	waitFor(t, func() bool {
		first, err := c.leader().logs.FirstIndex()
		return err == nil && first > 40
	})
	c.start(away)
	c.waitReady()
	mustHold(t, c.nodes[away], Consistency{}, hashes)
	c.waitEqual()

	// The monotonic wrapper: no entry from before the gap is left, or raft would
	// take the old first index for the log's beginning and ask for the snapshot
	// again and again.
	first, err := c.nodes[away].logs.FirstIndex()
	if err != nil || first != 0 && first <= 12 { // 0: the log is empty
		t.Errorf("after the snapshot the log begins at %d (%v): entries from before it are still there", first, err)
	}
}

func TestStopHandsLeadershipOver(t *testing.T) {
	c := startCluster(t, 3, nil)
	leader := c.leader()
	term := leader.raft.CurrentTerm()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	leader.PrepareStop(ctx)
	if leader.leads() {
		t.Fatal("the node still leads after PrepareStop")
	}
	if leader.Ready(ctx).Ready {
		t.Error("a stopping node calls itself ready")
	}
	hashes := write(t, leader, 0, 3) // still serves, through the new leader
	waitFor(t, func() bool { l := c.leaderOrNil(); return l != nil && l.raft.CurrentTerm() > term })
	stopped := c.number(leader)
	if err := leader.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	c.nodes[stopped] = nil
	mustHold(t, c.follower(), Consistency{}, hashes)
	if servers := c.leader().servers(); len(servers) != 3 {
		t.Errorf("the raft configuration has %d servers after a stop, want 3", len(servers))
	}
}

func TestOneNodeIsAClusterAndResumes(t *testing.T) {
	c := startCluster(t, 1, nil)
	hashes := write(t, c.nodes[0], 0, 10)
	id, before := c.nodes[0].ClusterID(), c.waitEqual()
	c.halt(0)
	c.start(0)
	c.waitReady()
	if c.nodes[0].ClusterID() != id {
		t.Errorf("cluster id changed from %s to %s", id, c.nodes[0].ClusterID())
	}
	mustHold(t, c.nodes[0], Consistency{}, hashes)
	if after := c.waitEqual(); after != before {
		t.Errorf("digest changed from %s to %s", before, after)
	}
}

func TestNodesOfAnotherClusterAreRefused(t *testing.T) {
	a := startCluster(t, 1, nil)
	b := startCluster(t, 1, nil)
	own := b.nodes[0]
	_, err := own.client.Join(t.Context(), a.nodes[0].address, transport.JoinRequest{
		NodeID: "stranger", ClusterAddr: own.address, ClusterID: own.ClusterID(), CommandFormat: fsm.FormatVersion,
	})
	if !errors.Is(err, transport.ErrWrongCluster) {
		t.Errorf("join: %v, want ErrWrongCluster", err)
	}
	_, err = own.client.Join(t.Context(), a.nodes[0].address, transport.JoinRequest{NodeID: "old", ClusterAddr: own.address, CommandFormat: a.nodes[0].fsm.Format() - 1})
	if !errors.Is(err, transport.ErrRefused) || !strings.Contains(err.Error(), "command format") {
		t.Errorf("join of a version that is too old: %v, want ErrRefused", err)
	}
	_, err = own.client.Forward(t.Context(), a.nodes[0].address, transport.ForwardRequest{ClusterID: own.ClusterID(), Records: [][]byte{{1}}})
	if !errors.Is(err, transport.ErrWrongCluster) {
		t.Errorf("forward: %v, want ErrWrongCluster", err)
	}
	_, err = own.client.ReadIndex(t.Context(), a.nodes[0].address, transport.ReadIndexRequest{ClusterID: own.ClusterID()})
	if !errors.Is(err, transport.ErrWrongCluster) {
		t.Errorf("read index: %v, want ErrWrongCluster", err)
	}
	if _, _, count := a.nodes[0].fsm.Current(); count != 0 {
		t.Errorf("the refused write left %d claims", count)
	}
}

func TestJoinThroughAnHTTPAddressIsExplained(t *testing.T) {
	web := httptest.NewServer(http.NotFoundHandler())
	defer web.Close()
	c := startCluster(t, 1, nil)
	_, err := c.nodes[0].client.Hello(t.Context(), strings.TrimPrefix(web.URL, "http://"), transport.HelloRequest{})
	if !errors.Is(err, transport.ErrSpeaksHTTP) {
		t.Fatalf("hello to an HTTP server: %v, want ErrSpeaksHTTP", err)
	}
}

func TestDataDirectoryIsLockedAndKeepsItsName(t *testing.T) {
	c := startCluster(t, 1, nil)
	second := c.configs[0]
	second.ClusterAddr = strings.Replace(second.ClusterAddr, portOf(second.ClusterAddr), strconv.Itoa(reservePorts(t).ClusterPort()), 1)
	if _, err := Start(t.Context(), second); !errors.Is(err, ErrDataDirInUse) {
		t.Errorf("a second process on the directory: %v, want ErrDataDirInUse", err)
	}
	c.halt(0)
	second.NodeID = "other"
	if _, err := Start(t.Context(), second); err == nil || !strings.Contains(err.Error(), `belongs to node "n0"`) {
		t.Errorf("another name for the directory: %v", err)
	}
	if err := os.WriteFile(filepath.Join(second.DataDir, "node.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Start(t.Context(), second); err == nil || !strings.Contains(err.Error(), "node's identity") {
		t.Errorf("a damaged identity: %v", err)
	}
}

func TestAnUnnamedNodeKeepsTheNameItMade(t *testing.T) {
	cfg := DefaultConfig()
	cfg.DataDir = t.TempDir()
	first, err := resolveIdentity(&cfg)
	if err != nil {
		t.Fatal(err)
	}
	second, err := resolveIdentity(&cfg)
	if err != nil || first != second || !strings.HasPrefix(first.NodeID, "node-") {
		t.Errorf("%+v and %+v (%v), want one made name", first, second, err)
	}
}

func TestConfigSaysWhatIsWrong(t *testing.T) {
	for want, breakIt := range map[string]func(*Config){
		"data directory":       func(c *Config) { c.DataDir = "" },
		"advertise":            func(c *Config) { c.ClusterAddr = "0.0.0.0:18182" },
		"no address to join":   func(c *Config) { c.BootstrapExpect = 3 },
		"heartbeat":            func(c *Config) { c.HeartbeatTimeout = time.Millisecond },
		"leader lease":         func(c *Config) { c.LeaderLease = time.Hour },
		"gossip key":           func(c *Config) { c.GossipKey = []byte("short") },
		"never become part":    func(c *Config) { c.BootstrapExpect = 0 },
		"a cluster of its own": func(c *Config) { c.RestoreFrom, c.Join, c.NodeID = "backup", []string{"other"}, "n1" },
		"names no backup":      func(c *Config) { c.RestoreNode, c.NodeID = "n1", "n1" },
		"set node-id":          func(c *Config) { c.RestoreFrom, c.RestoreNode = "backup", "n1" },
	} {
		cfg := DefaultConfig()
		cfg.DataDir = "x"
		if err := cfg.Validate(); err != nil {
			t.Fatalf("the default is invalid: %v", err)
		}
		breakIt(&cfg)
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error about %q, got %v", want, err)
		}
	}
}
