package defense_test

import (
	"bufio"
	"compress/gzip"
	"encoding/csv"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/defense"
)

// sharedData is beside the repository; see the README in each of its folders.
const sharedData = "../../shared/data"

// row is a claim of a source.
type row struct {
	source, subject, predicate string
	object                     assertion.ObjectValue
}

// TestRealData inspects whole data sets, each source an agent that sends all it
// has within one window: honest bulk imports are not quarantined.
func TestRealData(t *testing.T) {
	for name, read := range map[string]func(*testing.T, string) []row{
		"flights-small/dirty.csv":       flightRows,
		"evidence-inference/claims.tsv": evidenceRows,
		"pddi/severity_claims.tsv.gz":   interactionRows,
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(sharedData, name)
			if _, err := os.Stat(path); err != nil {
				t.Skipf("no shared data at %s: %v", path, err)
			}
			rows := read(t, path)
			for _, trust := range []float64{0.5, 0.1} {
				judgeRows(t, rows, trust)
			}
		})
	}
}

func judgeRows(t *testing.T, rows []row, trust float64) {
	t.Helper()
	d, err := defense.New(defense.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	flagged, quarantined, lowest := 0, 0, 1.0
	for i, r := range rows {
		now := uint64(1_780_000_000 + i/1000)
		a := &assertion.Assertion{Subject: r.subject, Predicate: r.predicate, Object: r.object, Confidence: 0.7, Timestamp: uint64(i)}
		if err := a.Normalize(); err != nil {
			t.Fatal(err)
		}
		v := d.Inspect(a, defense.Subject{Agent: agent(r.source), Trust: trust}, now)
		lowest = min(lowest, v.Quality.Score)
		switch v.Action {
		case defense.Flag:
			flagged++
		case defense.Quarantine:
			if quarantined++; quarantined <= 5 {
				t.Errorf("quarantined at trust %v: %+v: %+v", trust, r, v)
			}
		}
	}
	t.Logf("trust %v: %d claims, %d flagged, %d quarantined, lowest quality %.2f", trust, len(rows), flagged, quarantined, lowest)
	if 100*flagged > len(rows) {
		t.Errorf("%d of %d flagged", flagged, len(rows))
	}
}

func flightRows(t *testing.T, path string) []row {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var rows []row
	for _, l := range lines[1:] {
		for i, value := range l[3:] {
			if value != "" {
				rows = append(rows, row{l[1], l[2], lines[0][3+i], assertion.Text(value)})
			}
		}
	}
	return rows
}

// evidenceRows has the annotators' labels, and the names of outcomes and
// interventions as texts of their own.
func evidenceRows(t *testing.T, path string) []row {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var rows []row
	for _, l := range tabLines(t, f, 8) {
		trial := "PMC" + l[1]
		rows = append(rows,
			row{l[2], name(l[6] + ":" + l[7]), name(l[5]), assertion.Text(l[3])},
			row{l[2], trial + ":" + l[0], "outcome", assertion.Text(l[5])},
			row{l[2], trial + ":" + l[0], "intervention", assertion.Text(l[6])})
	}
	return rows
}

func interactionRows(t *testing.T, path string) []row {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var rows []row
	for _, l := range tabLines(t, z, 7) {
		level, err := strconv.ParseFloat(l[6], 64)
		if err != nil {
			t.Fatal(err)
		}
		pair := l[1] + ":" + l[3]
		rows = append(rows, row{l[4], pair, "severity", assertion.Text(l[5])}, row{l[4], pair, "level", assertion.Number(level)},
			row{l[4], l[1], "interacts_with", assertion.Reference(l[3])})
	}
	return rows
}

// tabLines reads the rows after the heading.
func tabLines(t *testing.T, r io.Reader, columns int) [][]string {
	t.Helper()
	var all [][]string
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if l := strings.Split(lines.Text(), "\t"); len(l) >= columns {
			all = append(all, l)
		}
	}
	if err := lines.Err(); err != nil || len(all) < 2 {
		t.Fatalf("%d rows, %v", len(all), err)
	}
	return all[1:]
}

// name cuts s to what a subject or predicate may hold.
func name(s string) string {
	if s = strings.TrimSpace(s); len(s) > assertion.MaxNameBytes {
		s = strings.ToValidUTF8(s[:assertion.MaxNameBytes], "")
	}
	if s == "" {
		return "unnamed"
	}
	return s
}
