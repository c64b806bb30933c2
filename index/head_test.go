package index

import (
	"sync"
	"sync/atomic"
	"testing"
)

func TestViewsHaveTheHeadOfTheirSnapshot(t *testing.T) {
	db, err := Open(t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	same := func() (fromMemory bool) {
		v, err := db.View()
		if err != nil {
			t.Error(err)
			return false
		}
		defer v.Close()
		stored, err := db.readHead(v.snapshot)
		if err != nil || *stored != *v.head {
			t.Errorf("the view says entry %d and %d claims, its snapshot %+v, %v", v.Applied().Index, v.Count(), stored, err)
		}
		return v.head == db.head.Load()
	}
	if !same() {
		t.Error("the view of a new index has read its head")
	}
	var ended atomic.Bool
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for !ended.Load() && !t.Failed() {
				same()
			}
		})
	}
	fill(t, db, 0, 2000, 1, plain)
	ended.Store(true)
	readers.Wait()
	if !same() {
		t.Error("the view of an index at rest has read its head")
	}
	db.head.Store(nil) // as while a batch is being committed
	if same() {
		t.Error("the view has taken a head from nowhere")
	}
}
