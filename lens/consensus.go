package lens

import "fmt"

// consensus answers with the value that most voices state. Its score is the
// number of voices, its confidence the winner's part of all voices.
type consensus struct{}

func (consensus) Name() string { return "consensus" }
func (consensus) Rule() string {
	return "the value that most voices state wins; a voice is one signer on one source"
}
func (consensus) Needs() Needs { return NeedsTally }

func (l consensus) Resolve(in Input) (*Resolution, error) {
	all := candidates(in.Tally)
	for i := range all {
		all[i].Score = float64(all[i].Voices)
	}
	rank(all)
	r := resolve(l, in, all)
	if r.Winner != nil {
		r.Confidence = float64(r.Winner.Voices) / float64(r.Explanation.Voices)
		r.Explanation.Decision = fmt.Sprintf("%d of %s say %s",
			r.Winner.Voices, plural(r.Explanation.Voices, "voice"), quoted(r.Winner))
	}
	return r, nil
}
