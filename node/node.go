package node

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/bits"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
	"go.opentelemetry.io/otel/trace"

	"github.com/stemedb/stemedb/fsm"
	"github.com/stemedb/stemedb/internal/tracing"
	"github.com/stemedb/stemedb/sync/convergence"
	"github.com/stemedb/stemedb/sync/gossip"
	"github.com/stemedb/stemedb/transport"
)

// Node is one running node. Start makes it, Stop ends it.
type Node struct {
	cfg     Config
	id      string
	key     ed25519.PrivateKey
	address string // node-to-node address that the others use
	log     *slog.Logger
	metrics *metrics
	tracer  trace.Tracer
	started time.Time

	ctx    context.Context // ends when the node stops
	cancel context.CancelFunc
	loops  sync.WaitGroup

	lock      io.Closer
	disk      *diskWatch
	logs      *LogStore
	fsm       *fsm.FSM
	transport *transport.Transport
	client    *transport.Client
	raftNet   *transport.RaftTransport
	raft      *raft.Raft
	gossip    *gossip.Gossip
	tracker   *convergence.Tracker

	batcher     *batcher
	reads       *readIndexer
	confirmer   *leadershipCheck
	leadership  chan bool // from raft: this node gained or lost leadership
	leaderWatch *broadcast
	appliedTerm atomic.Uint64 // newest term that this node leads or led and whose first entry it applied
	lastLeader  atomic.Pointer[string]
	promised    promise
	joined      atomic.Bool // the leader has added this node since it started
	// formatLock is held while the command format is raised or a newcomer admitted.
	formatLock     chan struct{}
	proposedFormat atomic.Uint32 // highest that this node proposed as leader
	recovered      atomic.Bool
	announced      gossip.Meta // what gossip says of this node; only the report loop uses it
	clusterID      atomic.Pointer[string]
	who            identityFile
	contact        contact
	pilot          atomic.Pointer[pilot] // while this node leads
	holds          holds
	removal        removal
	noRoom         atomic.Pointer[error] // what writes are refused with for want of space

	backups   backupState
	backingUp atomic.Bool
	stopping  atomic.Bool
	stopOnce  sync.Once
	stopErr   error
	failOnce  sync.Once
	failed    chan struct{}
	failure   atomic.Pointer[error]
}

// Start opens the data directory, listens, starts raft and gossip, and begins
// to join or form a cluster. It returns as soon as the node runs; Ready tells
// when it is part of a cluster.
func Start(ctx context.Context, cfg Config) (*Node, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if err := restoreFirst(ctx, &cfg); err != nil {
		return nil, err
	}
	m, err := newMetrics(cfg.Registerer)
	if err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	n := &Node{
		cfg: cfg, metrics: m, tracer: tracing.OrNone(cfg.Tracer), started: time.Now(),
		leadership: make(chan bool, 16), formatLock: make(chan struct{}, 1), leaderWatch: newBroadcast(), failed: make(chan struct{}),
	}
	n.ctx, n.cancel = context.WithCancel(context.WithoutCancel(ctx))
	if err := n.open(); err != nil {
		return nil, errors.Join(err, n.close())
	}
	n.run()
	return n, nil
}

// open brings up the parts from the disk upwards.
func (n *Node) open() (err error) {
	cfg := &n.cfg
	if n.lock, err = lockDataDir(cfg); err != nil {
		return err
	}
	if interruptedRestore(cfg) {
		return fmt.Errorf("%w: run it again; or empty %s to start anew", ErrInterruptedRestore, cfg.DataDir)
	}
	if err := probeDisk(cfg.probePath(), provingBytes); err != nil {
		return fmt.Errorf("the disk of the data directory cannot be written: make space, or mend it: %w", err)
	}
	who, err := resolveIdentity(cfg)
	if err != nil {
		return err
	}
	n.id, n.who.identity = who.NodeID, who
	if who.ClusterID != "" {
		n.clusterID.Store(&who.ClusterID)
	}
	n.log = cfg.Logger.With("node", n.id)
	if n.key, err = signingKey(cfg); err != nil {
		return err
	}
	memTable, firstFlush := staggered(cfg.MemTableBytes, n.id)
	n.fsm, err = fsm.Open(cfg.statePath(), fsm.Options{
		Logger: n.log, CacheBytes: cfg.CacheBytes, MemTableBytes: memTable, FirstFlushBytes: firstFlush, OnFatal: n.fail,
	})
	if err != nil {
		return fmt.Errorf("open the state in %s: %w", cfg.statePath(), err)
	}
	if stored := n.storedClusterID(); stored != "" && who.ClusterID != "" && stored != who.ClusterID {
		return fmt.Errorf("the data directory is that of cluster %s and calls itself %s: a recovery was interrupted; run `stemedb recover` again", stored, who.ClusterID)
	}
	if err := n.openLog(); err != nil {
		return err
	}
	n.disk = newDiskWatch(cfg, time.Now)
	n.disk.turned, n.disk.lowTurned = n.diskTurned, n.diskLowTurned
	n.logs.watch = n.disk
	n.transport, err = transport.Listen(transport.Config{Addr: cfg.ClusterAddr, Advertise: cfg.AdvertiseHost, TLS: cfg.TLS, ClusterID: n.ClusterID, Logger: n.log})
	if err != nil {
		return fmt.Errorf("listen for the other nodes: %w", err)
	}
	n.address = n.transport.Addr()
	n.client = n.transport.Client()
	if err := n.startRaft(); err != nil {
		return err
	}
	if err := n.startSync(); err != nil {
		return err
	}
	n.reads = &readIndexer{round: n.fetchReadIndex}
	n.confirmer = n.newLeadershipCheck()
	n.batcher = newBatcher(cfg.MaxQueuedClaims, n.commitGroup)
	if cfg.Registerer != nil {
		if err := cfg.Registerer.Register(n); err != nil {
			return fmt.Errorf("register metrics: %w", err)
		}
	}
	return nil
}

// startRaft starts consensus. Without state it idles until it is bootstrapped
// or contacted by a leader.
func (n *Node) startRaft() error {
	conf := raft.DefaultConfig()
	conf.LocalID = raft.ServerID(n.id)
	conf.HeartbeatTimeout = n.cfg.HeartbeatTimeout
	conf.ElectionTimeout = n.cfg.ElectionTimeout
	conf.LeaderLeaseTimeout = n.cfg.LeaderLease
	conf.CommitTimeout = n.cfg.CommitInterval
	conf.SnapshotThreshold = raftTakesNone
	conf.TrailingLogs = n.cfg.TrailingLogs
	conf.NotifyCh = n.leadership
	conf.Logger = raftLogger(n.log)
	conf.NoLegacyTelemetry = true
	// The FSM recovers from its own database; raft replays only the log above
	// the last snapshot, of which the FSM skips what it has.
	conf.NoSnapshotRestoreOnStart = true
	// A node that is removed stays up as an outsider, so that its operator can
	// still ask it why.
	conf.ShutdownOnRemove = false

	cached, err := raft.NewLogCache(logCacheSize, n.logs)
	if err != nil {
		return fmt.Errorf("cache the raft log: %w", err)
	}
	network := n.transport.RaftTransport(conf.Logger)
	n.raftNet = network
	n.disk.start() // raft may write its term before it has started
	n.raft, err = raft.NewRaft(conf, n.stateMachine(), cached, n.logs, n.fsm.SnapshotStore(), network)
	if err != nil {
		return fmt.Errorf("start raft: %w", err)
	}
	return nil
}

// startSync starts the gossip and the comparison with the other nodes.
func (n *Node) startSync() (err error) {
	n.tracker, err = convergence.New(convergence.Config{
		NodeID: n.id, DigestAt: n.fsm.DigestAt, Now: n.cfg.Now, Interval: n.cfg.SyncInterval,
		Registerer: n.cfg.Registerer, Logger: n.log,
	})
	if err != nil {
		return fmt.Errorf("start the comparison of nodes: %w", err)
	}
	host := n.cfg.AdvertiseHost
	if host == "" {
		if host, _, err = net.SplitHostPort(n.address); err != nil {
			return fmt.Errorf("node-to-node address %q: %w", n.address, err)
		}
	}
	n.announced = n.meta()
	n.gossip, err = gossip.Start(gossip.Config{
		NodeID: n.id, BindAddr: n.cfg.GossipAddr, AdvertiseAddr: host, Key: n.cfg.GossipKey, Meta: n.announced, Logger: n.log,
		Shared: n.cfg.Shared, Now: n.cfg.Now,
		OnReport: n.tracker.Observe,
		OnChange: func(m gossip.Member) {
			n.log.Info("member changed", "member", m.NodeID, "state", m.State)
			n.leaderWatch.notify()
		},
	})
	if err != nil {
		return fmt.Errorf("start gossip: %w", err)
	}
	return nil
}

// run starts the loops of a node that is open.
func (n *Node) run() {
	n.loops.Go(n.watchLeader)
	n.loops.Go(n.watchSpace)
	n.loops.Go(n.takeSnapshots)
	n.loops.Go(n.succeedLeader)
	n.loops.Go(n.discover)
	n.loops.Go(n.report)
	n.loops.Go(n.registerKey)
	n.loops.Go(n.keepTrust)
	n.loops.Go(n.keepTruth)
	n.transport.Serve(rpcHandler{n})
	n.log.Info("started", "cluster_addr", n.address, "gossip_addr", n.gossip.Addr(), "cluster", n.ClusterID(),
		"applied", n.fsm.AppliedIndex(), "last_log", n.raft.LastIndex())
}

func (n *Node) meta() gossip.Meta {
	return gossip.Meta{
		NodeID: n.id, ClusterID: n.ClusterID(), ClusterAddr: n.address, HTTPAddr: n.cfg.HTTPAdvertise,
		Version: n.cfg.Version, CommandFormat: fsm.FormatVersion, NonVoter: n.nonVoter(), Disk: n.disk.view().state(),
	}
}

// staggered is the size of a node's memtables, up to a quarter less than what is set,
// and after how much is written it flushes first, between a sixteenth of that and
// three, which is before Pebble would by itself. Nodes apply the same log: with the
// same of both all of them would flush at the same entry, and writes would find no
// majority without a node that does.
//
// Where a node stands between least and most is by its name. Nodes of one name and
// successive numbers, as most clusters have, stand far from each other: multiples of
// the golden ratio (Knuth, The Art of Computer Programming 3, section 6.4).
func staggered(memTableBytes uint64, id string) (size, firstFlush uint64) {
	name := strings.TrimRight(id, "0123456789")
	number, _ := strconv.ParseUint(id[len(name):], 10, 64) // without one 0
	hash := sha256.Sum256([]byte(name))
	place := binary.BigEndian.Uint64(hash[:]) + number*goldenRatio
	less, _ := bits.Mul64(memTableBytes/4, place)
	more, _ := bits.Mul64(memTableBytes/8, place)
	return memTableBytes - less, memTableBytes/16 + more
}

// goldenRatio is 2^64 over the golden ratio.
const goldenRatio = 0x9e3779b97f4a7c15

// ID is the node's name.
func (n *Node) ID() string { return n.id }

// Addr is the node-to-node address that the other nodes use.
func (n *Node) Addr() string { return n.address }

// ClusterID names the cluster that this node belongs to; "" before it belongs
// to one.
func (n *Node) ClusterID() string {
	if id := n.clusterID.Load(); id != nil {
		return *id
	}
	id := n.storedClusterID()
	if id != "" {
		n.clusterID.Store(&id)
	}
	return id
}

// storedClusterID is the cluster's name as this node's state has it.
func (n *Node) storedClusterID() string {
	view, err := n.fsm.View()
	if err != nil {
		return ""
	}
	defer view.Close()
	return view.ClusterID()
}

// unixNow is the clock of commands: whole unix seconds.
func (n *Node) unixNow() uint64 { return uint64(max(n.cfg.Now().Unix(), 0)) }

// leads tells whether this node leads and can: raft does not notice that its disk
// is in trouble, and goes on to call itself leader when the others have another.
func (n *Node) leads() bool { return n.raft.State() == raft.Leader && n.disk.err() == nil }

// knownLeader is the leader as this node knows it, "" if it knows none: itself only
// while its disk lets it lead.
func (n *Node) knownLeader() string {
	_, leader := n.raft.LeaderWithID()
	if string(leader) == n.id && n.disk.err() != nil {
		return ""
	}
	return string(leader)
}

// fail records the first fatal error. The process should end: a node whose
// state is in doubt serves nothing.
func (n *Node) fail(err error) {
	n.failOnce.Do(func() {
		n.failure.Store(&err)
		close(n.failed)
		n.cfg.Logger.Error("the node has failed and serves nothing any more", "error", err)
	})
}

// Failure is closed when the node has failed for good; Err says why.
func (n *Node) Failure() <-chan struct{} { return n.failed }

// Err is the fatal error of this node, nil while it is sound.
func (n *Node) Err() error {
	if err := n.failure.Load(); err != nil {
		return *err
	}
	return nil
}
