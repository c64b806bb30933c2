package node

import (
	"context"
	"fmt"

	"github.com/hashicorp/raft"

	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/sync/convergence"
	"github.com/stemedb/stemedb/sync/gossip"
)

// readyLag is how many entries a ready node may be behind the commit index.
const readyLag = 1000

// Check is one condition of readiness.
type Check struct {
	Name   string
	OK     bool
	Detail string
}

// Readiness says whether the node should receive requests, and why not.
type Readiness struct {
	Ready  bool
	Checks []Check
}

// Health is the node's own state in short.
type Health struct {
	Status     string // "ok", "no_leader", "stopping", "removed" or "failed"
	NodeID     string
	Leader     string // node id, "" while there is none
	Role       string // "leader", "follower", "candidate", "non-voter" or "outsider"
	Index      uint64
	Assertions uint64
}

// Member is one node of the cluster as this node sees it.
type Member struct {
	NodeID       string
	ClusterAddr  string
	HTTPAddr     string
	GossipAddr   string
	Version      string
	Suffrage     string // "voter", "nonvoter" or "none"
	State        string // gossip state; "unknown" if gossip never saw the node
	Leader       bool
	AppliedIndex uint64
	LagEntries   uint64
	LagSeconds   float64
	DigestAgrees bool
	Disk         string // "ok", "low" or "unavailable", as far as gossip knows; "" if it knows nothing
}

// Cluster is the cluster as this node sees it.
type Cluster struct {
	ClusterID    string
	NodeID       string
	Leader       string
	Term         uint64
	CommitIndex  uint64
	AppliedIndex uint64
	Assertions   uint64
	Digest       assertion.Hash
	Converged    bool
	Members      []Member
}

// Ready tells whether this node should receive requests: its state is sound,
// it has caught up once since it started, its disk is not in trouble, it is a member
// of a cluster, its digest agrees with the others' and it is not far behind. A node
// that was ready stays so without a leader.
func (n *Node) Ready(context.Context) Readiness {
	var r Readiness
	add := func(name string, ok bool, format string, args ...any) {
		detail := ""
		if !ok {
			detail = fmt.Sprintf(format, args...)
		}
		r.Checks = append(r.Checks, Check{Name: name, OK: ok, Detail: detail})
	}
	failed := n.Err()
	add("recovered", failed == nil, "the node has failed: %v", failed)
	add("caught up", n.recovered.Load(), "the node has not replayed the log up to the commit index since it started, or has not heard of a leader yet")
	add("accepting", !n.stopping.Load(), "the node is stopping")
	trouble := n.disk.err()
	add("disk", trouble == nil, "%v", trouble)
	removed := n.removal.err()
	add("in the cluster", removed == nil, "%v", removed)
	_, member := n.server(n.id)
	add("member", member && n.ClusterID() != "", "the node is not part of a cluster yet")
	status := n.tracker.Status()
	add("digest", !status.Minority, "this node's state differs from that of the majority at the same log index: stop it, move its data directory away and let it join anew")
	applied, lag := n.lag(status)
	add("lag", lag <= readyLag, "%d entries behind the commit index (applied %d, at most %d behind are allowed)", lag, applied, readyLag)
	r.Ready = true
	for _, check := range r.Checks {
		r.Ready = r.Ready && check.OK
	}
	return r
}

// lag is how many committed entries this node has not applied, by the highest
// commit index that it has heard of.
func (n *Node) lag(status convergence.Status) (applied, behind uint64) {
	applied = n.fsm.AppliedIndex()
	commit := n.raft.CommitIndex()
	for _, peer := range status.Peers {
		commit = max(commit, peer.CommitIndex)
	}
	if commit > applied {
		behind = commit - applied
	}
	return applied, behind
}

// Health is the node's own state in short; it never waits.
func (n *Node) Health() Health {
	applied, _, count := n.fsm.Current()
	leader := n.knownLeader()
	h := Health{Status: "ok", NodeID: n.id, Leader: leader, Role: n.role(), Index: applied, Assertions: count}
	switch {
	case n.Err() != nil:
		h.Status = "failed"
	case n.stopping.Load():
		h.Status = "stopping"
	case n.removal.err() != nil:
		h.Status = "removed"
	case leader == "":
		h.Status = "no_leader"
	}
	return h
}

func (n *Node) role() string {
	self, member := n.server(n.id)
	switch {
	case !member:
		return "outsider"
	case self.Suffrage != raft.Voter:
		return "non-voter"
	case n.leads():
		return "leader"
	case n.raft.State() == raft.Candidate:
		return "candidate"
	default:
		return "follower"
	}
}

// suffrage is a member's as the API names it.
func suffrage(s raft.Server) string {
	if s.Suffrage == raft.Voter {
		return "voter"
	}
	return "nonvoter"
}

// Cluster is the cluster as this node sees it; it never waits.
func (n *Node) Cluster() Cluster {
	applied, digest, count := n.fsm.Current()
	leader := n.knownLeader()
	status := n.tracker.Status()
	c := Cluster{
		ClusterID: n.ClusterID(), NodeID: n.id, Leader: leader, Term: n.raft.CurrentTerm(),
		CommitIndex: n.raft.CommitIndex(), AppliedIndex: applied, Assertions: count, Digest: digest, Converged: status.Converged,
	}
	members := map[string]*Member{}
	var order []string
	entry := func(id string) *Member {
		if members[id] == nil {
			members[id] = &Member{NodeID: id, Suffrage: "none", State: "unknown"}
			order = append(order, id)
		}
		return members[id]
	}
	for _, server := range n.servers() {
		m := entry(string(server.ID))
		m.ClusterAddr = string(server.Address)
		m.Suffrage = suffrage(server)
		m.Leader = string(server.ID) == leader
	}
	for _, seen := range n.gossip.Members() {
		if _, member := members[seen.NodeID]; !member && seen.State != gossip.Alive {
			continue // long gone, and not part of the cluster
		}
		m := entry(seen.NodeID)
		m.HTTPAddr, m.GossipAddr, m.Version, m.State = seen.HTTPAddr, seen.GossipAddr, seen.Version, string(seen.State)
		m.Disk = diskName(seen.Disk)
		if m.ClusterAddr == "" {
			m.ClusterAddr = seen.ClusterAddr
		}
	}
	for _, peer := range status.Peers {
		if m := members[peer.NodeID]; m != nil {
			m.AppliedIndex, m.LagEntries, m.LagSeconds, m.DigestAgrees = peer.Index, peer.LagEntries, peer.LagSeconds, peer.DigestAgrees
		}
	}
	if self := members[n.id]; self != nil {
		_, behind := n.lag(status)
		self.Disk = diskName(n.disk.view().state())
		self.AppliedIndex, self.LagEntries, self.DigestAgrees = applied, behind, !status.Minority
	}
	for _, id := range order {
		c.Members = append(c.Members, *members[id])
	}
	return c
}
