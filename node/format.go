package node

import (
	"context"
	"time"

	"github.com/hashicorp/raft"

	"github.com/stemedb/stemedb/fsm"
	"github.com/stemedb/stemedb/sync/gossip"
)

// raiseFormat makes the cluster write the highest command format that every
// member understands, for as long as this node leads. The format is in the log
// and never falls, so that nodes can be replaced by a newer version one after the
// other, and back, until the last of them was.
func (n *Node) raiseFormat(ctx context.Context) {
	ticker := time.NewTicker(n.cfg.SyncInterval)
	defer ticker.Stop()
	for {
		if err := n.raiseFormatOnce(ctx); err != nil && ctx.Err() == nil {
			n.log.Warn("the command format was not raised; it is tried again", "error", err)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

func (n *Node) raiseFormatOnce(ctx context.Context) error {
	// No member that is too old may come in between.
	n.formatMu.Lock()
	defer n.formatMu.Unlock()
	now, to := n.fsm.Format(), commonFormat(n.servers(), n.gossip.Members())
	if to <= now {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, n.cfg.WriteTimeout)
	defer cancel()
	if _, err := n.propose(ctx, fsm.EncodeFormat(n.unixNow(), to)); err != nil {
		return err
	}
	n.log.Info("the cluster writes a new command format; older versions of stemedb cannot be members any more", "from", now, "to", to)
	return nil
}

// commonFormat is the highest command format that every server of a configuration
// is known to understand, whether it is up or not; 0 if one is not known.
func commonFormat(servers []raft.Server, members []gossip.Member) uint16 {
	known := map[string]uint16{}
	for _, member := range members {
		known[member.NodeID] = member.CommandFormat
	}
	lowest := fsm.FormatVersion
	for _, server := range servers {
		lowest = min(lowest, known[string(server.ID)])
	}
	return lowest
}
