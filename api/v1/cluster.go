package v1

import "github.com/stemedb/stemedb/assertion"

// HealthRecovering is the status of a node that is still opening its state.
const HealthRecovering = "recovering"

// Health answers GET /v1/health: the node's own state in short.
type Health struct {
	// Status is ok, recovering, no_leader, stopping, removed or failed.
	Status          string `json:"status"`
	AssertionsCount uint64 `json:"assertions_count"`
	Node            string `json:"node"`
	// Leader is the leader's node id; empty while there is none.
	Leader string `json:"leader"`
	// Role is leader, follower, candidate, non-voter or outsider; empty while
	// the node recovers.
	Role string `json:"role"`
	// Index is the log index that this node has applied.
	Index uint64 `json:"index"`
}

// Readiness answers GET /readyz.
type Readiness struct {
	Ready bool `json:"ready"`
	// Checks are all conditions if asked for by verbose.
	Checks []Check `json:"checks,omitempty"`
}

// Check is one condition of readiness.
type Check struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	// Detail says what is wrong and what to do.
	Detail string `json:"detail,omitempty"`
}

// Liveness answers GET /livez.
type Liveness struct {
	Alive bool `json:"alive"`
}

// Cluster answers GET /v1/cluster: the cluster as the answering node sees it.
type Cluster struct {
	ClusterID       string `json:"cluster_id"`
	Node            string `json:"node"`
	Leader          string `json:"leader"`
	Term            uint64 `json:"term"`
	CommitIndex     uint64 `json:"commit_index"`
	AppliedIndex    uint64 `json:"applied_index"`
	AssertionsCount uint64 `json:"assertions_count"`
	// Digest is that of the answering node's state at AppliedIndex.
	Digest assertion.Hash `json:"digest"`
	// Converged says that every live node has applied the same log.
	Converged bool     `json:"converged"`
	Members   []Member `json:"members"`
}

// Member is one node of a cluster.
type Member struct {
	Node        string `json:"node"`
	ClusterAddr string `json:"cluster_addr"`
	HTTPAddr    string `json:"http_addr"`
	GossipAddr  string `json:"gossip_addr"`
	Version     string `json:"version"`
	// Suffrage is voter, nonvoter or none.
	Suffrage string `json:"suffrage"`
	// State is alive, dead, left or unknown (gossip never saw the node).
	State        string `json:"state"`
	Leader       bool   `json:"leader"`
	AppliedIndex uint64 `json:"applied_index"`
	// LagEntries and LagSeconds are how far the node is behind, as far as this
	// node has heard.
	LagEntries uint64  `json:"lag_entries"`
	LagSeconds float64 `json:"lag_seconds"`
	// Disk is "ok", "low" (less is free than the node's minimum) or "unavailable"
	// (it hangs or fails, and the node takes part in nothing); absent if gossip
	// knows nothing of the node.
	Disk string `json:"disk,omitempty"`
	// DigestAgrees says that the node's digest is this node's at the same index.
	DigestAgrees bool `json:"digest_agrees"`
}

// LogLevel is the body and the answer of POST /v1/admin/log_level.
type LogLevel struct {
	// Level is debug, info, warn or error.
	Level string `json:"level"`
}
