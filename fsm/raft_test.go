package fsm

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
)

// member is one node of a raft cluster on loopback, with its log on disk.
type member struct {
	id, dir   string
	address   raft.ServerAddress
	fsm       *FSM
	raft      *raft.Raft
	transport *raft.NetworkTransport
	logs      *raftboltdb.BoltStore
	noise     *lockedBuffer
	damage    *atomic.Bool // flips a bit of the snapshots that this node sends
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// damaging is a transport that can spoil the snapshots that it sends.
type damaging struct {
	*raft.NetworkTransport
	on *atomic.Bool
}

func (d damaging) InstallSnapshot(id raft.ServerID, target raft.ServerAddress, args *raft.InstallSnapshotRequest, resp *raft.InstallSnapshotResponse, data io.Reader) error {
	if d.on.Load() {
		data = &flipper{r: data, at: args.Size / 2}
	}
	return d.NetworkTransport.InstallSnapshot(id, target, args, resp, data)
}

// flipper changes one bit of what it reads.
type flipper struct {
	r  io.Reader
	at int64
}

func (f *flipper) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	if f.at >= 0 && f.at < int64(n) {
		p[f.at] ^= 4
	}
	f.at -= int64(n)
	return n, err
}

func raftConfig(id string, noise io.Writer) *raft.Config {
	c := raft.DefaultConfig()
	c.LocalID = raft.ServerID(id)
	c.Logger = hclog.New(&hclog.LoggerOptions{Output: noise, Level: hclog.Info})
	c.NoSnapshotRestoreOnStart = true
	c.SnapshotThreshold, c.TrailingLogs = 1<<40, 1 // snapshots only when the test takes one
	// A standstill of the machine is to elect no other leader.
	c.HeartbeatTimeout, c.ElectionTimeout, c.LeaderLeaseTimeout = 2*time.Second, 2*time.Second, 2*time.Second
	return c
}

func (m *member) start(t *testing.T) {
	t.Helper()
	m.fsm = mustOpen(t, filepath.Join(m.dir, "state"), small(vfs.Default))
	var err error
	if m.logs, err = raftboltdb.NewBoltStore(filepath.Join(m.dir, "raft.db")); err != nil {
		t.Fatal(err)
	}
	bind := "127.0.0.1:0"
	if m.address != "" {
		bind = string(m.address)
	}
	deadline := time.Now().Add(20 * time.Second)
	for { // the port of a member that was stopped may be a moment late
		m.transport, err = raft.NewTCPTransport(bind, nil, 2, time.Second, io.Discard)
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	m.address = m.transport.LocalAddr()
	c := raftConfig(m.id, m.noise)
	if m.raft, err = raft.NewRaft(c, m.fsm, m.logs, m.logs, m.fsm.SnapshotStore(), damaging{m.transport, m.damage}); err != nil {
		t.Fatal(err)
	}
}

func (m *member) stop(t *testing.T) {
	t.Helper()
	if m.raft == nil {
		return
	}
	if err := errors.Join(m.raft.Shutdown().Error(), closeTransport(m.transport), m.logs.Close(), m.fsm.Close()); err != nil {
		t.Error(err)
	}
	m.raft = nil
}

// newCluster starts three members.
func newCluster(t *testing.T) []*member {
	t.Helper()
	var members []*member
	var servers []raft.Server
	for _, id := range []string{"a", "b", "c"} {
		m := &member{id: id, dir: t.TempDir(), noise: new(lockedBuffer), damage: new(atomic.Bool)}
		m.start(t)
		t.Cleanup(func() { m.stop(t) })
		members = append(members, m)
		servers = append(servers, raft.Server{ID: raft.ServerID(id), Address: m.address})
	}
	if err := members[0].raft.BootstrapCluster(raft.Configuration{Servers: servers}).Error(); err != nil {
		t.Fatal(err)
	}
	return members
}

// eventually polls until ok, and fails the test if it never is.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatal("never: ", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func leaderOf(t *testing.T, members []*member) (leader *member) {
	t.Helper()
	eventually(t, "a leader", func() bool {
		for _, m := range members {
			if m.raft != nil && m.raft.State() == raft.Leader && m.raft.VerifyLeader().Error() == nil {
				leader = m
				return true
			}
		}
		return false
	})
	return leader
}

// propose writes n claims from number first on, 3 to an entry, and checks every
// answer.
func propose(t *testing.T, leader *member, first, n int) {
	t.Helper()
	var futures []raft.ApplyFuture
	for i := first; i < first+n; i += 3 {
		records := [][]byte{record(t, claim(i)), record(t, claim(i+1)), record(t, claim(i+2))}
		futures = append(futures, leader.raft.Apply(EncodeWrite(FormatVersion, testTime, records), 10*time.Second))
	}
	for i, future := range futures {
		if err := future.Error(); err != nil {
			t.Fatal(err)
		}
		r := future.Response().(*Response)
		if r.Err != nil || r.Index != future.Index() || len(r.Results) != 3 || r.Results[0].Hash != claim(first+3*i).ContentHash() {
			t.Fatalf("entry %d: %+v", future.Index(), r)
		}
	}
}

func agree(t *testing.T, members []*member) {
	t.Helper()
	eventually(t, "all members with one state", func() bool {
		want := outlineOf(members[0].fsm)
		for _, m := range members {
			if got := outlineOf(m.fsm); got != want || m.raft.CommitIndex() != members[0].raft.CommitIndex() {
				return false
			}
		}
		return true
	})
}

// awayPastTruncation stops a follower and moves the log of the others on, so
// that only a snapshot can bring it back.
func awayPastTruncation(t *testing.T, members []*member) (leader, away *member) {
	t.Helper()
	leader = leaderOf(t, members)
	propose(t, leader, 0, 60)
	agree(t, members)
	for _, m := range members {
		if m != leader {
			away = m
		}
	}
	away.stop(t)
	propose(t, leader, 60, 90)
	for _, m := range members {
		if m == away {
			continue
		}
		eventually(t, "the commit index everywhere", func() bool { return m.raft.AppliedIndex() == leader.raft.CommitIndex() })
		if err := m.raft.Snapshot().Error(); err != nil {
			t.Fatal(err)
		}
	}
	last, err := away.lastIndex(t)
	if err != nil {
		t.Fatal(err)
	}
	first, err := leader.logs.FirstIndex()
	if err != nil || first <= last {
		t.Fatalf("the leader's log begins at %d (%v); the member away has it up to %d", first, err, last)
	}
	return leader, away
}

func (m *member) lastIndex(t *testing.T) (uint64, error) {
	t.Helper()
	logs, err := raftboltdb.NewBoltStore(filepath.Join(m.dir, "raft.db"))
	if err != nil {
		return 0, err
	}
	last, err := logs.LastIndex()
	return last, errors.Join(err, logs.Close())
}

func TestRaftCatchesUpByStreamedSnapshot(t *testing.T) {
	members := newCluster(t)
	leader, away := awayPastTruncation(t, members)
	away.start(t)
	agree(t, members)
	if got := outlineOf(away.fsm).Count; got != 150 {
		t.Errorf("%d claims, want 150", got)
	}
	if !strings.Contains(away.noise.String(), "Installed remote snapshot") {
		t.Error("no snapshot was installed")
	}
	propose(t, leaderOf(t, members), 150, 30)
	agree(t, members)
	_ = leader
	for _, m := range members { // everything once more after a restart of all
		m.stop(t)
	}
	for _, m := range members {
		m.start(t)
	}
	propose(t, leaderOf(t, members), 180, 3)
	agree(t, members)
	for _, m := range members {
		stats := m.fsm.MarkRecovered()
		if got := outlineOf(m.fsm).Count; got != 183 || stats.First <= 1 {
			t.Errorf("%s: %d claims, want 183; replay %+v, must not begin with the first entry", m.id, got, stats)
		}
	}
}

func TestRaftRefusesDamagedSnapshot(t *testing.T) {
	members := newCluster(t)
	leader, away := awayPastTruncation(t, members)
	for _, m := range members {
		m.damage.Store(true)
	}
	away.start(t)
	before := outlineOf(away.fsm)
	eventually(t, "a refused snapshot", func() bool {
		return strings.Count(away.noise.String(), "damaged snapshot") >= 2
	})
	if got := outlineOf(away.fsm); got != before || away.fsm.Failed() != nil {
		t.Errorf("state %+v (%v), want %+v", got, away.fsm.Failed(), before)
	}
	if metas, err := away.fsm.SnapshotStore().List(); err != nil || len(metas) > 0 {
		t.Errorf("snapshots %v, %v", metas, err)
	}
	for _, m := range members {
		m.damage.Store(false)
	}
	agree(t, members)
	if got, want := outlineOf(away.fsm), outlineOf(leader.fsm); got != want || got.Count != 150 {
		t.Errorf("caught up to %+v, want %+v", got, want)
	}
}

// The tests' damage would be found by nothing else: the spoiled stream has the
// length that raft expects.
func TestFlipperChangesOneBit(t *testing.T) {
	raw := bytes.Repeat([]byte{7}, 1000)
	for _, at := range []int64{0, 511, 512, 999} {
		got, err := io.ReadAll(&flipper{r: io.MultiReader(bytes.NewReader(raw[:512]), bytes.NewReader(raw[512:])), at: at})
		if err != nil || len(got) != len(raw) || got[at] != 3 || bytes.Count(got, []byte{7}) != 999 {
			t.Error(fmt.Sprint(at), len(got), err)
		}
	}
}

// closeTransport also closes the connections to the other nodes, which raft
// keeps open for reuse.
func closeTransport(t *raft.NetworkTransport) error {
	err := t.Close()
	t.CloseStreams()
	return err
}
