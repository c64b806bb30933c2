package lens

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/stemedb/stemedb/assertion"
)

// authority answers from the strongest source class that speaks at all: among
// its claims the highest effective confidence wins. A value's score is its
// highest effective confidence in the strongest class that states it; values of
// a stronger class come first whatever their score.
type authority struct{}

func (authority) Name() string { return "authority" }
func (authority) Rule() string {
	return "the strongest source class present decides; within it the claim with the highest effective confidence"
}
func (authority) Needs() Needs { return NeedsTally | NeedsClaims }

func (l authority) Resolve(in Input) (*Resolution, error) {
	all := candidates(in.Tally)
	best := make(map[assertion.ObjectValue]assertion.SourceClass, len(all))
	for i := range all {
		best[all[i].Object] = all[i].Tiers[0].Class
	}
	strongest(all, in, func(c *assertion.Claim) bool { return c.SourceClass == best[c.Object] })
	slices.SortFunc(all, func(a, b Candidate) int {
		return cmp.Or(
			cmp.Compare(a.Tiers[0].Class, b.Tiers[0].Class),
			compareSums(b.Score, a.Score),
			tieRule(&a, &b))
	})
	r := resolve(l, in, all)
	if r.Winner == nil {
		return r, nil
	}
	class := r.Winner.Tiers[0].Class
	if len(all) > 1 && all[1].Tiers[0].Class != class {
		r.Explanation.TieBreak = ""
	}
	r.Confidence = r.Winner.Score
	r.Explanation.Decision = fmt.Sprintf("%s is the strongest source class present; its claim for %s has the highest effective confidence, %.6g",
		class, quoted(r.Winner), r.Winner.Score)
	return r, nil
}
