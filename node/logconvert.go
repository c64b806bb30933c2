package node

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
)

// convertBytes is how much of the log a conversion appends at once.
const convertBytes = 4 << 20

// convertPath is the folder in a data directory in which a conversion builds.
func convertPath(dir string) string { return filepath.Join(dir, "raft-log.convert") }

// ConvertLog makes the raft log of a data directory, whose node must not run, one of
// the kind that cfg.LogStore names, and returns how many entries it has. The log is
// copied, the copy compared with it and put beside it in one step, and the old one
// removed: whenever it is interrupted, one of them is whole, and it can be repeated.
// It needs room on the disk for the copy.
//
// Errors: ErrDataDirInUse while a server uses the directory, ErrLogStore if it holds
// no log, or one of that kind already.
func ConvertLog(cfg Config) (entries uint64, err error) {
	lock, err := lockDataDir(&cfg)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	from, to := LogBolt, cfg.LogStore
	if to == LogBolt {
		from = LogWAL
	}
	switch kind, err := logThere(cfg.DataDir); {
	case errors.Is(err, ErrLogStore): // both: an earlier one has come to its last step
	case err != nil:
		return 0, err
	case kind == "":
		return 0, fmt.Errorf("%w: %s holds no raft log: give the data directory of a node", ErrLogStore, cfg.DataDir)
	case kind == to:
		return 0, fmt.Errorf("%w: %s holds a log of the kind %s already: set log-store to the kind that is wanted", ErrLogStore, cfg.DataDir, to)
	default:
		if err := cfg.copyLogAs(from, to); err != nil {
			return 0, errors.Join(fmt.Errorf("convert the raft log: %w", err), removeConversion(cfg.DataDir))
		}
	}
	source, err := openKind(cfg.DataDir, cfg.logOptions(from))
	if err != nil {
		return 0, err
	}
	target, err := openKind(cfg.DataDir, cfg.logOptions(to))
	if err != nil {
		return 0, errors.Join(err, source.Close())
	}
	entries, err = sameEntries(source, target)
	if err = errors.Join(err, source.Close(), target.Close()); err != nil {
		return 0, fmt.Errorf("compare the converted raft log with the old one, both of which are still there: %w", err)
	}
	return entries, removeLog(cfg.DataDir, from)
}

// copyLogAs puts a copy of the log, of another kind, beside it.
func (c *Config) copyLogAs(from, to string) (err error) {
	staging := convertPath(c.DataDir)
	if err := removeConversion(c.DataDir); err != nil {
		return err
	}
	if err := os.Mkdir(staging, 0o700); err != nil {
		return err
	}
	source, err := openKind(c.DataDir, c.logOptions(from))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	target, err := openKind(staging, c.logOptions(to))
	if err != nil {
		return err
	}
	err = copyEntries(source, target)
	if err = errors.Join(err, target.Close()); err != nil {
		return err
	}
	built, place := logPath(staging, to), logPath(c.DataDir, to)
	if to == LogWAL {
		if err := os.RemoveAll(place); err != nil { // of a first start that was interrupted
			return err
		}
	}
	err = filepath.WalkDir(built, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return keepOwner(c.DataDir, path)
		}
		return keepOwner(c.identityPath(), path)
	})
	if err != nil {
		return err
	}
	if err := syncDir(staging); err != nil {
		return err
	}
	if err := os.Rename(built, place); err != nil {
		return err
	}
	return syncDir(c.DataDir)
}

// copyEntries copies a log, and raft's term and vote.
func copyEntries(source, target *LogStore) error {
	var batch []*raft.Log
	size := 0
	err := eachEntry(source, 1, func(entry *raft.Log) error {
		batch, size = append(batch, entry), size+len(entry.Data)
		if size < convertBytes {
			return nil
		}
		err := target.StoreLogs(batch)
		batch, size = nil, 0
		return err
	})
	if err != nil {
		return err
	}
	if err := target.StoreLogs(batch); err != nil {
		return err
	}
	for _, key := range []string{termKey, voteTermKey} {
		value, err := source.GetUint64([]byte(key))
		if err == nil {
			err = target.SetUint64([]byte(key), value)
		}
		if present(err) != nil {
			return err
		}
	}
	vote, err := source.Get([]byte(voteKey))
	if err == nil && vote != nil {
		err = target.Set([]byte(voteKey), vote)
	}
	return present(err)
}

// Where raft keeps its last vote in the stable store.
const (
	voteTermKey = "LastVoteTerm"
	voteKey     = "LastVoteCand"
)

// sameEntries compares two logs, term and vote included, and counts their entries.
func sameEntries(a, b *LogStore) (entries uint64, err error) {
	ours, err := a.Entries()
	theirs, err2 := b.Entries()
	if err := errors.Join(err, err2); err != nil {
		return 0, err
	}
	if ours != theirs {
		return 0, fmt.Errorf("one has %d entries, the other %d", ours, theirs)
	}
	err = eachEntry(a, 1, func(want *raft.Log) error {
		var got raft.Log
		if err := b.GetLog(want.Index, &got); err != nil {
			return fmt.Errorf("read entry %d: %w", want.Index, err)
		}
		if got.Index != want.Index || got.Term != want.Term || got.Type != want.Type || !got.AppendedAt.Equal(want.AppendedAt) ||
			!bytes.Equal(got.Data, want.Data) || !bytes.Equal(got.Extensions, want.Extensions) {
			return fmt.Errorf("entry %d is another one", want.Index)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	for _, key := range []string{termKey, voteTermKey} {
		want, err := a.GetUint64([]byte(key))
		got, err2 := b.GetUint64([]byte(key))
		if err := errors.Join(present(err), present(err2)); err != nil || got != want {
			return 0, errors.Join(fmt.Errorf("%s is %d in one, %d in the other", key, want, got), err)
		}
	}
	want, err := a.Get([]byte(voteKey))
	got, err2 := b.Get([]byte(voteKey))
	if err := errors.Join(present(err), present(err2)); err != nil || !bytes.Equal(got, want) {
		return 0, errors.Join(fmt.Errorf("%s is %q in one, %q in the other", voteKey, want, got), err)
	}
	return ours, nil
}

// present takes a value that is not there for none.
func present(err error) error {
	if errors.Is(err, raftboltdb.ErrKeyNotFound) {
		return nil
	}
	return err
}

// removeLog removes the log of a kind, in one step.
func removeLog(dir, kind string) error {
	path := logPath(dir, kind)
	if err := removeConversion(dir); err != nil {
		return err
	}
	err := os.Mkdir(convertPath(dir), 0o700)
	if err == nil {
		err = os.Rename(path, filepath.Join(convertPath(dir), filepath.Base(path)))
	}
	if err != nil {
		return fmt.Errorf("remove the old raft log: %w", err)
	}
	return errors.Join(syncDir(dir), removeConversion(dir))
}

// removeConversion removes what a conversion has built and not put into its place.
func removeConversion(dir string) error {
	if err := os.RemoveAll(convertPath(dir)); err != nil {
		return fmt.Errorf("remove what an interrupted conversion of the raft log left: %w", err)
	}
	return nil
}
