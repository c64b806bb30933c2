package index

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/lens"
)

var million = flag.Bool("million", false, "run the benchmarks at 1,000,000 claims too")

func sizes() []int {
	if *million {
		return []int{10_000, 100_000, 1_000_000}
	}
	return []int{10_000, 100_000}
}

// BenchmarkAssert applies claims of many questions, by the size of the batch.
func BenchmarkAssert(b *testing.B) {
	for _, size := range []int{1, 16, 100} {
		b.Run(fmt.Sprintf("batch=%d", size), func(b *testing.B) {
			db, err := Open(b.TempDir(), Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer db.Close()
			made := make([]*assertion.Assertion, b.N)
			hashes := make([]assertion.Hash, b.N)
			for i := range made {
				made[i] = plain(i)
				hashes[i] = made[i].ContentHash()
			}
			b.ReportAllocs()
			b.ResetTimer()
			before := processorTime(b)
			for at := 0; at < b.N; at += size {
				batch, err := db.NewBatch()
				if err != nil {
					b.Fatal(err)
				}
				for i := at; i < min(at+size, b.N); i++ {
					c := assertion.Commit{Position: assertion.Position{Index: uint64(at + 1), Offset: uint16(i - at)}, At: uint64(at)}
					if o, err := batch.Assert(made[i], hashes[i], c, assertion.Admission{}); err != nil || o != Created {
						b.Fatalf("claim %d: %v, %v", i, o, err)
					}
				}
				batch.SetApplied(Applied{Index: uint64(at + 1), Term: 1, CommittedAt: uint64(at)})
				if err := errors.Join(batch.Commit(), batch.Close()); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64((processorTime(b)-before).Nanoseconds())/float64(b.N), "cpu-ns/op")
		})
	}
}

// BenchmarkAssertStored applies claims, 16 at a time, to an index in which many are
// stored. Take a fixed number of some 100,000, such as -benchtime 200000x, so that
// flushes and compactions have their share of the processor time.
func BenchmarkAssertStored(b *testing.B) {
	for _, stored := range sizes() {
		db, err := Open(b.TempDir(), Options{})
		if err != nil {
			b.Fatal(err)
		}
		fill(b, db, 0, stored, 16, scattered)
		next := stored
		b.Run(fmt.Sprintf("claims=%d", stored), func(b *testing.B) {
			before := processorTime(b)
			fill(b, db, next, b.N, 16, scattered)
			b.ReportMetric(float64((processorTime(b)-before).Nanoseconds())/float64(b.N), "cpu-ns/op")
			next += b.N
		})
		if err := db.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// scattered makes the i-th of a family of claims with texts of 256 bytes, of which
// 20 answer a question, with 5 different ones, each from a source of its own.
func scattered(i int) *assertion.Assertion {
	question := i / 20
	a := &assertion.Assertion{
		Subject: fmt.Sprintf("subject-%d", question%1000), Predicate: fmt.Sprintf("value_%d", question/1000), Confidence: 0.5,
		Object:      assertion.Text(strings.Repeat(fmt.Sprintf("%06d.%d ", question, i%5), 28)),
		SourceClass: assertion.Observational, SourceHash: assertion.Hash(sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(i)))), Timestamp: 1_700_000_000 + uint64(i)/1000,
	}
	a.Signatures = []assertion.Signature{{AgentID: assertion.AgentID{byte(i % 8)}, Version: assertion.SignatureV2, Timestamp: a.Timestamp}}
	return a
}

// BenchmarkRead measures reads from indexes of several sizes, and reports the
// bytes of disk for each claim after compaction.
func BenchmarkRead(b *testing.B) {
	for _, n := range sizes() {
		dir := b.TempDir()
		db, err := Open(dir, Options{})
		if err != nil {
			b.Fatal(err)
		}
		fill(b, db, 0, n, 500, plain)
		if err := errors.Join(db.Flush(), db.db.Compact(b.Context(), []byte{0}, []byte{0xff}, true)); err != nil {
			b.Fatal(err)
		}
		perClaim := float64(diskBytes(b, dir)) / float64(n)
		v, err := db.View()
		if err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprintf("claims=%d/get", n), func(b *testing.B) {
			b.ReportMetric(perClaim, "disk-B/claim")
			for i := range b.N {
				if _, err := v.Get(plain(i * 7919 % n).ContentHash()); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("claims=%d/first-page-of-100", n), func(b *testing.B) {
			for i := range b.N {
				if _, _, err := v.Page(assertion.Filter{Subject: fmt.Sprintf("subject-%d", i%100)}, "", 100); err != nil {
					b.Fatal(err)
				}
			}
		})
		if err := errors.Join(v.Close(), db.Close()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkTally asks one question that all claims answer.
func BenchmarkTally(b *testing.B) {
	all := sizes()
	if !*million {
		all = []int{1000, 100_000}
	} else {
		all = append([]int{1000}, all...)
	}
	for _, n := range all {
		db, err := Open(b.TempDir(), Options{})
		if err != nil {
			b.Fatal(err)
		}
		fill(b, db, 0, n, 500, one)
		if err := db.Flush(); err != nil {
			b.Fatal(err)
		}
		v, err := db.View()
		if err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprintf("claims=%d", n), func(b *testing.B) {
			for range b.N {
				if _, err := v.Tally("one", "value", testNow); err != nil {
					b.Fatal(err)
				}
			}
		})
		if err := errors.Join(v.Close(), db.Close()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkReads answers one question from the aggregates, with 1,000 claims and
// with many in turn, by skeptic, consensus and layered: a view, the tally and
// the lens. It reports the median of each and what the many cost over the 1,000,
// which a machine that is busy with other things touches alike.
func BenchmarkReads(b *testing.B) {
	many := 100_000
	if *million {
		many = 1_000_000
	}
	sizes := []int{1000, many}
	var dbs []*DB
	for _, n := range sizes {
		db, err := Open(b.TempDir(), Options{})
		if err != nil {
			b.Fatal(err)
		}
		defer db.Close()
		dbs = append(dbs, db)
		fill(b, db, 0, n, 500, one)
		// Compacted, lest what the writes have left to do is measured with the reads.
		if err := errors.Join(db.Flush(), db.db.Compact(b.Context(), []byte{0}, []byte{0xff}, true)); err != nil {
			b.Fatal(err)
		}
	}
	for _, name := range []string{"skeptic", "consensus", "layered"} {
		l, err := lens.Parse(name)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			took := make([][]time.Duration, len(dbs))
			for b.Loop() {
				for i, db := range dbs {
					start := time.Now()
					answerOne(b, db, l, uint64(sizes[i]))
					took[i] = append(took[i], time.Since(start))
				}
			}
			medians := make([]float64, len(dbs))
			for i := range took {
				slices.Sort(took[i])
				medians[i] = float64(took[i][len(took[i])/2].Nanoseconds())
				b.ReportMetric(medians[i], fmt.Sprintf("ns-at-%d", sizes[i]))
			}
			b.ReportMetric(medians[1]/medians[0], "x")
			b.ReportMetric(0, "ns/op") // of both: says nothing
		})
	}
}

// answerOne resolves the question of BenchmarkReads, which every voice answers.
func answerOne(b *testing.B, db *DB, l lens.Lens, voices uint64) {
	b.Helper()
	v, err := db.View()
	if err != nil {
		b.Fatal(err)
	}
	tally, err := v.Tally("one", "value", testNow)
	if err := errors.Join(err, v.Close()); err != nil {
		b.Fatal(err)
	}
	r, err := l.Resolve(lens.Input{Subject: "one", Predicate: "value", At: testNow, Tally: tally, Source: lens.FromAggregates})
	if err != nil || r.Winner == nil || r.Explanation.Voices != voices {
		b.Fatalf("%s: %+v, %v", l.Name(), r, err)
	}
}

func diskBytes(b *testing.B, dir string) (total int64) {
	b.Helper()
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		total += info.Size()
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return total
}

// processorTime is what the process has used so far, flushes, compactions and
// the garbage collector included: on a machine that others use too it says
// more than the time that passed.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// BenchmarkView opens and closes views, what every read begins with.
func BenchmarkView(b *testing.B) {
	db, err := Open(b.TempDir(), Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	fill(b, db, 0, 5000, 100, plain)
	b.ReportAllocs()
	for b.Loop() {
		v, err := db.View()
		if err != nil {
			b.Fatal(err)
		}
		if err := v.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
