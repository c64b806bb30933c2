package lens

import (
	"fmt"
	"slices"

	"github.com/stemedb/stemedb/assertion"
)

// votes answers with the value whose claims have the largest sum of vote
// weights. That is its score; its confidence is the winner's part of all
// weights, 0 if nobody has voted.
//
// A vote counts for the value that the claim states, and stays when the claim's
// signer states the value again or moves the claim to another stage: of an
// agent's votes on claims of one value the newest counts.
type votes struct{}

func (votes) Name() string { return "votes" }
func (votes) Rule() string {
	return "the value whose claims have the largest sum of vote weights wins; of an agent's votes on the claims of a value the newest counts"
}
func (votes) Needs() Needs { return NeedsTally | NeedsClaims | NeedsVotes }

func (l votes) Resolve(in Input) (*Resolution, error) {
	all := candidates(in.Tally)
	places := placesOf(all)
	var total float64
	var voters uint64
	for _, b := range ballots(in) {
		place, ok := places[b.object]
		if !ok {
			continue
		}
		all[place].Score += b.vote.Weight
		total += b.vote.Weight
		voters++
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

// ballot is an agent's vote on a value.
type ballot struct {
	object assertion.ObjectValue
	vote   assertion.Vote
}

// ballots are the newest votes of each agent on each value, in a fixed order. Of
// two with one timestamp that on the newer claim counts.
func ballots(in Input) []ballot {
	type voter struct {
		object assertion.ObjectValue
		agent  assertion.AgentID
	}
	place := map[voter]int{}
	var out []ballot
	for _, c := range slices.SortedFunc(slices.Values(in.counted), assertion.NewestFirst) {
		for _, v := range in.Votes[c.Hash] {
			who := voter{c.Object, v.AgentID}
			at, voted := place[who]
			switch {
			case !voted:
				place[who] = len(out)
				out = append(out, ballot{c.Object, v})
			case v.Timestamp > out[at].vote.Timestamp:
				out[at].vote = v
			}
		}
	}
	return out
}
