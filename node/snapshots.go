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
	threshold, trailing, err := n.logBounds()
	if err != nil {
		return fmt.Errorf("look at the raft log: %w", err)
	}
	if conf := n.raft.ReloadableConfig(); conf.TrailingLogs != trailing {
		conf.TrailingLogs = trailing
		if err := n.raft.ReloadConfig(conf); err != nil {
			return fmt.Errorf("set the number of trailing entries: %w", err)
		}
	}
	last, err := n.fsm.SnapshotStore().List()
	if err != nil {
		return err
	}
	due := threshold
	if len(last) > 0 {
		due += last[0].Index
	}
	if n.raft.LastIndex() < due {
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

// logBounds are how many entries make a snapshot due, and how many stay after it.
func (n *Node) logBounds() (threshold, trailing uint64, err error) {
	threshold, trailing = n.cfg.SnapshotThreshold, n.cfg.TrailingLogs
	entries, err := n.logs.Entries()
	if err != nil || entries == 0 || n.cfg.LogBytes == 0 {
		return threshold, trailing, err
	}
	used, err := n.logUsed()
	if err != nil {
		return 0, 0, err
	}
	threshold, trailing = boundEntries(n.cfg.LogBytes, used, entries, threshold, trailing)
	return threshold, trailing, nil
}

// boundEntries lowers a threshold and a number of trailing entries to what half of
// bytes holds, if the entries go on as large as those that take used bytes now:
// raft counts entries, whose size is anything from a claim to the 256 KiB of a full
// group commit. As long as they take less than that half, nothing is lowered: the
// first segment of a LogWAL is large whatever it holds.
func boundEntries(bytes, used, entries, threshold, trailing uint64) (uint64, uint64) {
	if used <= bytes/2 {
		return threshold, trailing
	}
	half := bytes / 2 / max(used/entries, 1)
	return max(min(threshold, half), 1), min(trailing, half)
}

// logUsed is how many bytes the entries of the raft log take.
func (n *Node) logUsed() (uint64, error) {
	size, err := logSize(n.cfg.DataDir)
	if err != nil {
		return 0, err
	}
	if bolt := n.logs.bolt(); bolt != nil {
		size -= int64(bolt.Stats().FreeAlloc)
	}
	return uint64(max(size, 0)), nil
}
