package lens

import (
	"fmt"

	"github.com/stemedb/stemedb/assertion"
)

// Resolution is a lens's answer.
type Resolution struct {
	// Winner is nil if there are no claims.
	Winner *Candidate
	// RunnersUp are all other values, in the lens's order.
	RunnersUp []Candidate
	// Confidence is the lens's own in its winner, 0..1; each lens says what it
	// is. 0 without a winner.
	Confidence float64
	// Conflict is the skeptic's view of the same claims.
	Conflict    Conflict
	Explanation Explanation
}

// Explanation says how an answer came about.
type Explanation struct {
	Lens string
	// Parameters are the Input's.
	Parameters map[string]any
	// Rule is how the lens decides; Decision is how it decided here.
	Rule     string
	Decision string
	// TieBreak names the link of the tie rule that decided between equals:
	// support, newest, canonical_bytes or log_index; "" if there was no tie.
	TieBreak string
	Values   int
	Voices   uint64
	// At, Index, Source, Scanned and Truncated are the Input's.
	At        uint64
	Index     uint64
	Source    Source
	Scanned   int
	Truncated bool
	// Aliases and Joined are the Input's.
	Aliases []string
	Joined  []Joined
	// TrustHash names the trust that weighed the voices, nil if none did.
	TrustHash *assertion.Hash
	// TruthHash names the model of the truth lens, nil if it was not asked;
	// Method is the method that the predicate is resolved by, MethodChoice why.
	TruthHash    *assertion.Hash
	Method       string
	MethodChoice string
	// Weights are the voices behind the answer, filled in by Explain, the
	// heaviest first and at most MaxWeights; Unlisted counts the rest.
	Weights  []VoiceWeight
	Unlisted int
}

// explain begins the explanation of an answer to in.
func explain(l Lens, in Input, values []Candidate) Explanation {
	e := Explanation{Lens: l.Name(), Parameters: in.Parameters, Rule: l.Rule(), Values: len(values),
		At: in.At, Index: in.Index, Source: in.Source, Scanned: in.Scanned, Truncated: in.Truncated,
		Aliases: in.Aliases, Joined: in.Joined}
	for i := range values {
		e.Voices += values[i].Voices
	}
	if len(values) == 0 {
		e.Decision = "no claim answers the question"
	}
	return e
}

// resolve makes the Resolution of ranked candidates. Its confidence and
// decision are the lens's to fill in where there is a winner.
func resolve(l Lens, in Input, ranked []Candidate) *Resolution {
	r := &Resolution{Conflict: conflictOf(ranked), Explanation: explain(l, in, ranked), RunnersUp: []Candidate{}}
	if len(ranked) > 0 {
		r.Winner = &ranked[0]
		r.RunnersUp = ranked[1:]
		r.Explanation.TieBreak = tieBreak(ranked)
	}
	return r
}

// plural is "1 voice", "2 voices".
func plural(n uint64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// quoted is a value for a sentence, cut where it is long.
func quoted(c *Candidate) string {
	const most = 80
	s := []rune(c.Object.String())
	if len(s) > most {
		return fmt.Sprintf("%q…", string(s[:most]))
	}
	return fmt.Sprintf("%q", string(s))
}
