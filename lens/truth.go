package lens

import (
	"fmt"

	"github.com/stemedb/stemedb/assertion"
)

// TruthModel is what was learnt about the reliability of agents.
type TruthModel interface {
	// Weigh says how far each of a question's values is believed, given its voices.
	Weigh(predicate string, values int, voices []TruthVoice) TruthVerdict
	// Hash names the model; zero if nothing was learnt yet.
	Hash() assertion.Hash
}

// TruthVoice is one voice as a TruthModel sees it.
type TruthVoice struct {
	Agent assertion.AgentID
	// Value is the number of the value that it states.
	Value int
	// Confidence is as stated, 0 to 1.
	Confidence float64
}

// TruthVerdict is what a TruthModel makes of a question.
type TruthVerdict struct {
	// Method is the name of the method that the predicate is resolved by, Choice
	// says why it is this one.
	Method, Choice string
	// Beliefs are parallel to the values and sum to 1.
	Beliefs []float64
	// Weights are parallel to the voices.
	Weights []TruthWeight
}

// TruthWeight is what a voice weighs.
type TruthWeight struct {
	// Reliability is the method's figure for the agent on the predicate, 0 to 1;
	// Basis says what it rests on.
	Reliability float64
	Basis       string
	// Independence is the part of the voice that is not taken for a copy of
	// others, 0 to 1.
	Independence float64
}

// truth answers with the value that is most probably right, given how reliable
// each voice has been and who copies from whom. Until a model was learnt, it
// answers as consensus does and says so.
type truth struct{}

func (truth) Name() string { return "truth" }
func (truth) Rule() string {
	return "the value that the reliability of its voices makes most probable wins; reliability is learnt from the data per agent and predicate, and copies count for less"
}
func (truth) Needs() Needs { return NeedsTally | NeedsClaims | NeedsTruth }

func (l truth) Resolve(in Input) (*Resolution, error) {
	if in.Truth.Hash() == (assertion.Hash{}) {
		r, err := consensus{}.Resolve(in)
		if err != nil {
			return nil, err
		}
		r.Explanation.Lens, r.Explanation.Rule = l.Name(), l.Rule()
		r.Explanation.Decision = "no reliability was learnt yet, so by consensus: " + r.Explanation.Decision
		r.Explanation.TruthHash = new(assertion.Hash)
		return r, nil
	}
	all := candidates(in.Tally)
	verdict := weighed(in, all)
	for i := range all {
		all[i].Score = verdict.Beliefs[i]
	}
	rank(all)
	r := resolve(l, in, all)
	hash := in.Truth.Hash()
	r.Explanation.TruthHash, r.Explanation.Method, r.Explanation.MethodChoice = &hash, verdict.Method, verdict.Choice
	if r.Winner != nil {
		r.Confidence = r.Winner.Score
		r.Explanation.Decision = fmt.Sprintf("%s has probability %.6g by %s", quoted(r.Winner), r.Winner.Score, verdict.Method)
	}
	return r, nil
}

// weighed asks the model about the voices of an input, in the order of voices.
func weighed(in Input, all []Candidate) TruthVerdict {
	places := placesOf(all)
	var heard []TruthVoice
	for v := range voices(in.Claims) {
		heard = append(heard, TruthVoice{Agent: v.agent, Value: places[v.claim.Object], Confidence: v.claim.Confidence})
	}
	if len(all) == 0 {
		return TruthVerdict{}
	}
	return in.Truth.Weigh(in.Predicate, len(all), heard)
}
