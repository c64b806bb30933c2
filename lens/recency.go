package lens

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// recency answers with the newest claim: by timestamp, then by log position.
// Its score is the timestamp of a value's newest claim, its confidence the
// effective confidence of the winning claim. The other values follow by their
// newest timestamp and then the tie rule, since a tally keeps no log position.
type recency struct{}

func (recency) Name() string { return "recency" }
func (recency) Rule() string {
	return "the value of the newest claim wins; of equal timestamps the higher log index"
}
func (recency) Needs() Needs { return NeedsTally | NeedsNewest }

func (l recency) Resolve(in Input) (*Resolution, error) {
	all := candidates(in.Tally)
	if len(all) == 0 {
		return resolve(l, in, all), nil
	}
	if len(in.Claims) == 0 {
		return nil, errors.New("recency: the input has a tally but not the newest claim")
	}
	newest := in.Claims[0]
	for i := range all {
		all[i].Score = float64(all[i].Newest)
	}
	slices.SortFunc(all, func(a, b Candidate) int {
		return cmp.Or(cmp.Compare(b.Newest, a.Newest), tieRule(&a, &b))
	})
	place := slices.IndexFunc(all, func(c Candidate) bool { return c.Object == newest.Object })
	if place < 0 {
		return nil, fmt.Errorf("recency: the tally lacks the value of the newest claim %s", newest.Hash)
	}
	winner := all[place]
	winner.Claim = &newest.Hash
	copy(all[1:place+1], all[:place])
	all[0] = winner
	r := resolve(l, in, all)
	r.Explanation.TieBreak = ""
	if len(all) > 1 && all[1].Newest == winner.Newest {
		r.Explanation.TieBreak = tieByLogIndex
	}
	r.Confidence = newest.SourceClass.EffectiveConfidence(newest.Confidence, newest.Timestamp, in.At)
	r.Explanation.Decision = fmt.Sprintf("the newest claim, of %d at log index %d, says %s",
		newest.Timestamp, newest.Commit.Index, quoted(r.Winner))
	return r, nil
}
