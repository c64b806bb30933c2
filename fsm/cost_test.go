package fsm

import (
	"encoding/binary"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/hashicorp/raft"

	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/internal/costs"
)

// syncCounter counts what waits for a disk.
type syncCounter struct{ atomic.Int64 }

// MaybeError implements errorfs.Injector; it injects nothing.
func (c *syncCounter) MaybeError(op errorfs.Op) error {
	switch op.Kind {
	case errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo:
		c.Add(1)
	}
	return nil
}

func (*syncCounter) String() string { return "(count syncs)" }

// voiceOf is a claim by the n-th voice of one of seven questions.
func voiceOf(n int) *assertion.Assertion {
	a := claim(n)
	binary.BigEndian.PutUint64(a.SourceHash[:], uint64(n))
	a.Signatures = nil
	a.Sign(testKey(n%5), testTime)
	return a
}

// TestCostOfApplying holds what it costs to apply the log: one batch of the index
// for all that raft hands over at once, no sync, and so much memory a claim.
func TestCostOfApplying(t *testing.T) {
	for _, c := range []struct {
		operation       string
		entries, claims int // handed over at once; in each entry
		handed          string
	}{
		{"apply one claim", 1, 1, "apply one entry"},
		{"apply a claim of 64 entries of 1", 64, 1, "apply 64 entries at once"},
		{"apply a claim of an entry of 100", 1, 100, "apply one entry"},
	} {
		t.Run(c.operation, func(t *testing.T) {
			const calls = 10
			var syncs syncCounter
			options := small(errorfs.Wrap(vfs.NewMem(), &syncs))
			options.MemTableBytes = 64 << 20 // nothing is flushed
			f := mustOpen(t, "state", options)
			defer mustClose(t, f)
			var logs [][]*raft.Log
			n := 0
			for range costs.Rounds * (calls + 1) {
				var batch []*raft.Log
				for range c.entries {
					claims := make([]*assertion.Assertion, c.claims)
					for i := range claims {
						n++
						claims[i] = voiceOf(n)
					}
					batch = append(batch, assertEntry(t, uint64(n), claims...))
				}
				logs = append(logs, batch)
			}
			syncs.Store(0)
			before, at := f.Commits(), 0
			t.Run("memory", func(t *testing.T) {
				costs.HoldMemory(t, c.operation, calls, c.entries*c.claims, func() {
					f.ApplyBatch(logs[at])
					at++
				})
			})
			for ; at < len(logs); at++ {
				f.ApplyBatch(logs[at])
			}
			if err := f.Failed(); err != nil {
				t.Fatal(err)
			}
			if _, _, count := f.Current(); count != uint64(n) {
				t.Fatalf("%d claims are stored, %d were applied", count, n)
			}
			costs.Hold(t, c.handed, costs.Batches, float64(f.Commits()-before)/float64(len(logs)))
			costs.Hold(t, c.handed, costs.Syncs, float64(syncs.Load()))
		})
	}
}
