package lens

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/stemedb/stemedb/assertion"
)

// MaxWeights bounds the voices that an explanation lists.
const MaxWeights = 1000

// VoiceWeight is one voice behind an answer, with what its claim weighs.
type VoiceWeight struct {
	Claim  assertion.Hash
	Agent  assertion.AgentID
	Source assertion.Hash
	// Object is what the claim says, Counted the value that it counts for; they
	// differ where values were joined.
	Object, Counted assertion.ObjectValue
	Class           assertion.SourceClass
	Timestamp       uint64
	// Confidence is as stated; Decay the factor that is left of it, 0 to 1;
	// Effective their product; Support that times the weight of the class.
	Confidence, Decay, Effective, Support float64
	// Votes is the sum of the votes on the claim, Trust the trust in the agent,
	// where the lens looks at them.
	Votes *VoteSum
	Trust *TrustScore
	// Truth is what the voice weighs for the truth lens.
	Truth *TruthWeight
}

// Explain lists the voices behind an answer to in, heaviest first. The input
// must hold its claims.
func Explain(in Input, e *Explanation) {
	stated := make(map[assertion.Hash]assertion.ObjectValue, len(in.Stated))
	for _, c := range in.Stated {
		stated[c.Hash] = c.Object
	}
	all := make([]VoiceWeight, 0, len(in.Claims))
	var weights []TruthWeight
	if in.Truth != nil && in.Truth.Hash() != (assertion.Hash{}) {
		weights = weighed(in, candidates(in.Tally)).Weights
	}
	for v := range voices(in.Claims) {
		c := v.claim
		w := VoiceWeight{
			Claim: c.Hash, Agent: v.agent, Source: c.SourceHash, Object: stated[c.Hash], Counted: c.Object,
			Class: c.SourceClass, Timestamp: c.Timestamp, Confidence: c.Confidence,
			Decay:     c.SourceClass.EffectiveConfidence(1, c.Timestamp, in.At),
			Effective: c.SourceClass.EffectiveConfidence(c.Confidence, c.Timestamp, in.At),
		}
		w.Support = w.Effective * c.SourceClass.Weight()
		if in.Votes != nil {
			sum := sumOf(in.Votes[c.Hash])
			w.Votes = &sum
		}
		if in.Trust != nil {
			score := in.Trust.Trust(v.agent, c.Predicate)
			w.Trust = &score
		}
		if weights != nil {
			w.Truth = &weights[len(all)]
		}
		all = append(all, w)
	}
	slices.SortFunc(all, func(a, b VoiceWeight) int {
		return cmp.Or(cmp.Compare(b.Support, a.Support), bytes.Compare(a.Claim[:], b.Claim[:]), bytes.Compare(a.Agent[:], b.Agent[:]))
	})
	e.Unlisted = max(0, len(all)-MaxWeights)
	e.Weights = all[:len(all)-e.Unlisted]
}
