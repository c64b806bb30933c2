package node

import (
	"sync"
	"time"

	"github.com/stemedb/stemedb/sync/gossip"
)

// contactReports is how many report intervals a member may stay silent, and
// contactLimit at least for how long, until it counts as not answering.
const (
	contactReports = 8
	contactLimit   = 2 * time.Second
)

// contact keeps which members this leader's heartbeats do not reach.
type contact struct {
	mu     sync.Mutex
	misses map[string]time.Time // newest failure
}

func (c *contact) failed(id string, at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.misses == nil {
		c.misses = map[string]time.Time{}
	}
	c.misses[id] = at
}

func (c *contact) resumed(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.misses, id)
}

func (c *contact) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.misses = nil
}

// failing reports whether a heartbeat has failed lately. An old failure does not
// count: raft may have dropped the word that heartbeats are answered again.
func (c *contact) failing(id string, limit time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	at, ok := c.misses[id]
	return ok && time.Since(at) < limit
}

// reports is what members have reported last, by name.
type reports map[string]report

type report struct {
	index, term, lag uint64
	age              time.Duration
}

func (n *Node) reports() reports {
	now := n.cfg.Now()
	heard := reports{}
	for _, p := range n.tracker.Status().Peers {
		heard[p.NodeID] = report{index: p.Index, term: p.Term, lag: p.LagEntries, age: now.Sub(p.LastReport)}
	}
	return heard
}

func (n *Node) contactLimit() time.Duration {
	return max(contactLimit, contactReports*n.cfg.SyncInterval)
}

// answers tells whether a member answers, as this leader sees it.
func (n *Node) answers(id string, states map[string]gossip.Member, heard reports) bool {
	if id == n.id {
		return true
	}
	r, reported := heard[id]
	return states[id].State == gossip.Alive && reported && r.age < n.contactLimit() && !n.contact.failing(id, n.contactLimit())
}

// seen is what gossip knows, by name.
func (n *Node) seen() map[string]gossip.Member {
	seen := map[string]gossip.Member{}
	for _, m := range n.gossip.Members() {
		seen[m.NodeID] = m
	}
	return seen
}
