package fsm

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/cockroachdb/errors/oserror"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/stemedb/stemedb/index"
)

// The folder of the FSM holds CURRENT, which names the live database folder,
// that folder (db-N), snapshots/, and while a snapshot is taken a checkpoint.
const (
	currentName      = "CURRENT"
	databasePrefix   = "db-"
	checkpointPrefix = "checkpoint-"
	snapshotsName    = "snapshots"
)

// databases manages the live database folder and its replacement.
type databases struct {
	fs      vfs.FS
	dir     string
	options index.Options
	number  uint64 // of the live folder
	// onCorruption is told of damage in the database with a number.
	onCorruption func(number uint64, err error)
}

// openIndex opens the database in the folder with a number.
func (d *databases) openIndex(number uint64) (*index.DB, error) {
	o := d.options
	o.OnCorruption = func(err error) { d.onCorruption(number, err) }
	return index.Open(d.path(number), o)
}

func (d *databases) path(number uint64) string {
	return d.fs.PathJoin(d.dir, databasePrefix+strconv.FormatUint(number, 10))
}

// open opens the live database, makes the first one, and removes what an
// interrupted swap left behind.
func (d *databases) open() (*index.DB, error) {
	if err := makeDir(d.fs, d.dir); err != nil {
		return nil, fmt.Errorf("make the state folder: %w", err)
	}
	number, found, err := d.readCurrent()
	if err != nil {
		return nil, err
	}
	if !found {
		if err := d.checkEmpty(); err != nil {
			return nil, err
		}
	} else if _, err := d.fs.Stat(d.path(number)); err != nil {
		return nil, fmt.Errorf("the database folder that CURRENT names is missing; move %s away and let the node join anew: %w", d.dir, err)
	}
	if err := d.clean(number); err != nil {
		return nil, err
	}
	d.number = max(number, 1)
	number = d.number
	db, err := d.openIndex(number)
	if err != nil {
		return nil, err
	}
	if !found {
		if err := d.writeCurrent(number); err != nil {
			return nil, errors.Join(err, db.Close())
		}
	}
	return db, nil
}

// makeDir makes a folder with its missing parents, durably.
func makeDir(fs vfs.FS, dir string) error {
	var missing []string
	for at := dir; ; at = fs.PathDir(at) {
		if _, err := fs.Stat(at); err == nil || fs.PathDir(at) == at {
			break
		}
		missing = append(missing, at)
	}
	if err := fs.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for _, made := range missing {
		if err := syncDir(fs, fs.PathDir(made)); err != nil {
			return err
		}
	}
	return nil
}

// checkEmpty refuses to begin anew where there is state but no CURRENT. The
// first database alone may be there: an interrupted first start left it, perhaps
// half-made, and nothing was applied to it before CURRENT named it.
func (d *databases) checkEmpty() error {
	names, err := d.fs.List(d.dir)
	if err != nil {
		return fmt.Errorf("list %s: %w", d.dir, err)
	}
	for _, name := range names {
		if strings.HasPrefix(name, databasePrefix) && name != databasePrefix+"1" || name == snapshotsName {
			return fmt.Errorf("%s holds %s but no CURRENT that names the live database: the folder is damaged; move it away and let the node join anew", d.dir, name)
		}
	}
	return nil
}

func (d *databases) readCurrent() (number uint64, found bool, err error) {
	f, err := d.fs.Open(d.fs.PathJoin(d.dir, currentName))
	if err != nil {
		if oserror.IsNotExist(err) {
			return 0, false, nil
		}
		return 0, false, fmt.Errorf("open CURRENT: %w", err)
	}
	defer f.Close()
	raw, err := io.ReadAll(f)
	if err != nil {
		return 0, false, fmt.Errorf("read CURRENT: %w", err)
	}
	text, isName := strings.CutPrefix(strings.TrimSuffix(string(raw), "\n"), databasePrefix)
	number, err = strconv.ParseUint(text, 10, 64)
	if !isName || err != nil {
		return 0, false, fmt.Errorf("CURRENT in %s holds %q, no database folder: the folder is damaged; move it away and let the node join anew", d.dir, raw)
	}
	return number, true, nil
}

// writeCurrent makes a folder the live one, in one step as far as a crash can
// tell.
func (d *databases) writeCurrent(number uint64) error {
	// The folder must be there after a crash before CURRENT may name it.
	if err := syncDir(d.fs, d.dir); err != nil {
		return err
	}
	tmp := d.fs.PathJoin(d.dir, currentName+tmpSuffix)
	if err := writeFile(d.fs, tmp, []byte(databasePrefix+strconv.FormatUint(number, 10)+"\n")); err != nil {
		return err
	}
	if err := d.fs.Rename(tmp, d.fs.PathJoin(d.dir, currentName)); err != nil {
		return fmt.Errorf("switch CURRENT: %w", err)
	}
	return syncDir(d.fs, d.dir)
}

// clean removes every database but the live one, 0 if there is none, and
// unfinished checkpoints.
func (d *databases) clean(live uint64) error {
	names, err := d.fs.List(d.dir)
	if err != nil {
		return fmt.Errorf("list %s: %w", d.dir, err)
	}
	keep := databasePrefix + strconv.FormatUint(live, 10)
	for _, name := range names {
		stale := strings.HasPrefix(name, databasePrefix) && name != keep ||
			strings.HasPrefix(name, checkpointPrefix) || name == currentName+tmpSuffix
		if !stale {
			continue
		}
		if err := d.fs.RemoveAll(d.fs.PathJoin(d.dir, name)); err != nil {
			return fmt.Errorf("remove %s: %w", name, err)
		}
	}
	return nil
}

// link makes a new database folder from a snapshot folder. Tables are immutable
// and shared by hard links; the rest is copied.
func (d *databases) link(from, to string, files []snapshotFile) error {
	if err := d.fs.MkdirAll(to, 0o700); err != nil {
		return fmt.Errorf("make %s: %w", to, err)
	}
	for _, f := range files {
		src, dst := d.fs.PathJoin(from, f.Name), d.fs.PathJoin(to, f.Name)
		var err error
		if strings.HasSuffix(f.Name, ".sst") || strings.HasSuffix(f.Name, ".blob") {
			err = vfs.LinkOrCopy(d.fs, src, dst)
		} else {
			err = vfs.Copy(d.fs, src, dst)
		}
		if err != nil {
			return fmt.Errorf("bring over %s: %w", f.Name, err)
		}
	}
	return syncDir(d.fs, to)
}
