package truth

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

// encodingVersion begins an encoded Model.
const encodingVersion = 1

// MaxRecords bounds the records of a Model: those that rest on the most voices
// are kept.
const MaxRecords = 20_000

// ErrEncoding means that bytes are no encoded Model.
var ErrEncoding = errors.New("not an encoded truth model")

// Model is what was learnt from one state.
type Model struct {
	// Index is the log index of the state, At its committed_at.
	Index uint64 `cbor:"1,keyasint"`
	At    uint64 `cbor:"2,keyasint"`
	// Claims is how many claims were read, Questions how many questions had
	// voices to compare; Truncated says that older claims were left out.
	Claims    int  `cbor:"3,keyasint"`
	Questions int  `cbor:"4,keyasint"`
	Truncated bool `cbor:"5,keyasint"`
	// Predicates, Agents and Records are in order of name, of agent, and of both;
	// Copies in order of both agents.
	Predicates []Predicate `cbor:"6,keyasint"`
	Agents     []Agent     `cbor:"7,keyasint"`
	Records    []Record    `cbor:"8,keyasint"`
	Copies     []Copy      `cbor:"9,keyasint"`

	hash assertion.Hash // of what was encoded or decoded
}

// Predicate is how one predicate is resolved.
type Predicate struct {
	Name string `cbor:"1,keyasint"`
	// Method is the method's name.
	Method string `cbor:"2,keyasint"`
	// Basis is what the method was chosen by: default, predicate (its gold
	// labels) or all (those of all predicates).
	Basis string `cbor:"3,keyasint"`
	// Labels were measured while hidden: Right of them the method chosen answered
	// rightly, Fallback of them the default one.
	Labels   int `cbor:"4,keyasint"`
	Right    int `cbor:"5,keyasint"`
	Fallback int `cbor:"6,keyasint"`
	// Norm is what the method wants to know of all rates.
	Norm float64 `cbor:"7,keyasint"`
	// Absent is the rate of agents of whom nothing is known.
	Absent float64 `cbor:"8,keyasint"`
}

// Agent is what the default method learnt of an agent over all predicates.
type Agent struct {
	Agent assertion.AgentID `cbor:"1,keyasint"`
	Rate  float64           `cbor:"2,keyasint"`
}

// Record is the rate of an agent on a predicate, by the predicate's method.
type Record struct {
	Agent     assertion.AgentID `cbor:"1,keyasint"`
	Predicate string            `cbor:"2,keyasint"`
	// Rate is 0 to 1: for popaccu and accu the probability that a voice is right,
	// for crh the part of its voices that win, for pooled_investment the mean
	// return of a voice over that of the best agent.
	Rate float64 `cbor:"3,keyasint"`
	// Voices is how many the rate rests on, weighed by their confidence.
	Voices float64 `cbor:"4,keyasint"`
}

// Copy is two agents of whom one probably copies from the other, or both from
// the same.
type Copy struct {
	A           assertion.AgentID `cbor:"1,keyasint"`
	B           assertion.AgentID `cbor:"2,keyasint"`
	Probability float64           `cbor:"3,keyasint"`
}

// Learn makes the model of what was collected, as of a log index and its time.
func (b *Builder) Learn(index, at uint64) (*Model, error) {
	p := b.corroborated()
	c := learnCopying(p)
	choices, err := b.choices(p)
	if err != nil {
		return nil, err
	}
	learnt := make([]*rates, len(methods()))
	learnt[0] = learn(p, methods()[0], c)
	m := &Model{Index: index, At: at, Claims: b.claims, Questions: len(p.questions), Truncated: b.truncated,
		Predicates: []Predicate{}, Agents: []Agent{}, Records: []Record{}, Copies: []Copy{}}
	counted := make([]bool, len(p.predicates))
	for k, name := range p.keys {
		choice := choices[name.predicate]
		if learnt[choice.method] == nil {
			learnt[choice.method] = learn(p, methods()[choice.method], c)
		}
		// Calibration counts labelled voices only, but rates every agent that the
		// default method has heard.
		if r := learnt[choice.method]; max(r.voices[k], learnt[0].voices[k]) > 0 {
			counted[name.predicate] = true
			m.Records = append(m.Records, Record{Agent: p.agents[name.agent], Predicate: p.predicates[name.predicate], Rate: r.of[k], Voices: max(r.voices[k], learnt[0].voices[k])})
		}
	}
	for i, name := range p.predicates {
		if !counted[i] {
			continue
		}
		chosen := choices[i]
		absent, _ := methods()[chosen.method].prior()
		m.Predicates = append(m.Predicates, Predicate{Name: name, Method: methods()[chosen.method].name(), Basis: bases[chosen.basis],
			Labels: chosen.labels, Right: chosen.right, Fallback: chosen.fallback, Norm: learnt[chosen.method].norm[i],
			Absent: m.absent(name, chosen.method, absent)})
	}
	for a, agent := range p.agents {
		m.Agents = append(m.Agents, Agent{Agent: agent, Rate: learnt[0].whole[a]})
	}
	for name, probability := range c.pairs {
		m.Copies = append(m.Copies, newCopy(p.agents[name.a], p.agents[name.b], probability))
	}
	raw, err := m.fit(assertion.MaxComputedBytes)
	if err != nil {
		return nil, err
	}
	m.hash = blake3.Sum256(raw)
	return m, nil
}

// fit bounds the model, by fewer and fewer records until its encoding has at
// most so many bytes, and returns that: long names of predicates stand in every
// record.
func (m *Model) fit(most int) (raw []byte, err error) {
	for records := MaxRecords; ; records /= 2 {
		m.bound(records)
		if raw, err = m.Encode(); err != nil || len(raw) <= most || records == 0 {
			return raw, err
		}
	}
}

// choices are the methods of the predicates.
func (b *Builder) choices(p *problem) ([]choice, error) {
	if b.Only == "" {
		return choose(p), nil
	}
	place := slices.Index(Methods(), b.Only)
	if place < 0 {
		return nil, fmt.Errorf("no method %q: there are %v", b.Only, Methods())
	}
	out := make([]choice, len(p.predicates))
	for i := range out {
		out[i].method = place
	}
	return out, nil
}

// Methods are the names of the methods, the default one first.
func Methods() []string {
	var names []string
	for _, m := range methods() {
		names = append(names, m.name())
	}
	return names
}

// bases are the names of what a choice rests on.
var bases = [...]string{byDefault: "default", byPredicate: "predicate", byAll: "all"}

// absent is the rate of unknown agents: the method's prior where it is a
// probability, else the mean of the known ones.
func (m *Model) absent(predicate string, method int, prior float64) float64 {
	if _, weight := methods()[method].prior(); weight > 0 {
		return prior
	}
	var sum, n float64
	for _, r := range m.Records {
		if r.Predicate == predicate {
			sum += r.Rate
			n++
		}
	}
	return mean(sum, n, prior)
}

func newCopy(a, b assertion.AgentID, probability float64) Copy {
	if bytes.Compare(a[:], b[:]) > 0 {
		a, b = b, a
	}
	return Copy{A: a, B: b, Probability: probability}
}

// bound keeps the records that rest on most voices and what belongs to them, and
// puts everything in order.
func (m *Model) bound(records int) {
	slices.SortFunc(m.Records, func(a, b Record) int {
		return cmp.Or(cmp.Compare(b.Voices, a.Voices), compareRecords(a, b))
	})
	m.Records = m.Records[:min(len(m.Records), records)]
	slices.SortFunc(m.Records, compareRecords)
	kept, predicates := map[assertion.AgentID]bool{}, map[string]bool{}
	for _, r := range m.Records {
		kept[r.Agent], predicates[r.Predicate] = true, true
	}
	m.Agents = slices.DeleteFunc(m.Agents, func(a Agent) bool { return !kept[a.Agent] })
	slices.SortFunc(m.Agents, func(a, b Agent) int { return bytes.Compare(a.Agent[:], b.Agent[:]) })
	m.Predicates = slices.DeleteFunc(m.Predicates, func(p Predicate) bool { return !predicates[p.Name] })
	slices.SortFunc(m.Predicates, func(a, b Predicate) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(m.Copies, compareCopies)
}

func compareRecords(a, b Record) int {
	return cmp.Or(bytes.Compare(a.Agent[:], b.Agent[:]), cmp.Compare(a.Predicate, b.Predicate))
}

func compareCopies(a, b Copy) int {
	return cmp.Or(bytes.Compare(a.A[:], b.A[:]), bytes.Compare(a.B[:], b.B[:]))
}

// Hash names the model: the BLAKE3-256 of its encoding. That of nil is zero.
func (m *Model) Hash() assertion.Hash {
	if m == nil {
		return assertion.Hash{}
	}
	return m.hash
}

// Same reports whether two models say the same, whatever state they were learnt
// from.
func (m *Model) Same(o *Model) bool {
	if m == nil || o == nil {
		return m == o
	}
	a, b := *m, *o
	a.Index, a.At, b.Index, b.At = 0, 0, 0, 0
	one, err := a.Encode()
	other, err2 := b.Encode()
	return err == nil && err2 == nil && bytes.Equal(one, other)
}

// Weigh is lens.TruthModel's.
func (m *Model) Weigh(predicate string, values int, voices []lens.TruthVoice) lens.TruthVerdict {
	k, used := m.method(predicate)
	verdict := lens.TruthVerdict{Method: used.name(), Choice: k.choice(), Weights: make([]lens.TruthWeight, len(voices))}
	agents, numbers := []assertion.AgentID(nil), map[assertion.AgentID]int{}
	parts := independence(len(voices), func(i int) (agent, value int) { return number(numbers, &agents, voices[i].Agent), voices[i].Value },
		func(a, b int) float64 { return m.dependence(agents[a], agents[b]) })
	in := make([]weighed, len(voices))
	for i, v := range voices {
		rate, basis := m.rate(v.Agent, k)
		if !v.Agent.Owned() {
			parts[i], basis = 0, "nobody owns the key"
		}
		in[i] = weighed{value: v.Value, rate: rate, weight: v.Confidence * parts[i]}
		verdict.Weights[i] = lens.TruthWeight{Reliability: rate, Independence: parts[i], Basis: basis}
	}
	verdict.Beliefs = used.beliefs(values, in, k.Norm)
	return verdict
}

// Only is the part of the model that weighs the voices of some agents on one
// predicate.
func (m *Model) Only(of func(assertion.AgentID) bool, predicate string) *Model {
	part := *m
	part.Predicates, part.Agents, part.Records, part.Copies = []Predicate{}, []Agent{}, []Record{}, []Copy{}
	for _, p := range m.Predicates {
		if p.Name == predicate {
			part.Predicates = append(part.Predicates, p)
		}
	}
	for _, a := range m.Agents {
		if of(a.Agent) {
			part.Agents = append(part.Agents, a)
		}
	}
	for _, r := range m.Records {
		if r.Predicate == predicate && of(r.Agent) {
			part.Records = append(part.Records, r)
		}
	}
	for _, c := range m.Copies {
		if of(c.A) && of(c.B) {
			part.Copies = append(part.Copies, c)
		}
	}
	return &part
}

// method is how a predicate is resolved; one that the model does not know by
// the default method.
func (m *Model) method(predicate string) (Predicate, method) {
	all := methods()
	if i, found := slices.BinarySearchFunc(m.Predicates, predicate, func(p Predicate, name string) int { return cmp.Compare(p.Name, name) }); found {
		for _, known := range all {
			if known.name() == m.Predicates[i].Method {
				return m.Predicates[i], known
			}
		}
	}
	absent, _ := all[0].prior()
	return Predicate{Name: predicate, Method: all[0].name(), Basis: bases[byDefault], Absent: absent}, all[0]
}

// choice says why the method is the one.
func (k Predicate) choice() string {
	switch k.Basis {
	case bases[byPredicate]:
		return fmt.Sprintf("%d of %d gold labels on the predicate right when hidden, %d by the default method", k.Right, k.Labels, k.Fallback)
	case bases[byAll]:
		return fmt.Sprintf("%d of %d gold labels on all predicates right when hidden, %d by the default method", k.Right, k.Labels, k.Fallback)
	}
	return fmt.Sprintf("the default; fewer than %d gold labels to measure by", minLabels)
}

// rate is that of an agent on a predicate, and what it rests on.
func (m *Model) rate(agent assertion.AgentID, k Predicate) (rate float64, basis string) {
	if i, found := slices.BinarySearchFunc(m.Records, Record{Agent: agent, Predicate: k.Name}, compareRecords); found {
		return m.Records[i].Rate, fmt.Sprintf("%.4g voices on the predicate", m.Records[i].Voices)
	}
	if k.Method == methods()[0].name() {
		if i, found := slices.BinarySearchFunc(m.Agents, agent, func(a Agent, id assertion.AgentID) int { return bytes.Compare(a.Agent[:], id[:]) }); found {
			return m.Agents[i].Rate, "voices on other predicates"
		}
	}
	return k.Absent, "nothing known"
}

// dependence is how probably one of two agents copies.
func (m *Model) dependence(a, b assertion.AgentID) float64 {
	want := newCopy(a, b, 0)
	if i, found := slices.BinarySearchFunc(m.Copies, want, compareCopies); found {
		return m.Copies[i].Probability
	}
	return 0
}

// Encode writes the model: a version byte, then deterministic CBOR.
func (m *Model) Encode() ([]byte, error) {
	raw, err := detcbor.Encode(encodingVersion, m)
	if err != nil {
		return nil, fmt.Errorf("encode a truth model: %w", err)
	}
	return raw, nil
}

// Decode reads what Encode wrote, and nothing else: the error wraps ErrEncoding.
func Decode(b []byte) (*Model, error) {
	m := &Model{}
	if err := detcbor.Decode(b, encodingVersion, MaxRecords, m); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEncoding, err)
	}
	if !m.sound() {
		return nil, fmt.Errorf("%w: out of range or out of order", ErrEncoding)
	}
	m.hash = blake3.Sum256(b)
	return m, nil
}

// sound reports whether everything is known, in range and in order.
func (m *Model) sound() bool {
	unit := func(f float64) bool { return f >= 0 && f <= 1 }
	if m.Predicates == nil || m.Agents == nil || m.Records == nil || m.Copies == nil {
		return false
	}
	strictly := slices.IsSortedFunc(m.Predicates, func(a, b Predicate) int { return order(cmp.Compare(a.Name, b.Name)) }) &&
		slices.IsSortedFunc(m.Agents, func(a, b Agent) int { return order(bytes.Compare(a.Agent[:], b.Agent[:])) }) &&
		slices.IsSortedFunc(m.Records, func(a, b Record) int { return order(compareRecords(a, b)) }) &&
		slices.IsSortedFunc(m.Copies, func(a, b Copy) int { return order(compareCopies(a, b)) })
	for _, p := range m.Predicates {
		if _, known := m.method(p.Name); known.name() != p.Method || !slices.Contains(bases[:], p.Basis) || !unit(p.Absent) ||
			p.Norm < 0 || math.IsNaN(p.Norm) || math.IsInf(p.Norm, 0) {
			return false
		}
	}
	for _, a := range m.Agents {
		strictly = strictly && unit(a.Rate)
	}
	for _, r := range m.Records {
		strictly = strictly && unit(r.Rate) && r.Voices > 0
	}
	for _, c := range m.Copies {
		strictly = strictly && unit(c.Probability) && bytes.Compare(c.A[:], c.B[:]) < 0
	}
	return strictly
}

// order makes equal elements count as out of order.
func order(compared int) int {
	if compared == 0 {
		return 1
	}
	return compared
}
