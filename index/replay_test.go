package index

import (
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/internal/lthash"
)

// operation is one entry of a log.
type operation struct {
	e  assertion.Entry
	c  assertion.Commit
	ad assertion.Admission
}

// applyOne puts one entry of the log into a batch.
func applyOne(t *rapid.T, b *Batch, o operation) Outcome {
	var out Outcome
	var err error
	if a, ok := o.e.(*assertion.Assertion); ok {
		cp := *a
		out, err = b.Assert(&cp, a.ContentHash(), o.c, o.ad)
	} else {
		rec, _ := o.e.MarshalBinary()
		out, _, err = b.Put(o.e, rec, o.c, o.ad)
	}
	if err != nil {
		t.Fatal(err)
	}
	b.SetApplied(Applied{Index: o.c.Index, Term: 1, CommittedAt: o.c.At})
	return out
}

// digestOfRecords makes the digest anew from what is stored, and counts the claims
// that wait for a review.
func digestOfRecords(t *rapid.T, v *View) (lthash.State, uint64) {
	var d lthash.State
	pending := uint64(0)
	ce, ee := newExpander(claimContext), newExpander(entryContext)
	for _, space := range []byte{spaceClaim, spaceEntry, spaceWork} {
		it, _ := v.snapshot.NewIter(&pebble.IterOptions{LowerBound: []byte{space}, UpperBound: []byte{space + 1}})
		for ok := it.First(); ok; ok = it.Next() {
			k, raw := it.Key(), it.Value()
			switch space {
			case spaceClaim:
				s, err := decodeStored(seq(k[1:]), raw)
				if err != nil {
					t.Fatal(err)
				}
				if s.claim.Review == assertion.ReviewPending {
					pending++
				}
				d.Add(ce.claim(&s.claim))
			case spaceEntry:
				r, err := decodeEntry(seq(k[1:]), raw)
				if err != nil {
					t.Fatal(err)
				}
				if r.Entry.Kind() == assertion.KindCosignature {
					continue
				}
				rec, _ := r.Entry.MarshalBinary()
				d.Add(ee.entry(r.Entry.Kind(), rec, r.Authority))
			case spaceWork:
				d.Add(ee.entry(assertion.KindAdmitted, k, string(raw)))
			}
		}
		it.Close()
	}
	return d, pending
}

// The totals that the index keeps are those of its records, and a replay of the
// log in other batches, over restarts, leads to the same: tallies, digest, pending
// reviews and everything that answers rest on.
func TestReplaysLeadToTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		one, _ := Open("db", Options{FS: vfs.NewMem(), MemTableBytes: 1 << 20})
		defer one.Close()
		fs := vfs.NewMem()
		two, _ := Open("db", Options{FS: fs, MemTableBytes: 1 << 20})
		defer func() { two.Close() }()
		var claims []*assertion.Assertion
		var epochs []assertion.Hash
		clock := uint64(1000)
		var ops []operation
		var outs []Outcome
		for i := range rapid.IntRange(1, 40).Draw(t, "n") {
			clock += rapid.SampledFrom([]uint64{0, 1, 200}).Draw(t, "pause")
			ad := drawAdmission(t)
			if rapid.IntRange(0, 2).Draw(t, "work") == 0 {
				ad.Tag = rapid.Uint64Range(0, 1).Draw(t, "tag")
				ad.Work = &assertion.Work{Agent: assertion.AgentOf(testKeys[0]), Nonce: rapid.Uint64Range(0, 3).Draw(t, "nonce"), Timestamp: clock - rapid.Uint64Range(0, 310).Draw(t, "age")}
			}
			o := operation{drawEntry(t, claims, epochs), assertion.Commit{Position: assertion.Position{Index: uint64(i + 1)}, At: clock}, ad}
			b, _ := one.NewBatch()
			out := applyOne(t, b, o)
			if err := b.Commit(); err != nil {
				t.Fatal(err)
			}
			b.Close()
			ops, outs = append(ops, o), append(outs, out)
			if out == Created || out == Quarantined {
				switch e := o.e.(type) {
				case *assertion.Assertion:
					claims = append(claims, e)
				case *assertion.Epoch:
					epochs = append(epochs, e.Hash())
				}
			}
		}
		for i := 0; i < len(ops); {
			n := min(rapid.IntRange(1, 10).Draw(t, "batch"), len(ops)-i)
			b, err := two.NewBatch()
			if err != nil {
				t.Fatal(err)
			}
			for j := range n {
				if out := applyOne(t, b, ops[i+j]); out != outs[i+j] {
					t.Fatalf("op %d %T: %s, was %s", i+j, ops[i+j].e, out, outs[i+j])
				}
			}
			if err := b.Commit(); err != nil {
				t.Fatal(err)
			}
			b.Close()
			i += n
			if rapid.IntRange(0, 9).Draw(t, "reopen") == 9 {
				if err := two.Close(); err != nil {
					t.Fatal(err)
				}
				if two, err = Open("db", Options{FS: fs, MemTableBytes: 1 << 20}); err != nil {
					t.Fatal(err)
				}
				viewing(t, two, func(v *View) { i = int(v.Applied().Index) })
			}
		}
		var a, b string
		for i, db := range []*DB{one, two} {
			viewing(t, db, func(v *View) {
				checkTallies(t, v)
				d, pending := digestOfRecords(t, v)
				list, err := v.Reviews(assertion.ReviewPending, assertion.Position{}, 1000)
				if err != nil || uint64(len(list)) != pending || v.Pending() != pending {
					t.Fatalf("pending %d list %d counter %d", pending, len(list), v.Pending())
				}
				if d.Sum() != v.Digest() {
					t.Fatal("digest differs from records")
				}
				s := remembered(t, v) + v.Digest().String()
				if i == 0 {
					a = s
				} else {
					b = s
				}
			})
		}
		if a != b {
			t.Fatal("differ:\n" + a + "\n---\n" + b)
		}
	})
}
