package index

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/zeebo/blake3"

	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/internal/costs"
	"github.com/stemedb/stemedb/lens"
)

// keyCounter counts the keys that are read through it: every key that an iterator
// comes upon, and every point read, whether it finds something or not.
type keyCounter struct {
	pebble.Reader
	keys int
}

func (c *keyCounter) Get(key []byte) ([]byte, io.Closer, error) {
	c.keys++
	return c.Reader.Get(key)
}

func (c *keyCounter) NewIter(o *pebble.IterOptions) (*pebble.Iterator, error) {
	counted := *o
	counted.SkipPoint = func([]byte) bool { c.keys++; return false }
	return c.Reader.NewIter(&counted)
}

// keysRead is how many keys a read takes; opening its view takes none while no
// batch is being committed.
func keysRead(t *testing.T, db *DB, read func(v *View) error) float64 {
	t.Helper()
	v, err := db.View()
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	if v.head != db.head.Load() {
		t.Fatal("a view on an index at rest has read its head")
	}
	counter := &keyCounter{Reader: v.snapshot}
	v.snapshot = counter
	if err := read(v); err != nil {
		t.Fatal(err)
	}
	return float64(counter.keys)
}

// stocked is an index in memory that holds n claims on one question, of as many
// voices and of seven values, in tables and compacted.
func stocked(t *testing.T, n int) *DB {
	t.Helper()
	db, err := Open("index", Options{FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	fill(t, db, 0, n, 500, one)
	if err := errors.Join(db.Flush(), db.db.Compact(t.Context(), []byte{0}, []byte{0xff}, true)); err != nil {
		t.Fatal(err)
	}
	return db
}

// one is plain, but all claims are on one question.
func one(i int) *assertion.Assertion {
	a := plain(i)
	a.Subject = "one"
	return a
}

// resolve answers the question of stocked from its aggregates.
func resolve(name string, voices int) func(v *View) error {
	return func(v *View) error {
		l, err := lens.Parse(name)
		if err != nil {
			return err
		}
		tally, err := v.Tally("one", "value", testNow)
		if err != nil {
			return err
		}
		r, err := l.Resolve(lens.Input{Subject: "one", Predicate: "value", At: testNow, Tally: tally, Source: lens.FromAggregates})
		if err == nil && r.Explanation.Voices != uint64(voices) {
			err = fmt.Errorf("an answer of %d voices, not %d", r.Explanation.Voices, voices)
		}
		return err
	}
}

// TestCostOfReads holds how many keys the reads of an index take, and what
// answers from aggregates and pages cost: the same, however many claims there are.
func TestCostOfReads(t *testing.T) {
	sizes := []int{1000, 100_000}
	if costs.Race {
		sizes = sizes[:1] // the others take minutes, and read the same
	}
	for _, n := range sizes {
		db := stocked(t, n)
		for _, c := range []struct {
			operation string
			read      func(v *View) error
		}{
			{"point read", func(v *View) error { _, err := v.Get(one(n / 2).ContentHash()); return err }},
			{"skeptic, 7 values", resolve("skeptic", n)},
			{"consensus, 7 values", resolve("consensus", n)},
			{"layered, 7 values", resolve("layered", n)},
			{"page of 100", func(v *View) error { return page(v, assertion.Filter{Subject: "one"}, 100) }},
			{"page of 100, by question", func(v *View) error { return page(v, assertion.Filter{Subject: "one", Predicate: "value"}, 100) }},
		} {
			t.Run(fmt.Sprintf("%s of %d claims", c.operation, n), func(t *testing.T) {
				costs.Hold(t, c.operation, costs.KeysRead, keysRead(t, db, c.read))
			})
		}
	}
}

func page(v *View, f assertion.Filter, limit int) error {
	claims, next, err := v.Page(f, "", limit)
	if err == nil && (len(claims) != limit || next == "") {
		err = fmt.Errorf("a page of %d claims, next %q", len(claims), next)
	}
	return err
}

// TestCostOfWrites holds how many keys a claim takes in the index: stored by a new
// voice, and stored by a voice that has said something before. Both are on a
// question that claims of several values are on.
func TestCostOfWrites(t *testing.T) {
	db := stocked(t, 1000)
	fresh := func(i int) *assertion.Assertion { return one(2000 + i) }
	later := func(i int) *assertion.Assertion {
		a := fresh(i)
		a.Timestamp++
		return a
	}
	for _, c := range []struct {
		operation string
		from, n   int // the claims that one batch stores
		make      func(i int) *assertion.Assertion
	}{
		{"store a claim of a new voice", 0, 1, fresh},
		{"store a claim of a known voice", 0, 1, later},
		{"store a claim of a new voice, of 100 in a batch", 100, 100, fresh},
		{"store a claim of a known voice, of 100 in a batch", 100, 100, later},
	} {
		t.Run(c.operation, func(t *testing.T) {
			batch, err := db.NewBatch()
			if err != nil {
				t.Fatal(err)
			}
			defer batch.Close()
			entry := batch.Applied().Index + 1
			for i := range c.n {
				a := c.make(c.from + i)
				commit := assertion.Commit{Position: assertion.Position{Index: entry, Offset: uint16(i)}, At: entry}
				if o, err := batch.Assert(a, a.ContentHash(), commit, assertion.Admission{}); err != nil || o != Created {
					t.Fatalf("%v, %v", o, err)
				}
			}
			batch.SetApplied(Applied{Index: entry, Term: 1, CommittedAt: entry})
			if err := batch.Commit(); err != nil {
				t.Fatal(err)
			}
			costs.Hold(t, c.operation, costs.KeysWritten, float64(batch.blind.Count())/float64(c.n))
		})
	}
}

// Pebble's Get does not ask the filters of the lowest level, in which are most keys;
// a batch, which mostly looks for what is not there, does.
func TestABatchAsksTheFiltersOfTheLowestLevel(t *testing.T) {
	db := stocked(t, 1000)
	batch, err := db.NewBatch()
	if err != nil {
		t.Fatal(err)
	}
	defer batch.Close()
	before := db.Metrics().Filter
	const absent = 200
	for i := range absent {
		if _, err := batch.seek(hashKey(blake3.Sum256([]byte{byte(i)}))); !errors.Is(err, pebble.ErrNotFound) {
			t.Fatal(err)
		}
	}
	after := db.Metrics().Filter
	if hits := after.Hits - before.Hits; hits < absent*9/10 {
		t.Errorf("a filter spared %d of %d reads of blocks", hits, absent)
	}
	stored, err := batch.seek(hashKey(one(3).ContentHash()))
	if err != nil || len(stored) != seqLen {
		t.Errorf("a claim that is there: %x, %v", stored, err)
	}
}
