package auth

import (
	"math/bits"

	"github.com/stemedb/stemedb/assertion"
)

// FreeTrust is the trust from which an agent's assertions need no proof of
// work.
const FreeTrust = 0.6

// The hashes that one assertion costs on average, and the number of assertions
// of its agent from which the next stage begins.
const (
	firstNeed  = 1 << 16
	secondNeed = 1 << 8
	secondFrom = 10
	// FreeAfter is how many assertions of an agent need a proof of work; no later
	// one does.
	FreeAfter = 50
)

// Need is how many hashes one assertion of an agent must cost on average: 2^16
// for its first ten, 2^8 for the next forty, then none; none at all from
// FreeTrust on. soFar is how many assertions the agent has.
func Need(soFar int, trust float64) uint64 {
	switch {
	case trust >= FreeTrust || soFar >= FreeAfter:
		return 0
	case soFar >= secondFrom:
		return secondNeed
	}
	return firstNeed
}

// Demand sums up what the assertions of one request need, so that one proof of
// work for all of them costs what one for each would. The zero value demands
// nothing.
type Demand struct {
	hashes uint64
	added  map[assertion.AgentID]int
}

// Add adds one assertion signed by an agent that has soFar assertions stored,
// those of this request not counted: the demand counts them itself. An
// assertion with several signers is added once for each.
func (d *Demand) Add(agent assertion.AgentID, soFar int, trust float64) {
	if d.added == nil {
		d.added = map[assertion.AgentID]int{}
	}
	d.hashes += Need(soFar+d.added[agent], trust)
	d.added[agent]++
}

// Difficulty is the number of leading zero bits that a proof of work for the
// request must have: log2 of the sum of the needs, rounded up; 0 if none is
// wanted.
func (d *Demand) Difficulty() int {
	if d.hashes == 0 {
		return 0
	}
	return bits.Len64(d.hashes - 1)
}
