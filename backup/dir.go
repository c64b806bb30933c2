package backup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// DefaultFolder is the folder of backups where none is named.
const DefaultFolder = "backups"

// unfinished begins the name of the folder of a backup that is being written,
// removed that of one that is being removed.
const (
	unfinished = ".unfinished-"
	removed    = ".removed-"
)

// Dir is a Sink that writes a backup into a folder of its own. The folder has a
// hidden name until the backup is whole and on disk.
type Dir struct {
	parent, temporary, final string
	committed                bool
}

// NewDir makes the folder of a backup that began at a time, in a folder of
// backups, which is made if it is not there. Close it.
func NewDir(parent string, at time.Time) (*Dir, error) {
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of backups: %w", err)
	}
	for { // two backups in one second: the later one is named after the next
		name := Name(at)
		d := &Dir{parent: parent, temporary: filepath.Join(parent, unfinished+name), final: filepath.Join(parent, name)}
		_, err := os.Stat(d.final)
		if errors.Is(err, fs.ErrNotExist) {
			err = os.Mkdir(d.temporary, 0o700)
		} else if err == nil {
			err = fs.ErrExist
		}
		switch {
		case err == nil:
			return d, nil
		case !errors.Is(err, fs.ErrExist):
			return nil, fmt.Errorf("make the folder of the backup: %w", err)
		}
		at = at.Add(time.Second)
	}
}

// Path is the final name of the folder.
func (d *Dir) Path() string { return d.final }

// Put implements Sink.
func (d *Dir) Put(_ context.Context, name string, content []byte) error {
	f, err := os.OpenFile(filepath.Join(d.temporary, name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	// In small pieces: the logs of nodes on the same disk wait for each sync.
	for len(content) > 0 && err == nil {
		n := min(len(content), frameBytes)
		if _, err = f.Write(content[:n]); err == nil {
			err = f.Sync()
		}
		content = content[n:]
	}
	return errors.Join(err, f.Close())
}

// Commit implements Sink.
func (d *Dir) Commit(context.Context) error {
	if err := syncDir(d.temporary); err != nil {
		return err
	}
	if err := os.Rename(d.temporary, d.final); err != nil {
		return fmt.Errorf("finish the backup: %w", err)
	}
	d.committed = true
	return syncDir(d.parent)
}

// Close removes what was written, unless it was committed.
func (d *Dir) Close() error {
	if d.committed {
		return nil
	}
	return os.RemoveAll(d.temporary)
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
