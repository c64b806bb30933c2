package node

import (
	"fmt"
	"sync/atomic"
)

// A node that is down or cut off while it is removed never hears of it from raft:
// nobody replicates to it any more. It asks the others when it greets them. Of
// their committed configurations the newest counts, if it is not older than what
// this node has applied, and if no leader is in contact: a leader replicates to
// members only. So a node that was removed and added again does not believe one
// that has heard of the removal only.

// removal is whether this node was removed from the cluster.
type removal struct{ reason atomic.Pointer[string] }

// err wraps ErrRemoved, nil while the node was not removed.
func (r *removal) err() error {
	if reason := r.reason.Load(); reason != nil {
		return fmt.Errorf("%w: %s", ErrRemoved, *reason)
	}
	return nil
}

// committedConfig is the log index of the newest configuration that this node
// knows to be committed, and whether a node is in it; 0 if it knows none.
func (n *Node) committedConfig(id string) (index uint64, member bool) {
	index, config := n.fsm.Configuration()
	for _, server := range config.Servers {
		member = member || string(server.ID) == id
	}
	return index, member
}

// noteMembership takes what the other nodes know of this one's membership.
func (n *Node) noteMembership(peers []peer) {
	own := n.ClusterID()
	var newest peer
	for _, p := range peers {
		if p.ClusterID == own && p.ConfigIndex > newest.ConfigIndex {
			newest = p
		}
	}
	if own == "" || newest.ConfigIndex == 0 {
		return
	}
	config, _ := n.committedConfig(n.id)
	_, leader := n.raft.LeaderWithID()
	switch {
	case newest.Member || leader != "":
		if n.removal.reason.Swap(nil) != nil {
			n.log.Info("this node is a member of the cluster again", "config_index", newest.ConfigIndex)
		}
	case newest.ConfigIndex >= config && n.hasState():
		reason := fmt.Sprintf("node %s is not in its configuration of log index %d, as %s says. It serves nothing and does not join by itself. To add it anew, stop it, empty its data directory %s and start it; or, with its data, `stemectl cluster join %s --cluster-addr %s`",
			n.id, newest.ConfigIndex, newest.NodeID, n.cfg.DataDir, n.id, n.address)
		if n.removal.reason.Swap(&reason) == nil {
			n.log.Error("this node was removed from the cluster", "reason", reason)
			n.leaderWatch.notify() // nobody waits for a leader any more
		}
	}
}
