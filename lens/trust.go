package lens

import (
	"fmt"

	"github.com/stemedb/stemedb/assertion"
)

// trust answers with the value whose voices bring the most trusted confidence.
// A value's score is the sum over its voices of stated confidence × trust in
// the agent on the predicate; its confidence is the winner's part of all
// scores.
type trust struct{}

func (trust) Name() string { return "trust" }
func (trust) Rule() string {
	return "the value with the largest sum of confidence × trust in the agent on the predicate wins; each voice counts once"
}
func (trust) Needs() Needs { return NeedsTally | NeedsClaims | NeedsTrust }

func (l trust) Resolve(in Input) (*Resolution, error) {
	all := candidates(in.Tally)
	places := placesOf(all)
	var total float64
	for v := range voices(in.Claims) {
		place, ok := places[v.claim.Object]
		if !ok {
			continue
		}
		weight := v.claim.Confidence * in.Trust.Trust(v.agent, v.claim.Predicate).Value
		all[place].Score += weight
		total += weight
	}
	rank(all)
	r := resolve(l, in, all)
	hash := in.Trust.Hash()
	r.Explanation.TrustHash = &hash
	if r.Winner != nil {
		if total > 0 {
			r.Confidence = r.Winner.Score / total
		}
		r.Explanation.Decision = fmt.Sprintf("%s has %.6g of %.6g of trusted confidence", quoted(r.Winner), r.Winner.Score, total)
	}
	return r, nil
}

// placesOf finds candidates by their value.
func placesOf(all []Candidate) map[assertion.ObjectValue]int {
	places := make(map[assertion.ObjectValue]int, len(all))
	for i := range all {
		places[all[i].Object] = i
	}
	return places
}
