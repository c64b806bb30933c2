package index

import (
	"errors"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/stemedb/stemedb/assertion"
)

// A flush at a pace writes the same tables as one without.
func TestFlushAheadAtAPace(t *testing.T) {
	fs := vfs.NewMem()
	db, err := Open("index", Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	batch, err := db.NewBatch()
	if err != nil {
		t.Fatal(err)
	}
	for i := range 300 {
		a := plain(i)
		if _, err := batch.Assert(a, a.ContentHash(), assertion.Commit{Position: assertion.Position{Index: 1, Offset: uint16(i)}}, assertion.Admission{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(batch.Commit(), batch.Close()); err != nil {
		t.Fatal(err)
	}
	if err := db.FlushAhead(64 << 20); err != nil {
		t.Fatal(err)
	}
	if m := db.Metrics(); m.Flush.Count != 1 {
		t.Errorf("%d flushes, want 1", m.Flush.Count)
	}
	if db.files.pace.Load() != nil {
		t.Error("tables are still written slowly after the flush")
	}
	if err := db.Checkpoint("copy"); err != nil {
		t.Fatal(err)
	}
}

// The first flush comes once, when so much is written, and not before: up to three
// sixteenths of a memtable Pebble's own has not come.
func TestTheFirstFlush(t *testing.T) {
	const memTable = 1 << 20
	for after, want := range map[uint64]int64{0: 0, memTable / 16: 1, memTable * 3 / 16: 1} {
		db, err := Open("index", Options{FS: vfs.NewMem(), MemTableBytes: memTable, FirstFlushBytes: after})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		for written := 0; db.writer.written < memTable/4; written++ {
			fill(t, db, written, 1, 1, plain)
			for deadline := time.Now().Add(10 * time.Second); after > 0 && db.writer.written >= after && db.Metrics().Flush.Count == 0; time.Sleep(time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatalf("no flush after %d bytes", db.writer.written)
				}
			}
			if got := db.Metrics().Flush.Count; db.writer.written < after && got != 0 {
				t.Fatalf("flushed after %d bytes, before %d", db.writer.written, after)
			}
		}
		if err := db.Flush(); err != nil {
			t.Fatal(err)
		}
		if got := db.Metrics().Flush.Count; got != want+1 {
			t.Errorf("%d flushes before the last with %d bytes, want %d", got-1, after, want)
		}
	}
}

// While there is a pace every byte of a table takes its tokens, and other files none.
func TestPacedFiles(t *testing.T) {
	paced := &pacedFS{FS: vfs.NewMem()}
	fast := paced.slow(1) // a byte a second: the burst is all there is
	content := make([]byte, paceBurst)
	for _, name := range []string{"000001.log", "000002.sst"} {
		f, err := paced.Create(name, vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := f.Write(content); n != len(content) || err != nil {
			t.Errorf("%s: %d bytes written, %v", name, n, err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if left := paced.pace.Load().Tokens(); left > paceBurst/2 {
		t.Errorf("%v tokens are left after a table of a whole burst", left)
	}
	fast()
	f, err := paced.Create("000003.sst", vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := f.Write(make([]byte, 10*paceBurst)); n != 10*paceBurst || err != nil { // would take a month
		t.Errorf("%d bytes written, %v", n, err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
