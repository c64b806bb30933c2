package node

import (
	"maps"
	"slices"
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
	configured := n.configured()
	for _, member := range n.gossip.Members() {
		if member.State == gossip.Alive && member.NodeID != n.id && (configured[member.NodeID] || len(configured) == 0) {
			live = append(live, member.NodeID)
		}
	}
	n.tracker.SetLive(live)
	if len(configured) > 0 {
		n.tracker.SetMembers(slices.Collect(maps.Keys(configured)))
	}
	n.gossip.Publish(gossip.Report{
		NodeID: n.id, Index: applied, Term: n.raft.CurrentTerm(), Digest: digest,
		CommitIndex: commit, SentAtMillis: n.cfg.Now().UnixMilli(),
	})
	n.announce()
	n.noteRecovery(applied, commit)
}

// announce puts what this node is into its gossip, and the cluster's id into its
// identity, as soon as either changes.
func (n *Node) announce() {
	if err := n.who.change(&n.cfg, func(i *identity) { i.ClusterID = n.ClusterID() }); err != nil {
		n.log.Warn("the cluster's id was not kept beside the node's", "error", err)
	}
	meta := n.meta()
	if meta == n.announced {
		return
	}
	if err := n.gossip.SetMeta(meta); err != nil {
		n.log.Warn("gossip metadata was not updated", "error", err)
		return
	}
	n.announced = meta
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

// configured are the names of the members, none before this node knows one.
func (n *Node) configured() map[string]bool {
	configured := map[string]bool{}
	for _, server := range n.servers() {
		configured[string(server.ID)] = true
	}
	return configured
}
