package assertion

import (
	"bytes"
	"cmp"
	"slices"
)

// TierTally is what the voices of one source class add to one value.
type TierTally struct {
	// Voices is the number of voices whose newest claim states the value.
	Voices uint64
	// Confidence is the sum of their effective confidences at the tally's time,
	// not yet multiplied by the class's weight.
	Confidence float64
	// Newest is the newest timestamp of their claims, unix seconds.
	Newest uint64
}

// ValueTally is the support of one value, tier by tier.
type ValueTally struct {
	Object ObjectValue
	Tiers  [NumTiers]TierTally
}

// Voices returns the number of voices over all tiers.
func (v *ValueTally) Voices() uint64 {
	var n uint64
	for i := range v.Tiers {
		n += v.Tiers[i].Voices
	}
	return n
}

// Support returns the sum over the tiers of confidence × weight.
func (v *ValueTally) Support() float64 {
	var sum float64
	for i := range v.Tiers {
		sum += v.Tiers[i].Confidence * SourceClass(i).Weight()
	}
	return sum
}

// Newest returns the newest timestamp over all tiers, unix seconds.
func (v *ValueTally) Newest() uint64 {
	var newest uint64
	for i := range v.Tiers {
		newest = max(newest, v.Tiers[i].Newest)
	}
	return newest
}

// Tally is the support of every value of one question, a (subject, predicate),
// at a time.
type Tally struct {
	Subject   string
	Predicate string
	// At is the time that confidences have decayed to, unix seconds.
	At uint64
	// Values are ordered by their canonical bytes; each has a voice.
	Values []ValueTally
}

// voice is one signer on one source.
type voice struct {
	agent  AgentID
	source Hash
}

func (v voice) compare(o voice) int {
	return cmp.Or(bytes.Compare(v.agent[:], o.agent[:]), bytes.Compare(v.source[:], o.source[:]))
}

// NewTally counts claims on one question at the time at. It is the definition
// that every faster way of counting is held to: each signer of a claim is a
// voice together with the claim's source; of a voice only the newest claim
// counts, once. The caller has already chosen the claims: those of this
// question, filtered. The order of claims does not change the result, to the
// last bit.
func NewTally(subject, predicate string, claims []*Claim, at uint64) *Tally {
	newest := make(map[voice]*Claim, len(claims))
	for _, c := range claims {
		for i := range c.Signatures {
			v := voice{c.Signatures[i].AgentID, c.SourceHash}
			if held := newest[v]; held == nil || NewerClaim(c, held) {
				newest[v] = c
			}
		}
	}
	voices := make([]voice, 0, len(newest))
	for v := range newest {
		voices = append(voices, v)
	}
	slices.SortFunc(voices, voice.compare) // float sums depend on their order

	t := &Tally{Subject: subject, Predicate: predicate, At: at}
	places := make(map[ObjectValue]int)
	for _, v := range voices {
		c := newest[v]
		place, ok := places[c.Object]
		if !ok {
			place = len(t.Values)
			places[c.Object] = place
			t.Values = append(t.Values, ValueTally{Object: c.Object})
		}
		tier := &t.Values[place].Tiers[c.SourceClass.Tier()]
		tier.Voices++
		tier.Confidence += c.SourceClass.EffectiveConfidence(c.Confidence, c.Timestamp, at)
		tier.Newest = max(tier.Newest, c.Timestamp)
	}
	slices.SortFunc(t.Values, func(a, b ValueTally) int {
		return bytes.Compare(a.Object.Canonical(), b.Object.Canonical())
	})
	return t
}
