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
	// NeedsClaims asks for every current claim in Input.Claims, and for every
	// claim read in Input.Stated.
	NeedsClaims
	// NeedsVotes asks for Input.Votes.
	NeedsVotes
	// NeedsTrust asks for Input.Trust.
	NeedsTrust
	// NeedsTruth asks for Input.Truth.
	NeedsTruth
	// NeedsEpochs asks for Input.SupersededEpochs.
	NeedsEpochs
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
	// Stated are all claims that were read, before the choice of current ones.
	Stated []*assertion.Claim
	// counted are the claims of Stated with the value that each counts for.
	counted []*assertion.Claim
	// Votes are the newest of each agent on each claim of Stated that are not
	// later than At; claims without votes are absent.
	Votes map[assertion.Hash][]assertion.Vote
	// Trust is the trust in the agents behind the claims.
	Trust TrustSource
	// Truth is what was learnt about the reliability of agents.
	Truth TruthModel
	// SupersededEpochs maps each epoch that is replaced or retracted to the one
	// that does.
	SupersededEpochs map[assertion.Hash]assertion.Hash
	// Grouping says which values were counted as one, Joined which those are.
	Grouping Grouping
	Joined   []Joined
	// Aliases are the names that the question was read under, if several.
	Aliases []string
	// Index is the log index of the state that the input was read from.
	Index uint64
	// Source says how it was read; Scanned how many claims that took.
	Source  Source
	Scanned int
	// Truncated says that a bound cut the scan short, so that older claims are
	// missing from the input.
	Truncated bool
}

// sumOf adds up the votes on one claim.
func sumOf(votes []assertion.Vote) (sum VoteSum) {
	for i := range votes {
		sum.Weight += votes[i].Weight
		sum.Voters++
	}
	return sum
}

// VoteSum is what agents have voted on one claim.
type VoteSum struct {
	// Weight is the sum of their newest weights, Voters their number.
	Weight float64
	Voters uint64
}

// TrustSource gives the trust in agents.
type TrustSource interface {
	// Trust is the trust in an agent's claims on a predicate.
	Trust(agent assertion.AgentID, predicate string) TrustScore
	// Hash names the computation that the trust comes from; zero if there was
	// none yet.
	Hash() assertion.Hash
}

// TrustScore is the trust in one agent.
type TrustScore struct {
	// Value is 0 to 1.
	Value float64
	// Basis says in a few words what it rests on.
	Basis string
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

// ErrNotForQuestion means that a lens cannot answer questions of this kind.
var ErrNotForQuestion = errors.New("the lens does not answer this question")

// All returns every lens in the order of docs/lenses.md.
func All() []Lens {
	return []Lens{recency{}, consensus{}, confidence{}, authority{}, votes{}, trust{}, truth{}, layered{}, skeptic{}, constraints{},
		epoch{recency{}}}
}

// Names returns the names of all lenses.
func Names() []string {
	lenses := All()
	names := make([]string, len(lenses))
	for i, l := range lenses {
		names[i] = l.Name()
	}
	names[len(names)-1] = epochName
	return names
}

// Parse reads what a reader asks for: the name of a lens, or filters and then
// one resolving lens, separated by commas: "epoch,consensus". A filter alone
// resolves by recency. The error wraps ErrUnknownLens if a name is unknown, and
// says otherwise what does not fit.
func Parse(spec string) (Lens, error) {
	names := strings.Split(spec, ",")
	if names[0] == epochName {
		if len(names) == 1 {
			return epoch{recency{}}, nil
		}
		inner, err := Parse(strings.Join(names[1:], ","))
		if err != nil {
			return nil, err
		}
		if _, twice := inner.(epoch); twice {
			return nil, fmt.Errorf("%q: the filter epoch is given twice", cut(spec))
		}
		return epoch{inner}, nil
	}
	for _, l := range All() {
		if l.Name() == names[0] {
			if len(names) > 1 {
				return nil, fmt.Errorf("%q: %s resolves by itself; only filters (%s) stand before another lens", cut(spec), l.Name(), epochName)
			}
			return l, nil
		}
	}
	return nil, fmt.Errorf("%w %q: the lenses are %s", ErrUnknownLens, cut(names[0]), strings.Join(Names(), ", "))
}

// cut bounds foreign text in an error.
func cut(s string) string { return strings.ToValidUTF8(s[:min(len(s), 64)], "") }
