package lens_test

import (
	"bytes"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/lens"
)

// someClaims draws claims on one question from few agents, sources, values,
// times and confidences, so that ties and restatements are common.
func someClaims(t *rapid.T) []*assertion.Claim {
	values := []assertion.ObjectValue{
		assertion.Text("a"), assertion.Text("b"), assertion.Number(1), assertion.Number(-2.5),
		assertion.Boolean(true), assertion.Reference("a"),
	}
	n := rapid.IntRange(1, 25).Draw(t, "claims")
	claims := make([]*assertion.Claim, n)
	for i := range claims {
		claims[i] = said{
			agent:      rapid.SampledFrom([]string{"x", "y", "z", "v", "w"}).Draw(t, "agent"),
			source:     rapid.SampledFrom([]string{"1", "2", "3"}).Draw(t, "source"),
			value:      rapid.SampledFrom(values).Draw(t, "value"),
			class:      rapid.SampledFrom(assertion.SourceClasses()).Draw(t, "class"),
			confidence: rapid.SampledFrom([]float64{0, 0.1, 0.2, 0.3, 0.6, 1}).Draw(t, "confidence"),
			age:        rapid.SampledFrom([]uint64{0, 1, day, 400 * day, 20_000 * day}).Draw(t, "age"),
			index:      uint64(i + 1),
		}.claim()
	}
	return claims
}

// asked is the input of a question that every lens answers.
func asked(claims []*assertion.Claim) lens.Input {
	return withAll(lens.FromClaims("s", lens.MustUse, claims, at, lens.Grouping{}))
}

func everyAnswer(t *rapid.T, in lens.Input) map[string]*lens.Resolution {
	answers := map[string]*lens.Resolution{}
	for _, l := range lens.All() {
		r, err := l.Resolve(in)
		if err != nil {
			t.Fatalf("%s: %v", l.Name(), err)
		}
		answers[l.Name()] = r
	}
	return answers
}

func TestOrderOfClaimsChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		claims := someClaims(t)
		shuffled := rapid.Permutation(claims).Draw(t, "shuffled")
		a := everyAnswer(t, asked(claims))
		b := everyAnswer(t, asked(shuffled))
		if diff := cmp.Diff(a, b, cmp.Comparer(func(a, b assertion.ObjectValue) bool { return a == b })); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestSharesAndScores(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := asked(someClaims(t))
		for name, r := range everyAnswer(t, in) {
			var shares float64
			var voices uint64
			seen := map[assertion.ObjectValue]bool{}
			for _, c := range append([]lens.Candidate{*r.Winner}, r.RunnersUp...) {
				shares += c.Share
				voices += c.Voices
				if seen[c.Object] {
					t.Fatalf("%s lists %s twice", name, c.Object)
				}
				seen[c.Object] = true
				var support float64
				for _, tier := range c.Tiers {
					support += tier.Support
				}
				if math.Abs(support-c.Support) > 1e-12 {
					t.Fatalf("%s: tiers support %s by %g, all in all %g", name, c.Object, support, c.Support)
				}
			}
			if math.Abs(shares-1) > 1e-9 {
				t.Fatalf("%s: shares sum to %g", name, shares)
			}
			if len(seen) != len(in.Tally.Values) || len(seen) != r.Explanation.Values || voices != r.Explanation.Voices {
				t.Fatalf("%s: %d values by %d voices, explanation %+v", name, len(seen), voices, r.Explanation)
			}
			unit(t, name+" conflict", r.Conflict.Score)
			unit(t, name+" disagreement", r.Conflict.Disagreement)
			unit(t, name+" confidence", r.Confidence)
			if len(seen) == 1 && (r.Conflict.Score != 0 || r.Conflict.Status != lens.Unanimous) {
				t.Fatalf("%s: one value with conflict %+v", name, r.Conflict)
			}
		}
		layered := lens.Layered(in)
		unit(t, "cross-tier conflict", layered.CrossTierConflict)
		for _, tier := range layered.Tiers {
			unit(t, "tier conflict", tier.Conflict.Score)
			unit(t, "tier share", tier.Winner.Share)
		}
	})
}

func unit(t *rapid.T, what string, f float64) {
	if !(f >= 0 && f <= 1) {
		t.Fatalf("%s is %g", what, f)
	}
}

// The tie rule is total: whatever the candidates, neighbours in an answer are
// strictly ordered by (score, support, newest, canonical bytes).
func TestRankingIsTotal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := asked(someClaims(t))
		for _, name := range []string{"consensus", "confidence", "skeptic"} {
			r := everyAnswer(t, in)[name]
			ranked := append([]lens.Candidate{*r.Winner}, r.RunnersUp...)
			for i := 1; i < len(ranked); i++ {
				a, b := ranked[i-1], ranked[i]
				switch {
				case !same(a.Score, b.Score):
					if a.Score < b.Score {
						t.Fatalf("%s: score %g before %g", name, a.Score, b.Score)
					}
				case !same(a.Support, b.Support):
					if a.Support < b.Support {
						t.Fatalf("%s: support %g before %g", name, a.Support, b.Support)
					}
				case a.Newest != b.Newest:
					if a.Newest < b.Newest {
						t.Fatalf("%s: newest %d before %d", name, a.Newest, b.Newest)
					}
				case bytes.Compare(a.Object.Canonical(), b.Object.Canonical()) >= 0:
					t.Fatalf("%s: %s before %s", name, a.Object, b.Object)
				}
			}
		}
	})
}

// same is the documented comparison of sums: equal in 32 significant bits.
func same(a, b float64) bool { return significant(a) == significant(b) }

func significant(f float64) float64 {
	fraction, exponent := math.Frexp(f)
	return math.Ldexp(math.Round(fraction*(1<<32)), exponent-32)
}

// Adding a voice for the winner of the consensus never dethrones it.
func TestConsensusIsMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		claims := someClaims(t)
		before := everyAnswer(t, asked(claims))["consensus"].Winner
		more := said{"another", "source", before.Object, assertion.Expert, 0.5, 0, 1000}.claim()
		after := everyAnswer(t, asked(append(claims, more)))["consensus"].Winner
		if after.Object != before.Object || after.Voices != before.Voices+1 {
			t.Fatalf("%s with %d voices became %s with %d", before.Object, before.Voices, after.Object, after.Voices)
		}
	})
}

// Without anything to join, or with a tolerance of nothing, the answer is the
// same; joined values keep all voices and all support.
func TestGroupingKeepsVoicesAndSupport(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		claims := someClaims(t)
		shuffled := rapid.Permutation(claims).Draw(t, "shuffled")
		g := lens.Grouping{Tolerance: lens.Tolerance{Absolute: rapid.SampledFrom([]float64{0.5, 1, 2.5}).Draw(t, "tolerance")}, Hierarchy: true}
		plain := lens.Skeptic(asked(claims))
		joined := lens.Skeptic(lens.FromClaims("s", "p", claims, at, g))
		again := lens.Skeptic(lens.FromClaims("s", "p", shuffled, at, g))
		if diff := cmp.Diff(joined, again, cmp.Comparer(func(a, b assertion.ObjectValue) bool { return a == b })); diff != "" {
			t.Fatal(diff)
		}
		if plain.Explanation.Voices != joined.Explanation.Voices || len(joined.Values) > len(plain.Values) {
			t.Fatalf("%d voices for %d values, joined %d for %d", plain.Explanation.Voices, len(plain.Values), joined.Explanation.Voices, len(joined.Values))
		}
		var before, after float64
		for _, v := range plain.Values {
			before += v.Support
		}
		for _, v := range joined.Values {
			after += v.Support
		}
		if math.Abs(before-after) > 1e-9*max(before, 1) {
			t.Fatalf("support %g, joined %g", before, after)
		}
	})
}

// A filter that drops nothing changes nothing but the name.
func TestEpochWithoutSupersededEpochsIsItsInnerLens(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := asked(someClaims(t))
		for _, name := range []string{"recency", "consensus", "skeptic"} {
			plain, filtered := resolveIn(t, name, in), resolveIn(t, "epoch,"+name, in)
			if plain.Winner.Object != filtered.Winner.Object || plain.Confidence != filtered.Confidence || plain.Conflict != filtered.Conflict {
				t.Fatalf("%s: %+v, filtered %+v", name, plain.Winner, filtered.Winner)
			}
		}
	})
}

func resolveIn(t *rapid.T, name string, in lens.Input) *lens.Resolution {
	l, err := lens.Parse(name)
	if err != nil {
		t.Fatal(err)
	}
	r, err := l.Resolve(in)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
