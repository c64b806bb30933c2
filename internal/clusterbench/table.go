package main

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/stemedb/stemedb/internal/loadtest"
)

// table holds the rows of one section and what else it found.
type table struct {
	section string
	rows    []*row
	facts   []string
}

// row is one thing that is measured once in each round.
type row struct {
	name string
	rates, p50s, p99s,
	ratios []float64 // to the row that it is compared with, in the same round
}

func newTable(section string) *table { return &table{section: section} }

// row is that of a name, which is made if there is none.
func (t *table) row(name string) *row {
	for _, r := range t.rows {
		if r.name == name {
			return r
		}
	}
	r := &row{name: name}
	t.rows = append(t.rows, r)
	return r
}

// add adds one round to a row. What it is compared with may be nil.
func (r *row) add(m, to *loadtest.Measurement) {
	r.rates, r.p50s, r.p99s = append(r.rates, m.PerSecond), append(r.p50s, m.P50), append(r.p99s, m.P99)
	if to != nil {
		r.ratios = append(r.ratios, m.PerSecond/to.PerSecond)
	}
}

func (t *table) fact(format string, args ...any) {
	t.facts = append(t.facts, fmt.Sprintf(format, args...))
}

func (t *table) print(w io.Writer) {
	fmt.Fprintf(w, "\n%-40s %10s %19s %9s %9s %8s\n", t.section, "a second", "least to most", "p50 ms", "p99 ms", "ratio")
	for _, r := range t.rows {
		ratio := ""
		if len(r.ratios) > 0 {
			ratio = fmt.Sprintf("%.0f%%", 100*median(r.ratios))
		}
		fmt.Fprintf(w, "%-40s %10.0f %19s %9.2f %9.1f %8s\n", r.name, median(r.rates),
			fmt.Sprintf("%.0f to %.0f", slices.Min(r.rates), slices.Max(r.rates)), median(r.p50s), median(r.p99s), ratio)
	}
	for _, f := range t.facts {
		fmt.Fprintln(w, f)
	}
}

// median is the middle one, or the mean of the middle two; there must be one.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// measured runs a load, each operation of which has so many items. One that fails
// fails the measurement.
func measured(ctx context.Context, c *config, load loadtest.Load, kind string, items int) (*loadtest.Measurement, error) {
	recorder := loadtest.NewRecorder(c.duration)
	load.Run(ctx, recorder)
	m := recorder.Measured(kind, load, items)
	if m.Failed > 0 {
		return nil, fmt.Errorf("%d operations failed: %s", m.Failed, m.FirstFailure)
	}
	return m, nil
}
