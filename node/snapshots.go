package node

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/hashicorp/raft"
)

// raftTakesNone is a snapshot threshold that raft never reaches: takeSnapshots says
// when one is due.
const raftTakesNone = math.MaxUint64

// takeSnapshots takes a snapshot whenever one is due, so that the raft log can let
// entries go. The nodes look at different times, so that they do not take theirs
// all at once.
func (n *Node) takeSnapshots() {
	for {
		interval := n.cfg.SnapshotInterval
		select {
		case <-time.After(interval + rand.N(interval)):
		case <-n.ctx.Done():
			return
		}
		if n.disk.err() != nil { // a look at the files may hang like the disk
			continue
		}
		if err := n.snapshotIfDue(); err != nil && n.ctx.Err() == nil {
			n.log.Warn("no snapshot was taken", "error", err)
		}
	}
}

func (n *Node) snapshotIfDue() error {
	taken, err := n.fsm.SnapshotStore().List()
	if err != nil {
		return err
	}
	last := uint64(0)
	if len(taken) > 0 {
		last = taken[0].Index
	}
	due, trailing, err := n.logBounds(last)
	if err != nil {
		return fmt.Errorf("look at the raft log: %w", err)
	}
	if conf := n.raft.ReloadableConfig(); conf.TrailingLogs != trailing {
		conf.TrailingLogs = trailing
		if err := n.raft.ReloadConfig(conf); err != nil {
			return fmt.Errorf("set the number of trailing entries: %w", err)
		}
	}
	if !due {
		return nil
	}
	if err := n.takeSnapshot(n.ctx); !errors.Is(err, raft.ErrNothingNewToSnapshot) {
		return err
	}
	return nil
}

// takeSnapshot takes a snapshot of what is applied. Raft lets nothing be applied
// while the index flushes what it has in memory, and so while nearly all of that is
// flushed it is not asked yet. The error wraps raft.ErrNothingNewToSnapshot if
// nothing was applied since the last one.
func (n *Node) takeSnapshot(ctx context.Context) error {
	if err := n.fsm.FlushAhead(0); err != nil {
		return err
	}
	return await(ctx, n.raft.Snapshot())
}

// logBounds says whether the entries after the last snapshot, which ends with one,
// make another one due, and how many stay after it.
func (n *Node) logBounds(last uint64) (due bool, trailing uint64, err error) {
	due, trailing = n.raft.LastIndex() >= last+n.cfg.SnapshotThreshold, n.cfg.TrailingLogs
	if n.cfg.LogBytes == 0 {
		return due, trailing, nil
	}
	used, err := n.logs.used()
	if err != nil {
		return false, 0, err
	}
	half, bounded := n.logs.sizes.half(n.cfg.LogBytes, used)
	if !bounded {
		return due, trailing, nil
	}
	return due || n.logs.sizes.after(last) >= half, min(trailing, max(n.logs.sizes.holding(half), 1)), nil
}
