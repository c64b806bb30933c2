package fsm

import (
	"errors"
	"fmt"
	"io"

	"github.com/hashicorp/raft"

	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/index"
)

// Copy is the state at exactly one log index, to be read while the FSM goes on.
// Close it: it keeps files from being removed.
type Copy struct {
	Applied   index.Applied
	ClusterID string
	Digest    assertion.Hash
	Count     uint64

	checkpoint checkpoint
	files      []snapshotFile
}

// Copy takes a copy of the newest applied state, by hard links. What is in memory
// only is written first, at about so many bytes a second, 0 for no bound. It does not
// touch raft's snapshots and truncates no log.
func (f *FSM) Copy(bytesPerSecond int64) (*Copy, error) {
	if err := f.FlushAhead(bytesPerSecond); err != nil {
		return nil, err
	}
	f.applying.Lock()
	defer f.applying.Unlock()
	c, err := f.checkpoint("copy-")
	if err != nil {
		return nil, err
	}
	view, err := f.View()
	if err != nil {
		return nil, errors.Join(err, c.remove())
	}
	out := &Copy{Applied: view.Applied(), ClusterID: view.ClusterID(), Digest: view.Digest(), Count: view.Count(), checkpoint: *c}
	err = view.Close()
	if err == nil {
		out.files, err = listFiles(c.fs, c.dir)
	}
	if err != nil {
		return nil, errors.Join(err, c.remove())
	}
	return out, nil
}

// FlushAhead flushes what was applied while entries go on being applied: they wait
// for the rest only.
func (f *FSM) FlushAhead(bytesPerSecond int64) error {
	if err := f.usable(); err != nil {
		return err
	}
	f.mu.RLock()
	db := f.db
	f.mu.RUnlock()
	if db == nil {
		return index.ErrClosed
	}
	return db.FlushAhead(bytesPerSecond)
}

// Size is the length of the stream in bytes.
func (c *Copy) Size() int64 { return streamSize(c.files) }

// Stream writes the state as Import reads it.
func (c *Copy) Stream(w io.Writer) error {
	return writeStream(w, c.checkpoint.fs, c.checkpoint.dir, c.files)
}

// Close removes the copy.
func (c *Copy) Close() error { return c.checkpoint.remove() }

// Import makes the state folder dir, which must not exist, of the stream of a
// Copy, and opens it. Errors: ErrDamagedSnapshot.
func Import(dir string, o Options, content io.Reader) (*FSM, error) {
	o = o.withDefaults()
	d := databases{fs: o.FS, dir: dir}
	if _, err := o.FS.Stat(dir); err == nil {
		return nil, fmt.Errorf("import a state: %s exists", dir)
	}
	if err := makeDir(o.FS, d.path(1)); err != nil {
		return nil, fmt.Errorf("make the state folder: %w", err)
	}
	if err := readStream(content, o.FS, d.path(1)); err != nil {
		return nil, err
	}
	if err := d.writeCurrent(1); err != nil {
		return nil, err
	}
	return Open(dir, o)
}

// CommitTime is the time that an entry of the log is committed at, unix seconds,
// given that of the entry before. The error wraps ErrUnknownCommand for an entry
// of a newer format.
func CommitTime(log *raft.Log, before uint64) (uint64, error) {
	if log.Type != raft.LogCommand {
		return before, nil
	}
	c, err := decodeCommand(log.Data)
	if err != nil {
		return 0, err
	}
	return max(before, c.now), nil
}

// Fork makes the state folder dir, which must not exist, of the copy, and opens
// it. Tables are shared by hard links, so that dir must be on the same file system
// to cost nothing.
func (c *Copy) Fork(dir string, o Options) (*FSM, error) {
	o = o.withDefaults()
	d := databases{fs: o.FS, dir: dir}
	if err := makeDir(o.FS, dir); err != nil {
		return nil, fmt.Errorf("make the state folder: %w", err)
	}
	if err := d.link(c.checkpoint.dir, d.path(1), c.files); err != nil {
		return nil, err
	}
	if err := d.writeCurrent(1); err != nil {
		return nil, err
	}
	return Open(dir, o)
}
