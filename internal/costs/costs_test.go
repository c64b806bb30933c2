package costs

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// verdict is a test that remembers how it ended.
type verdict struct {
	testing.TB
	errors []string
}

func (*verdict) Helper()             {}
func (*verdict) Logf(string, ...any) {}
func (v *verdict) Errorf(format string, args ...any) {
	v.errors = append(v.errors, fmt.Sprintf(format, args...))
}

func TestABudgetHoldsFromBothSides(t *testing.T) {
	for _, c := range []struct {
		measured, limit float64
		unit            Unit
		want            string // part of the failure, "" for none
	}{
		{100, 100, KeysRead, ""},
		{75, 100, KeysRead, ""},
		{101, 100, KeysRead, "raise the budget in internal/costs/budgets.go to 101"},
		{74, 100, KeysRead, "lower the budget in internal/costs/budgets.go to 74"},
		{74, 100, Bytes, "lower the budget in internal/costs/budgets.go to 77"},
		{2, 2, Entries, ""},
		{1, 2, Entries, "lower"},
		{0, 0, Syncs, ""},
		{1, 0, Syncs, "raise"},
		{4.02, 4.3, Allocations, ""},
		{5, 4.3, Allocations, "to 5"},
		{120, 119, Allocations, "to 120"},
	} {
		v := &verdict{}
		Budget{"an operation", c.unit, c.limit}.hold(v, c.measured)
		got := strings.Join(v.errors, "; ")
		if (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("%v %s of %v: %q, want %q", c.measured, c.unit, c.limit, got, c.want)
		}
	}
}

// What is advised must hold, else whoever follows it fails again.
func TestTheAdvisedBudgetHolds(t *testing.T) {
	for _, u := range []Unit{Allocations, Bytes, KeysRead, KeysWritten, Batches, Entries, Syncs} {
		for _, measured := range []float64{0, 0.5, 1, 1.01, 2, 4.02, 19, 20, 99.99, 100.5, 1000, 12345.6} {
			v := &verdict{}
			if (Budget{"an operation", u, fitting(measured, u)}).hold(v, measured); len(v.errors) > 0 {
				t.Errorf("%v %s: %v", measured, u, v.errors)
			}
		}
	}
}

func TestACostWithoutABudgetFails(t *testing.T) {
	v := &verdict{}
	Hold(v, "what nobody does", KeysRead, 7)
	if len(v.errors) != 1 || !strings.Contains(v.errors[0], "add one of 7") {
		t.Errorf("%q", v.errors)
	}
}

func TestMemoryCountsWhatACallAllocates(t *testing.T) {
	kept := make([][]byte, 3)
	allocations, bytes := memory(10, func() {
		for i := range kept {
			kept[i] = make([]byte, 64)
		}
	})
	if !Race && (allocations != 3 || bytes != 3*64) {
		t.Errorf("3 allocations of 64 bytes were counted as %v of %v", allocations, bytes)
	}
}

// A row that no test measures holds nothing.
func TestEveryBudgetIsMeasured(t *testing.T) {
	var tests strings.Builder
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() != "cost_test.go" {
			return err
		}
		source, err := os.ReadFile(path)
		tests.Write(source)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	type row struct {
		operation string
		unit      Unit
	}
	seen := map[row]bool{}
	for _, b := range budgets() {
		if !strings.Contains(tests.String(), strconv.Quote(b.Operation)) {
			t.Errorf("no cost_test.go measures %q", b.Operation)
		}
		if seen[row{b.Operation, b.Unit}] {
			t.Errorf("two rows for the %s of %q", b.Unit, b.Operation)
		}
		seen[row{b.Operation, b.Unit}] = true
	}
}
