package node

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/hashicorp/raft"

	"github.com/stemedb/stemedb/backup"
	"github.com/stemedb/stemedb/fsm"
)

// stopped is the open data directory of a node that does not run.
type stopped struct {
	lock  io.Closer
	state *fsm.FSM
	logs  *LogStore
}

// openStopped opens the data directory of a node that does not run.
//
// Errors: ErrDataDirInUse while a server uses the directory, ErrLogStore if it holds no
// raft log.
func openStopped(cfg *Config) (who identity, s *stopped, err error) {
	if _, err := os.Stat(cfg.identityPath()); errors.Is(err, fs.ErrNotExist) {
		return who, nil, fmt.Errorf("%s holds no node's data: give the data directory of a node", cfg.DataDir)
	}
	s = new(stopped)
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if s.lock, err = lockDataDir(cfg); err != nil {
		return who, s, err
	}
	if interruptedRestore(cfg) {
		return who, s, fmt.Errorf("%w: run it again", ErrInterruptedRestore)
	}
	if who, err = resolveIdentity(cfg); err != nil {
		return who, s, err
	}
	if s.state, err = fsm.Open(cfg.statePath(), cfg.stateOptions()); err != nil {
		return who, s, fmt.Errorf("open the state in %s: %w", cfg.statePath(), err)
	}
	s.logs, err = OpenLogStore(cfg.DataDir, cfg.logOptions(""))
	return who, s, err
}

// stateOptions are those of a state that raft does not serve.
func (c *Config) stateOptions() fsm.Options {
	return fsm.Options{Logger: c.Logger, CacheBytes: c.CacheBytes, MemTableBytes: c.MemTableBytes}
}

// Close closes what was opened and unlocks the directory.
func (s *stopped) Close() error {
	var errs []error
	if s.logs != nil {
		errs = append(errs, s.logs.Close())
	}
	if s.state != nil {
		errs = append(errs, s.state.Close())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
	}
	return errors.Join(errs...)
}

// fork is a copy of a state to work on. It is removed when it is closed.
type fork struct {
	*fsm.FSM
	dir string
}

// withLog makes a copy of the node's state that has everything in its log.
func (s *stopped) withLog(cfg *Config) (*fork, error) {
	whole, err := s.state.Copy(0)
	if err != nil {
		return nil, err
	}
	f := &fork{dir: filepath.Join(cfg.statePath(), forkName)}
	f.FSM, err = whole.Fork(f.dir, cfg.stateOptions())
	if err = errors.Join(err, whole.Close()); err != nil {
		return nil, errors.Join(err, os.RemoveAll(f.dir))
	}
	r, err := newReplay(f.FSM, backup.Target{})
	if err == nil {
		err = r.addAll(s.logs)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// forkName is one that the FSM removes when it opens its folder, should the
// process be killed.
const forkName = "checkpoint-fork"

// Close closes and removes the copy.
func (f *fork) Close() error { return errors.Join(f.FSM.Close(), os.RemoveAll(f.dir)) }

// eachEntry hands on the entries that a log holds, from an index on.
func eachEntry(logs raft.LogStore, from uint64, take func(*raft.Log) error) error {
	first, err := logs.FirstIndex()
	if err != nil {
		return fmt.Errorf("read the raft log: %w", err)
	}
	last, err := logs.LastIndex()
	if err != nil {
		return fmt.Errorf("read the raft log: %w", err)
	}
	for at := max(first, from); at <= last && at > 0; at++ {
		entry := new(raft.Log)
		if err := logs.GetLog(at, entry); err != nil {
			return fmt.Errorf("read entry %d of the raft log: %w", at, err)
		}
		if err := take(entry); err != nil {
			return err
		}
	}
	return nil
}
