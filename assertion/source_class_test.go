package assertion

import (
	"encoding/json"
	"math"
	"testing"
)

// TestEffectiveConfidence checks worked numbers of the decay formula
// confidence × 0.5^(age / half-life).
func TestEffectiveConfidence(t *testing.T) {
	const day, t0 = 86400, 1700000000
	for _, test := range []struct {
		name          string
		class         SourceClass
		confidence    float64
		timestamp, at uint64
		want          float64
	}{
		{"regulatory never decays", Regulatory, 0.8, 0, t0 + 10000*day, 0.8},
		{"one half-life, clinical", Clinical, 0.8, t0, t0 + 730*day, 0.4},
		{"two half-lives, clinical", Clinical, 0.8, t0, t0 + 1460*day, 0.2},
		{"one half-life, observational", Observational, 1, t0, t0 + 365*day, 0.5},
		{"one half-life, expert", Expert, 1, t0, t0 + 180*day, 0.5},
		{"one half-life, community", Community, 0.6, t0, t0 + 90*day, 0.3},
		{"three half-lives, anecdotal", Anecdotal, 1, t0, t0 + 90*day, 0.125},
		{"half a half-life", Anecdotal, 1, t0, t0 + 15*day, 0.7071067811865476}, // 1/√2
		{"one day, anecdotal", Anecdotal, 1, t0, t0 + day, 0.9771599684342459},  // 0.5^(1/30)
		{"no age", Anecdotal, 0.7, t0, t0, 0.7},
		{"from the future", Anecdotal, 0.7, t0 + 400*day, t0, 0.7},
		{"extreme times", Anecdotal, 1, 0, math.MaxUint64, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := test.class.EffectiveConfidence(test.confidence, test.timestamp, test.at)
			if math.Abs(got-test.want) > 1e-15 {
				t.Errorf("%v, want %v", got, test.want)
			}
		})
	}
}

// TestSourceClassTable is the table of the data model.
func TestSourceClassTable(t *testing.T) {
	for _, test := range []struct {
		class    SourceClass
		name     string
		weight   float64
		halfLife float64 // days
	}{
		{Regulatory, "Regulatory", 1.00, 0},
		{Clinical, "Clinical", 0.85, 730},
		{Observational, "Observational", 0.65, 365},
		{Expert, "Expert", 0.45, 180},
		{Community, "Community", 0.25, 90},
		{Anecdotal, "Anecdotal", 0.10, 30},
	} {
		parsed, err := ParseSourceClass(test.name)
		if err != nil || parsed != test.class || test.class.String() != test.name {
			t.Errorf("%s: %v %v %v", test.name, parsed, test.class, err)
		}
		if test.class.Weight() != test.weight || test.class.HalfLifeSeconds() != 86400*test.halfLife {
			t.Errorf("%s: weight %v, half-life %v s", test.name, test.class.Weight(), test.class.HalfLifeSeconds())
		}
	}
	for tier, class := range SourceClasses() {
		if class.Tier() != tier {
			t.Errorf("%v is tier %d, want %d", class, class.Tier(), tier)
		}
	}
	if len(SourceClasses()) != NumTiers {
		t.Errorf("%d classes", len(SourceClasses()))
	}
	if alias, err := ParseSourceClass("PeerReviewed"); err != nil || alias != Clinical {
		t.Errorf("PeerReviewed: %v %v", alias, err)
	}
}

// TestNamesRoundTrip: every enumeration reads what it writes, and refuses
// values that it does not have.
func TestNamesRoundTrip(t *testing.T) {
	for class := Regulatory; class < NumTiers; class++ {
		checkNameOf(t, class, new(SourceClass))
	}
	for stage := Proposed; stage <= Rejected; stage++ {
		checkNameOf(t, stage, new(Lifecycle))
	}
	for kind := Replaces; kind <= Retracts; kind++ {
		checkNameOf(t, kind, new(SupersessionType))
	}
	for _, value := range []any{SourceClass(NumTiers), Rejected + 1, SupersessionType(0), Retracts + 1} {
		if text, err := json.Marshal(value); err == nil {
			t.Errorf("%v has the name %s", value, text)
		}
	}
	for _, into := range []any{new(SourceClass), new(Lifecycle), new(SupersessionType)} {
		for _, name := range []string{`""`, `"regulatory"`, `"proposed"`, `"REPLACES"`, `"Unknown"`} {
			if json.Unmarshal([]byte(name), into) == nil {
				t.Errorf("%T accepts %s", into, name)
			}
		}
	}
}

func checkNameOf[T comparable](t *testing.T, value T, into *T) {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, into); err != nil || *into != value {
		t.Errorf("%v is written %s and read %v, %v", value, text, *into, err)
	}
}

func TestLifecycleVisible(t *testing.T) {
	want := map[Lifecycle]bool{Proposed: true, UnderReview: true, Approved: true, Deprecated: false, Rejected: false}
	for stage, visible := range want {
		if stage.Visible() != visible {
			t.Errorf("%v: visible %v", stage, stage.Visible())
		}
	}
}
