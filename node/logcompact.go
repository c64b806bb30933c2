package node

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
)

const (
	// compactSuffix ends the name of the file that a compaction writes.
	compactSuffix = ".compact"
	// compactBytes is how much of the log a compaction copies in one transaction.
	compactBytes = 4 << 20
)

// LogCompaction is the size of the raft log's file in bytes, before and after.
type LogCompaction struct{ Before, After int64 }

// CompactLog gives the free space in the raft log of a data directory, whose node
// must not run, back to the file system. The log is copied, compared with the copy
// and replaced in one step: whenever it is interrupted, the log is whole. It needs
// room on the disk for the copy.
//
// Errors: ErrDataDirInUse while a server uses the directory, ErrLogStore if its log is
// none that can be compacted.
func CompactLog(cfg Config) (c LogCompaction, err error) {
	switch kind, err := logThere(cfg.DataDir); {
	case err != nil:
		return c, err
	case kind == "":
		return c, fmt.Errorf("%w: %s holds no raft log: give the data directory of a node", ErrLogStore, cfg.DataDir)
	case kind != LogBolt:
		return c, fmt.Errorf("%w: %s holds a log of the kind %s, which has nothing to compact: its segments are removed as snapshots let their entries go", ErrLogStore, cfg.DataDir, kind)
	}
	lock, err := lockDataDir(&cfg)
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	return compactLog(boltPath(cfg.DataDir))
}

// openLog opens the raft log, after a compaction if so much of its file is free as
// the configuration wants for one. A compaction that fails does not keep the node
// from starting.
func (n *Node) openLog() (err error) {
	path := boltPath(n.cfg.DataDir)
	if err := errors.Join(removeCopy(path), removeConversion(n.cfg.DataDir)); err != nil {
		return err
	}
	options := n.cfg.logOptions(n.cfg.LogStore)
	options.Observe, options.Logger = n.metrics.observeSync, n.log
	if n.logs, err = OpenLogStore(n.cfg.DataDir, options); err != nil || n.cfg.LogCompactPercent == 0 {
		return err
	}
	bolt := n.logs.bolt()
	if bolt == nil {
		return nil
	}
	size, err := fileSize(path)
	if err != nil {
		return err
	}
	if int64(bolt.Stats().FreeAlloc) <= size/100*int64(n.cfg.LogCompactPercent) {
		return nil
	}
	err = n.logs.Close()
	n.logs = nil
	if err != nil {
		return fmt.Errorf("close the raft log for its compaction: %w", err)
	}
	began := time.Now()
	if c, err := compactLog(path); err != nil {
		n.log.Warn("the raft log was not compacted", "error", err)
	} else {
		n.log.Info("raft log compacted", "bytes_before", c.Before, "bytes_after", c.After, "took", time.Since(began).Round(time.Millisecond).String())
	}
	n.logs, err = OpenLogStore(n.cfg.DataDir, options)
	return err
}

// removeCopy removes what an interrupted compaction left behind.
func removeCopy(path string) error {
	if err := os.Remove(path + compactSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the copy of an interrupted compaction of the raft log: %w", err)
	}
	return nil
}

// compactLog replaces the log at path, which nobody may have open, by a copy
// without free space.
func compactLog(path string) (c LogCompaction, err error) {
	if err := removeCopy(path); err != nil {
		return c, err
	}
	if err := copyLog(path, path+compactSuffix); err != nil {
		return c, errors.Join(fmt.Errorf("compact the raft log %s: %w", path, err), removeCopy(path))
	}
	if err := keepOwner(path, path+compactSuffix); err != nil {
		return c, errors.Join(err, removeCopy(path))
	}
	if c.Before, err = fileSize(path); err != nil {
		return c, err
	}
	if c.After, err = fileSize(path + compactSuffix); err != nil {
		return c, err
	}
	if err := os.Rename(path+compactSuffix, path); err != nil {
		return c, errors.Join(fmt.Errorf("put the compacted raft log in place: %w", err), removeCopy(path))
	}
	return c, syncDir(filepath.Dir(path))
}

func fileSize(path string) (int64, error) {
	file, err := os.Stat(path)
	if err != nil {
		return 0, fmt.Errorf("look at the raft log: %w", err)
	}
	return file.Size(), nil
}

// copyLog copies a log and makes the copy durable.
func copyLog(from, to string) (err error) {
	source, err := bbolt.Open(from, 0o600, &bbolt.Options{ReadOnly: true, Timeout: time.Second})
	if err != nil {
		return fmt.Errorf("open it: %w", err)
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	// Synced once, when it is whole.
	target, err := bbolt.Open(to, 0o600, &bbolt.Options{NoSync: true, NoFreelistSync: true, FreelistType: bbolt.FreelistMapType})
	if err != nil {
		return fmt.Errorf("make the copy: %w", err)
	}
	defer func() { err = errors.Join(err, target.Close()) }()
	if err := bbolt.Compact(target, source, compactBytes); err != nil {
		return fmt.Errorf("make the copy, which the disk must have room for: %w", err)
	}
	if err := sameLog(source, target); err != nil {
		return err
	}
	if err := target.Sync(); err != nil {
		return fmt.Errorf("sync the copy: %w", err)
	}
	return nil
}

// sameLog compares two logs, bucket by bucket and key by key.
func sameLog(a, b *bbolt.DB) error {
	return a.View(func(ours *bbolt.Tx) error {
		return b.View(func(theirs *bbolt.Tx) error {
			ourBuckets, theirBuckets := ours.Cursor(), theirs.Cursor()
			other, _ := theirBuckets.First()
			for name, _ := ourBuckets.First(); name != nil || other != nil; name, _ = ourBuckets.Next() {
				if !bytes.Equal(name, other) {
					return fmt.Errorf("the copy has a bucket %q for %q", other, name)
				}
				if err := sameBucket(ours.Bucket(name).Cursor(), theirs.Bucket(name).Cursor()); err != nil {
					return fmt.Errorf("bucket %q: %w", name, err)
				}
				other, _ = theirBuckets.Next()
			}
			return nil
		})
	})
}

func sameBucket(a, b *bbolt.Cursor) error {
	otherKey, otherValue := b.First()
	for key, value := a.First(); key != nil || otherKey != nil; key, value = a.Next() {
		if !bytes.Equal(key, otherKey) || !bytes.Equal(value, otherValue) {
			return fmt.Errorf("the copy has another entry at %x", key)
		}
		otherKey, otherValue = b.Next()
	}
	return nil
}
