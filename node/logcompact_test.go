package node

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/hashicorp/raft"
	"go.etcd.io/bbolt"
)

// openTestLog opens a log of a data directory, one of a LogBolt if there is none,
// which done closes.
func openTestLog(t *testing.T, dir string) (logs *LogStore, done func()) {
	t.Helper()
	kind, err := logThere(dir)
	if err != nil {
		t.Fatal(err)
	}
	if kind == "" {
		kind = LogBolt
	}
	logs, err = OpenLogStore(dir, LogOptions{Kind: kind, NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	return logs, func() {
		if err := logs.Close(); err != nil {
			t.Error(err)
		}
	}
}

// fill writes entries from first to last, and truncates those before keep.
func fill(t *testing.T, dir string, first, last, keep uint64) {
	t.Helper()
	logs, done := openTestLog(t, dir)
	defer done()
	var batch []*raft.Log
	for i := first; i <= last; i++ {
		batch = append(batch, &raft.Log{Index: i, Term: 3, Data: bytes.Repeat([]byte{byte(i)}, 4000)})
	}
	if err := logs.StoreLogs(batch); err != nil {
		t.Fatal(err)
	}
	if err := logs.SetUint64([]byte("CurrentTerm"), 3); err != nil {
		t.Fatal(err)
	}
	if err := logs.DeleteRange(1, keep-1); err != nil {
		t.Fatal(err)
	}
	if entries, err := logs.Entries(); err != nil || entries != last-keep+1 {
		t.Errorf("%d entries, %v, want %d", entries, err, last-keep+1)
	}
}

// check fails unless the log in dir holds the entries from keep to last.
func check(t *testing.T, dir string, keep, last uint64) {
	t.Helper()
	logs, done := openTestLog(t, dir)
	defer done()
	if entries, err := logs.Entries(); err != nil || entries != last-keep+1 {
		t.Errorf("%d entries, %v, want %d", entries, err, last-keep+1)
	}
	for i := keep; i <= last; i++ {
		var entry raft.Log
		if err := logs.GetLog(i, &entry); err != nil || entry.Index != i || !bytes.Equal(entry.Data, bytes.Repeat([]byte{byte(i)}, 4000)) {
			t.Fatalf("entry %d: %+v, %v", i, entry, err)
		}
	}
	if term, err := logs.GetUint64([]byte("CurrentTerm")); err != nil || term != 3 {
		t.Errorf("term %d, %v, want 3", term, err)
	}
}

func TestCompactionKeepsTheLogAndGivesSpaceBack(t *testing.T) {
	cfg := Config{DataDir: t.TempDir()}
	path := boltPath(cfg.DataDir)
	fill(t, cfg.DataDir, 1, 2000, 1901)
	if err := os.WriteFile(path+compactSuffix, []byte("of an interrupted one"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := CompactLog(cfg)
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.Stat(path)
	if err != nil || file.Size() != c.After || c.Before < 2000*4000 || c.After > 300*4000 || file.Mode().Perm() != 0o600 {
		t.Errorf("%+v, and the file is %v, %v", c, file, err)
	}
	if _, err := os.Stat(path + compactSuffix); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the copy is still there: %v", err)
	}
	check(t, cfg.DataDir, 1901, 2000)
	fill(t, cfg.DataDir, 2001, 2100, 2001) // and it can be written
	check(t, cfg.DataDir, 2001, 2100)
}

func TestCompactionThatFailsLeavesTheLog(t *testing.T) {
	cfg := Config{DataDir: t.TempDir()}
	path := boltPath(cfg.DataDir)
	if _, err := CompactLog(cfg); err == nil {
		t.Error("a folder without a log is compacted")
	}
	fill(t, cfg.DataDir, 1, 100, 51)
	lock, err := lockDataDir(&cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := CompactLog(cfg); !errors.Is(err, ErrDataDirInUse) {
		t.Errorf("while the folder is in use: %v", err)
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	// Where the copy should lie there is something that cannot be removed.
	if err := os.MkdirAll(filepath.Join(path+compactSuffix, "in-the-way"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := CompactLog(cfg); err == nil {
		t.Error("the copy was made over a folder")
	}
	check(t, cfg.DataDir, 51, 100)
}

// A copy that is not the log is noticed, whatever the difference.
func TestAWrongCopyIsNoticed(t *testing.T) {
	dir := t.TempDir()
	open := func(name string, change func(tx *bbolt.Tx) error) *bbolt.DB {
		db, err := bbolt.Open(filepath.Join(dir, name), 0o600, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		if err := db.Update(func(tx *bbolt.Tx) error {
			for _, name := range []string{"a", "b"} {
				bucket, err := tx.CreateBucket([]byte(name))
				for i := byte(0); i < 3 && err == nil; i++ {
					err = bucket.Put([]byte{i}, []byte{i})
				}
				if err != nil {
					return err
				}
			}
			return change(tx)
		}); err != nil {
			t.Fatal(err)
		}
		return db
	}
	log := open("log", func(*bbolt.Tx) error { return nil })
	if err := sameLog(log, open("same", func(*bbolt.Tx) error { return nil })); err != nil {
		t.Error(err)
	}
	for i, change := range []func(tx *bbolt.Tx) error{
		func(tx *bbolt.Tx) error { return tx.DeleteBucket([]byte("b")) },
		func(tx *bbolt.Tx) error { _, err := tx.CreateBucket([]byte("c")); return err },
		func(tx *bbolt.Tx) error { return tx.Bucket([]byte("b")).Delete([]byte{2}) },
		func(tx *bbolt.Tx) error { return tx.Bucket([]byte("a")).Delete([]byte{0}) },
		func(tx *bbolt.Tx) error { return tx.Bucket([]byte("b")).Put([]byte{3}, nil) },
		func(tx *bbolt.Tx) error { return tx.Bucket([]byte("b")).Put([]byte{1}, []byte{9}) },
	} {
		if err := sameLog(log, open(fmt.Sprint(i), change)); err == nil {
			t.Errorf("change %d passes", i)
		}
	}
}
