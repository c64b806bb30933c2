package node

import (
	"time"

	"github.com/hashicorp/raft"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/stemedb/stemedb/sync/gossip"
)

// metrics are the node's own; raft, sync and HTTP register theirs beside the
// code that moves them.
type metrics struct {
	leaderChanges prometheus.Counter
	forwarded     prometheus.Counter
	commitSeconds prometheus.Histogram
	batchClaims   prometheus.Histogram
	syncSeconds   prometheus.Histogram
	diskTroubles  prometheus.Counter
}

func newMetrics(registerer prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		leaderChanges: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "stemedb_cluster_leader_changes_total",
			Help: "Leaders that this node has seen take over since it started. Frequent changes mean an overloaded or partitioned cluster.",
		}),
		forwarded: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "stemedb_forwarded_claims_total",
			Help: "Claims, and other entries such as votes and keys, that this node brought to the leader and whose outcome it learned.",
		}),
		commitSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "stemedb_commit_seconds",
			Help:    "Time from proposing or forwarding a group of claims or other entries until its outcome was known on this node. Groups whose outcome stayed unknown are not counted.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 15),
		}),
		batchClaims: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "stemedb_commit_batch_claims",
			Help:    "Claims, and other entries such as votes and keys, per group commit on this node. A leader groups what other nodes forward together with its own.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 10),
		}),
		syncSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "stemedb_log_store_sync_seconds",
			Help:    "Time of one append of entries to the raft log. A boltdb log writes and syncs twice for each: the pages, then the page that makes them valid; a wal log once.",
			Buckets: prometheus.ExponentialBuckets(0.00005, 2, 16),
		}),
		diskTroubles: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "stemedb_disk_troubles_total",
			Help: "Times that the disk of the data directory began to hang or to fail since the node started.",
		}),
	}
	if registerer == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.leaderChanges, m.forwarded, m.commitSeconds, m.batchClaims, m.syncSeconds, m.diskTroubles} {
		if err := registerer.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *metrics) observeSync(d time.Duration) { m.syncSeconds.Observe(d.Seconds()) }

var (
	descAssertions = prometheus.NewDesc("stemedb_assertions_total",
		"Assertions stored on this node, whatever their lifecycle stage.", nil, nil)
	descPending = prometheus.NewDesc("stemedb_quarantine_pending",
		"Claims that the content defence quarantined and no reviewer has decided on, as this node has applied it.", nil, nil)
	descNodes = prometheus.NewDesc("stemedb_cluster_nodes",
		"Nodes that this node's gossip knows, by state; itself included.", []string{"state"}, nil)
	descIsLeader = prometheus.NewDesc("stemedb_cluster_is_leader",
		"1 if this node is the raft leader and its disk neither hangs nor fails, else 0.", nil, nil)
	descApplied = prometheus.NewDesc("stemedb_applied_index",
		"Raft log index up to which this node has applied the log.", nil, nil)
	descCommit = prometheus.NewDesc("stemedb_commit_index",
		"Raft log index up to which this node knows the log to be committed.", nil, nil)
	descTerm = prometheus.NewDesc("stemedb_raft_term",
		"Current raft term of this node.", nil, nil)
	descFormat = prometheus.NewDesc("stemedb_command_format",
		"Command format that the cluster writes to its log, as this node has applied it. It rises when every member understands a higher one.", nil, nil)
	descVoters = prometheus.NewDesc("stemedb_cluster_voters",
		"Voters in the newest raft configuration that this node has. More than half of them must live for the cluster to write.", nil, nil)
	descVotersAlive = prometheus.NewDesc("stemedb_cluster_voters_alive",
		"Voters that this node's gossip sees alive and whose disks neither hang nor fail; itself included.", nil, nil)
	descDigestAgrees = prometheus.NewDesc("stemedb_sync_digest_agrees",
		"1 unless a majority of the nodes reports another digest than this node at the same log index, else 0.", nil, nil)
	descBackupInterval = prometheus.NewDesc("stemedb_backup_interval_seconds",
		"How often the leader is to take a backup by itself; 0 if it is not to.", nil, nil)
	descBackupSuccess = prometheus.NewDesc("stemedb_backup_last_success_timestamp_seconds",
		"When, in unix seconds, a scheduled backup last held the state, or was last seen to still hold it, as this node knows from when it led; 0 if it knows of none.", nil, nil)
	descBackupAge = prometheus.NewDesc("stemedb_backup_age_seconds",
		"How long ago that was. Without it, no value.", nil, nil)
	descBackupSize = prometheus.NewDesc("stemedb_backup_size_bytes",
		"Size of that backup before encryption; 0 if this node knows of none.", nil, nil)
	descBackupFailures = prometheus.NewDesc("stemedb_backup_failures_total",
		"Scheduled backups of this node that failed since it started, the removal of old ones included.", nil, nil)
	descDiskFree = prometheus.NewDesc("stemedb_disk_free_bytes",
		"Bytes that the node's user may still write to the file system of the data directory.", nil, nil)
	descDiskSize = prometheus.NewDesc("stemedb_disk_size_bytes",
		"Size of the file system of the data directory.", nil, nil)
	descDiskLow = prometheus.NewDesc("stemedb_disk_low",
		"1 while less than the minimum is free on the file system of the data directory, else 0.", nil, nil)
	descDiskWritesRefused = prometheus.NewDesc("stemedb_disk_writes_refused",
		"1 while this node leads and refuses writes for want of disk space, its own or the others', else 0.", nil, nil)
	descDiskMinFree = prometheus.NewDesc("stemedb_disk_min_free_bytes",
		"The minimum of free bytes below which this node hands leadership over, or refuses writes; 0 is none.", nil, nil)
	descDiskUnavailable = prometheus.NewDesc("stemedb_disk_unavailable",
		"1 while the disk of the data directory hangs or fails and the node takes part in nothing, else 0.", nil, nil)
	descDiskWaiting = prometheus.NewDesc("stemedb_disk_write_waiting_seconds",
		"For how long the oldest write to the raft log, or probe of the disk, has been under way; 0 if none is.", nil, nil)
)

// Describe implements prometheus.Collector for what is read at scrape time.
func (n *Node) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descAssertions, descPending, descNodes, descIsLeader, descApplied, descCommit, descTerm, descFormat,
		descVoters, descVotersAlive, descDigestAgrees, descDiskFree, descDiskSize, descDiskLow, descDiskWritesRefused, descDiskMinFree, descDiskUnavailable, descDiskWaiting,
		descBackupInterval, descBackupSuccess, descBackupAge, descBackupSize, descBackupFailures} {
		ch <- d
	}
	describeStores(ch)
}

// Collect implements prometheus.Collector.
func (n *Node) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	applied, _, count := n.fsm.Current()
	gauge(descAssertions, float64(count))
	gauge(descApplied, float64(applied))
	if view, err := n.fsm.View(); err == nil {
		gauge(descPending, float64(view.Pending()))
		_ = view.Close() // of a snapshot in memory: nothing is lost
	}
	gauge(descCommit, float64(n.raft.CommitIndex()))
	gauge(descTerm, float64(n.raft.CurrentTerm()))
	gauge(descFormat, float64(n.fsm.Format()))
	gauge(descIsLeader, indicator(n.leads()))
	gauge(descDigestAgrees, indicator(!n.tracker.Status().Minority))
	disk := n.disk.view()
	if disk.size > 0 {
		gauge(descDiskFree, float64(disk.free))
		gauge(descDiskSize, float64(disk.size))
	}
	gauge(descDiskLow, indicator(disk.low))
	gauge(descDiskWritesRefused, indicator(n.refusesForSpace() != nil))
	gauge(descDiskMinFree, float64(n.cfg.MinFreeDisk))
	gauge(descDiskUnavailable, indicator(disk.trouble != nil))
	gauge(descDiskWaiting, disk.waiting.Seconds())
	n.collectBackups(ch)
	states := map[gossip.State]int{gossip.Alive: 0, gossip.Dead: 0, gossip.Left: 0}
	seen := n.seen()
	for _, member := range seen {
		states[member.State]++
	}
	voters, live := 0, 0
	for _, server := range n.servers() {
		if server.Suffrage == raft.Voter {
			voters++
			if n.voterDisk(string(server.ID), seen) < gossip.DiskUnavailable {
				live++
			}
		}
	}
	gauge(descVoters, float64(voters))
	gauge(descVotersAlive, float64(live))
	for state, number := range states {
		gauge(descNodes, float64(number), string(state))
	}
	n.collectStores(ch)
}

// indicator is a condition as a gauge has it.
func indicator(holds bool) float64 {
	if holds {
		return 1
	}
	return 0
}
