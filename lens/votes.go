package lens

import "fmt"

// votes answers with the value whose claims have the largest sum of vote
// weights. That is its score; its confidence is the winner's part of all
// weights, 0 if nobody has voted.
type votes struct{}

func (votes) Name() string { return "votes" }
func (votes) Rule() string {
	return "the value whose claims have the largest sum of vote weights wins; of an agent's votes on a claim the newest counts"
}
func (votes) Needs() Needs { return NeedsTally | NeedsClaims | NeedsVotes }

func (l votes) Resolve(in Input) (*Resolution, error) {
	all := candidates(in.Tally)
	places := placesOf(all)
	var total float64
	var voters uint64
	for _, claim := range in.Claims {
		sum, voted := in.Votes[claim.Hash]
		place, ok := places[claim.Object]
		if !voted || !ok {
			continue
		}
		all[place].Score += sum.Weight
		total += sum.Weight
		voters += sum.Voters
	}
	rank(all)
	r := resolve(l, in, all)
	switch {
	case r.Winner == nil:
	case total == 0:
		r.Explanation.Decision = fmt.Sprintf("nobody has voted; %s leads by the tie rule", quoted(r.Winner))
	default:
		r.Confidence = r.Winner.Score / total
		r.Explanation.Decision = fmt.Sprintf("%s has %.6g of the %.6g that %s give", quoted(r.Winner), r.Winner.Score, total, plural(voters, "vote"))
	}
	return r, nil
}
