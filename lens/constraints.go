package lens

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/stemedb/stemedb/assertion"
)

// The predicates that state constraints.
const (
	MustUse   = "must_use"
	Forbidden = "forbidden"
	Requires  = "requires"
)

// ConstraintPredicates are the predicates that constraints are read from.
func ConstraintPredicates() []string { return []string{MustUse, Forbidden, Requires} }

// Verdict is what holds for one thing that constraints name.
type Verdict string

// The verdicts.
const (
	VerdictMustUse   Verdict = "must_use"
	VerdictForbidden Verdict = "forbidden"
	VerdictRequires  Verdict = "requires"
)

// Side is what stands behind one predicate on one thing.
type Side struct {
	Support float64
	Voices  uint64
	Tiers   []TierSupport
}

// Constraint is one thing that a subject must use, must not use or requires.
type Constraint struct {
	Object assertion.ObjectValue
	// Verdict is the predicate that holds: forbidden if its support is at least
	// that of what asks for the thing, since what is wrongly left out harms less.
	Verdict Verdict
	// Sides are by predicate, those with voices only.
	Sides map[string]Side
	// ConflictScore is that of the support for and against, 0 if all agree.
	ConflictScore float64
	// Reasons says in sentences what the verdict rests on.
	Reasons []string
}

// ConstraintsResult is everything that a subject must use, must not use or
// requires.
type ConstraintsResult struct {
	// Constraints are ordered by verdict, then by falling support, then by the
	// canonical bytes of the thing.
	Constraints []Constraint
	// Conflicts says which things are both asked for and forbidden.
	Conflicts []string
}

// Constraints resolves the three questions of a subject together. Values of one
// predicate do not exclude each other: each is a constraint of its own, and is
// contradicted only by what another predicate says of the same thing. It reads
// the tallies, which are given by predicate.
func Constraints(tallies map[string]*assertion.Tally) ConstraintsResult {
	things := map[assertion.ObjectValue]*Constraint{}
	for _, predicate := range ConstraintPredicates() {
		t := tallies[predicate]
		if t == nil {
			continue
		}
		for _, c := range candidates(t) {
			thing := things[c.Object]
			if thing == nil {
				thing = &Constraint{Object: c.Object, Sides: map[string]Side{}}
				things[c.Object] = thing
			}
			thing.Sides[predicate] = Side{Support: c.Support, Voices: c.Voices, Tiers: c.Tiers}
		}
	}
	result := ConstraintsResult{Constraints: []Constraint{}, Conflicts: []string{}}
	for _, thing := range things {
		thing.decide()
		result.Constraints = append(result.Constraints, *thing)
	}
	order := []Verdict{VerdictMustUse, VerdictForbidden, VerdictRequires}
	slices.SortFunc(result.Constraints, func(a, b Constraint) int {
		if by := slices.Index(order, a.Verdict) - slices.Index(order, b.Verdict); by != 0 {
			return by
		}
		if by := compareSums(b.Sides[string(b.Verdict)].Support, a.Sides[string(a.Verdict)].Support); by != 0 {
			return by
		}
		return bytes.Compare(a.Object.Canonical(), b.Object.Canonical())
	})
	for i := range result.Constraints {
		c := &result.Constraints[i]
		if c.ConflictScore > 0 {
			result.Conflicts = append(result.Conflicts, fmt.Sprintf("%q is both %s and forbidden (conflict %.6g); %s holds",
				c.Object.String(), c.asked(), c.ConflictScore, c.Verdict))
		}
	}
	return result
}

// asked is the stronger of the predicates that ask for the thing.
func (c *Constraint) asked() Verdict {
	if c.Sides[MustUse].Voices == 0 || c.Sides[Requires].Support > c.Sides[MustUse].Support {
		return VerdictRequires
	}
	return VerdictMustUse
}

func (c *Constraint) decide() {
	against := c.Sides[Forbidden]
	wanted := c.Sides[MustUse].Support + c.Sides[Requires].Support
	asked := c.Sides[MustUse].Voices + c.Sides[Requires].Voices
	c.Verdict = c.asked()
	if asked > 0 && against.Voices > 0 {
		c.ConflictScore = assertion.ConflictScore([]float64{wanted, against.Support})
	}
	if against.Voices > 0 && (asked == 0 || compareSums(against.Support, wanted) >= 0) {
		c.Verdict = VerdictForbidden
	}
	for _, predicate := range ConstraintPredicates() {
		if side := c.Sides[predicate]; side.Voices > 0 {
			c.Reasons = append(c.Reasons, fmt.Sprintf("%s by %s, the strongest %s, with a support of %.6g",
				predicate, plural(side.Voices, "voice"), side.Tiers[0].Class, side.Support))
		}
	}
}

// constraints, as the lens of one question, ranks the things that the predicate
// names by their support. Its confidence is 1 if there is a winner: the values
// do not exclude each other, so none takes from another.
type constraints struct{}

func (constraints) Name() string { return "constraints" }
func (constraints) Rule() string {
	return "each value of must_use, forbidden or requires is a constraint of its own; /v1/constraints resolves the three together"
}
func (constraints) Needs() Needs { return NeedsTally }

func (l constraints) Resolve(in Input) (*Resolution, error) {
	if !slices.Contains(ConstraintPredicates(), in.Predicate) {
		return nil, fmt.Errorf("%w: constraints are read from the predicates %s, %s and %s, not from %q",
			ErrNotForQuestion, MustUse, Forbidden, Requires, cut(in.Predicate))
	}
	ranked := bySupport(in.Tally)
	r := resolve(l, in, ranked)
	if r.Winner != nil {
		r.Confidence = 1
		r.Conflict = Conflict{Status: Unanimous}
		r.Explanation.Decision = fmt.Sprintf("%s by %s; %s has the largest support",
			plural(uint64(len(ranked)), "constraint"), plural(r.Explanation.Voices, "voice"), quoted(r.Winner))
	}
	return r, nil
}
