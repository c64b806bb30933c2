package trust

import (
	"bytes"
	"cmp"
	"math"
	"slices"

	"github.com/stemedb/stemedb/assertion"
)

// Verdict is what a gold label says of an agent: whether the newest claim on
// the question that the agent had made before the label was right. Later claims
// do not count, for they may repeat the label.
type Verdict struct {
	Agent     assertion.AgentID
	Predicate string
	Right     bool
	// At is the label's committed_at, unix seconds.
	At uint64
}

// The rules of TrustRank.
const (
	// Start is the rank of an agent of whom nothing is known.
	Start = 0.5
	// Up and Down are what a right and a wrong claim move a rank by.
	Up, Down = 0.05, 0.1
	// HalfLifeSeconds is the time in which a rank goes half of the way back to
	// Start: 30 days.
	HalfLifeSeconds = 30 * 86400
)

// Rank is a TrustRank as of a time.
type Rank struct {
	Value float64 // 0 to 1
	At    uint64  // unix seconds
}

// Decayed is the rank at a time: Start + (value − Start) × 0.5^(age /
// half-life). It does not go back before its own time.
func (r Rank) Decayed(at uint64) float64 {
	if at <= r.At {
		return r.Value
	}
	return Start + (r.Value-Start)*math.Exp2(-float64(at-r.At)/HalfLifeSeconds)
}

// moved is the rank after a verdict.
func (r Rank) moved(right bool, at uint64) Rank {
	step := -Down
	if right {
		step = Up
	}
	return Rank{Value: min(max(r.Decayed(at)+step, 0), 1), At: max(at, r.At)}
}

// record is what gold labels say of one agent, on one predicate or on all.
type record struct {
	rank         Rank
	right, wrong uint32
}

func (r *record) take(v Verdict) {
	if r.right+r.wrong == 0 {
		r.rank = Rank{Value: Start, At: v.At}
	}
	r.rank = r.rank.moved(v.Right, v.At)
	if v.Right {
		r.right++
	} else {
		r.wrong++
	}
}

// byTime orders verdicts so that the same ones give the same ranks: by time,
// and at the same time the wrong ones first.
func byTime(verdicts []Verdict) []Verdict {
	sorted := slices.Clone(verdicts)
	place := func(v Verdict) int {
		if v.Right {
			return 1
		}
		return 0
	}
	slices.SortFunc(sorted, func(a, b Verdict) int {
		return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(place(a), place(b)),
			bytes.Compare(a.Agent[:], b.Agent[:]), cmp.Compare(a.Predicate, b.Predicate))
	})
	return sorted
}

// pseudo is how many labels the prior of a smoothed accuracy stands for.
const pseudo = 2

// accuracy is the smoothed part of right claims: (right + pseudo × prior) /
// (labels + pseudo).
func (r *record) accuracy(prior float64) float64 {
	return (float64(r.right) + pseudo*prior) / (float64(r.right+r.wrong) + pseudo)
}
