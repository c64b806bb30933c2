package settings

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"github.com/stemedb/stemedb/api"
	"github.com/stemedb/stemedb/defense"
	"github.com/stemedb/stemedb/internal/otlp"
	"github.com/stemedb/stemedb/node"
)

// All returns every setting, in the order of the documentation.
func All() []Setting {
	d := node.DefaultConfig()
	var all []Setting
	all = append(all, placeSettings(d)...)
	all = append(all, trustSettings()...)
	all = append(all, logSettings()...)
	all = append(all, raftSettings(d)...)
	all = append(all, backupSettings(d)...)
	all = append(all, limitSettings(d)...)
	return all
}

// placeSettings say where the node keeps its data, listens, and finds others.
func placeSettings(d node.Config) []Setting {
	return []Setting{
		{Name: "data-dir", Kind: Path, set: text(func(s *Server) *string { return &s.Node.DataDir }),
			Help: "Folder for everything that the node must not lose. One process at a time may use it. Required."},
		{Name: "node-id", Kind: Name, set: text(func(s *Server) *string { return &s.Node.NodeID }),
			Help: "The node's name in the cluster, for ever. Default: the name in the data directory, else a random one made on the first start."},
		{Name: "http-addr", Default: "127.0.0.1:18180", Kind: Address, set: text(func(s *Server) *string { return &s.HTTPAddr }),
			Help: "Where the HTTP API listens."},
		{Name: "cluster-addr", Default: d.ClusterAddr, Kind: Address, set: text(func(s *Server) *string { return &s.Node.ClusterAddr }),
			Help: "Where the node listens for the other nodes (raft and RPC)."},
		{Name: "gossip-addr", Default: d.GossipAddr, Kind: Address, set: text(func(s *Server) *string { return &s.Node.GossipAddr }),
			Help: "Where the node gossips, TCP and UDP."},
		{Name: "advertise-addr", Kind: Host, set: text(func(s *Server) *string { return &s.Node.AdvertiseHost }),
			Help: "Host by which others reach this node, for all its ports. Default: the host of cluster-addr; required if that is a wildcard."},
		{Name: "join", Kind: List, set: list(func(s *Server) *[]string { return &s.Node.Join }),
			Help: fmt.Sprintf("Comma-separated node-to-node addresses (host or host:port, default port %d) of nodes that may form the cluster; this node itself may be among them. A DNS name stands for all its addresses.", node.DefaultClusterPort)},
		{Name: "bootstrap-expect", Kind: Number, set: setBootstrapExpect,
			Help: "How many nodes form a new cluster, once that many see each other and none has state. 0: never form one, only join. Default: 1 without join, else 0. Ignored by a node that has state or finds a cluster, so that one command line serves first start, restart and scaling up."},
		{Name: "restore-from", Kind: Path, set: text(func(s *Server) *string { return &s.Node.RestoreFrom }),
			Help: "Backup, a folder or s3://BUCKET/PREFIX/NAME, that the first start restores, as a new cluster of one node, which the others join (docs/backup.md). Ignored by a node that has data or finds a cluster; one that has neither forms no empty cluster."},
		{Name: "restore-node", Kind: Name, set: text(func(s *Server) *string { return &s.Node.RestoreNode }),
			Help: "The node-id of the one node that restores restore-from, the same on every node: the others wait for it and join. Required with restore-from and join."},
		{Name: "non-voter", Default: "false", Kind: Boolean, set: boolean(func(s *Server) *bool { return &s.Node.NonVoter }),
			Help: "Makes the node a read replica for good: it holds all data and serves reads, passes writes on, and never votes."},
		{Name: "autopilot-stabilization-time", Default: d.Stabilization.String(), Kind: Duration, set: duration(func(s *Server) *time.Duration { return &s.Node.Stabilization }),
			Help: "How long a newcomer must have been healthy before the leader makes it a voter. The leader's setting counts, as of the next two."},
		{Name: "autopilot-dead-after", Default: d.DeadAfter.String(), Kind: Duration, set: duration(func(s *Server) *time.Duration { return &s.Node.DeadAfter }),
			Help: "How long a member must have been gone before the leader removes it from the cluster: hours, since a removed node must be given an empty data directory. 0: never."},
		{Name: "autopilot-min-quorum", Default: strconv.Itoa(d.MinQuorum), Kind: Number,
			set:  func(s *Server, v string) (err error) { s.Node.MinQuorum, err = strconv.Atoi(v); return err },
			Help: "Number of voters below which the leader removes no dead one by itself."},
	}
}

// setBootstrapExpect leaves the number open if there is no value: the default
// depends on join.
func setBootstrapExpect(s *Server, v string) error {
	s.bootstrapByJoin = v == ""
	if s.bootstrapByJoin {
		return nil
	}
	n, err := strconv.Atoi(v)
	s.Node.BootstrapExpect = n
	return err
}

// trustSettings say who may reach the node and what it accepts.
func trustSettings() []Setting {
	return []Setting{
		{Name: "allow-insecure", Default: "false", Kind: Boolean, set: boolean(func(s *Server) *bool { return &s.AllowInsecure }),
			Help: "Permits listening beyond loopback without protection: with authentication off whoever reaches the HTTP port may read and write."},
		{Name: "auth-enabled", Default: "false", Kind: Boolean, set: boolean(func(s *Server) *bool { return &s.AuthEnabled }),
			Help: "Demands an API key for every request but the probes (docs/auth.md). The same on every node."},
		{Name: "auth-open-docs", Default: "false", Kind: Boolean, set: boolean(func(s *Server) *bool { return &s.AuthOpenDocs }),
			Help: "Serves /docs and /openapi.json without a key."},
		{Name: "auth-open-metrics", Default: "false", Kind: Boolean, set: boolean(func(s *Server) *bool { return &s.AuthOpenMetrics }),
			Help: "Serves /metrics without a key."},
		{Name: "root-api-key", Kind: Text, Secret: true, set: text(func(s *Server) *string { return &s.RootAPIKey }),
			Help: "Secret of the first admin key, which a node makes if the cluster has no key named root yet. Later it changes nothing: rotate or revoke that key instead. `openssl rand -hex 32` makes one."},
		{Name: "root-api-key-file", Kind: Path, set: text(func(s *Server) *string { return &s.RootAPIKeyFile }),
			Help: "File that holds the root API key, instead of root-api-key: other users of the machine can see flags."},
		{Name: "accept-v1-signatures", Default: "false", Kind: Boolean, set: boolean(func(s *Server) *bool { return &s.AcceptV1 }),
			Help: "Accepts legacy signatures, which do not cover the object (docs/signing.md). They are marked in every answer."},
		{Name: "audit-enabled", Default: "true", Kind: Boolean, set: boolean(func(s *Server) *bool { return &s.AuditEnabled }),
			Help: "Keeps the reads that name an agent in X-Agent-Id or come with an API key, behind the answers (/v1/audit/queries)."},
		{Name: "audit-max-entries", Default: "100000", Kind: Number,
			set: func(s *Server, v string) (err error) {
				s.AuditMaxEntries, err = strconv.Atoi(v)
				if err == nil && s.AuditMaxEntries < 1 {
					err = errors.New("at least 1 is possible")
				}
				return err
			},
			Help: "Reads that a node keeps; the oldest make room."},
		{Name: "meter-enabled", Kind: Boolean, set: follows(func(s *Server) **bool { return &s.meter }),
			Help: "Holds agents, keys and addresses to a quota an hour (docs/limits.md). Default: as auth-enabled."},
		{Name: "admission-enabled", Kind: Boolean, set: follows(func(s *Server) **bool { return &s.admission }),
			Help: "Demands proof of work from agents that are new and not trusted (docs/limits.md). Default: as auth-enabled."},
		{Name: "breakers-enabled", Kind: Boolean, set: follows(func(s *Server) **bool { return &s.breakers }),
			Help: "Keeps out for a while who keeps failing (docs/limits.md). Default: as auth-enabled."},
		{Name: "defense", Default: "quarantine", Kind: DefenseMode,
			set:  func(s *Server, v string) (err error) { s.Defense.Mode, err = defense.ParseMode(v); return err },
			Help: "The content defence (docs/defense.md): quarantine keeps claims that it finds poisonous out of answers until they are reviewed, flag only marks them, off lets all pass. The same on every node."},
		{Name: "defense-patterns-file", Kind: Path, set: text(func(s *Server) *string { return &s.DefensePatternsFile }),
			Help: "YAML file with patterns of your own for the content defence, beside those that it comes with (docs/defense.md)."},
		{Name: "http-tls-cert", Kind: Path, set: text(func(s *Server) *string { return &s.HTTPTLSCert }),
			Help: "Certificate (PEM, with its chain) that the HTTP port is served with, as HTTPS; with http-tls-key. `stemedb certs` makes one. Without, HTTP is not encrypted. Files that change are read again, without a restart."},
		{Name: "http-tls-key", Kind: Path, set: text(func(s *Server) *string { return &s.HTTPTLSKey }),
			Help: "The key of http-tls-cert (PEM)."},
		{Name: "allowed-origins", Kind: List, set: list(func(s *Server) *[]string { return &s.AllowedOrigins }),
			Help: "Comma-separated origins (https://app.example.com) whose pages may use the API from a browser. `*`: any. Default: none."},
		{Name: "trusted-proxies", Kind: List, set: setTrustedProxies,
			Help: "Comma-separated addresses or networks (10.0.0.0/24) of proxies in front of the HTTP port. Limits and logs then go by the client that they name in X-Forwarded-For; of anybody else that header means nothing. Default: none."},
		{Name: "tls-cert", Kind: Path, set: text(func(s *Server) *string { return &s.TLSCert }),
			Help: "The node's certificate (PEM) for node-to-node TLS; with tls-key and tls-ca. `stemedb certs` makes them. A changed certificate and key are read again, without a restart."},
		{Name: "tls-key", Kind: Path, set: text(func(s *Server) *string { return &s.TLSKey }),
			Help: "The key of tls-cert (PEM)."},
		{Name: "tls-ca", Kind: Path, set: text(func(s *Server) *string { return &s.TLSCA }),
			Help: "The authority that signs every node's certificate (PEM). Both sides of a node-to-node connection must show one, so it must sign for nothing else: no public authority. Read at the start."},
		{Name: "gossip-key", Kind: Key, Secret: true, set: text(func(s *Server) *string { return &s.GossipKey }),
			Help: "Key of 16, 24 or 32 bytes that encrypts gossip (AES-GCM), the same on every node. `openssl rand -hex 32` makes one."},
		{Name: "gossip-key-file", Kind: Path, set: text(func(s *Server) *string { return &s.GossipKeyFile }),
			Help: "File that holds the gossip key, instead of gossip-key: other users of the machine can see flags."},
	}
}

// setTrustedProxies reads networks; an address is the network of itself. A
// network of everything is refused: any client could then name any address.
func setTrustedProxies(s *Server, v string) error {
	var items []string
	if err := list(func(*Server) *[]string { return &items })(s, v); err != nil {
		return err
	}
	s.TrustedProxies = nil
	for _, item := range items {
		prefix, err := netip.ParsePrefix(item)
		if err != nil {
			addr, addrErr := netip.ParseAddr(item)
			switch {
			case addrErr != nil:
				return err
			case addr.Zone() != "":
				return fmt.Errorf("%s: leave the zone out", item)
			}
			prefix = netip.PrefixFrom(addr, addr.BitLen())
		}
		switch {
		case prefix.Bits() == 0:
			return fmt.Errorf("%s would trust everybody", item)
		case prefix.Addr().Is4In6():
			return fmt.Errorf("%s: write an IPv4 network as such", item)
		}
		s.TrustedProxies = append(s.TrustedProxies, prefix.Masked())
	}
	return nil
}

func logSettings() []Setting {
	return []Setting{
		{Name: "log-level", Default: "info", Kind: Level, set: func(s *Server, v string) error { return s.LogLevel.UnmarshalText([]byte(v)) },
			Help: "Least severe level that is logged. Administrators change it while the node runs (`stemectl log-level`)."},
		{Name: "log-format", Default: "json", Kind: Format, set: oneOf(func(s *Server) *string { return &s.LogFormat }, "json", "text"),
			Help: "Form of the log lines on standard error."},
		{Name: "otlp-endpoint", Kind: URL,
			set: func(s *Server, v string) error {
				s.OTLPEndpoint = v
				if v == "" {
					return nil
				}
				return otlp.Check(v)
			},
			Help: "Base URL of an OpenTelemetry collector (OTLP over HTTP, as `http://localhost:4318`) that receives traces (docs/tracing.md). Without, none are made."},
		{Name: "otlp-headers", Kind: Text, Secret: true, set: text(func(s *Server) *string { return &s.otlpHeaders }),
			Help: "Headers for the collector, as `name=value,name=value`; a comma or `%` in a value in percent encoding."},
		{Name: "otlp-headers-file", Kind: Path, set: text(func(s *Server) *string { return &s.otlpHeadersFile }),
			Help: "File that holds the headers for the collector, instead of otlp-headers: other users of the machine can see flags."},
		{Name: "otlp-ca", Kind: Path, set: text(func(s *Server) *string { return &s.OTLPCA }),
			Help: "Authorities (PEM) that count for the collector's certificate. Default: those of the system."},
		{Name: "otlp-service-name", Kind: Name, set: text(func(s *Server) *string { return &s.OTLPServiceName }),
			Help: "Name of the service in traces. Default: `OTEL_SERVICE_NAME`, else stemedb."},
		{Name: "trace-ratio", Default: "1", Kind: Ratio,
			set: func(s *Server, v string) (err error) {
				s.TraceRatio, err = strconv.ParseFloat(v, 64)
				if err == nil && !(s.TraceRatio >= 0 && s.TraceRatio <= 1) {
					err = errors.New("0 to 1 is possible")
				}
				return err
			},
			Help: "Part of the requests that are traced. A request that brings a trace is traced if the trace is."},
	}
}

func raftSettings(d node.Config) []Setting {
	return []Setting{
		{Name: "raft-heartbeat-timeout", Default: d.HeartbeatTimeout.String(), Kind: Duration, set: duration(func(s *Server) *time.Duration { return &s.Node.HeartbeatTimeout }),
			Help: "How long a follower waits for a sign of the leader before it calls an election (up to three times that; three tenths of it if the leader's process has visibly ended). Shorter fails over faster, but elects needlessly on a busy machine. 100ms to 1m."},
		{Name: "raft-election-timeout", Default: d.ElectionTimeout.String(), Kind: Duration, set: duration(func(s *Server) *time.Duration { return &s.Node.ElectionTimeout }),
			Help: "How long a candidate waits for votes before it tries again. At least raft-heartbeat-timeout."},
		{Name: "raft-leader-lease", Default: d.LeaderLease.String(), Kind: Duration, set: duration(func(s *Server) *time.Duration { return &s.Node.LeaderLease }),
			Help: "How long a leader that cannot reach a quorum stays leader. At most raft-heartbeat-timeout."},
		{Name: "raft-commit-interval", Default: d.CommitInterval.String(), Kind: Duration, set: duration(func(s *Server) *time.Duration { return &s.Node.CommitInterval }),
			Help: "How soon followers learn of the last commit when no further write comes."},
		{Name: "snapshot-interval", Default: d.SnapshotInterval.String(), Kind: Duration, set: duration(func(s *Server) *time.Duration { return &s.Node.SnapshotInterval }),
			Help: "How often the node looks whether a snapshot is due."},
		{Name: "snapshot-threshold", Default: strconv.FormatUint(d.SnapshotThreshold, 10), Kind: Number, set: unsigned(func(s *Server) *uint64 { return &s.Node.SnapshotThreshold }),
			Help: "Log entries since the last snapshot that make the next one due. A snapshot lets the log be truncated; it costs hard links, not a copy."},
		{Name: "trailing-logs", Default: strconv.FormatUint(d.TrailingLogs, 10), Kind: Number, set: unsigned(func(s *Server) *uint64 { return &s.Node.TrailingLogs }),
			Help: "Log entries that stay after a snapshot, so that a node that was away for a short time needs no snapshot. Fewer where log-bytes says so."},
		{Name: "log-bytes", Default: strconv.FormatUint(d.LogBytes, 10), Kind: Bytes, set: unsigned(func(s *Server) *uint64 { return &s.Node.LogBytes }),
			Help: "About how large the raft log may become. A snapshot is due when the entries since the last one take half of it, and no more stay after a snapshot than the other half holds, whatever snapshot-threshold and trailing-logs are; a node that was away for longer than what is left gets a snapshot. What is written within snapshot-interval comes on top. 0: only entries count."},
		{Name: "log-store", Default: d.LogStore, Kind: Text, set: text(func(s *Server) *string { return &s.Node.LogStore }),
			Help: "What keeps the raft log: `boltdb`, one bbolt file, or `wal`, segments to which is only appended (docs/operations.md). A node whose data directory holds a log of the other kind does not start; `stemedb convert-log` converts it."},
		{Name: "log-compact-percent", Default: strconv.Itoa(d.LogCompactPercent), Kind: Number,
			set:  func(s *Server, v string) (err error) { s.Node.LogCompactPercent, err = strconv.Atoi(v); return err },
			Help: "At a start, rewrites the raft log's file if more than this many percent of it are free, and so gives the space back to the file system. 0: never, since later entries need the space again, and the start waits for the copy, which needs room on the disk. Of no use to log-store=wal."},
	}
}

func backupSettings(d node.Config) []Setting {
	return []Setting{
		{Name: "backup-url", Kind: Text, set: text(func(s *Server) *string { return &s.BackupURL }),
			Help: "Where the leader puts full backups by itself: the path of a folder, or `s3://BUCKET/PREFIX` (docs/backup.md). The same on every node. Of S3 the endpoint, region and credentials come from the usual variables (`AWS_ENDPOINT_URL`, `AWS_REGION`, `AWS_ACCESS_KEY_ID`, …). Default: none are taken."},
		{Name: "backup-interval", Default: d.Backups.Interval.String(), Kind: Duration, set: duration(func(s *Server) *time.Duration { return &s.Node.Backups.Interval }),
			Help: "How often it takes one, unless nothing has changed since the last one."},
		{Name: "backup-keep", Default: strconv.Itoa(d.Backups.Keep), Kind: Number,
			set:  func(s *Server, v string) (err error) { s.Node.Backups.Keep, err = strconv.Atoi(v); return err },
			Help: "Full backups of this cluster that stay there; older ones are removed after each new one."},
		{Name: "backup-keep-within", Default: d.Backups.KeepWithin.String(), Kind: Duration, set: duration(func(s *Server) *time.Duration { return &s.Node.Backups.KeepWithin }),
			Help: "For how long every backup stays, however many there are."},
		{Name: "backup-age-recipients", Kind: List, set: list(func(s *Server) *[]string { return &s.backupRecipients }),
			Help: "Comma-separated age recipients (age1…) that these backups are encrypted for: who has the key of one of them can read them, the nodes cannot. Default: they are not encrypted."},
		{Name: "backup-age-identity-file", Kind: Path, set: text(func(s *Server) *string { return &s.backupIdentityFile }),
			Help: "File with the age identities (AGE-SECRET-KEY-1…) that open an encrypted backup, for restore-from and `stemedb restore`."},
		{Name: "backup-rate", Default: strconv.FormatInt(d.BackupRate, 10), Kind: Bytes,
			set: func(s *Server, v string) (err error) {
				s.Node.BackupRate, err = strconv.ParseInt(v, 10, 64)
				return err
			},
			Help: "How much of its state or log a running node takes into a backup in a second, so that writers need not wait. 0: no bound."},
	}
}

func limitSettings(d node.Config) []Setting {
	return []Setting{
		{Name: "write-timeout", Default: d.WriteTimeout.String(), Kind: Duration, set: duration(func(s *Server) *time.Duration { return &s.Node.WriteTimeout }),
			Help: fmt.Sprintf("Bound on one write. When it passes after the write was proposed, the answer is outcome_unknown. At most %v.", maxWait)},
		{Name: "read-timeout", Default: d.ReadTimeout.String(), Kind: Duration, set: duration(func(s *Server) *time.Duration { return &s.Node.ReadTimeout }),
			Help: fmt.Sprintf("Bound on the wait for a read's consistency. At most %v.", maxWait)},
		{Name: "sync-interval", Default: d.SyncInterval.String(), Kind: Duration, set: duration(func(s *Server) *time.Duration { return &s.Node.SyncInterval }),
			Help: "How often nodes report their applied index and digest to each other."},
		{Name: "trust-interval", Default: d.TrustInterval.String(), Kind: Duration, set: duration(func(s *Server) *time.Duration { return &s.Node.TrustInterval }),
			Help: "How often the leader looks for new gold labels, endorsements and seeds, and computes the trust in agents anew."},
		{Name: "truth-interval", Default: d.TruthInterval.String(), Kind: Duration, set: duration(func(s *Server) *time.Duration { return &s.Node.TruthInterval }),
			Help: "How often the leader looks whether claims or gold labels call for learning the model of the truth lens anew."},
		{Name: "max-queued-claims", Default: strconv.Itoa(d.MaxQueuedClaims), Kind: Number,
			set:  func(s *Server, v string) (err error) { s.Node.MaxQueuedClaims, err = strconv.Atoi(v); return err },
			Help: "Claims that may wait for a log entry on this node; more are refused as overload."},
		{Name: "cache-bytes", Default: strconv.FormatInt(d.CacheBytes, 10), Kind: Bytes,
			set: func(s *Server, v string) (err error) {
				s.Node.CacheBytes, err = strconv.ParseInt(v, 10, 64)
				return err
			},
			Help: "Block cache of the index."},
		{Name: "memtable-bytes", Default: strconv.FormatUint(d.MemTableBytes, 10), Kind: Bytes, set: unsigned(func(s *Server) *uint64 { return &s.Node.MemTableBytes }),
			Help: "What the index gathers in memory before it is flushed. It bounds what a restart replays from the log."},
		{Name: "disk-timeout", Default: d.DiskTimeout.String(), Kind: Duration, set: duration(func(s *Server) *time.Duration { return &s.Node.DiskTimeout }),
			Help: "How long a write to the data directory may take until its disk counts as hung: the node then answers 503, cuts itself off from the others, so that another one leads, and takes part again when writes complete. Too short and a busy disk costs elections, or the quorum if all disks are busy at once; too long and a hung leader holds up all writes for that long. At least 100ms; 0: no disk counts as hung."},
		{Name: "min-free-disk", Default: strconv.FormatUint(d.MinFreeDisk, 10), Kind: Bytes, set: unsigned(func(s *Server) *uint64 { return &s.Node.MinFreeDisk }),
			Help: "What must be free on the file system of the data directory. A leader with less hands over, or refuses writes; writes are refused too while fewer than a majority of the voters have it. They are taken again when a quarter more is free. Keep it well above what is written while the alert is answered; 0: no minimum, and a full disk takes the node out of the cluster."},
		{Name: "http-max-connections", Default: strconv.Itoa(api.DefaultMaxConnections), Kind: Number,
			set: func(s *Server, v string) (err error) {
				s.MaxConnections, err = strconv.Atoi(v)
				if err == nil && s.MaxConnections < 1 {
					err = errors.New("at least 1 is possible")
				}
				return err
			},
			Help: "HTTP connections that may be open at once, each about 50 KiB with TLS. One more closes the one that has waited longest for a request; if all have one under way, it is closed itself."},
		{Name: "shutdown-timeout", Default: "15s", Kind: Duration, set: duration(func(s *Server) *time.Duration { return &s.ShutdownTimeout }),
			Help: "Bound on the graceful part of a stop: handing leadership over and finishing the requests under way. shutdown-delay comes on top."},
		{Name: "shutdown-delay", Default: "0s", Kind: Duration, set: duration(func(s *Server) *time.Duration { return &s.ShutdownDelay }),
			Help: "How long a node that stops goes on serving, no longer ready, before it closes its HTTP port: a load balancer needs it to notice, two of its checks. At most 1m."},
	}
}
