package node

import (
	"context"
	"fmt"
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
	ctx, cancel := context.WithTimeout(ctx, n.cfg.WriteTimeout)
	defer cancel()
	unlock, floor, err := n.lockFormat(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	to := commonFormat(n.servers(), n.gossip.Members())
	if to <= n.fsm.Format() {
		return nil
	}
	n.proposedFormat.Store(uint32(max(floor, to))) // it may be in the log even if this fails
	if _, err := n.propose(ctx, fsm.EncodeFormat(n.unixNow(), to)); err != nil {
		return err
	}
	n.log.Info("the cluster writes a new command format; older versions of stemedb cannot be members any more", "from", floor, "to", to)
	return nil
}

// lockFormat keeps the command format from being raised while a newcomer is judged
// by it, and the reverse. floor is the highest format that may be in the log: what
// this leader's predecessors committed has been applied, and what it proposed
// itself is remembered.
func (n *Node) lockFormat(ctx context.Context) (unlock func(), floor uint16, err error) {
	if _, err := n.waitTermApplied(ctx); err != nil {
		return nil, 0, fmt.Errorf("%w: %w", ErrNoLeader, err)
	}
	select {
	case n.formatLock <- struct{}{}:
	case <-ctx.Done():
		return nil, 0, fmt.Errorf("%w: another change of the membership takes too long (%w)", ErrNoLeader, context.Cause(ctx))
	}
	return func() { <-n.formatLock }, max(n.fsm.Format(), uint16(n.proposedFormat.Load())), nil
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
