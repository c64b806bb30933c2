package fsm

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/stemedb/stemedb/index"
)

// Without any snapshot the whole log is there and brings back the whole state.
func TestCrashRecoveryWithoutSnapshot(t *testing.T) {
	logs := testLog(t, 50)
	want := outlines(t, logs)
	disk := vfs.NewCrashableMem()
	f := mustOpen(t, "node", small(disk))
	feed(t, f, logs, 5)
	crashed := disk.CrashClone(strict())
	mustClose(t, f)
	if err := recovers(crashed, logs, want, 0); err != nil {
		t.Error(err)
	}
}

// The first start is interrupted before anything was applied: the second one
// begins anew.
func TestCrashRecoveryOfFirstStart(t *testing.T) {
	for name, cfg := range crashConfigs(1) {
		t.Run(name, func(t *testing.T) {
			points, disk := crashable(cfg)
			points.arm(true)
			f := mustOpen(t, "node", small(disk))
			points.arm(false)
			mustClose(t, f)
			logs := testLog(t, 5)
			want := outlines(t, logs)
			for i, clone := range points.clones {
				if err := recovers(clone, logs, want, 0); err != nil {
					t.Fatalf("crash before operation %d (%s): %v", i, points.ops[i], err)
				}
			}
		})
	}
}

// Data and applied index are one: every reader sees the state of exactly the
// index that it is told.
func TestCursorMovesWithData(t *testing.T) {
	logs := testLog(t, 120)
	want := outlines(t, logs)
	f := mustOpen(t, "node", small(vfs.NewMem()))
	defer mustClose(t, f)
	stop, done := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
			v, err := f.View()
			if err != nil {
				done <- err
				return
			}
			got := outline{v.Applied().Index, v.Digest(), v.Count()}
			if err := v.Close(); err != nil || got != want[got.Index] {
				done <- errors.Join(err, errors.New("a view shows data of another index"))
				return
			}
			if got := outlineOf(f); got != want[got.Index] {
				done <- errors.New("Current mixes two entries")
				return
			}
		}
	}()
	feed(t, f, logs, 3)
	close(stop)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// Entries that are handed over again have no second effect, wherever in a batch
// they stand.
func TestCursorSkipsWhatWasApplied(t *testing.T) {
	logs := testLog(t, 60)
	want := outlines(t, logs)
	disk := vfs.NewMem()
	f := mustOpen(t, "node", small(disk))
	feed(t, f, logs[:30], 7)
	mustSnapshot(t, f)
	mustClose(t, f)
	f = mustOpen(t, "node", small(disk))
	defer mustClose(t, f)
	responses := f.ApplyBatch(logs[20:40])
	for i, r := range responses {
		r := r.(*Response)
		if r.Index != logs[20+i].Index || errors.Is(r.Err, ErrSkipped) != (i < 10) || i < 10 && r.Results != nil {
			t.Errorf("entry %d: %+v", logs[20+i].Index, r)
		}
	}
	if got := outlineOf(f); got != want[logs[39].Index] {
		t.Errorf("state %+v, want %+v", got, want[logs[39].Index])
	}
	feed(t, f, logs[:40], 40)
	if got := outlineOf(f); got != want[logs[39].Index] {
		t.Errorf("applying again changed the state to %+v", got)
	}
	if stats := f.MarkRecovered(); stats.Skipped != 50 || stats.Applied != 10 {
		t.Errorf("replay %+v", stats)
	}
}

// Raft counts entries that it keeps to itself: after a restore the applied
// index is that of the snapshot, for whoever waits for it.
func TestCursorAfterRestoreIsTheSnapshots(t *testing.T) {
	logs := testLog(t, 30)
	leader := mustOpen(t, "leader", small(vfs.NewMem()))
	defer mustClose(t, leader)
	feed(t, leader, logs, 10)
	meta, stream := streamOf(t, leader)
	meta.Index += 3
	disk := vfs.NewMem()
	f := mustOpen(t, "node", small(disk))
	for n := range 2 {
		got := outlineOf(f)
		if n == 0 {
			if err := install(f, meta, stream); err != nil {
				t.Fatal(err)
			}
			got = outlineOf(f)
		}
		if want := outlineOf(leader); got != (outline{meta.Index, want.Digest, want.Count}) {
			t.Errorf("restored %+v, want %+v at %d", got, want, meta.Index)
		}
		mustClose(t, f)
		f = mustOpen(t, "node", small(disk))
	}
	defer mustClose(t, f)
	meta.Index -= 5 // older than what it holds: it would skip entries
	if err := install(f, meta, stream); !errors.Is(err, ErrDamagedSnapshot) {
		t.Errorf("a snapshot that holds later entries than it says: %v", err)
	}
}

// Readers keep what they began to read while a snapshot replaces the database.
func TestRestoreKeepsOpenViews(t *testing.T) {
	dir := t.TempDir()
	logs := testLog(t, 60)
	leader := mustOpen(t, "leader", small(vfs.NewMem()))
	defer mustClose(t, leader)
	feed(t, leader, logs, 10)
	meta, stream := streamOf(t, leader)
	f := mustOpen(t, dir, small(vfs.Default))
	feed(t, f, logs[:10], 10)
	before := outlineOf(f)
	v, err := f.View()
	if err != nil {
		t.Fatal(err)
	}
	if err := install(f, meta, stream); err != nil {
		t.Fatal(err)
	}
	if outlineOf(f) != outlineOf(leader) {
		t.Errorf("restored %+v, want %+v", outlineOf(f), outlineOf(leader))
	}
	if v.Applied().Index != before.Index || v.Digest() != before.Digest {
		t.Error("the open view moved")
	}
	if _, err := v.Get(claim(2).ContentHash()); err != nil {
		t.Errorf("the open view cannot be read: %v", err)
	}
	if _, err := v.Get(claim(100).ContentHash()); !errors.Is(err, index.ErrNotFound) {
		t.Errorf("the open view shows a later claim: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "db-1")); err != nil {
		t.Errorf("the old database is gone while it is read: %v", err)
	}
	if err := v.Close(); err != nil {
		t.Error(err)
	}
	mustClose(t, f)
	if _, err := os.Stat(filepath.Join(dir, "db-1")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the old database was not removed: %v", err)
	}
}

// damageTables changes every table of a folder.
func damageTables(t *testing.T, dir string, change func([]byte) []byte) {
	t.Helper()
	tables, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil || len(tables) == 0 {
		t.Fatalf("tables %q, %v", tables, err)
	}
	for _, path := range tables {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(path); err != nil { // snapshots share it
			t.Fatal(err)
		}
		if err := os.WriteFile(path, change(raw), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func truncate(raw []byte) []byte { return raw[:len(raw)/2] }

func zeroMiddle(raw []byte) []byte {
	for i := len(raw) / 8; i < len(raw)*3/4; i++ {
		raw[i] = 0
	}
	return raw
}

// A damaged database is refused at the start, or the first read that meets the
// damage fails and nothing is served any more. It never answers wrongly.
func TestTornTableIsNeverServed(t *testing.T) {
	logs := testLog(t, 400)
	for name, change := range map[string]func([]byte) []byte{"truncated": truncate, "zeroed": zeroMiddle, "emptied": func([]byte) []byte { return nil }} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			f := mustOpen(t, dir, small(vfs.Default))
			feed(t, f, logs, 20)
			mustSnapshot(t, f)
			mustClose(t, f)
			damageTables(t, filepath.Join(dir, "db-1"), change)
			f, err := Open(dir, small(vfs.Default))
			if err != nil {
				t.Logf("refused: %v", err)
				return
			}
			defer f.Close()
			v, err := f.View()
			if err == nil {
				defer v.Close()
				for n := range 100 {
					_, err = v.Get(claim(2*n + 2).ContentHash())
					if errors.Is(err, index.ErrNotFound) {
						t.Fatalf("claim %d is said not to exist", n)
					}
					if err != nil {
						break
					}
				}
			}
			if !errors.Is(err, index.ErrCorrupt) && !errors.Is(err, ErrFailed) {
				t.Fatalf("reading damaged tables: %v", err)
			}
			if f.Failed() == nil {
				t.Fatal("the FSM works on after damage")
			}
			if _, err := f.View(); !errors.Is(err, ErrFailed) {
				t.Errorf("View: %v", err)
			}
			if r := f.Apply(assertEntry(t, 10_000, claim(1))).(*Response); !errors.Is(r.Err, ErrFailed) {
				t.Errorf("Apply: %v", r.Err)
			}
		})
	}
}

// A snapshot whose tables are damaged, in a stream without fault, fails the
// restore, and the state before goes on being served.
func TestRestoreOfDamagedTablesKeepsTheState(t *testing.T) {
	dir := t.TempDir()
	leader := mustOpen(t, dir, small(vfs.Default))
	feed(t, leader, testLog(t, 60), 10)
	meta := mustSnapshot(t, leader)
	mustClose(t, leader)
	damageTables(t, filepath.Join(dir, snapshotsName, meta.ID), func(raw []byte) []byte {
		for i := range raw[:len(raw)-100] {
			raw[i] = 0
		}
		return raw
	})
	leader = mustOpen(t, dir, small(vfs.Default))
	defer mustClose(t, leader)
	_, reader, err := leader.SnapshotStore().Open(meta.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	f := mustOpen(t, "node", small(vfs.NewMem()))
	defer mustClose(t, f)
	feed(t, f, testLog(t, 10), 3)
	before := outlineOf(f)
	if err := f.Restore(struct{ wrapped }{wrapped{hidden{reader}}}); !errors.Is(err, index.ErrCorrupt) {
		t.Errorf("the restore of damaged tables: %v", err)
	}
	if outlineOf(f) != before || f.Failed() != nil {
		t.Errorf("state %+v (%v), want %+v", outlineOf(f), f.Failed(), before)
	}
	feed(t, f, testLog(t, 20), 3)
}

// A full disk that refuses to write CURRENT fails the restore, and not the node:
// the state before goes on being served, and the restore can be repeated.
func TestARestoreOnAFullDiskCanBeRepeated(t *testing.T) {
	leader := mustOpen(t, "leader", small(vfs.NewMem()))
	defer mustClose(t, leader)
	feed(t, leader, testLog(t, 60), 10)
	meta, stream := streamOf(t, leader)
	var full atomic.Bool
	disk := vfs.NewMem()
	f := mustOpen(t, "node", small(errorfs.Wrap(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if full.Load() && strings.HasSuffix(op.Path, currentName+tmpSuffix) {
			return syscall.ENOSPC
		}
		return nil
	}))))
	defer mustClose(t, f)
	feed(t, f, testLog(t, 10), 3)
	before := outlineOf(f)
	full.Store(true)
	if err := install(f, meta, stream); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("the restore on a full disk: %v", err)
	}
	if outlineOf(f) != before || f.Failed() != nil {
		t.Errorf("state %+v (%v), want %+v", outlineOf(f), f.Failed(), before)
	}
	full.Store(false)
	if err := install(f, meta, stream); err != nil {
		t.Fatal(err)
	}
	if outlineOf(f) != outlineOf(leader) {
		t.Errorf("state %+v, want %+v", outlineOf(f), outlineOf(leader))
	}
}

// hidden makes one's own snapshot look like another node's stream.
type hidden struct {
	r interface{ Read([]byte) (int, error) }
}

func (h hidden) Read(p []byte) (int, error) { return h.r.Read(p) }
func (h hidden) Close() error               { return nil }

func TestOpenRefusesDamagedFolder(t *testing.T) {
	for name, tc := range map[string]struct {
		damage func(t *testing.T, dir string) error
		says   string
	}{
		"garbage in CURRENT": {func(_ *testing.T, dir string) error {
			return os.WriteFile(filepath.Join(dir, currentName), []byte("nonsense"), 0o600)
		}, "CURRENT"},
		"empty CURRENT": {func(_ *testing.T, dir string) error {
			return os.WriteFile(filepath.Join(dir, currentName), nil, 0o600)
		}, "CURRENT"},
		"no CURRENT":  {func(_ *testing.T, dir string) error { return os.Remove(filepath.Join(dir, currentName)) }, "no CURRENT"},
		"no database": {func(_ *testing.T, dir string) error { return os.RemoveAll(filepath.Join(dir, "db-1")) }, "missing"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			f := mustOpen(t, dir, small(vfs.Default))
			feed(t, f, testLog(t, 20), 5)
			mustSnapshot(t, f)
			mustClose(t, f)
			if err := tc.damage(t, dir); err != nil {
				t.Fatal(err)
			}
			f, err := Open(dir, small(vfs.Default))
			if err == nil {
				mustClose(t, f)
				t.Fatal("a damaged folder was opened")
			}
			if !strings.Contains(err.Error(), tc.says) || !strings.Contains(err.Error(), "join anew") {
				t.Errorf("the error does not say what to do: %v", err)
			}
			if snapshots, err := os.ReadDir(filepath.Join(dir, snapshotsName)); err != nil || len(snapshots) != 1 {
				t.Errorf("the snapshots are gone: %v, %v", snapshots, err)
			}
		})
	}
}

func TestClosedFSMAnswersErrors(t *testing.T) {
	f := mustOpen(t, "node", small(vfs.NewMem()))
	feed(t, f, testLog(t, 5), 5)
	mustClose(t, f)
	mustClose(t, f)
	if _, err := f.View(); !errors.Is(err, index.ErrClosed) {
		t.Errorf("View: %v", err)
	}
	if _, err := f.Snapshot(); !errors.Is(err, index.ErrClosed) {
		t.Errorf("Snapshot: %v", err)
	}
	if r := f.Apply(assertEntry(t, 100, claim(1))).(*Response); r.Err == nil {
		t.Error("applied to a closed FSM")
	}
	if f.Metrics() != nil {
		t.Error("metrics of a closed FSM")
	}
}
