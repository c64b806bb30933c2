package index

import (
	"errors"
	"testing"

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
