package trust

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/zeebo/blake3"

	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/internal/detcbor"
	"github.com/stemedb/stemedb/lens"
)

// encodingVersion begins encoded Scores.
const encodingVersion = 1

// MaxAgents and MaxRecords bound Scores: the agents with the most labels, then
// with the most trust, are kept.
const (
	MaxAgents  = 10_000
	MaxRecords = 20_000
)

// ErrEncoding means that bytes are no encoded Scores.
var ErrEncoding = errors.New("not encoded trust scores")

// Scores are the trust in agents as computed from one state.
type Scores struct {
	// Index is the log index of the state, At its committed_at.
	Index uint64 `cbor:"1,keyasint"`
	At    uint64 `cbor:"2,keyasint"`
	// Seeds counts the agents that trust flows from, Rounds the iterations of
	// EigenTrust.
	Seeds  int `cbor:"3,keyasint"`
	Rounds int `cbor:"4,keyasint"`
	// Agents are ordered by agent, Records by agent and predicate.
	Agents  []Agent  `cbor:"5,keyasint"`
	Records []Record `cbor:"6,keyasint"`

	hash assertion.Hash // of what was encoded or decoded
}

// Agent is the trust in one agent over all predicates.
type Agent struct {
	Agent assertion.AgentID `cbor:"1,keyasint"`
	// Rank is the TrustRank as of RankedAt.
	Rank     float64 `cbor:"2,keyasint"`
	RankedAt uint64  `cbor:"3,keyasint"`
	Right    uint32  `cbor:"4,keyasint"`
	Wrong    uint32  `cbor:"5,keyasint"`
	// InGraph says that the agent endorses, is endorsed or is a seed; Endorsed is
	// then its EigenTrust over the largest in the graph, 0 to 1.
	InGraph  bool    `cbor:"6,keyasint"`
	Endorsed float64 `cbor:"7,keyasint"`
}

// Record is the trust in one agent on one predicate.
type Record struct {
	Agent     assertion.AgentID `cbor:"1,keyasint"`
	Predicate string            `cbor:"2,keyasint"`
	Rank      float64           `cbor:"3,keyasint"`
	RankedAt  uint64            `cbor:"4,keyasint"`
	Right     uint32            `cbor:"5,keyasint"`
	Wrong     uint32            `cbor:"6,keyasint"`
}

// Input is what Scores are computed from.
type Input struct {
	Index, At    uint64
	Verdicts     []Verdict
	Endorsements []Endorsement
	Seeds        []assertion.AgentID
}

// Compute is the trust that follows from labels and endorsements. Agents that
// nobody owns have none.
func Compute(in Input) (*Scores, error) {
	type key struct {
		agent     assertion.AgentID
		predicate string
	}
	whole, parts := map[assertion.AgentID]*record{}, map[key]*record{}
	for _, v := range byTime(in.Verdicts) {
		if !v.Agent.Owned() {
			continue
		}
		k := key{v.Agent, v.Predicate}
		if whole[v.Agent] == nil {
			whole[v.Agent] = new(record)
		}
		if parts[k] == nil {
			parts[k] = new(record)
		}
		whole[v.Agent].take(v)
		parts[k].take(v)
	}
	standings, rounds := EigenTrust(in.Endorsements, in.Seeds)
	s := &Scores{Index: in.Index, At: in.At, Seeds: len(in.Seeds), Rounds: rounds, Agents: []Agent{}, Records: []Record{}}
	for agent, r := range whole {
		s.Agents = append(s.Agents, Agent{Agent: agent, Rank: r.rank.Value, RankedAt: r.rank.At, Right: r.right, Wrong: r.wrong})
	}
	most := 0.0
	for _, st := range standings {
		most = max(most, st.Trust)
	}
	places := map[assertion.AgentID]int{}
	for i := range s.Agents {
		places[s.Agents[i].Agent] = i
	}
	for _, st := range standings {
		place, ok := places[st.Agent]
		if !ok {
			place = len(s.Agents)
			s.Agents = append(s.Agents, Agent{Agent: st.Agent, Rank: Start, RankedAt: in.At})
		}
		s.Agents[place].InGraph, s.Agents[place].Endorsed = true, st.Trust/most
	}
	for k, r := range parts {
		s.Records = append(s.Records, Record{Agent: k.agent, Predicate: k.predicate, Rank: r.rank.Value, RankedAt: r.rank.At, Right: r.right, Wrong: r.wrong})
	}
	s.bound()
	raw, err := s.Encode()
	if err != nil {
		return nil, err
	}
	s.hash = blake3.Sum256(raw)
	return s, nil
}

// bound keeps what matters most and puts it in order.
func (s *Scores) bound() {
	slices.SortFunc(s.Agents, func(a, b Agent) int {
		return cmp.Or(cmp.Compare(b.Right+b.Wrong, a.Right+a.Wrong), cmp.Compare(b.Endorsed, a.Endorsed), bytes.Compare(a.Agent[:], b.Agent[:]))
	})
	s.Agents = s.Agents[:min(len(s.Agents), MaxAgents)]
	slices.SortFunc(s.Agents, func(a, b Agent) int { return bytes.Compare(a.Agent[:], b.Agent[:]) })
	slices.SortFunc(s.Records, func(a, b Record) int {
		return cmp.Or(cmp.Compare(b.Right+b.Wrong, a.Right+a.Wrong), compareRecords(a, b))
	})
	s.Records = s.Records[:min(len(s.Records), MaxRecords)]
	slices.SortFunc(s.Records, compareRecords)
}

func compareRecords(a, b Record) int {
	return cmp.Or(bytes.Compare(a.Agent[:], b.Agent[:]), cmp.Compare(a.Predicate, b.Predicate))
}

// Hash names the scores: the BLAKE3-256 of their encoding. That of nil is zero.
func (s *Scores) Hash() assertion.Hash {
	if s == nil {
		return assertion.Hash{}
	}
	return s.hash
}

// Agent returns what is known of an agent.
func (s *Scores) Agent(agent assertion.AgentID) (Agent, bool) {
	if s == nil {
		return Agent{}, false
	}
	i, found := slices.BinarySearchFunc(s.Agents, agent, func(a Agent, want assertion.AgentID) int { return bytes.Compare(a.Agent[:], want[:]) })
	if !found {
		return Agent{}, false
	}
	return s.Agents[i], true
}

// Of returns what is known of an agent on a predicate.
func (s *Scores) Of(agent assertion.AgentID, predicate string) (Record, bool) {
	if s == nil {
		return Record{}, false
	}
	i, found := slices.BinarySearchFunc(s.Records, Record{Agent: agent, Predicate: predicate}, compareRecords)
	if !found {
		return Record{}, false
	}
	return s.Records[i], true
}

// Trust is the trust in an agent's claims on a predicate, 0 to 1:
//
//   - with gold labels on the predicate, the smoothed accuracy there, (right + 2
//     × prior) / (labels + 2), whose prior is the accuracy over all predicates;
//   - else with any gold labels, the smoothed accuracy over all predicates, whose
//     prior is what endorsements give;
//   - else what endorsements give: 0.5 + 0.5 × EigenTrust / the largest EigenTrust
//     in the graph;
//   - else 0.5. That is also all that agents get whom nobody owns.
func (s *Scores) Trust(agent assertion.AgentID, predicate string) lens.TrustScore {
	w := s.weigh(agent, predicate)
	out := lens.TrustScore{Value: w.value, Basis: "nothing known"}
	switch {
	case w.on != nil:
		out.Basis = fmt.Sprintf("%d of %d gold labels right on the predicate", w.on.Right, w.on.Right+w.on.Wrong)
	case w.of.Right+w.of.Wrong > 0:
		out.Basis = fmt.Sprintf("%d of %d gold labels right, on other predicates", w.of.Right, w.of.Right+w.of.Wrong)
	case w.of.InGraph:
		out.Basis = "endorsements"
	}
	return out
}

// Value is the value of Trust, without what it rests on.
func (s *Scores) Value(agent assertion.AgentID, predicate string) float64 {
	return s.weigh(agent, predicate).value
}

// weighed is a trust and what it rests on: what is known of the agent, and of
// the agent on the predicate if there are gold labels there.
type weighed struct {
	value float64
	of    Agent
	on    *Record
}

func (s *Scores) weigh(agent assertion.AgentID, predicate string) weighed {
	a, known := s.Agent(agent)
	if !known {
		return weighed{value: Start}
	}
	prior := Start
	if a.InGraph {
		prior = Start + (1-Start)*a.Endorsed
	}
	if a.Right+a.Wrong == 0 {
		return weighed{value: prior, of: a}
	}
	whole := record{right: a.Right, wrong: a.Wrong}
	overall := whole.accuracy(prior)
	r, labelled := s.Of(agent, predicate)
	if !labelled {
		return weighed{value: overall, of: a}
	}
	part := record{right: r.Right, wrong: r.Wrong}
	return weighed{value: part.accuracy(overall), of: a, on: &r}
}

// Encode writes the scores: a version byte, then deterministic CBOR.
func (s *Scores) Encode() ([]byte, error) {
	raw, err := detcbor.Encode(encodingVersion, s)
	if err != nil {
		return nil, fmt.Errorf("encode trust scores: %w", err)
	}
	return raw, nil
}

// Decode reads what Encode wrote, and nothing else: the error wraps ErrEncoding.
func Decode(b []byte) (*Scores, error) {
	s := &Scores{}
	if err := detcbor.Decode(b, encodingVersion, MaxRecords+MaxAgents, s); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEncoding, err)
	}
	if !s.sound() {
		return nil, fmt.Errorf("%w: out of range or out of order", ErrEncoding)
	}
	s.hash = blake3.Sum256(b)
	return s, nil
}

// sound reports whether everything is in range and in order.
func (s *Scores) sound() bool {
	unit := func(f float64) bool { return f >= 0 && f <= 1 && !math.IsNaN(f) }
	if len(s.Agents) > MaxAgents || len(s.Records) > MaxRecords || s.Agents == nil || s.Records == nil {
		return false
	}
	for i, a := range s.Agents {
		if !unit(a.Rank) || !unit(a.Endorsed) || i > 0 && bytes.Compare(s.Agents[i-1].Agent[:], a.Agent[:]) >= 0 {
			return false
		}
	}
	for i, r := range s.Records {
		if !unit(r.Rank) || i > 0 && compareRecords(s.Records[i-1], r) >= 0 {
			return false
		}
	}
	return true
}

// Only is the part of the scores that the trust in some agents on one predicate
// rests on.
func (s *Scores) Only(of func(assertion.AgentID) bool, predicate string) *Scores {
	part := &Scores{Index: s.Index, At: s.At, Seeds: s.Seeds, Rounds: s.Rounds, Agents: []Agent{}, Records: []Record{}}
	for _, a := range s.Agents {
		if of(a.Agent) {
			part.Agents = append(part.Agents, a)
		}
	}
	for _, r := range s.Records {
		if r.Predicate == predicate && of(r.Agent) {
			part.Records = append(part.Records, r)
		}
	}
	return part
}

// RecordsOf returns the records of an agent, by predicate.
func (s *Scores) RecordsOf(agent assertion.AgentID) []Record {
	if s == nil {
		return nil
	}
	from, _ := slices.BinarySearchFunc(s.Records, Record{Agent: agent}, compareRecords)
	to := from
	for to < len(s.Records) && s.Records[to].Agent == agent {
		to++
	}
	return s.Records[from:to]
}
