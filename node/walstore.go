package node

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
	walfs "github.com/hashicorp/raft-wal/fs"
	"github.com/hashicorp/raft-wal/segment"
)

// defaultSegment is the size of the segments of a LogWAL in bytes: entries that
// snapshots let go free the disk in steps of so much.
const defaultSegment = 64 << 20

// walStore is a log in segments (hashicorp/raft-wal), its term and vote in raft-wal's
// small bbolt file beside them.
//
// A raft-wal whose change of segments has failed, for want of space say, refuses
// every later append, and one whose removal of entries has failed may take a segment
// for sealed that is not. The files are sound then, and what is wrong is in memory:
// the store opens them anew before the next write.
type walStore struct {
	dir string
	o   LogOptions

	writes sync.Mutex // held by every write
	doubt  bool       // the files must be opened anew before the next write
	unsure bool       // they were, and nothing has been appended since

	mu  sync.RWMutex // guards log
	log *wal.WAL     // nil while it could not be opened anew
}

// openWAL opens or makes the log in a folder.
func openWAL(dir string, o LogOptions) (*walStore, error) {
	if o.segmentBytes == 0 {
		o.segmentBytes = defaultSegment
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.files == nil {
		o.files = walfs.New()
	}
	switch err := os.Mkdir(dir, 0o700); {
	case err == nil:
		if err := syncDir(filepath.Dir(dir)); err != nil {
			return nil, err
		}
	case !errors.Is(err, fs.ErrExist):
		return nil, fmt.Errorf("make the folder of the raft log: %w", err)
	}
	s := &walStore{dir: dir, o: o}
	if err := s.open(); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *walStore) open() error {
	filer := segment.NewFiler(s.dir, walFiles{VFS: s.o.files, noSync: s.o.NoSync})
	meta := &walMeta{filer: filer}
	log, err := wal.Open(s.dir, wal.WithSegmentFiler(filer), wal.WithMetaStore(meta), wal.WithSegmentSize(s.o.segmentBytes), wal.WithLogger(raftLogger(s.o.Logger)))
	if err != nil {
		return errors.Join(fmt.Errorf("open the raft log %s: %w", s.dir, err), meta.Close())
	}
	s.log = log
	return nil
}

// current is the log, until the returned function is called.
func (s *walStore) current() (log *wal.WAL, done func(), err error) {
	s.mu.RLock()
	if s.log == nil {
		s.mu.RUnlock()
		return nil, nil, errLogClosed
	}
	return s.log, s.mu.RUnlock, nil
}

// errLogClosed is that of a read while the files cannot be opened anew.
var errLogClosed = errors.New("the raft log could not be opened again")

// write makes a change, after the files were opened anew if one before has left
// them in doubt. doubtful tells whether an error of this one does.
func (s *walStore) write(change func(*wal.WAL) error, doubtful func(error) bool) error {
	s.writes.Lock()
	defer s.writes.Unlock()
	if s.doubt {
		if err := s.reopen(); err != nil {
			return err
		}
		s.doubt, s.unsure = false, true
	}
	log, done, err := s.current()
	if err != nil {
		return err
	}
	defer done()
	if err = change(log); err != nil {
		s.doubt = doubtful(err)
	}
	return err
}

func (s *walStore) reopen() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if log := s.log; log != nil {
		s.log = nil
		if err := log.Close(); err != nil {
			return fmt.Errorf("close the raft log, to open it anew: %w", err)
		}
	}
	return s.open()
}

// StoreLogs implements raft.LogStore. An append that fails leaves the log as it
// was, unless it needed another segment.
func (s *walStore) StoreLogs(logs []*raft.Log) error {
	if len(logs) == 0 {
		return nil
	}
	return s.write(func(log *wal.WAL) error {
		if s.unsure {
			// What was written and could not be synced is there again, and is to be
			// written again: nobody knows whether the disk has it.
			last, err := log.LastIndex()
			if err == nil && last >= logs[0].Index {
				err = log.DeleteRange(logs[0].Index, last)
			}
			if err != nil {
				return err
			}
		}
		err := log.StoreLogs(logs)
		s.unsure = s.unsure && err != nil
		return err
	}, func(err error) bool {
		return s.unsure || errors.Is(err, wal.ErrSealed) || errors.Is(err, fs.ErrExist)
	})
}

// StoreLog implements raft.LogStore.
func (s *walStore) StoreLog(log *raft.Log) error { return s.StoreLogs([]*raft.Log{log}) }

// DeleteRange implements raft.LogStore.
func (s *walStore) DeleteRange(minimum, maximum uint64) error {
	return s.write(func(log *wal.WAL) error { return log.DeleteRange(minimum, maximum) }, func(error) bool { return true })
}

// Set implements raft.StableStore.
func (s *walStore) Set(key, value []byte) error {
	return s.write(func(log *wal.WAL) error { return log.Set(key, value) }, func(error) bool { return false })
}

// SetUint64 implements raft.StableStore.
func (s *walStore) SetUint64(key []byte, value uint64) error {
	return s.write(func(log *wal.WAL) error { return log.SetUint64(key, value) }, func(error) bool { return false })
}

// GetLog implements raft.LogStore. Raft-wal itself still reads entries that were
// removed from the beginning of the last segment.
func (s *walStore) GetLog(index uint64, entry *raft.Log) error {
	log, done, err := s.current()
	if err != nil {
		return err
	}
	defer done()
	if first, err := log.FirstIndex(); err != nil {
		return err
	} else if index < first {
		return raft.ErrLogNotFound
	}
	return log.GetLog(index, entry)
}

// FirstIndex implements raft.LogStore.
func (s *walStore) FirstIndex() (uint64, error) { return read(s, (*wal.WAL).FirstIndex) }

// LastIndex implements raft.LogStore.
func (s *walStore) LastIndex() (uint64, error) { return read(s, (*wal.WAL).LastIndex) }

// Get implements raft.StableStore.
func (s *walStore) Get(key []byte) ([]byte, error) {
	return read(s, func(log *wal.WAL) ([]byte, error) { return log.Get(key) })
}

// GetUint64 implements raft.StableStore.
func (s *walStore) GetUint64(key []byte) (uint64, error) {
	return read(s, func(log *wal.WAL) (uint64, error) { return log.GetUint64(key) })
}

func read[T any](s *walStore, get func(*wal.WAL) (T, error)) (value T, err error) {
	log, done, err := s.current()
	if err != nil {
		return value, err
	}
	defer done()
	return get(log)
}

// Close implements io.Closer.
func (s *walStore) Close() error {
	s.writes.Lock()
	defer s.writes.Unlock()
	log, done, err := s.current()
	if err != nil {
		return nil // it is closed
	}
	defer done()
	return log.Close()
}
