package fsm

import (
	"errors"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"

	"github.com/stemedb/stemedb/index"
)

func TestTheFormatIsKeptAndNeverFalls(t *testing.T) {
	fs := vfs.NewMem()
	f := mustOpen(t, "state", small(fs))
	if f.Format() != 1 {
		t.Errorf("a new state has format %d, want 1", f.Format())
	}
	feed(t, f, []*raft.Log{entry(1, EncodeClusterInit(testTime, "cluster")), entry(2, EncodeFormat(testTime, FormatVersion)), entry(3, EncodeFormat(testTime, 1))}, 1)
	if f.Format() != FormatVersion {
		t.Errorf("the format is %d after it was raised to %d", f.Format(), FormatVersion)
	}
	mustClose(t, f)
	f = mustOpen(t, "state", small(fs))
	if f.Format() != FormatVersion {
		t.Errorf("the format is %d after a restart, want %d", f.Format(), FormatVersion)
	}
	f.ApplyBatch([]*raft.Log{entry(4, EncodeFormat(testTime, FormatVersion+1))})
	if err := f.Failed(); !errors.Is(err, ErrUnknownCommand) {
		t.Errorf("a format above this build's fails the state with %v", err)
	}
	mustClose(t, f)
}

// raise makes the state one of a format that this build does not know.
func raise(t *testing.T, f *FSM) {
	t.Helper()
	batch, err := f.db.NewBatch()
	if err != nil {
		t.Fatal(err)
	}
	if err := batch.RaiseFormat(FormatVersion + 1); err != nil {
		t.Fatal(err)
	}
	batch.SetApplied(index.Applied{Index: 100, Term: 3, CommittedAt: testTime + 1000})
	if err := batch.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := batch.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestAStateOfANewerFormatIsNotServed(t *testing.T) {
	fs := vfs.NewMem()
	f := mustOpen(t, "state", small(fs))
	raise(t, f)
	mustClose(t, f)
	if f, err := Open("state", small(fs)); !errors.Is(err, ErrUnknownCommand) || !strings.Contains(err.Error(), "upgrade this node") {
		t.Errorf("a state of a newer format opens: %v, %v", f, err)
	}
}

func TestASnapshotOfANewerFormatIsNotInstalled(t *testing.T) {
	disk := vfs.NewMem()
	newer, f := mustOpen(t, "newer", small(vfs.NewMem())), mustOpen(t, "state", small(disk))
	feed(t, f, testLog(t, 4), 4)
	feed(t, newer, testLog(t, 10), 4)
	raise(t, newer)
	if err := newer.publishStored(); err != nil {
		t.Fatal(err)
	}
	defer mustClose(t, newer)
	before := outlineOf(f)
	meta, stream := streamOf(t, newer)
	if err := install(f, meta, stream); !errors.Is(err, ErrUnknownCommand) {
		t.Errorf("a snapshot of a newer format: %v", err)
	}
	if !errors.Is(f.Failed(), ErrUnknownCommand) || outlineOf(f) != before {
		t.Errorf("the state is at %+v with %v, it was at %+v", outlineOf(f), f.Failed(), before)
	}
	mustClose(t, f)
	if _, err := Open("state", small(disk)); !errors.Is(err, ErrUnknownCommand) {
		t.Errorf("with the snapshot in its store the node starts: %v", err)
	}
}
