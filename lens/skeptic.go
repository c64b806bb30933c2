package lens

import (
	"fmt"

	"github.com/stemedb/stemedb/assertion"
)

// Status says in a word how contested a question is.
type Status string

// The statuses.
const (
	// NoClaims: nothing answers the question.
	NoClaims Status = "NoClaims"
	// Unanimous: there is one value.
	Unanimous Status = "Unanimous"
	// Agreed: there are several, with a conflict score below 0.5.
	Agreed Status = "Agreed"
	// Contested: several, with a conflict score of 0.5 or more.
	Contested Status = "Contested"
)

// contestedFrom is the conflict score from which on a question is Contested.
const contestedFrom = 0.5

// Conflict is how much the values of a question disagree.
type Conflict struct {
	Status Status
	// Score is the Shannon entropy of the support shares over ln(values), 0..1;
	// 0 for one value.
	Score float64
	// Disagreement is 1 − the largest share, 0..1.
	Disagreement float64
}

// conflictOf is the conflict between candidates, whatever their order.
func conflictOf(all []Candidate) Conflict {
	if len(all) == 0 {
		return Conflict{Status: NoClaims}
	}
	shares := make([]float64, len(all))
	var top float64
	for i := range all {
		shares[i] = all[i].Share
		top = max(top, all[i].Share)
	}
	c := Conflict{Status: Unanimous, Score: assertion.ConflictScore(shares), Disagreement: min(max(1-top, 0), 1)}
	switch {
	case len(all) == 1:
		c.Disagreement = 0
	case c.Score < contestedFrom:
		c.Status = Agreed
	default:
		c.Status = Contested
	}
	return c
}

// SkepticResult is every value of a question with what stands behind it.
type SkepticResult struct {
	Conflict Conflict
	// Values are all values by falling share, the tie rule among equals.
	Values      []Candidate
	Explanation Explanation
}

// Skeptic weighs every value of a question. It reads the tally only.
func Skeptic(in Input) SkepticResult {
	r := skeptic{}.weigh(in)
	result := SkepticResult{Conflict: r.Conflict, Explanation: r.Explanation, Values: []Candidate{}}
	if r.Winner != nil {
		result.Values = append(append(result.Values, *r.Winner), r.RunnersUp...)
	}
	return result
}

// skeptic answers with the value of the largest support, and says how much
// stands against it. Its score and its confidence are the share.
type skeptic struct{}

func (skeptic) Name() string { return "skeptic" }
func (skeptic) Rule() string {
	return "every value is weighed by its share of the support; conflict_score is the normalised entropy of the shares"
}
func (skeptic) Needs() Needs { return NeedsTally }

func (l skeptic) Resolve(in Input) (*Resolution, error) { return l.weigh(in), nil }

func (l skeptic) weigh(in Input) *Resolution {
	ranked := bySupport(in.Tally)
	r := resolve(l, in, ranked)
	if r.Winner != nil {
		r.Confidence = r.Winner.Share
		r.Explanation.Decision = fmt.Sprintf("%s by %s; %s has the largest share, %.6g",
			plural(uint64(len(ranked)), "value"), plural(r.Explanation.Voices, "voice"), quoted(r.Winner), r.Winner.Share)
	}
	return r
}

// bySupport returns the values of a tally by falling share.
func bySupport(t *assertion.Tally) []Candidate {
	all := candidates(t)
	for i := range all {
		all[i].Score = all[i].Share
	}
	rank(all)
	return all
}
