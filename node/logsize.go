package node

import (
	"time"
)

// boundLog keeps the raft log within Config.LogBytes: raft counts entries, whose
// size is anything from a claim to the 256 KiB of a full group commit. Where half
// of the bytes hold fewer entries than the settings say, that number is when a
// snapshot is due and what stays after it.
func (n *Node) boundLog() {
	if n.cfg.LogBytes == 0 {
		return
	}
	ticks := time.NewTicker(max(n.cfg.SnapshotInterval/4, time.Millisecond))
	defer ticks.Stop()
	for {
		select {
		case <-ticks.C:
		case <-n.ctx.Done():
			return
		}
		if n.disk.err() != nil { // a look at the files may hang like the disk
			continue
		}
		if err := n.boundLogNow(); err != nil {
			n.log.Warn("cannot hold the raft log to log-bytes", "error", err)
		}
	}
}

func (n *Node) boundLogNow() error {
	used, err := n.logUsed()
	if err != nil {
		return err
	}
	entries, err := n.logs.Entries()
	if err != nil || entries == 0 {
		return err
	}
	conf := n.raft.ReloadableConfig()
	threshold, trailing := boundEntries(n.cfg.LogBytes, used, entries, n.cfg.SnapshotThreshold, n.cfg.TrailingLogs)
	if threshold == conf.SnapshotThreshold && trailing == conf.TrailingLogs {
		return nil
	}
	conf.SnapshotThreshold, conf.TrailingLogs = threshold, trailing
	return n.raft.ReloadConfig(conf)
}

// boundEntries lowers a threshold and a number of trailing entries to what half of
// bytes holds, if the entries go on as large as those that take used bytes now. As
// long as they take less than that half, nothing is lowered: the first segment of a
// LogWAL is large whatever it holds.
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
