package defense

import (
	"container/list"
	"sync"

	"github.com/stemedb/stemedb/assertion"
)

// numShards divides the memory, by the first byte of the agent, so that agents
// seldom wait for each other.
const numShards = 16

// floodMemory remembers the texts of agents. Its size is bounded: past
// FloodConfig.Texts the agents that were not heard of for longest are forgotten.
type floodMemory struct {
	config       FloodConfig
	permutations *permutations
	shards       [numShards]floodShard
}

// floodShard holds the agents of one shard.
type floodShard struct {
	mu     sync.Mutex
	agents map[assertion.AgentID]*list.Element
	// order lists *floodAgent, the one heard of last in front.
	order list.List
	// texts is the number of texts of all agents.
	texts int
}

type floodAgent struct {
	id assertion.AgentID
	agentTexts
}

func newFloodMemory(c FloodConfig) *floodMemory {
	m := &floodMemory{config: c, permutations: newPermutations()}
	for i := range m.shards {
		m.shards[i].agents = map[assertion.AgentID]*list.Element{}
	}
	return m
}

// observe judges a text of the agent by those that it sent before, and remembers
// it. It signs the text only if it must, and outside the lock.
func (m *floodMemory) observe(agent assertion.AgentID, folded []byte, o *observation) finding {
	f, ok := m.judge(agent, folded, o)
	if !ok {
		o.signature = m.permutations.signature(string(folded))
		f, _ = m.judge(agent, folded, o)
	}
	return f
}

// judge does what observe does, or nothing and reports false if the text must be
// signed first.
func (m *floodMemory) judge(agent assertion.AgentID, folded []byte, o *observation) (finding, bool) {
	s := &m.shards[agent[0]%numShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.agent(agent)
	before := len(a.texts)
	f, ok := a.observe(folded, o, m.config, m.permutations)
	if len(a.texts) > before {
		s.texts++
		s.forget(m.config.Texts / numShards)
	}
	return f, ok
}

// agent returns the agent's texts and makes it the one heard of last.
func (s *floodShard) agent(id assertion.AgentID) *floodAgent {
	if e, ok := s.agents[id]; ok {
		s.order.MoveToFront(e)
		return e.Value.(*floodAgent)
	}
	a := &floodAgent{id: id}
	s.agents[id] = s.order.PushFront(a)
	return a
}

// forget drops whole agents, the one heard of longest ago first, until at most
// most texts are left. The agent heard of last stays: Validate sees to it that
// its texts alone are never more.
func (s *floodShard) forget(most int) {
	for s.texts > most && s.order.Len() > 1 {
		e := s.order.Back()
		a := s.order.Remove(e).(*floodAgent)
		delete(s.agents, a.id)
		s.texts -= len(a.texts)
	}
}

// size returns the texts and agents remembered.
func (m *floodMemory) size() (texts, agents int) {
	for i := range m.shards {
		s := &m.shards[i]
		s.mu.Lock()
		texts += s.texts
		agents += len(s.agents)
		s.mu.Unlock()
	}
	return texts, agents
}
