package lens

import (
	"fmt"

	"github.com/stemedb/stemedb/assertion"
)

// LayeredResult is the answer of each source class on its own, and of the
// strongest for the whole.
type LayeredResult struct {
	// Tiers are those with claims, strongest first.
	Tiers []TierResult
	// Winner is the value that wins the strongest tier with claims, with its
	// support over all tiers; nil without claims.
	Winner *Candidate
	// CrossTierConflict is the Shannon entropy of what the tiers' winners weigh,
	// over ln(distinct winners): each tier adds the weight of its class to the
	// value that wins it. 0 if all tiers agree, 0..1.
	CrossTierConflict float64
	Explanation       Explanation
}

// TierResult is the answer of one source class.
type TierResult struct {
	Class assertion.SourceClass
	// Winner is the value with the largest support in the tier, the tie rule
	// among equals. Share, Support, Voices and Newest are those within the tier.
	Winner Candidate
	// Conflict is the skeptic's view of the tier.
	Conflict Conflict
	Values   int
	Voices   uint64
}

// Layered resolves each source class on its own. It reads the tally only.
func Layered(in Input) LayeredResult {
	result, _ := layered{}.layers(in)
	return result
}

// layered answers with the winner of the strongest tier that has claims. A
// value's score is its share within the strongest tier; its confidence is the
// winner's.
type layered struct{}

func (layered) Name() string { return "layered" }
func (layered) Rule() string {
	return "each source class answers for itself by largest support; the strongest class present answers for the whole"
}
func (layered) Needs() Needs { return NeedsTally }

func (l layered) Resolve(in Input) (*Resolution, error) {
	result, ranked := l.layers(in)
	r := resolve(l, in, ranked)
	r.Explanation = result.Explanation
	if r.Winner != nil {
		r.Confidence = result.Tiers[0].Winner.Share
	}
	return r, nil
}

// layers returns the result, and the candidates of all tiers in the lens's
// order.
func (l layered) layers(in Input) (LayeredResult, []Candidate) {
	result := LayeredResult{Tiers: []TierResult{}}
	var strongest []Candidate
	for _, class := range assertion.SourceClasses() {
		ranked := bySupport(tierOf(in.Tally, class))
		if len(ranked) == 0 {
			continue
		}
		if strongest == nil {
			strongest = ranked
		}
		tier := TierResult{Class: class, Winner: ranked[0], Conflict: conflictOf(ranked), Values: len(ranked)}
		for i := range ranked {
			tier.Voices += ranked[i].Voices
		}
		result.Tiers = append(result.Tiers, tier)
	}
	overall := l.overall(in.Tally, strongest)
	result.Explanation = explain(l, in, overall)
	if len(overall) > 0 {
		result.Winner = &overall[0]
		result.CrossTierConflict = crossTierConflict(result.Tiers)
		result.Explanation.TieBreak = tieBreak(strongest)
		result.Explanation.Decision = fmt.Sprintf("%s is the strongest of %s with claims; %s has the largest support in it",
			result.Tiers[0].Class, plural(uint64(len(result.Tiers)), "tier"), quoted(result.Winner))
	}
	return result, overall
}

// overall orders the values of all tiers: those of the strongest tier in its
// order, which the score carries, then the rest by support.
func (layered) overall(t *assertion.Tally, strongest []Candidate) []Candidate {
	all := candidates(t)
	places := make(map[assertion.ObjectValue]int, len(strongest))
	for i := range strongest {
		places[strongest[i].Object] = i
	}
	ordered := make([]Candidate, len(strongest), len(all))
	var rest []Candidate
	for _, c := range all {
		if place, ok := places[c.Object]; ok {
			c.Score = strongest[place].Share
			ordered[place] = c
		} else {
			rest = append(rest, c)
		}
	}
	rank(rest)
	return append(ordered, rest...)
}

// tierOf returns the part of a tally that one class contributes.
func tierOf(t *assertion.Tally, class assertion.SourceClass) *assertion.Tally {
	part := &assertion.Tally{Subject: t.Subject, Predicate: t.Predicate, At: t.At}
	for i := range t.Values {
		v := &t.Values[i]
		if v.Tiers[class].Voices == 0 {
			continue
		}
		only := assertion.ValueTally{Object: v.Object}
		only.Tiers[class] = v.Tiers[class]
		part.Values = append(part.Values, only)
	}
	return part
}

func crossTierConflict(tiers []TierResult) float64 {
	var total float64
	places := make(map[assertion.ObjectValue]int, len(tiers))
	var shares []float64 // by distinct winner, in the order of tiers: sums do not depend on map order
	for _, tier := range tiers {
		place, ok := places[tier.Winner.Object]
		if !ok {
			place = len(shares)
			places[tier.Winner.Object] = place
			shares = append(shares, 0)
		}
		shares[place] += tier.Class.Weight()
		total += tier.Class.Weight()
	}
	for i := range shares {
		shares[i] /= total
	}
	return assertion.ConflictScore(shares)
}
