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
// hidden name until the backup is whole and on disk. Files are written back as
// they come and synced at the end: nodes with logs on the same disk would wait for
// each sync.
type Dir struct {
	parent, temporary, final string
	files                    []string // that were put, not synced yet
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
	for at := 0; at < len(content) && err == nil; at += frameBytes {
		piece := content[at:min(at+frameBytes, len(content))]
		if _, err = f.Write(piece); err == nil {
			err = startWriting(f, int64(at), int64(len(piece)))
		}
	}
	d.files = append(d.files, name)
	return errors.Join(err, f.Close())
}

// Commit implements Sink.
func (d *Dir) Commit(context.Context) error {
	for _, name := range d.files {
		if err := syncFile(filepath.Join(d.temporary, name)); err != nil {
			return fmt.Errorf("sync %s: %w", name, err)
		}
	}
	if err := syncFile(d.temporary); err != nil {
		return err
	}
	if err := os.Rename(d.temporary, d.final); err != nil {
		return fmt.Errorf("finish the backup: %w", err)
	}
	d.committed = true
	return syncFile(d.parent)
}

// Close removes what was written, unless it was committed.
func (d *Dir) Close() error {
	if d.committed {
		return nil
	}
	return os.RemoveAll(d.temporary)
}

// syncFile makes a file or a folder durable.
func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
