package costs

import (
	"math"
	"runtime"
	"runtime/debug"
	"testing"
)

// Unit is what a cost is counted in.
type Unit string

// The units.
const (
	Allocations Unit = "allocations" // objects on the heap
	Bytes       Unit = "bytes"       // on the heap, live or not
	KeysRead    Unit = "keys read"   // of the index, hidden ones included
	KeysWritten Unit = "keys written"
	Batches     Unit = "batches" // commits of the index
	Entries     Unit = "log entries"
	Syncs       Unit = "syncs" // waits for a disk
)

// slack is the part of a budget that a cost may vary by for no reason of ours, as
// with a release of Go.
func (u Unit) slack() float64 {
	switch u {
	case Allocations:
		return 0.02
	case Bytes:
		return 0.05
	}
	return 0
}

// slacken is how far below its budget, as a part of it, a cost may lie.
const slacken = 0.25

// Budget is what an operation may cost at most, in one unit.
type Budget struct {
	Operation string
	Unit      Unit
	Limit     float64
}

// fitting is the budget that a cost should have: whole, unless the cost is a share
// and small. Allocations that are a whole number are the same at every call, and
// have no slack, so that one more is noticed.
func fitting(measured float64, u Unit) float64 {
	limit := measured * (1 + u.slack())
	switch {
	case measured == math.Trunc(measured) && u == Allocations:
		return measured
	case measured == math.Trunc(measured):
		return math.Floor(limit)
	case measured < 100:
		return math.Ceil(limit*10) / 10
	}
	return math.Ceil(limit)
}

// Hold fails the test if what an operation has cost exceeds its budget, or lies so
// far below it that the budget holds nothing any more.
func Hold(t testing.TB, operation string, u Unit, measured float64) {
	t.Helper()
	for _, b := range budgets() {
		if b.Operation == operation && b.Unit == u {
			b.hold(t, measured)
			return
		}
	}
	t.Errorf("internal/costs/budgets.go has no row for the %s of %q, which are %.6g: add one of %v", u, operation, measured, fitting(measured, u))
}

func (b Budget) hold(t testing.TB, measured float64) {
	t.Helper()
	t.Logf("cost: %-52s %10.6g %-12s of %8.6g", b.Operation, measured, b.Unit, b.Limit)
	switch {
	case measured > b.Limit:
		t.Errorf("%s: %.6g %s, the budget is %.6g: find what made it dearer; if that is worth its price, raise the budget in internal/costs/budgets.go to %v",
			b.Operation, measured, b.Unit, b.Limit, fitting(measured, b.Unit))
	case measured < b.Limit*(1-slacken):
		t.Errorf("%s: %.6g %s, far below the budget of %.6g: keep the gain, lower the budget in internal/costs/budgets.go to %v",
			b.Operation, measured, b.Unit, b.Limit, fitting(measured, b.Unit))
	}
}

// Rounds is how often HoldMemory counts: what else allocates in the process
// meanwhile is not in all of them.
const Rounds = 5

// HoldMemory holds the allocations and bytes of an operation. A call of f is of so
// many operations; it is called calls+1 times in each of the Rounds.
func HoldMemory(t testing.TB, operation string, calls, operations int, f func()) {
	t.Helper()
	if Race {
		t.Skip("the race detector allocates beside the program: what this counts is held without it")
	}
	allocations, bytes := memory(calls, f)
	Hold(t, operation, Allocations, allocations/float64(operations))
	Hold(t, operation, Bytes, bytes/float64(operations))
}

// memory counts the allocations and bytes of one call of f, with pools filled, on
// one processor and without the collector, which empties pools.
func memory(calls int, f func()) (allocations, bytes float64) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	allocations, bytes = math.Inf(1), math.Inf(1)
	for range Rounds {
		runtime.GC()
		f()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range calls {
			f()
		}
		runtime.ReadMemStats(&after)
		allocations = min(allocations, float64(after.Mallocs-before.Mallocs)/float64(calls))
		bytes = min(bytes, float64(after.TotalAlloc-before.TotalAlloc)/float64(calls))
	}
	return allocations, bytes
}
