package lens

import (
	"fmt"

	"github.com/stemedb/stemedb/assertion"
)

// confidence answers with the value of the claim that has the highest effective
// confidence. That is a value's score, and the winner's is the lens's
// confidence.
type confidence struct{}

func (confidence) Name() string { return "confidence" }
func (confidence) Rule() string {
	return "the value of the claim with the highest effective confidence wins"
}
func (confidence) Needs() Needs { return NeedsTally | NeedsClaims }

func (l confidence) Resolve(in Input) (*Resolution, error) {
	all := candidates(in.Tally)
	strongest(all, in, func(*assertion.Claim) bool { return true })
	rank(all)
	r := resolve(l, in, all)
	if r.Winner != nil {
		r.Confidence = r.Winner.Score
		r.Explanation.Decision = fmt.Sprintf("a claim for %s has the highest effective confidence, %.6g",
			quoted(r.Winner), r.Winner.Score)
	}
	return r, nil
}
