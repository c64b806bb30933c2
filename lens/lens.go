package lens

import (
	"errors"
	"fmt"
	"strings"

	"github.com/stemedb/stemedb/assertion"
)

// Needs is what a lens reads of an Input. The caller may leave the rest empty,
// and so answer from aggregates where a lens allows it.
type Needs uint8

const (
	// NeedsTally asks for Input.Tally.
	NeedsTally Needs = 1 << iota
	// NeedsNewest asks for the newest claim as the first of Input.Claims.
	NeedsNewest
	// NeedsClaims asks for every current claim in Input.Claims.
	NeedsClaims
)

// Source is where an Input came from.
type Source string

// The sources.
const (
	// FromAggregates: the tally was kept up to date while claims came in.
	FromAggregates Source = "aggregates"
	// FromScan: the claims were read and counted for this answer.
	FromScan Source = "scan"
)

// Input is one question with the claims on it, as a lens is given them.
type Input struct {
	Subject   string
	Predicate string
	// At is the time to which confidences decay, unix seconds.
	At uint64
	// Parameters are what the reader asked for beside the question, filters for
	// example; the explanation repeats them.
	Parameters map[string]any
	// Tally is the support of each value at At.
	Tally *assertion.Tally
	// Claims are current: each is the newest of at least one of its voices.
	// Newest first, in the order of assertion.NewerClaim.
	Claims []*assertion.Claim
	// Index is the log index of the state that the input was read from.
	Index uint64
	// Source says how it was read; Scanned how many claims that took.
	Source  Source
	Scanned int
	// Truncated says that a bound cut the scan short, so that older claims are
	// missing from the input.
	Truncated bool
}

// Lens is one way of resolving a question.
type Lens interface {
	// Name is the lens's name in requests and answers.
	Name() string
	// Rule says in one sentence how the lens decides.
	Rule() string
	// Needs says which parts of an Input the lens reads.
	Needs() Needs
	// Resolve answers the question. An input without claims has a Resolution
	// without a winner, not an error; an error means that the lens cannot answer
	// this input at all.
	Resolve(in Input) (*Resolution, error)
}

// ErrUnknownLens means that no lens has the name asked for.
var ErrUnknownLens = errors.New("unknown lens")

// All returns every lens in the order of docs/lenses.md.
func All() []Lens {
	return []Lens{recency{}, consensus{}, confidence{}, authority{}, layered{}, skeptic{}}
}

// Names returns the names of all lenses.
func Names() []string {
	lenses := All()
	names := make([]string, len(lenses))
	for i, l := range lenses {
		names[i] = l.Name()
	}
	return names
}

// Lookup finds a lens by name. The error wraps ErrUnknownLens and lists the
// names there are.
func Lookup(name string) (Lens, error) {
	for _, l := range All() {
		if l.Name() == name {
			return l, nil
		}
	}
	return nil, fmt.Errorf("%w %.64q: the lenses are %s", ErrUnknownLens, name, strings.Join(Names(), ", "))
}
