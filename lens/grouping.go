package lens

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/stemedb/stemedb/assertion"
)

// Tolerance is how far two numbers may lie apart and still count as one value.
// The zero value joins nothing.
type Tolerance struct {
	// Absolute is a distance, Relative a part of the larger magnitude; one of
	// them is 0.
	Absolute, Relative float64
}

// ParseTolerance reads an absolute tolerance, "0.5", or a relative one, "1%".
// It must be finite and not negative, a relative one below 100%.
func ParseTolerance(s string) (t Tolerance, err error) {
	number, relative := strings.CutSuffix(s, "%")
	f, err := strconv.ParseFloat(number, 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) || f < 0 || relative && f >= 100 {
		return t, fmt.Errorf("%q is no tolerance: give a distance as in 0.5, or a part below 100%% as in 1%%", cut(s))
	}
	if relative {
		return Tolerance{Relative: f / 100}, nil
	}
	return Tolerance{Absolute: f}, nil
}

func (t Tolerance) String() string {
	if t.Relative > 0 {
		return strconv.FormatFloat(t.Relative*100, 'g', -1, 64) + "%"
	}
	return strconv.FormatFloat(t.Absolute, 'g', -1, 64)
}

// near reports whether b lies within the tolerance of a.
func (t Tolerance) near(a, b float64) bool {
	return math.Abs(a-b) <= max(t.Absolute, t.Relative*max(math.Abs(a), math.Abs(b)))
}

// Grouping says which values count as one. The zero value holds only equal
// values equal.
type Grouping struct {
	// Tolerance joins numbers.
	Tolerance Tolerance
	// Hierarchy joins a concept path with the paths below it: the general value
	// does not contradict the specific one.
	Hierarchy bool
	// Path, if not nil, gives the concept path that a value's text stands for, ""
	// for none. By default only a text that is a path itself stands for one.
	Path func(text string) string
}

// Any reports whether the grouping may join anything.
func (g Grouping) Any() bool { return g.Hierarchy || g.Tolerance != Tolerance{} }

// Joined are values that counted as one.
type Joined struct {
	// Object is the value that the others count for.
	Object assertion.ObjectValue
	// Values are the others, by their canonical bytes.
	Values []assertion.ObjectValue
}

// join gives each claim the value that its own counts for. The claims given are
// not changed.
func (g Grouping) join(claims []*assertion.Claim, tally *assertion.Tally) ([]*assertion.Claim, []Joined) {
	ranked := bySupport(tally)
	stands := map[assertion.ObjectValue]assertion.ObjectValue{}
	if (g.Tolerance != Tolerance{}) {
		g.joinNumbers(ranked, stands)
	}
	if g.Hierarchy {
		g.joinPaths(ranked, stands)
	}
	if len(stands) == 0 {
		return claims, nil
	}
	out := make([]*assertion.Claim, len(claims))
	for i, c := range claims {
		out[i] = c
		if object, ok := stands[c.Object]; ok {
			same := *c
			same.Object = object
			out[i] = &same
		}
	}
	return out, groups(stands)
}

// joinNumbers makes groups around the numbers of the largest support: the
// first takes in every number within the tolerance of it, the first that is
// left does the same, and so on. A group is never wider than the tolerance to
// either side, so that a chain of near values does not swallow all of them.
func (g Grouping) joinNumbers(ranked []Candidate, stands map[assertion.ObjectValue]assertion.ObjectValue) {
	taken := map[assertion.ObjectValue]bool{}
	for i := range ranked {
		centre, ok := ranked[i].Object.Number()
		if !ok || taken[ranked[i].Object] {
			continue
		}
		for j := i + 1; j < len(ranked); j++ {
			object := ranked[j].Object
			if number, ok := object.Number(); ok && !taken[object] && g.Tolerance.near(centre, number) {
				taken[object] = true
				stands[object] = ranked[i].Object
			}
		}
	}
}

// joinPaths lets each value that is a concept path count for the strongest of
// the values right below it, and so on downwards: the answer is the most
// specific value that the general ones leave room for. The values beside it
// still contradict it. A value's strength is the support of all values at or
// below it.
func (g Grouping) joinPaths(ranked []Candidate, stands map[assertion.ObjectValue]assertion.ObjectValue) {
	type node struct {
		path     string
		object   assertion.ObjectValue
		strength float64
		below    []*node
	}
	var nodes []*node
	for i := range ranked {
		if path := g.pathOf(ranked[i].Object); path != "" {
			nodes = append(nodes, &node{path: path, object: ranked[i].Object, strength: ranked[i].Support})
		}
	}
	slices.SortStableFunc(nodes, func(a, b *node) int { return cmp.Compare(len(b.path), len(a.path)) })
	for i, n := range nodes { // the deepest first, so that strengths are complete when they are handed up
		var above *node
		for _, m := range nodes[i+1:] {
			if assertion.PathContains(m.path, n.path) {
				above = m // the longest path that contains it comes first
				break
			}
		}
		if above != nil {
			above.below = append(above.below, n)
			above.strength += n.strength
		}
	}
	for _, n := range nodes {
		end := n
		for len(end.below) > 0 {
			end = slices.MinFunc(end.below, func(a, b *node) int {
				return cmp.Or(compareSums(b.strength, a.strength), bytes.Compare(a.object.Canonical(), b.object.Canonical()))
			})
		}
		if end != n {
			stands[n.object] = end.object
		}
	}
}

func (g Grouping) pathOf(v assertion.ObjectValue) string {
	text, ok := v.Reference()
	if !ok {
		text, ok = v.Text()
	}
	switch {
	case !ok:
		return ""
	case assertion.IsConceptPath(text):
		return text
	case g.Path != nil:
		return g.Path(text)
	}
	return ""
}

// groups lists what counts for what, in the order of canonical bytes.
func groups(stands map[assertion.ObjectValue]assertion.ObjectValue) []Joined {
	members := map[assertion.ObjectValue][]assertion.ObjectValue{}
	for value, object := range stands {
		members[object] = append(members[object], value)
	}
	byCanonical := func(a, b assertion.ObjectValue) int { return bytes.Compare(a.Canonical(), b.Canonical()) }
	out := make([]Joined, 0, len(members))
	for object, values := range members {
		slices.SortFunc(values, byCanonical)
		out = append(out, Joined{Object: object, Values: values})
	}
	slices.SortFunc(out, func(a, b Joined) int { return byCanonical(a.Object, b.Object) })
	return out
}
