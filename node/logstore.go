package node

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	"github.com/hashicorp/raft-wal/types"
	"go.etcd.io/bbolt"
)

// The kinds of log store.
const (
	// LogBolt is one bbolt file (hashicorp/raft-boltdb).
	LogBolt = "boltdb"
	// LogWAL is a folder of segments to which is only appended (hashicorp/raft-wal).
	LogWAL = "wal"
)

// logCacheSize is how many recent entries stay in memory, so that replication
// does not read them back from disk.
const logCacheSize = 512

// logWrite is what an append of entries is called.
const logWrite = "a write to the raft log"

// logEngine keeps the entries of the log, and raft's term and vote.
type logEngine interface {
	raft.LogStore
	raft.StableStore
	io.Closer
}

// LogStore is the durable raft log and the stable store (term, vote) of one
// node.
type LogStore struct {
	logEngine
	dir     string
	sizes   logSizes
	observe func(sync time.Duration)
	watch   *diskWatch // nil: a write that fails is not repeated
}

// LogOptions say how a log is opened.
type LogOptions struct {
	// Kind is LogBolt or LogWAL; empty is the one that the folder holds.
	Kind string
	// NoSync leaves entries to the operating system to write.
	NoSync bool
	// Observe, if not nil, receives the time that each StoreLogs call took.
	Observe func(time.Duration)
	// Logger, if not nil, receives what a store has to say.
	Logger *slog.Logger
	// segmentBytes is the size of the segments of a LogWAL; 0 is defaultSegment.
	segmentBytes int
	// files stand in for the file system of a LogWAL's segments in tests.
	files types.VFS
}

// logOptions are those of this node's log, of a kind.
func (c *Config) logOptions(kind string) LogOptions {
	return LogOptions{Kind: kind, NoSync: c.NoFsync, Logger: c.Logger, segmentBytes: c.logSegmentBytes}
}

// OpenLogStore opens or makes the log in a data directory. Every StoreLogs call of
// a LogBolt ends with an fdatasync of the pages and one of the meta page, one of a
// LogWAL with an fsync of the segment, unless NoSync is set.
//
// Errors: ErrLogStore if the directory holds a log of another kind, or none and no
// kind is given.
func OpenLogStore(dir string, o LogOptions) (*LogStore, error) {
	kind, err := logThere(dir)
	if err != nil {
		return nil, err
	}
	switch {
	case kind == "" && o.Kind == "":
		return nil, fmt.Errorf("%w: %s holds no raft log", ErrLogStore, dir)
	case kind == "":
		kind = o.Kind
	case o.Kind != "" && o.Kind != kind:
		return nil, fmt.Errorf("%w: %s holds a log of the kind %s, and log-store is %s: set log-store to %s, or stop the node and run `stemedb convert-log`, or remove the node and join it anew with an empty data directory",
			ErrLogStore, dir, kind, o.Kind, kind)
	}
	o.Kind = kind
	return openKind(dir, o)
}

// openKind opens or makes the log of a kind, whatever other there is.
func openKind(dir string, o LogOptions) (store *LogStore, err error) {
	store = &LogStore{dir: dir, observe: o.Observe}
	if o.Kind == LogWAL {
		store.logEngine, err = openWAL(walPath(dir), o)
	} else {
		store.logEngine, err = openBolt(boltPath(dir), o)
	}
	if err != nil {
		return nil, err
	}
	if err := store.seedSizes(); err != nil {
		return nil, errors.Join(fmt.Errorf("open the raft log in %s: %w", dir, err), store.Close())
	}
	return store, nil
}

// seedSizes takes the mean for the size of each entry that is there.
func (s *LogStore) seedSizes() error {
	first, err := s.FirstIndex()
	if err != nil {
		return err
	}
	entries, err := s.Entries()
	if err != nil {
		return err
	}
	used, err := s.used()
	if err != nil {
		return err
	}
	s.sizes.seed(first, entries, used)
	return nil
}

// The places of a log in a data directory.
func boltPath(dir string) string { return filepath.Join(dir, "raft.db") }
func walPath(dir string) string  { return filepath.Join(dir, "raft-wal") }

// logPath is the place of a log of a kind.
func logPath(dir, kind string) string {
	if kind == LogWAL {
		return walPath(dir)
	}
	return boltPath(dir)
}

// logThere is the kind of log that a data directory holds, empty if it holds none.
func logThere(dir string) (string, error) {
	var there []string
	for kind, path := range map[string]string{LogBolt: boltPath(dir), LogWAL: walMetaPath(walPath(dir))} {
		switch _, err := os.Stat(path); {
		case err == nil:
			there = append(there, kind)
		case !errors.Is(err, fs.ErrNotExist):
			return "", fmt.Errorf("look for the raft log: %w", err)
		}
	}
	switch len(there) {
	case 0:
		return "", nil
	case 1:
		return there[0], nil
	}
	return "", fmt.Errorf("%w: %s holds two logs: a conversion was interrupted at its end; run `stemedb convert-log` again", ErrLogStore, dir)
}

func openBolt(path string, o LogOptions) (*raftboltdb.BoltStore, error) {
	store, err := raftboltdb.New(raftboltdb.Options{
		Path: path,
		BoltOptions: &bbolt.Options{
			Timeout: time.Second,
			// The free list is rebuilt at open instead of being written with each
			// commit, and kept as a map, so that a long log stays cheap.
			NoFreelistSync: true,
			FreelistType:   bbolt.FreelistMapType,
		},
		NoSync:                  o.NoSync,
		MsgpackUseNewTimeFormat: true,
	})
	if err != nil {
		return nil, fmt.Errorf("open the raft log %s: %w", path, err)
	}
	return store, nil
}

// bolt is the store of a LogBolt, nil of another kind.
func (s *LogStore) bolt() *raftboltdb.BoltStore {
	store, _ := s.logEngine.(*raftboltdb.BoltStore)
	return store
}

// size is that of the log's files in bytes. Segments of a LogWAL are counted with
// what is set aside in them for later entries.
func (s *LogStore) size() (bytes int64, err error) {
	if s.bolt() != nil {
		return fileSize(boltPath(s.dir))
	}
	files, err := os.ReadDir(walPath(s.dir))
	if err != nil {
		return 0, fmt.Errorf("look at the raft log: %w", err)
	}
	for _, f := range files {
		if file, err := f.Info(); err == nil { // else it was removed meanwhile
			bytes += file.Size()
		}
	}
	return bytes, nil
}

// used is how many bytes of the log's files its entries take, with what a store
// adds to them.
func (s *LogStore) used() (uint64, error) {
	size, err := s.size()
	if bolt := s.bolt(); bolt != nil {
		size -= int64(bolt.Stats().FreeAlloc)
	}
	return uint64(max(size, 0)), err
}

// StoreLogs appends entries and returns when they are on disk.
func (s *LogStore) StoreLogs(logs []*raft.Log) error {
	start := time.Now()
	err := s.write(logWrite, func() error { return s.logEngine.StoreLogs(logs) })
	if s.observe != nil {
		s.observe(time.Since(start))
	}
	if err == nil {
		s.sizes.appended(logs)
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

// removedAtOnce is how many of the oldest entries a LogBolt removes in one
// transaction: new entries wait for it, and 65,536 take 150 ms.
const removedAtOnce = 1024

// DeleteRange removes the entries from minimum to maximum, which must be the first
// or the last ones. The first ones go in steps, oldest first, so that a crash
// between two leaves a log without a gap.
func (s *LogStore) DeleteRange(minimum, maximum uint64) error {
	if s.bolt() != nil {
		last, err := s.LastIndex()
		if err != nil {
			return fmt.Errorf("remove entries from the raft log: %w", err)
		}
		for ; maximum < last && maximum-minimum >= removedAtOnce; minimum += removedAtOnce {
			if err := s.deleteRange(minimum, minimum+removedAtOnce-1); err != nil {
				return err
			}
		}
	}
	return s.deleteRange(minimum, maximum)
}

func (s *LogStore) deleteRange(minimum, maximum uint64) error {
	err := s.write("the removal of entries from the raft log", func() error { return s.logEngine.DeleteRange(minimum, maximum) })
	if err == nil {
		s.sizes.removed(minimum, maximum)
	}
	return err
}

// Set keeps a value of the stable store.
func (s *LogStore) Set(key, value []byte) error {
	return s.keep(func() error { return s.logEngine.Set(key, value) })
}

// SetUint64 keeps a number of the stable store.
func (s *LogStore) SetUint64(key []byte, value uint64) error {
	return s.keep(func() error { return s.logEngine.SetUint64(key, value) })
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

// IsMonotonic makes raft drop the whole old log when a snapshot is installed. A
// LogWAL takes no entries after a gap. Without it bbolt keeps the entries from
// before the gap, raft later reads its first index from them, and a follower can be
// sent the same snapshot for ever (hashicorp/raft issue 697).
func (s *LogStore) IsMonotonic() bool { return true }

var (
	_ raft.LogStore          = (*LogStore)(nil)
	_ raft.StableStore       = (*LogStore)(nil)
	_ raft.MonotonicLogStore = (*LogStore)(nil)
)
