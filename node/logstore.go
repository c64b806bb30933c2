package node

import (
	"fmt"
	"runtime"
	"time"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	"go.etcd.io/bbolt"
)

// logCacheSize is how many recent entries stay in memory, so that replication
// does not read them back from disk.
const logCacheSize = 512

// logWrite is what an append of entries is called.
const logWrite = "a write to the raft log"

// LogStore is the durable raft log and the stable store (term, vote) of one
// node, in one bbolt file.
type LogStore struct {
	*raftboltdb.BoltStore
	observe func(sync time.Duration)
	watch   *diskWatch // nil: a write that fails is not repeated
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
	err := s.write(logWrite, func() error { return s.BoltStore.StoreLogs(logs) })
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

// DeleteRange removes the entries from minimum to maximum.
func (s *LogStore) DeleteRange(minimum, maximum uint64) error {
	return s.write("the removal of entries from the raft log", func() error { return s.BoltStore.DeleteRange(minimum, maximum) })
}

// Set keeps a value of the stable store.
func (s *LogStore) Set(key, value []byte) error {
	return s.keep(func() error { return s.BoltStore.Set(key, value) })
}

// SetUint64 keeps a number of the stable store.
func (s *LogStore) SetUint64(key []byte, value uint64) error {
	return s.keep(func() error { return s.BoltStore.SetUint64(key, value) })
}

// keep writes to the stable store. Raft panics if its term cannot be kept. Where
// that still fails while the node stops, this ends the goroutine, raft's main one,
// which the stop is about to end anyway.
func (s *LogStore) keep(write func() error) error {
	err := s.write("a write of raft's term or vote", write)
	if err != nil && s.watch != nil && s.watch.stopped() {
		runtime.Goexit()
	}
	return err
}

func (s *LogStore) write(what string, write func() error) error {
	if s.watch == nil {
		return write()
	}
	return s.watch.run(what, write)
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
