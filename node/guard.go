package node

import (
	"fmt"
	"slices"
)

// standing is one member as the guards of membership changes see it.
type standing struct {
	id     string
	voter  bool
	live   bool // gossip, its own reports and raft's heartbeats agree that it answers
	leader bool
}

// quorumGuard refuses a change of the voters after which the live ones could not
// commit anything: raft commits the change itself by the new majority. after are
// the members as they would be. No voter at all is refused even where force is
// set.
func quorumGuard(after []standing, what string, force bool) error {
	voters, live := 0, 0
	var dead []string
	for _, s := range after {
		switch {
		case !s.voter:
		case s.live:
			voters, live = voters+1, live+1
		default:
			voters, dead = voters+1, append(dead, s.id)
		}
	}
	need := voters/2 + 1
	switch {
	case voters == 0:
		return fmt.Errorf("%w: %s would leave no voter", ErrQuorumAtRisk, what)
	case live < need && !force:
		return fmt.Errorf("%w: after %s there would be %d voters, of which %d must answer, and %d do (not %v): bring the others back, or remove those that are gone for good, first", ErrQuorumAtRisk, what, voters, need, live, dead)
	}
	return nil
}

// without returns the members but one.
func without(members []standing, id string) []standing {
	return slices.DeleteFunc(slices.Clone(members), func(s standing) bool { return s.id == id })
}

// voting returns the members with the suffrage of one changed.
func voting(members []standing, id string, voter bool) []standing {
	changed := slices.Clone(members)
	for i := range changed {
		if changed[i].id == id {
			changed[i].voter = voter
		}
	}
	return changed
}
