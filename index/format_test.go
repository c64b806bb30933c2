package index

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

func TestTheFormatRisesAndNeverFalls(t *testing.T) {
	fs := vfs.NewMem()
	for i, step := range []struct{ raise, want uint16 }{{1, 1}, {2, 2}, {1, 2}, {7, 7}, {3, 7}} {
		db, err := Open("db", Options{FS: fs})
		if err != nil {
			t.Fatal(err)
		}
		b, err := db.NewBatch()
		if err != nil {
			t.Fatal(err)
		}
		if err := b.RaiseFormat(step.raise); err != nil {
			t.Fatal(err)
		}
		b.SetApplied(Applied{Index: uint64(i + 1), Term: 1, CommittedAt: 1})
		if err := b.Commit(); err != nil {
			t.Fatal(err)
		}
		if b.Format() != step.want {
			t.Errorf("raised to %d, the batch says %d, want %d", step.raise, b.Format(), step.want)
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		v, err := db.View()
		if err != nil {
			t.Fatal(err)
		}
		if v.Format() != step.want {
			t.Errorf("raised to %d, the view says %d, want %d", step.raise, v.Format(), step.want)
		}
		if err := v.Close(); err != nil {
			t.Fatal(err)
		}
		if err := db.Flush(); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
