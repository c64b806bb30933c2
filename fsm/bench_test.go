package fsm

import (
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"

	"github.com/stemedb/stemedb/assertion"
)

// BenchmarkApplyBatch reports the time per claim of entries with 1 and 100
// claims, in batches of 1 and 64 entries, on a real disk.
func BenchmarkApplyBatch(b *testing.B) {
	for _, size := range []struct{ entries, claims int }{{1, 1}, {64, 1}, {1, 100}, {8, 100}} {
		b.Run(fmt.Sprintf("entries=%d/claims=%d", size.entries, size.claims), func(b *testing.B) {
			f := mustOpen(b, b.TempDir(), Options{Logger: quiet()})
			defer mustClose(b, f)
			index, n := uint64(0), 0
			next := func() (logs []*raft.Log) {
				for range size.entries {
					index++
					claims := make([]*assertion.Assertion, size.claims)
					for i := range claims {
						n++
						claims[i] = claim(n)
					}
					logs = append(logs, assertEntry(b, index, claims...))
				}
				return logs
			}
			b.ResetTimer()
			for b.Loop() {
				b.StopTimer()
				logs := next()
				b.StartTimer()
				f.ApplyBatch(logs)
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(n), "µs/claim")
			if err := f.Failed(); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// BenchmarkSnapshot shows that a snapshot costs the same whatever the size of
// the database.
func BenchmarkSnapshot(b *testing.B) {
	for _, claims := range []int{1_000, 10_000, 100_000} {
		b.Run(fmt.Sprintf("claims=%d", claims), func(b *testing.B) {
			f := mustOpen(b, b.TempDir(), Options{FS: vfs.Default, Logger: quiet()})
			defer mustClose(b, f)
			for n := 0; n < claims; n += 500 {
				batch := make([]*assertion.Assertion, 500)
				for i := range batch {
					batch[i] = claim(n + i)
				}
				feed(b, f, []*raft.Log{assertEntry(b, uint64(n/500+1), batch...)}, 1)
			}
			mustSnapshot(b, f)
			b.ResetTimer()
			for b.Loop() {
				mustSnapshot(b, f)
			}
		})
	}
}
