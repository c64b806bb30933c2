package node

import (
	"fmt"
	"time"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	"go.etcd.io/bbolt"
)

// logCacheSize is how many recent entries stay in memory, so that replication
// does not read them back from disk.
const logCacheSize = 512

// LogStore is the durable raft log and the stable store (term, vote) of one
// node, in one bbolt file.
type LogStore struct {
	*raftboltdb.BoltStore
	observe func(sync time.Duration)
}

// OpenLogStore opens or makes the log at path. Every StoreLogs call ends with
// an fdatasync of the pages and one of the meta page unless noSync is set; observe, if not nil, receives the time
// that each one took.
func OpenLogStore(path string, noSync bool, observe func(time.Duration)) (*LogStore, error) {
	store, err := raftboltdb.New(raftboltdb.Options{
		Path: path,
		BoltOptions: &bbolt.Options{
			Timeout: time.Second,
			// The free list is rebuilt at open instead of being written with each
			// commit, and kept as a map, so that a long log stays cheap.
			NoFreelistSync: true,
			FreelistType:   bbolt.FreelistMapType,
		},
		NoSync:                  noSync,
		MsgpackUseNewTimeFormat: true,
	})
	if err != nil {
		return nil, fmt.Errorf("open the raft log %s: %w", path, err)
	}
	return &LogStore{BoltStore: store, observe: observe}, nil
}

// StoreLogs appends entries and returns when they are on disk.
func (s *LogStore) StoreLogs(logs []*raft.Log) error {
	start := time.Now()
	err := s.BoltStore.StoreLogs(logs)
	if s.observe != nil {
		s.observe(time.Since(start))
	}
	return err
}

// StoreLog appends one entry.
func (s *LogStore) StoreLog(log *raft.Log) error { return s.StoreLogs([]*raft.Log{log}) }

// Entries is how many entries the log holds.
func (s *LogStore) Entries() (uint64, error) {
	last, err := s.LastIndex()
	if err != nil || last == 0 {
		return 0, err
	}
	first, err := s.FirstIndex()
	if err != nil || first == 0 || first > last { // truncated between the two questions
		return 0, err
	}
	return last - first + 1, nil
}

// IsMonotonic makes raft drop the whole old log when a snapshot is installed.
// Without it bbolt keeps the entries from before the gap, raft later reads its
// first index from them, and a follower can be sent the same snapshot for ever
// (hashicorp/raft issue 697).
func (s *LogStore) IsMonotonic() bool { return true }

var (
	_ raft.LogStore          = (*LogStore)(nil)
	_ raft.StableStore       = (*LogStore)(nil)
	_ raft.MonotonicLogStore = (*LogStore)(nil)
)
