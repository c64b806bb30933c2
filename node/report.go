package node

import (
	"time"

	"github.com/stemedb/stemedb/sync/gossip"
)

// report tells the other nodes how far this one is, and keeps the local view
// of them current, until the node stops.
func (n *Node) report() {
	ticker := time.NewTicker(n.cfg.SyncInterval)
	defer ticker.Stop()
	for {
		n.reportOnce()
		select {
		case <-ticker.C:
		case <-n.ctx.Done():
			return
		}
	}
}

func (n *Node) reportOnce() {
	applied, digest, _ := n.fsm.Current()
	commit := n.raft.CommitIndex()
	n.tracker.Local(applied, commit)
	var live []string
	for _, member := range n.gossip.Members() {
		if member.State == gossip.Alive && member.NodeID != n.id {
			live = append(live, member.NodeID)
		}
	}
	n.tracker.SetLive(live)
	n.gossip.Publish(gossip.Report{
		NodeID: n.id, Index: applied, Term: n.raft.CurrentTerm(), Digest: digest,
		CommitIndex: commit, SentAtMillis: n.cfg.Now().UnixMilli(),
	})
	n.announceCluster()
	n.noteMembers()
	n.noteRecovery(applied, commit)
}

// announceCluster puts the cluster's id into this node's gossip and identity as
// soon as it is known.
func (n *Node) announceCluster() {
	id := n.ClusterID()
	if id == "" || n.announced == id {
		return
	}
	meta := n.meta()
	meta.ClusterID = id
	if err := n.gossip.SetMeta(meta); err != nil {
		n.log.Warn("gossip metadata was not updated", "error", err)
		return
	}
	if err := (identity{NodeID: n.id, ClusterID: id}).save(&n.cfg); err != nil {
		n.log.Warn("the cluster's id was not kept beside the node's", "error", err)
		return
	}
	n.announced = id
}

// noteRecovery logs once what this process had to replay: the entries between
// the index that it found on disk and the first commit index that it reached.
func (n *Node) noteRecovery(applied, commit uint64) {
	if n.recovered.Load() || commit == 0 || applied < commit {
		return
	}
	if _, leader := n.raft.LeaderWithID(); leader == "" {
		return
	}
	n.recovered.Store(true)
	stats := n.fsm.MarkRecovered()
	n.log.Info("recovered", "replayed_first", stats.First, "replayed_last", stats.Last,
		"replayed", stats.Applied, "skipped", stats.Skipped, "applied", applied,
		"took", time.Since(n.started).Round(time.Millisecond).String())
}

// clusterFormat is the highest command format that every known member
// understands. Nothing above it is written to the log, so that a member that
// was not upgraded yet never meets an entry that it must refuse.
func (n *Node) clusterFormat() uint16 { return uint16(n.format.Load()) }

// noteMembers recomputes what depends on the membership.
func (n *Node) noteMembers() {
	configured := map[string]bool{n.id: true}
	for _, server := range n.servers() {
		configured[string(server.ID)] = true
	}
	lowest := n.ownFormat
	for _, member := range n.gossip.Members() {
		if configured[member.NodeID] && member.State != gossip.Left {
			lowest = min(lowest, member.CommandFormat)
		}
	}
	n.format.Store(uint32(lowest))
}
