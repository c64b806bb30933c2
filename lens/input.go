package lens

import (
	"slices"

	"github.com/stemedb/stemedb/assertion"
)

// FromClaims makes the Input of a question out of claims that were read for it:
// it counts them and keeps the current ones. The claims are those of the
// question, filtered, in any order; the caller fills in Index, Scanned and
// Truncated.
func FromClaims(subject, predicate string, claims []*assertion.Claim, at uint64) Input {
	return Input{
		Subject: subject, Predicate: predicate, At: at,
		Tally:  assertion.NewTally(subject, predicate, claims, at),
		Claims: current(claims), Source: FromScan,
	}
}

// current returns the claims that are the newest of at least one of their
// voices, newest first.
func current(claims []*assertion.Claim) []*assertion.Claim {
	sorted := slices.Clone(claims)
	slices.SortFunc(sorted, func(a, b *assertion.Claim) int {
		switch {
		case assertion.NewerClaim(a, b):
			return -1
		case assertion.NewerClaim(b, a):
			return 1
		}
		return 0
	})
	type voice struct {
		agent  assertion.AgentID
		source assertion.Hash
	}
	heard := make(map[voice]struct{}, len(sorted))
	kept := sorted[:0]
	for _, c := range sorted {
		counts := false
		for i := range c.Signatures {
			v := voice{c.Signatures[i].AgentID, c.SourceHash}
			if _, ok := heard[v]; !ok {
				heard[v] = struct{}{}
				counts = true
			}
		}
		if counts {
			kept = append(kept, c)
		}
	}
	return kept
}
