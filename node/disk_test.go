package node

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"github.com/prometheus/client_golang/prometheus"
	"go.etcd.io/bbolt"

	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/sync/gossip"
)

// testDisks are the disks of a cluster's nodes.
type testDisks []*testDisk

type testDisk struct {
	mu    sync.Mutex
	hangs chan struct{} // closed when the disk does not hang any more; nil: it does not
	full  bool
	free  atomic.Uint64
}

func (d *testDisk) probe(int) error {
	d.mu.Lock()
	hangs, full := d.hangs, d.full
	d.mu.Unlock()
	if hangs != nil {
		<-hangs
	}
	if full {
		return syscall.ENOSPC
	}
	return nil
}

func (d *testDisk) hang() (release func()) {
	hangs := make(chan struct{})
	d.set(hangs, false)
	return sync.OnceFunc(func() { d.set(nil, false); close(hangs) })
}

func (d *testDisk) set(hangs chan struct{}, full bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hangs, d.full = hangs, full
}

const minFree = 1000

func startOnDisks(t *testing.T, size int) (*cluster, testDisks) {
	t.Helper()
	disks := make(testDisks, size)
	c := startCluster(t, size, func(i int, cfg *Config) {
		disks[i] = new(testDisk)
		disks[i].free.Store(10 * minFree)
		// Only the test's disk may be slow: the log, which goes to the real one, is not synced.
		cfg.DiskTimeout, cfg.MinFreeDisk, cfg.NoFsync = time.Second, minFree, true
		cfg.probeDisk = disks[i].probe
		cfg.diskSpace = func() (free, size uint64, err error) { return disks[i].free.Load(), 100 * minFree, nil }
	})
	return c, disks
}

func (c *cluster) place(n *Node) int {
	for i, other := range c.nodes {
		if other == n {
			return i
		}
	}
	c.t.Fatal("not a node of the cluster")
	return 0
}

// seen waits until every node but one hears a state of that one's disk.
func (c *cluster) seen(n *Node, disk uint8) {
	c.t.Helper()
	waitFor(c.t, func() bool {
		for _, other := range c.nodes {
			if other != n && other.seen()[n.id].Disk != disk {
				return false
			}
		}
		return true
	})
}

func TestALeaderWhoseDiskHangsOrFailsIsSucceeded(t *testing.T) {
	for name, begin := range map[string]func(*testDisk) func(){
		"hangs": (*testDisk).hang,
		"fails": func(d *testDisk) func() { d.set(nil, true); return func() { d.set(nil, false) } },
	} {
		t.Run(name, func(t *testing.T) {
			c, disks := startOnDisks(t, 3)
			ill := c.leader()
			hashes := write(t, ill, 0, 5)
			end := begin(disks[c.place(ill)])
			defer end()
			waitFor(t, func() bool {
				for _, n := range c.nodes {
					if _, leader := n.raft.LeaderWithID(); n != ill && (leader == "" || string(leader) == ill.id) {
						return false
					}
				}
				return ill.raft.State() != raft.Leader
			})
			for _, n := range c.nodes {
				if n != ill {
					hashes = append(hashes, write(t, n, 10*(1+c.place(n)), 5)...)
				}
			}
			if _, err := ill.Write(t.Context(), Caller{}, claim(t, 1000)); !errors.Is(err, ErrDisk) || errors.Is(err, ErrOutcomeUnknown) {
				t.Errorf("a write: %v, want ErrDisk", err)
			}
			if _, err := ill.Read(t.Context(), Consistency{}); !errors.Is(err, ErrDisk) {
				t.Errorf("a linearizable read: %v, want ErrDisk", err)
			}
			mustHold(t, ill, Consistency{Level: Local}, hashes[:5])
			if _, err := ill.ChangeMembers(t.Context(), MemberRequest{Action: "transfer"}); !errors.Is(err, ErrDisk) {
				t.Errorf("a change of the membership: %v, want ErrDisk", err)
			}
			ready := true
			for _, check := range ill.Ready(t.Context()).Checks {
				if check.Name == "disk" {
					ready = check.OK
				}
			}
			if ready || !errors.Is(ill.DiskTrouble(), ErrDisk) {
				t.Errorf("the node is ready (%v), its disk: %v", ready, ill.DiskTrouble())
			}
			if h := ill.Health(); h.Leader == ill.id || h.Role == "leader" || ill.Cluster().Leader == ill.id {
				t.Errorf("the node takes itself for the leader: %+v", h)
			}
			c.seen(ill, gossip.DiskUnavailable)
			ill.standIn(t.Context(), raft.Server{ID: "nobody"}, nil) // it stands for no election
			if ill.raft.State() == raft.Leader {
				t.Error("the node leads again")
			}
			c.leader() // the others go on

			end()
			c.waitReady()
			c.seen(ill, gossip.DiskOK)
			mustHold(t, ill, Consistency{}, hashes)
			write(t, ill, 500, 5)
		})
	}
}

func TestALeaderWithLittleSpaceHandsOver(t *testing.T) {
	c, disks := startOnDisks(t, 3)
	low := c.leader()
	disks[c.place(low)].free.Store(minFree - 1)
	waitFor(t, func() bool {
		_, leader := low.raft.LeaderWithID()
		return leader != "" && string(leader) != low.id
	})
	c.seen(low, gossip.DiskLow)
	write(t, low, 0, 5) // through the new leader
	if !errors.Is(low.DiskTrouble(), ErrDiskSpace) || low.disk.err() != nil {
		t.Errorf("its disk: %v", low.DiskTrouble())
	}
	leader := c.leader()
	if _, err := leader.ChangeMembers(t.Context(), MemberRequest{Action: "transfer", NodeID: low.id}); !errors.Is(err, ErrMembership) {
		t.Errorf("a transfer to a node with little space: %v, want ErrMembership", err)
	}
	for _, n := range c.nodes { // whoever leads, the heir is one with space
		heir, found := n.heir()
		if !found || string(heir.ID) == low.id || string(heir.ID) == n.id {
			t.Errorf("the heir of %s is %s", n.id, heir.ID)
		}
	}
	if _, err := leader.promote(t.Context(), MemberRequest{NodeID: low.id}); err != nil {
		t.Errorf("a promotion of what is a voter: %v", err)
	}
	if _, err := leader.ChangeMembers(t.Context(), MemberRequest{Action: "demote", NodeID: low.id}); err != nil {
		t.Fatal(err)
	}
	if _, err := leader.ChangeMembers(t.Context(), MemberRequest{Action: "promote", NodeID: low.id}); !errors.Is(err, ErrMembership) || !strings.Contains(err.Error(), "the disk of "+low.id+" is low") {
		t.Errorf("a promotion of a node with little space: %v, want ErrMembership", err)
	}
	if _, err := leader.ChangeMembers(t.Context(), MemberRequest{Action: "promote", NodeID: low.id, Force: true}); err != nil {
		t.Errorf("a forced promotion: %v", err)
	}

	// With two of three low, what is written could soon not be committed any more.
	second := c.nodes[0]
	for _, n := range c.nodes {
		if n != low && n != leader {
			second = n
		}
	}
	disks[c.place(second)].free.Store(minFree - 1)
	for _, n := range c.nodes {
		waitFor(t, func() bool {
			_, err := n.Write(t.Context(), Caller{}, claim(t, 100+c.place(n)))
			return errors.Is(err, ErrDiskSpace) && !errors.Is(err, ErrOutcomeUnknown)
		})
	}
	if _, err := low.Write(t.Context(), Caller{}, &assertion.Clock{}); err != nil {
		t.Errorf("what must be possible: %v", err)
	}
	// So it is under a load of claims, which the leader refuses in the same moment.
	loaded, unload := context.WithCancel(t.Context())
	var load sync.WaitGroup
	for i := range 8 {
		load.Go(func() {
			for loaded.Err() == nil {
				if _, err := low.Write(loaded, Caller{}, claim(t, 300+i)); err == nil {
					t.Error("a claim was taken")
				}
			}
		})
	}
	for range 50 {
		if _, err := low.Write(t.Context(), Caller{}, &assertion.Clock{}); err != nil {
			t.Errorf("what must be possible, under load: %v", err)
		}
	}
	unload()
	load.Wait()
	mustHold(t, low, Consistency{}, nil)
	if _, err := leader.ChangeMembers(t.Context(), MemberRequest{Action: "demote", NodeID: second.id}); err != nil {
		t.Errorf("a change of the membership: %v", err)
	}
	for _, d := range disks {
		d.free.Store(2 * minFree)
	}
	waitFor(t, func() bool {
		_, err := low.Write(t.Context(), Caller{}, claim(t, 200))
		return err == nil
	})
}

func TestASingleNodeWithLittleSpaceRefusesWrites(t *testing.T) {
	c, disks := startOnDisks(t, 1)
	n := c.nodes[0]
	hashes := write(t, n, 0, 3)
	disks[0].free.Store(0)
	waitFor(t, func() bool {
		_, err := n.Write(t.Context(), Caller{}, claim(t, 100))
		return errors.Is(err, ErrDiskSpace)
	})
	mustHold(t, n, Consistency{}, hashes)
	if r := n.Ready(t.Context()); !r.Ready {
		t.Errorf("a node that can be read is not ready: %+v", r.Checks)
	}
}

// A voter whose disk hangs and another that is low leave one with room of three:
// every commit would need the low one. A voter that is merely away is no reason.
func TestAVoterThatIsAwayLeavesNoRoomBesideOneThatIsLow(t *testing.T) {
	c, disks := startOnDisks(t, 3)
	leader := c.leader()
	var others []*Node
	for _, n := range c.nodes {
		if n != leader {
			others = append(others, n)
		}
	}
	release := disks[c.place(others[0])].hang()
	defer release()
	c.seen(others[0], gossip.DiskUnavailable)
	write(t, leader, 0, 5)
	families := gathered(t, leader)
	if families["stemedb_cluster_voters_alive"] != 2 || families["stemedb_cluster_is_leader"] != 1 || families["stemedb_disk_writes_refused"] != 0 {
		t.Errorf("the leader's metrics while another's disk hangs: %v", families)
	}

	disks[c.place(others[1])].free.Store(minFree - 1)
	waitFor(t, func() bool {
		_, err := leader.Write(t.Context(), Caller{}, claim(t, 100))
		return errors.Is(err, ErrDiskSpace)
	})
	if families := gathered(t, leader); families["stemedb_disk_writes_refused"] != 1 || families["stemedb_disk_low"] != 0 {
		t.Errorf("the leader's metrics while it refuses writes: %v", families)
	}
	release()
	waitFor(t, func() bool {
		_, err := leader.Write(t.Context(), Caller{}, claim(t, 101))
		return err == nil
	})
}

// gathered are the values of a node's own gauges without labels.
func gathered(t *testing.T, n *Node) map[string]float64 {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(n)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, f := range families {
		if m := f.GetMetric(); len(m) == 1 && m[0].GetGauge() != nil {
			values[f.GetName()] = m[0].GetGauge().GetValue()
		}
	}
	return values
}

// A leader that is low takes writes only for as long as it has a hope to hand over.
func TestALeaderThatCannotHandOverRefusesWrites(t *testing.T) {
	c, _ := startOnDisks(t, 3)
	leader := c.leader()
	waitFor(t, func() bool { _, found := leader.heir(); return found })
	low := diskView{low: true}
	for failures := range maxHandOvers + 1 {
		_, handOver, refusal := leader.judgeSpace(low, failures)
		if errors.Is(refusal, ErrDiskSpace) != (failures == maxHandOvers) || !handOver {
			t.Errorf("after %d attempts in vain: %v, it tries again: %v", failures, refusal, handOver)
		}
	}
}

func TestWhatIsWrittenWithoutSpace(t *testing.T) {
	record := func(e assertion.Entry) []byte {
		b, err := assertion.AppendEntry(nil, e)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	admitted := func(e assertion.Entry) *assertion.Admitted {
		return &assertion.Admitted{Entry: e, Admission: assertion.Admission{Authority: "root"}}
	}
	small := []assertion.Entry{&assertion.Clock{}, &assertion.SourceStatus{}, &assertion.Decision{}, &assertion.APIKey{}}
	for _, e := range small {
		if !exempt([][]byte{record(e)}) || !exempt([][]byte{record(admitted(e)), record(e)}) {
			t.Errorf("a %s is refused", e.Kind())
		}
		if exempt([][]byte{record(e), record(claim(t, 1))}) {
			t.Errorf("a claim is written beside a %s", e.Kind())
		}
	}
	for _, refused := range [][]byte{nil, record(claim(t, 1)), record(admitted(claim(t, 1))), {byte(assertion.KindAdmitted), 1}} {
		if exempt([][]byte{refused}) {
			t.Errorf("%x is written", refused)
		}
	}
}

// A node that stops while its disk hangs ends, and says what it left. The disk
// begins to hang just before the stop, so that nothing has noticed it yet; raft's
// main goroutine waits for it.
func TestAStopDoesNotWaitForADiskThatHangs(t *testing.T) {
	c, disks := startOnDisks(t, 3)
	leader := c.leader()
	place := (c.place(leader) + 1) % len(c.nodes)
	n := c.nodes[place]
	write(t, leader, 0, 1)
	letLog := holdLog(t, n)
	release := disks[place].hang()
	write(t, leader, 1, 1)
	waitFor(t, n.waitsForLog)
	c.nodes[place] = nil
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := n.Stop(ctx); !errors.Is(err, ErrDisk) {
		t.Errorf("the stop: %v, want ErrDisk", err)
	}
	letLog()
	release()
	waitFor(t, func() bool { // what was left goes on to the end
		lock, err := lockDataDir(&n.cfg)
		return err == nil && lock.Close() == nil
	})
}

// A stop on a disk that refuses writes repeats them for a while only, and then
// closes all.
func TestAStopOnAFullDiskEnds(t *testing.T) {
	c, disks := startOnDisks(t, 1)
	n := c.nodes[0]
	disks[0].set(nil, true)
	waitFor(t, func() bool { return n.disk.err() != nil })
	refused := make(chan error, 1)
	n.loops.Go(func() { refused <- n.disk.run("a write", func() error { return syscall.ENOSPC }) })
	c.nodes[0] = nil
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := n.Stop(ctx); err != nil {
		t.Errorf("the stop: %v", err)
	}
	if err := <-refused; !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("the refused write ends with %v", err)
	}
}

// A leader whose disk hangs unnoticed has raft's main goroutine wait: nothing takes
// the request to hand over.
func TestALeaderWhoseDiskHangsPreparesItsStopAllTheSame(t *testing.T) {
	c, _ := startOnDisks(t, 3)
	n := c.leader()
	letLog := holdLog(t, n)
	defer letLog()
	lost, abandon := context.WithCancel(t.Context())
	var writing sync.WaitGroup
	writing.Go(func() {
		if _, err := n.Write(lost, Caller{}, claim(t, 1)); err == nil {
			t.Error("a write on a disk that hangs went well")
		}
	})
	waitFor(t, n.waitsForLog)
	n.PrepareStop(t.Context()) // which has no end of its own
	if !n.stopping.Load() {
		t.Error("it is not stopping")
	}
	abandon()
	writing.Wait()
}

// holdLog makes writes to a node's raft log wait until the returned function.
func holdLog(t *testing.T, n *Node) (let func()) {
	t.Helper()
	if log, ok := n.logs.logEngine.(*walStore); ok {
		log.writes.Lock()
		return sync.OnceFunc(log.writes.Unlock)
	}
	log := reflect.ValueOf(n.logs.bolt()).Elem().FieldByName("conn")
	held, err := (*bbolt.DB)(log.UnsafePointer()).Begin(true)
	if err != nil {
		t.Fatal(err)
	}
	return sync.OnceFunc(func() {
		if err := held.Rollback(); err != nil {
			t.Error(err)
		}
	})
}

// waitsForLog tells whether a write to the raft log is under way.
func (n *Node) waitsForLog() bool {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	for op := range n.disk.writes {
		if op.what == logWrite {
			return true
		}
	}
	return false
}
