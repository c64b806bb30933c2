package node

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stemedb/stemedb/backup"
)

// listing counts how often a store is listed.
type listing struct {
	backup.Store
	lists int
}

func (c *listing) Names(ctx context.Context) ([]string, error) {
	c.lists++
	return c.Store.Names(ctx)
}

// A backup that says it was taken in the future, by a node whose clock was ahead,
// does not keep the next one away; and each run reads the store once.
func TestABackupOfTheFutureIsNotTheLastSuccess(t *testing.T) {
	c := startCluster(t, 1, nil)
	defer c.stop()
	n, dir := c.nodes[0], t.TempDir()
	store := &listing{Store: backup.Folder(dir)}
	plan := BackupSchedule{Store: store, Interval: time.Hour, Keep: 5}
	held := func() []backup.Found {
		all, err := backup.List(t.Context(), backup.Folder(dir))
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	run := func(want int) {
		t.Helper()
		before := store.lists
		if err := n.backupIfDue(t.Context(), plan); err != nil {
			t.Fatal(err)
		}
		if got := len(held()); got != want || store.lists != before+1 {
			t.Errorf("%d backups after %d lists, want %d after 1", got, store.lists-before, want)
		}
	}
	run(1)
	run(1) // not due
	ahead := *held()[0].Metadata
	ahead.Timestamp, ahead.Index, ahead.Digest = ahead.Timestamp.AddDate(10, 0, 0), ahead.Index+1, [32]byte{1}
	sink, err := backup.NewDir(dir, ahead.Timestamp)
	if err != nil {
		t.Fatal(err)
	}
	_, err = backup.Write(t.Context(), sink, ahead, func(io.Writer) error { return nil }, backup.Options{})
	if err := errors.Join(err, sink.Close()); err != nil {
		t.Fatal(err)
	}
	n.backups = backupState{} // as on a node that has just come to lead
	run(3)
	if success, _, _ := n.backups.get(); success.After(time.Now()) {
		t.Errorf("the last success is at %v", success)
	}
	// This node's own clock was ahead, and is set right.
	n.backups.success = time.Now().AddDate(1, 0, 0)
	n.backups.set(time.Now(), time.Time{}, 0)
	if n.untilBackup(plan.Interval) != 0 {
		t.Errorf("the next backup is due in %v", n.untilBackup(plan.Interval))
	}
}

// A newest backup that lost something does not keep the next one away: neither
// because the state is the same, nor because it is young.
func TestAnIncompleteBackupIsReplaced(t *testing.T) {
	c := startCluster(t, 1, nil)
	defer c.stop()
	n, dir := c.nodes[0], t.TempDir()
	plan := BackupSchedule{Store: backup.Folder(dir), Interval: time.Hour, Keep: 5}
	run := func(want int) (newest backup.Found) {
		t.Helper()
		if err := n.backupIfDue(t.Context(), plan); err != nil {
			t.Fatal(err)
		}
		all, err := backup.List(t.Context(), backup.Folder(dir))
		if err != nil {
			t.Fatal(err)
		}
		if len(all) != want {
			t.Fatalf("%d backups, want %d", len(all), want)
		}
		return all[len(all)-1]
	}
	for want := 1; want <= 3; want++ {
		newest := run(want)
		if err := newest.Complete(); err != nil {
			t.Error(err)
		}
		run(want) // it holds the state
		if err := os.Remove(filepath.Join(newest.Path, newest.Metadata.Files[0].Name)); err != nil {
			t.Fatal(err)
		}
		if want == 2 {
			n.backups = backupState{} // as on a node that has just come to lead
		}
	}
}
