package lens

import (
	"iter"
	"slices"

	"github.com/stemedb/stemedb/assertion"
)

// FromClaims makes the Input of a question out of claims that were read for it:
// it counts them and keeps the current ones. The claims are those of the
// question, filtered, in any order; values that g holds equal count as one. The
// caller fills in Index, Scanned and Truncated, and what its lens needs.
func FromClaims(subject, predicate string, claims []*assertion.Claim, at uint64, g Grouping) Input {
	in := Input{Subject: subject, Predicate: predicate, At: at, Stated: claims, Source: FromScan, Grouping: g}
	if g.Any() {
		claims, in.Joined = g.join(claims, assertion.NewTally(subject, predicate, claims, at))
	}
	in.counted = claims
	in.Tally, in.Claims = assertion.NewTally(subject, predicate, claims, at), current(claims)
	return in
}

// Without is the same input without the claims that drops names.
func (in Input) Without(drops func(*assertion.Claim) bool) (out Input, dropped int) {
	kept := make([]*assertion.Claim, 0, len(in.Stated))
	for _, c := range in.Stated {
		if drops(c) {
			dropped++
			continue
		}
		kept = append(kept, c)
	}
	again := FromClaims(in.Subject, in.Predicate, kept, in.At, in.Grouping)
	in.Stated, in.counted, in.Tally, in.Claims, in.Joined = kept, again.counted, again.Tally, again.Claims, again.Joined
	return in, dropped
}

// current returns the claims that are the newest of at least one of their
// voices, newest first.
func current(claims []*assertion.Claim) []*assertion.Claim {
	sorted := slices.Clone(claims)
	slices.SortFunc(sorted, assertion.NewestFirst)
	kept := sorted[:0]
	for v := range voices(sorted) {
		if len(kept) == 0 || kept[len(kept)-1] != v.claim {
			kept = append(kept, v.claim)
		}
	}
	return kept
}

// voice is a signer with the claim that counts for it.
type voice struct {
	claim *assertion.Claim
	agent assertion.AgentID
}

// voices yields each voice of claims that come newest first, with its newest
// claim. Claims already passed may be overwritten meanwhile.
func voices(claims []*assertion.Claim) iter.Seq[voice] {
	type name struct {
		agent  assertion.AgentID
		source assertion.Hash
	}
	return func(yield func(voice) bool) {
		heard := make(map[name]struct{}, len(claims))
		for _, c := range claims {
			for i := range c.Signatures {
				n := name{c.Signatures[i].AgentID, c.SourceHash}
				if _, ok := heard[n]; ok {
					continue
				}
				heard[n] = struct{}{}
				if !yield(voice{c, n.agent}) {
					return
				}
			}
		}
	}
}
