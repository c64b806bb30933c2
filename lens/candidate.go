package lens

import (
	"bytes"
	"cmp"
	"math"
	"slices"

	"github.com/stemedb/stemedb/assertion"
)

// TierSupport is what the voices of one source class add to a value.
type TierSupport struct {
	Class  assertion.SourceClass
	Voices uint64
	// Confidence is the sum of the voices' effective confidences; Support is
	// that times the class's weight.
	Confidence float64
	Support    float64
}

// Candidate is one value that claims give to a question.
type Candidate struct {
	Object assertion.ObjectValue
	// Score is what the lens ranks by; its unit is the lens's.
	Score float64
	// Share is the value's part of all support, 0..1; of the voices where no
	// claim has any support.
	Share   float64
	Support float64
	Voices  uint64
	// Newest is the newest timestamp of a claim for the value, unix seconds.
	Newest uint64
	// Tiers are those with voices, strongest first.
	Tiers []TierSupport
	// Claim is the claim that decided, for lenses that pick one.
	Claim *assertion.Hash
}

// candidates makes one candidate of each value of a tally, in no particular
// order, with shares but without scores.
func candidates(t *assertion.Tally) []Candidate {
	all := make([]Candidate, len(t.Values))
	for i := range t.Values {
		v := &t.Values[i]
		c := Candidate{Object: v.Object, Support: v.Support(), Voices: v.Voices(), Newest: v.Newest()}
		for class, tier := range v.Tiers {
			if tier.Voices == 0 {
				continue
			}
			class := assertion.SourceClass(class)
			c.Tiers = append(c.Tiers, TierSupport{Class: class, Voices: tier.Voices,
				Confidence: tier.Confidence, Support: tier.Confidence * class.Weight()})
		}
		all[i] = c
	}
	share(all)
	return all
}

// share fills in the shares: of the support, or, where every support is 0
// (claims of confidence 0), of the voices, so that shares always sum to 1.
func share(all []Candidate) {
	var support float64
	var voices uint64
	for i := range all {
		support += all[i].Support
		voices += all[i].Voices
	}
	for i := range all {
		if support > 0 {
			all[i].Share = all[i].Support / support
		} else {
			all[i].Share = float64(all[i].Voices) / float64(voices)
		}
	}
}

// rank orders candidates by score, best first, and by the tie rule among equal
// scores. The order is total.
func rank(all []Candidate) {
	slices.SortFunc(all, func(a, b Candidate) int {
		return cmp.Or(compareSums(b.Score, a.Score), tieRule(&a, &b))
	})
}

// tieRule orders candidates that a lens holds equal: larger support, then the
// newest claim, then the smallest canonical bytes. It is 0 only for the same
// value.
func tieRule(a, b *Candidate) int {
	return cmp.Or(
		compareSums(b.Support, a.Support),
		cmp.Compare(b.Newest, a.Newest),
		bytes.Compare(a.Object.Canonical(), b.Object.Canonical()))
}

// The links of the tie rule, as TieBreak names them.
const (
	tieBySupport   = "support"
	tieByNewest    = "newest"
	tieByCanonical = "canonical_bytes"
	tieByLogIndex  = "log_index"
)

// tieBreak names the link of the tie rule that put the first of ranked
// candidates before the second; "" if the score did.
func tieBreak(ranked []Candidate) string {
	if len(ranked) < 2 {
		return ""
	}
	a, b := &ranked[0], &ranked[1]
	switch {
	case compareSums(a.Score, b.Score) != 0:
		return ""
	case compareSums(a.Support, b.Support) != 0:
		return tieBySupport
	case a.Newest != b.Newest:
		return tieByNewest
	}
	return tieByCanonical
}

// compareSums compares sums of floats after rounding them, so that two sums of
// the same parts, added in another order or kept by another algorithm, are
// equal rather than apart by their last bits.
func compareSums(a, b float64) int { return cmp.Compare(rounded(a), rounded(b)) }

// rounded keeps 32 significant bits: a relative step of 2⁻³², 2.3 × 10⁻¹⁰.
// Rounding to a fixed grid keeps the order transitive, which a comparison
// within a tolerance would not.
func rounded(f float64) float64 {
	const bits = 1 << 32
	fraction, exponent := math.Frexp(f)
	return math.Ldexp(math.Round(fraction*bits)/bits, exponent)
}
