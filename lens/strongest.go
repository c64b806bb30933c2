package lens

import (
	"github.com/stemedb/stemedb/assertion"
)

// strongest fills in each candidate's score and claim from the claim for its
// value that has the highest effective confidence; of equals the newest. Claims
// that counts leaves out are passed over. It is the core of the lenses that
// trust single claims rather than sums.
func strongest(all []Candidate, in Input, counts func(*assertion.Claim) bool) {
	places := placesOf(all)
	for _, claim := range in.Claims { // newest first, so that > keeps the newest
		place, ok := places[claim.Object]
		if !ok || !counts(claim) {
			continue
		}
		c := &all[place]
		score := claim.SourceClass.EffectiveConfidence(claim.Confidence, claim.Timestamp, in.At)
		if c.Claim == nil || compareSums(score, c.Score) > 0 {
			c.Score, c.Claim = score, &claim.Hash
		}
	}
}
