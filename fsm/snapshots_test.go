package fsm

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/raft"
)

func TestSnapshotsAreListedNewestFirstAndReaped(t *testing.T) {
	for _, retain := range []int{0, 1, 3} {
		o := small(vfs.NewMem())
		o.Retain = retain
		f := mustOpen(t, "a", o)
		logs := testLog(t, 50)
		var taken []uint64
		for i := 0; i < len(logs); i += 10 {
			feed(t, f, logs[i:min(i+10, len(logs))], 10)
			meta := mustSnapshot(t, f)
			if meta.Index != f.AppliedIndex() || meta.Version != raft.SnapshotVersionMax || meta.ConfigurationIndex != 1 {
				t.Fatalf("snapshot at %d is described as %+v", f.AppliedIndex(), meta)
			}
			if diff := cmp.Diff(testConfiguration(), meta.Configuration); diff != "" {
				t.Fatal(diff)
			}
			taken = append([]uint64{meta.Index}, taken...)
		}
		want := retain
		if want == 0 {
			want = 2
		}
		if got := listed(t, f); !cmp.Equal(got, taken[:want]) {
			t.Errorf("retain %d: listed %v, want %v", retain, got, taken[:want])
		}
		mustClose(t, f)
		f = mustOpen(t, "a", o)
		if got := listed(t, f); !cmp.Equal(got, taken[:want]) {
			t.Errorf("retain %d: after a restart listed %v, want %v", retain, got, taken[:want])
		}
		mustClose(t, f)
	}
}

func listed(t *testing.T, f *FSM) (indexes []uint64) {
	t.Helper()
	metas, err := f.SnapshotStore().List()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range metas {
		indexes = append(indexes, m.Index)
	}
	return indexes
}

// A snapshot that a follower is still receiving outlives newer ones.
func TestSnapshotInUseIsKept(t *testing.T) {
	o := small(vfs.NewMem())
	o.Retain = 1
	f := mustOpen(t, "a", o)
	defer mustClose(t, f)
	logs := testLog(t, 30)
	feed(t, f, logs[:10], 10)
	old, want := streamOf(t, f)
	_, reader, err := f.SnapshotStore().Open(old.ID)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 100)
	if _, err := io.ReadFull(reader, got); err != nil {
		t.Fatal(err)
	}
	feed(t, f, logs[10:20], 10)
	newer := mustSnapshot(t, f)
	rest, err := io.ReadAll(reader)
	if err != nil || !bytes.Equal(append(got, rest...), want) {
		t.Errorf("the stream was cut off at %d of %d bytes: %v", len(got)+len(rest), len(want), err)
	}
	if err := errors.Join(reader.Close(), reader.Close()); err != nil {
		t.Error(err)
	}
	feed(t, f, logs[20:], 10)
	last := mustSnapshot(t, f)
	if got := listed(t, f); !cmp.Equal(got, []uint64{last.Index}) {
		t.Errorf("listed %v, want only %d (not %d, %d)", got, last.Index, newer.Index, old.Index)
	}
	if _, _, err := f.SnapshotStore().Open(old.ID); !errors.Is(err, ErrDamagedSnapshot) {
		t.Errorf("Open of a removed snapshot: %v", err)
	}
}

func TestSnapshotReaderStopsEarly(t *testing.T) {
	f := mustOpen(t, "a", small(vfs.NewMem()))
	defer mustClose(t, f)
	feed(t, f, testLog(t, 30), 10)
	meta := mustSnapshot(t, f)
	for _, read := range []int64{0, 1, 1000, meta.Size} {
		_, reader, err := f.SnapshotStore().Open(meta.ID)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyN(io.Discard, reader, read); err != nil {
			t.Fatal(err)
		}
		if err := reader.Close(); err != nil {
			t.Error(err)
		}
		if n, err := reader.Read(make([]byte, 1)); n != 0 || err == nil {
			t.Errorf("Read after Close = %d, %v", n, err)
		}
	}
}

func TestUnfinishedSnapshotsVanish(t *testing.T) {
	disk := vfs.NewCrashableMem()
	f := mustOpen(t, "node", small(disk))
	feed(t, f, testLog(t, 30), 10)
	meta, stream := streamOf(t, f)
	half := func() raft.SnapshotSink {
		sink, err := f.SnapshotStore().Create(raft.SnapshotVersionMax, 100, 1, testConfiguration(), 1, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := sink.Write(stream[:len(stream)/2]); err != nil {
			t.Fatal(err)
		}
		return sink
	}
	cancelled := half()
	if err := errors.Join(cancelled.Cancel(), cancelled.Cancel(), cancelled.Close()); err != nil {
		t.Error(err)
	}
	if err := half().Close(); !errors.Is(err, ErrDamagedSnapshot) {
		t.Errorf("Close of half a stream: %v", err)
	}
	empty, err := f.SnapshotStore().Create(raft.SnapshotVersionMax, 100, 1, testConfiguration(), 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := empty.Close(); err == nil {
		t.Error("a snapshot without content was taken")
	}
	unused, err := f.Snapshot() // raft may drop it without Persist
	if err != nil {
		t.Fatal(err)
	}
	unused.Release()
	foreign := raft.NewDiscardSnapshotStore()
	sink, err := foreign.Create(raft.SnapshotVersionMax, 100, 1, testConfiguration(), 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	again, err := f.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Persist(sink); err == nil {
		t.Error("a foreign snapshot store was accepted")
	}
	again.Release()
	open := half()
	dropped, err := f.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	if got := listed(t, f); !cmp.Equal(got, []uint64{meta.Index}) {
		t.Errorf("listed %v, want only %d", got, meta.Index)
	}
	// A kill leaves a half-received snapshot and a checkpoint.
	killed := disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 1))})
	if names, _ := killed.List("node"); len(names) != 4 {
		t.Errorf("the killed process leaves %q", names)
	}
	if err := open.Cancel(); err != nil {
		t.Error(err)
	}
	dropped.Release()
	mustClose(t, f)
	for name, disk := range map[string]vfs.FS{"closed": disk, "killed": killed} {
		mustClose(t, mustOpen(t, "node", small(disk)))
		entries, err := disk.List("node")
		if err != nil {
			t.Fatal(err)
		}
		snapshots, err := disk.List("node/snapshots")
		if err != nil {
			t.Fatal(err)
		}
		if len(entries) != 3 || len(snapshots) != 1 {
			t.Errorf("%s: the folder holds %q and the snapshots %q", name, entries, snapshots)
		}
	}
}

// A changed bit in a snapshot's description is never taken for another
// description.
func TestDamagedDescriptionIsNotListed(t *testing.T) {
	dir := t.TempDir()
	f := mustOpen(t, dir, small(vfs.Default))
	defer mustClose(t, f)
	feed(t, f, testLog(t, 10), 10)
	meta := mustSnapshot(t, f)
	path := filepath.Join(dir, snapshotsName, meta.ID, metaName)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for bit := 0; bit < 8*len(good); bit += 3 {
		damaged := bytes.Clone(good)
		damaged[bit/8] ^= 1 << (bit % 8)
		if err := os.WriteFile(path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		metas, err := f.SnapshotStore().List()
		if err != nil || len(metas) > 0 && !cmp.Equal(metas[0], meta) {
			t.Fatalf("bit %d: listed %+v, %v", bit, metas, err)
		}
	}
	if err := os.WriteFile(path, good, 0o600); err != nil {
		t.Fatal(err)
	}
	tables, err := filepath.Glob(filepath.Join(dir, snapshotsName, meta.ID, "*.sst"))
	if err != nil || len(tables) == 0 {
		t.Fatalf("tables %q, %v", tables, err)
	}
	if err := os.Remove(tables[0]); err != nil {
		t.Fatal(err)
	}
	if _, _, err := f.SnapshotStore().Open(meta.ID); !errors.Is(err, ErrDamagedSnapshot) {
		t.Errorf("Open without a table: %v", err)
	}
}

// Neither taking a snapshot nor restoring one's own copies tables.
func TestSnapshotSharesTables(t *testing.T) {
	dir := t.TempDir()
	disk := &linkCounter{FS: vfs.Default}
	f := mustOpen(t, dir, small(disk))
	defer mustClose(t, f)
	feed(t, f, testLog(t, 60), 10)
	meta, stream := streamOf(t, f)
	id, err := receive(f, meta, stream)
	if err != nil {
		t.Fatal(err)
	}
	meta, reader, err := f.SnapshotStore().Open(id)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if err := f.Restore(wrapped{wrapped{reader}}); err != nil {
		t.Fatal(err)
	}
	tables, err := filepath.Glob(filepath.Join(dir, snapshotsName, meta.ID, "*.sst"))
	if err != nil || len(tables) == 0 {
		t.Fatalf("tables %q, %v", tables, err)
	}
	for _, table := range tables {
		base := filepath.Base(table)
		for _, want := range [][2]string{
			{filepath.Join(dir, "db-1", base), filepath.Join(dir, "checkpoint-1", base)},
			{table, filepath.Join(dir, "db-2", base)},
		} {
			if !slices.Contains(disk.links, want) {
				t.Errorf("%s was not linked to %s", want[0], want[1])
			}
		}
	}
	if raw, err := os.ReadFile(filepath.Join(dir, currentName)); err != nil || string(raw) != "db-2\n" {
		t.Errorf("CURRENT = %q, %v", raw, err)
	}
}

// linkCounter remembers the hard links made.
type linkCounter struct {
	vfs.FS
	links [][2]string
}

func (l *linkCounter) Link(from, to string) error {
	l.links = append(l.links, [2]string{from, to})
	return l.FS.Link(from, to)
}
