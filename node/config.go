package node

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"github.com/stemedb/stemedb/backup"
	"github.com/stemedb/stemedb/sync/gossip"
)

// Config is what one running node needs to know. DefaultConfig gives every
// field that has a default; Validate says what is missing or contradictory.
type Config struct {
	// DataDir holds everything that the node must not lose: its identity, the
	// raft log and the index. One process at a time may use it. Required.
	DataDir string

	// NodeID names this node in the cluster, for ever. Empty means: the name
	// that the data directory already holds, or a random one made on the first
	// start. A name that differs from the one in the data directory is refused.
	NodeID string

	// ClusterAddr is where the node listens for raft and node-to-node RPC
	// (host:port). Port 0 picks a free one.
	ClusterAddr string
	// GossipAddr is where the node listens for gossip, TCP and UDP (host:port).
	GossipAddr string
	// AdvertiseHost is the host that other nodes use to reach this one, for all
	// its ports. Empty means the host of ClusterAddr. Required if that is a
	// wildcard address.
	AdvertiseHost string
	// HTTPAdvertise is the address of the HTTP API that this node tells the
	// others (host:port). It is information for people and clients only.
	HTTPAdvertise string

	// Join lists node-to-node addresses (host or host:port, default port 18182)
	// of nodes that may already form the cluster. A DNS name that resolves to
	// several addresses stands for all of them.
	Join []string
	// BootstrapExpect is the number of nodes that form a new cluster, once that
	// many see each other and none of them has state. 0 means: never bootstrap,
	// only join. 1 without Join is a one-node cluster.
	BootstrapExpect int

	// RestoreFrom, if set, is the backup (see RestoreRequest.Path) that the node's first start
	// restores: as a new cluster of this node alone, which others join. It means
	// nothing to a node that has data, or that finds a cluster to join. A node
	// with it never bootstraps an empty cluster.
	RestoreFrom string
	// RestoreNode is the NodeID of the one node that restores; the others wait to join
	// it, so that all can have the same settings. Only a node without others to
	// join may leave it open: several that restore would be several clusters.
	RestoreNode string
	// RestoreKeys open that backup if it is encrypted.
	RestoreKeys backup.Keys

	// Backups are those that the leader takes by itself.
	Backups BackupSchedule

	// NonVoter makes the node a read replica for good: it holds all data and
	// serves, but never votes, and forms no cluster.
	NonVoter bool
	// Stabilization is how long a non-voter must have been healthy before it
	// becomes a voter.
	Stabilization time.Duration
	// DeadAfter is how long a member must have been dead before the leader removes
	// it; 0 never removes one. The leader counts from its election on at the
	// earliest.
	DeadAfter time.Duration
	// MinQuorum is the number of voters below which no dead one is removed.
	MinQuorum int

	// TLS, if set, secures raft and node-to-node RPC in both directions
	// (mutual TLS; see transport.MutualTLS).
	TLS *tls.Config
	// GossipKey, if set, encrypts gossip: 16, 24 or 32 bytes (AES).
	GossipKey []byte

	// Version is the software's version, told to the other nodes.
	Version string

	// HeartbeatTimeout is how long a follower waits for a sign of the leader
	// before it starts an election (randomised up to twice that). Too short and
	// a busy disk or CPU causes needless elections; too long and the cluster
	// stands still after the loss of its leader. 100 ms to 60 s.
	HeartbeatTimeout time.Duration
	// ElectionTimeout is how long a candidate waits for votes before it tries
	// again. At least HeartbeatTimeout.
	ElectionTimeout time.Duration
	// LeaderLease is how long a leader that cannot reach a quorum stays leader.
	// At most HeartbeatTimeout.
	LeaderLease time.Duration
	// CommitInterval is how soon followers learn of the last commit when no
	// further writes come. It bounds the wait of reads that follow a write on
	// another node; each tick is one message per follower.
	CommitInterval time.Duration

	// SnapshotInterval is how often the node looks whether a snapshot is due;
	// SnapshotThreshold is how many log entries make it due. A snapshot is a
	// hard-linked checkpoint: it is what lets the log be truncated.
	SnapshotInterval  time.Duration
	SnapshotThreshold uint64
	// TrailingLogs is how many entries stay in the log after a snapshot, so that
	// a node that was away for a short time catches up from the log instead of
	// from a whole snapshot.
	TrailingLogs uint64
	// LogBytes is about how large the raft log may become: a snapshot is due when the
	// entries after the last one take half of it, and no more stay after a snapshot
	// than the other half holds. 0: only entries count.
	LogBytes uint64
	// LogStore is the kind of the raft log: LogBolt or LogWAL.
	LogStore string
	// LogCompactPercent makes a start compact the raft log if more than so much of
	// its file is free (see CompactLog). 0: never. A LogWAL has nothing to compact.
	LogCompactPercent int

	// WriteTimeout bounds one write from the moment it is queued. When it
	// passes after the write was proposed, the outcome is unknown.
	WriteTimeout time.Duration
	// ReadTimeout bounds the wait for a read index and for the local apply.
	ReadTimeout time.Duration
	// SyncInterval is how often the node reports its applied index and digest to
	// the others.
	SyncInterval time.Duration
	// TrustInterval is how often the leader looks whether gold labels,
	// endorsements or seeds have changed, and computes the trust in agents anew.
	TrustInterval time.Duration
	// TruthInterval is how often the leader looks whether so much was claimed or
	// labelled that the model of the truth lens is to be learnt anew.
	TruthInterval time.Duration
	// MaxQueuedClaims bounds the claims that wait for a proposal; more are
	// refused as overload.
	MaxQueuedClaims int

	// BackupRate bounds how many bytes of its state or log a running node reads,
	// hashes and compresses in a second for a backup; 0 is no bound.
	BackupRate int64

	// CacheBytes and MemTableBytes size the index (see index.Options).
	CacheBytes    int64
	MemTableBytes uint64

	// Shared is what this node holds together with the others and tells them by
	// gossip, by a number that is the same on all nodes.
	Shared map[byte]gossip.Shared

	// DiskTimeout is how long a write to the disk may take until the disk counts as
	// hung: the node then refuses writes and cuts itself off from the others, so
	// that another one leads, until writes complete again. 0: never.
	DiskTimeout time.Duration
	// MinFreeDisk is how many bytes must be free on the disk of the data directory.
	// A leader with less hands over, or refuses writes; 0: no minimum.
	MinFreeDisk uint64

	// NoFsync switches off fsync of the raft log. Only for tests that prove
	// that it matters: with it, an acknowledged write can be lost.
	NoFsync bool
	// NoReadIndex serves every read like a local one. Only for tests that prove
	// that the tests of freshness notice it.
	NoReadIndex bool

	// Tracer makes the spans of writes and reads; none are made if it is nil.
	Tracer trace.Tracer

	// Registerer receives the metrics of the node; nil keeps them private.
	Registerer prometheus.Registerer
	Logger     *slog.Logger

	// Now is the clock; nil means time.Now.
	Now func() time.Time

	// probeDisk and diskSpace stand in for the disk in tests; nil is the disk.
	probeDisk func(bytes int) error
	diskSpace func() (free, size uint64, err error)
	// logSegmentBytes is the size of a LogWAL's segments in tests; 0 is defaultSegment.
	logSegmentBytes int
}

// DefaultConfig returns the settings of a one-node cluster on loopback.
func DefaultConfig() Config {
	return Config{
		ClusterAddr:       "127.0.0.1:18182",
		GossipAddr:        "127.0.0.1:18183",
		BootstrapExpect:   1,
		Stabilization:     10 * time.Second,
		MinQuorum:         3,
		HeartbeatTimeout:  500 * time.Millisecond,
		ElectionTimeout:   500 * time.Millisecond,
		LeaderLease:       400 * time.Millisecond,
		CommitInterval:    10 * time.Millisecond,
		SnapshotInterval:  10 * time.Second,
		SnapshotThreshold: 65536,
		TrailingLogs:      16384,
		LogBytes:          384 << 20,
		LogStore:          LogBolt,
		WriteTimeout:      10 * time.Second,
		ReadTimeout:       5 * time.Second,
		SyncInterval:      250 * time.Millisecond,
		TrustInterval:     time.Second,
		TruthInterval:     10 * time.Second,
		MaxQueuedClaims:   16384,
		BackupRate:        4 << 20,
		Backups:           BackupSchedule{Interval: 24 * time.Hour, Keep: 7},
		CacheBytes:        128 << 20,
		MemTableBytes:     64 << 20,
		DiskTimeout:       5 * time.Second,
		MinFreeDisk:       256 << 20,
	}
}

// Validate reports every setting that is missing, out of range or
// contradictory, in one error.
func (c *Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.DataDir == "" {
		bad("data directory is not set: give --data-dir or STEMEDB_DATA_DIR")
	}
	clusterHost, _, err := net.SplitHostPort(c.ClusterAddr)
	if err != nil {
		bad("cluster address %q is not host:port: %w", c.ClusterAddr, err)
	} else if c.AdvertiseHost == "" && isWildcard(clusterHost) {
		bad("cluster address %q listens on every interface: give --advertise-addr, the host by which the other nodes reach this one", c.ClusterAddr)
	}
	if _, _, err := net.SplitHostPort(c.GossipAddr); err != nil {
		bad("gossip address %q is not host:port: %w", c.GossipAddr, err)
	}
	if c.BootstrapExpect < 0 {
		bad("bootstrap-expect is %d: it is a number of nodes, 0 to only join", c.BootstrapExpect)
	}
	if c.BootstrapExpect == 0 && len(c.Join) == 0 {
		bad("bootstrap-expect is 0 and there is no address to join: this node could never become part of a cluster; set one of them")
	}
	if c.BootstrapExpect > 1 && len(c.Join) == 0 {
		bad("bootstrap-expect is %d but there is no address to join: the nodes could never see each other; set --join", c.BootstrapExpect)
	}
	switch {
	case c.RestoreNode != "" && c.RestoreFrom == "":
		bad("restore-node is %q, and restore-from names no backup: set it too, or neither", c.RestoreNode)
	case c.RestoreNode != "" && c.NodeID == "":
		bad("restore-node is %q, and the node has no name to compare it with: set node-id", c.RestoreNode)
	case c.RestoreFrom != "" && c.RestoreNode == "" && len(c.Join) > 0:
		bad("restore-from is set and there are addresses to join: each node with these settings would become a cluster of its own; name the one that restores with restore-node, the same on every node: the others join it")
	}
	if c.NonVoter && len(c.Join) == 0 {
		bad("the node is to be a non-voter but there is no address to join: only voters form a cluster; set --join")
	}
	if c.Stabilization <= 0 || c.DeadAfter < 0 || c.MinQuorum < 1 {
		bad("the stabilization time %v and the smallest quorum %d must be positive, and the time after which dead nodes are removed, %v, not negative", c.Stabilization, c.MinQuorum, c.DeadAfter)
	}
	if c.HeartbeatTimeout < 100*time.Millisecond || c.HeartbeatTimeout > time.Minute {
		bad("heartbeat timeout is %v: 100ms to 1m is possible", c.HeartbeatTimeout)
	}
	if c.ElectionTimeout < c.HeartbeatTimeout {
		bad("election timeout %v is shorter than the heartbeat timeout %v", c.ElectionTimeout, c.HeartbeatTimeout)
	}
	if c.LeaderLease > c.HeartbeatTimeout || c.LeaderLease < 5*time.Millisecond {
		bad("leader lease is %v: it must lie between 5ms and the heartbeat timeout %v", c.LeaderLease, c.HeartbeatTimeout)
	}
	if c.LogStore != LogBolt && c.LogStore != LogWAL {
		bad("log-store is %q: %s and %s are possible", c.LogStore, LogBolt, LogWAL)
	}
	if c.LogCompactPercent < 0 || c.LogCompactPercent > 99 {
		bad("log-compact-percent is %d: 0 to 99 is possible", c.LogCompactPercent)
	}
	if c.DiskTimeout < 0 || c.DiskTimeout > 0 && c.DiskTimeout < 100*time.Millisecond {
		bad("disk timeout is %v: at least 100ms is possible, or 0 to take no disk for hung", c.DiskTimeout)
	}
	if n := len(c.GossipKey); n != 0 && n != 16 && n != 24 && n != 32 {
		bad("gossip key has %d bytes: 16, 24 or 32 are possible", n)
	}
	for name, d := range map[string]time.Duration{
		"commit interval": c.CommitInterval, "snapshot interval": c.SnapshotInterval,
		"write timeout": c.WriteTimeout, "read timeout": c.ReadTimeout, "sync interval": c.SyncInterval, "trust interval": c.TrustInterval, "truth interval": c.TruthInterval,
	} {
		if d <= 0 {
			bad("%s is %v: it must be positive", name, d)
		}
	}
	if c.BackupRate < 0 {
		bad("backup rate is %d: it is a number of bytes, 0 for no bound", c.BackupRate)
	}
	if c.SnapshotThreshold == 0 || c.MaxQueuedClaims <= 0 {
		bad("snapshot threshold and the queue of claims must be positive")
	}
	if err := c.Backups.validate(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func isWildcard(host string) bool {
	if host == "" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsUnspecified()
}

// The layout of the data directory.
func (c *Config) lockPath() string     { return filepath.Join(c.DataDir, "LOCK") }
func (c *Config) identityPath() string { return filepath.Join(c.DataDir, "node.json") }
func (c *Config) keyPath() string      { return filepath.Join(c.DataDir, "node.key") }
func (c *Config) probePath() string    { return filepath.Join(c.DataDir, "disk-probe") }
func (c *Config) statePath() string    { return filepath.Join(c.DataDir, "state") }
