package lensbench

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/lens"
)

// folder is where the claim sets lie; they are not part of the repository.
func folder(t *testing.T) string {
	t.Helper()
	path := filepath.Join("..", "..", "..", "shared", "data")
	if _, err := os.Stat(path); err != nil {
		t.Skipf("skipped: the claim sets are not at %s: %v", path, err)
	}
	return path
}

// The truth lens learns without labels whom to believe; the trust lens does with
// a tenth of the labels.
func TestFlights(t *testing.T) {
	for _, tc := range []struct {
		without      []string
		consensus    float64 // about
		truth, trust float64 // at least
	}{
		{nil, 0.80, 0.94, 0.91},
		{[]string{"aa", "ua", "CO"}, 0.77, 0.92, 0.89},
	} {
		d, err := Flights(folder(t), tc.without...)
		if err != nil {
			t.Fatal(err)
		}
		k, err := d.Learn(nil, "")
		if err != nil {
			t.Fatal(err)
		}
		accuracy := func(name string) float64 {
			l, err := lens.Parse(name)
			if err != nil {
				t.Fatal(err)
			}
			row, err := d.Ask(l, k, nil)
			if err != nil {
				t.Fatal(err)
			}
			return row.Accuracy()
		}
		if got := accuracy("consensus"); got < tc.consensus-0.015 || got > tc.consensus+0.015 {
			t.Errorf("%s: consensus %.4f, about %.2f expected", d.Name, got, tc.consensus)
		}
		if got := accuracy("truth"); got < tc.truth {
			t.Errorf("%s: truth %.4f, at least %.2f expected", d.Name, got, tc.truth)
		}
		l, err := lens.Parse("trust")
		if err != nil {
			t.Fatal(err)
		}
		mean, _, err := d.Calibrated(l, labelPart, splits)
		if err != nil {
			t.Fatal(err)
		}
		if mean < tc.trust {
			t.Errorf("%s: trust with a tenth of the labels %.4f, at least %.2f expected", d.Name, mean, tc.trust)
		}
	}
}

// The report of a small made-up set has a line for every lens that answers
// questions, and counts what is right.
func TestReport(t *testing.T) {
	d := newDataset("made up")
	for _, subject := range []string{"a", "b", "c"} {
		q := assertion.Question{Subject: subject, Predicate: "p"}
		for i, source := range []string{"x", "y", "z"} {
			value := "right"
			if i == 2 {
				value = "wrong"
			}
			d.add(q, source, assertion.Text(value))
		}
		d.Gold[q] = assertion.Text("right")
	}
	var out bytes.Buffer
	if err := d.Report(&out); err != nil {
		t.Fatal(err)
	}
	if err := d.Agreement(&out, 2); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"9 claims, 3 questions, 3 with a known answer, 3 sources", "contested: 3 questions (100.0 %)",
		"consensus    1.0000", "recency    0.0000", "truth, popaccu alone    1.0000", "x, y     3                    1.000"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the report lacks %q:\n%s", want, out.String())
		}
	}
}
