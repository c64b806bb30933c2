package convergence

import (
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/sync/gossip"
)

// silence is how many report intervals a live peer may stay silent before a
// sync failure is counted.
const silence = 3

// maxPending bounds the commits that not every live node has applied and whose
// age is known.
const maxPending = 1024

// maxWaiting bounds the reports of one peer that wait for this node to reach
// their index.
const maxWaiting = 16

// Config gives a tracker what it compares with.
type Config struct {
	NodeID string
	// DigestAt returns this node's own digest at a log index, if it is still
	// remembered.
	DigestAt func(uint64) (assertion.Hash, bool)
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Interval is how often nodes report.
	Interval time.Duration
	// Registerer receives the metrics; nil keeps them private.
	Registerer prometheus.Registerer
	// Logger is slog.Default if nil.
	Logger *slog.Logger
}

// Peer is another node as its reports show it.
type Peer struct {
	NodeID       string
	Index        uint64 // applied
	Term         uint64
	CommitIndex  uint64
	LagEntries   uint64
	LagSeconds   float64
	LastReport   time.Time
	DigestAgrees bool // at the last index that could be compared
}

// Status is the tracker's verdict.
type Status struct {
	Converged bool
	Diverged  bool // some live peer disagrees with this node
	Minority  bool // this node disagrees with more than half of the nodes that could be compared
	Peers     []Peer
}

// Tracker compares the reports of the live nodes with this node's state.
type Tracker struct {
	config  Config
	log     *slog.Logger
	metrics *metrics

	mu      sync.Mutex
	applied uint64
	commit  uint64 // highest commit index heard of, here or from a peer
	peers   map[string]*peer
	counted map[string]bool // peers that have counters
	pending []commit        // commits that not every live node has applied yet
}

type peer struct {
	report     gossip.Report
	lastReport time.Time // of the last report, or of becoming live
	missed     int       // failures counted since then
	heard      bool      // it has reported since it is live
	compared   bool
	agrees     bool
	waiting    []gossip.Report // reports of indexes that this node has not reached
}

type commit struct {
	index uint64
	seen  time.Time
}

// New makes a tracker and registers its metrics.
func New(c Config) (*Tracker, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	t := &Tracker{config: c, log: c.Logger.With("component", "sync"), metrics: newMetrics(), peers: map[string]*peer{}, counted: map[string]bool{}}
	if c.Registerer != nil {
		if err := t.metrics.register(c.Registerer); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// Local tells the tracker how far this node has come. Call it once a report
// interval.
func (t *Tracker) Local(applied, commitIndex uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.config.Now()
	t.applied = applied
	t.noteCommit(commitIndex, now)
	for id, p := range t.peers {
		t.noteSilence(id, p, now)
		t.catchUp(p)
	}
	t.refresh(now)
}

// SetLive names the other nodes that are alive. What the rest reported is
// forgotten, and its lag with it, since nothing is known of it any more; its
// counters stay until SetMembers does not name it.
func (t *Tracker) SetLive(ids []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.config.Now()
	for _, id := range ids {
		p := t.peers[id]
		if p == nil {
			p = &peer{lastReport: now, agrees: true}
			t.peers[id] = p
		}
		if !t.counted[id] {
			t.counted[id] = true
			t.metrics.begin(id)
		}
	}
	for id := range t.peers {
		if !slices.Contains(ids, id) {
			delete(t.peers, id)
			t.metrics.forgetLag(id)
		}
	}
	t.refresh(now)
}

// SetMembers names the members of the cluster, dead ones included. The counters of
// nodes that are neither members nor alive are dropped: a node that is dead for a
// while keeps its own, so that its failures are still there when they are scraped.
func (t *Tracker) SetMembers(ids []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id := range t.counted {
		if t.peers[id] == nil && !slices.Contains(ids, id) {
			delete(t.counted, id)
			t.metrics.forgetCounters(id)
		}
	}
}

// Observe takes a peer's report. Reports of nodes that SetLive has not named
// are counted from the moment it does.
func (t *Tracker) Observe(r gossip.Report) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.peers[r.NodeID]
	if p == nil {
		return
	}
	now := t.config.Now()
	t.metrics.cycles.WithLabelValues(r.NodeID).Inc()
	p.lastReport, p.missed, p.heard = now, 0, true
	newer := r.Index >= p.report.Index || r.SentAtMillis > p.report.SentAtMillis
	if newer {
		p.report = r
	}
	t.noteCommit(r.CommitIndex, now)
	if newer { // one that was overtaken says nothing of the peer as it is now
		t.compare(p, r)
	}
	t.refresh(now)
}

// noteCommit starts the clock of a commit index that was not known before.
func (t *Tracker) noteCommit(index uint64, now time.Time) {
	if index <= t.commit {
		return
	}
	t.commit = index
	if len(t.pending) == maxPending { // a node has been far behind for long: keep every second one
		for i := range maxPending / 2 {
			t.pending[i] = t.pending[2*i]
		}
		t.pending = t.pending[:maxPending/2]
	}
	t.pending = append(t.pending, commit{index, now})
}

func (t *Tracker) noteSilence(id string, p *peer, now time.Time) {
	patience := silence * t.config.Interval
	for now.Sub(p.lastReport) > time.Duration(p.missed+1)*patience {
		p.missed++
		t.metrics.failures.WithLabelValues(id).Inc()
	}
}

// compare holds a peer's digest against this node's at the same index. A
// report from beyond what this node has applied waits until it gets there:
// under load a follower never sees the leader at its own index.
func (t *Tracker) compare(p *peer, r gossip.Report) {
	own, known := t.config.DigestAt(r.Index)
	if !known {
		if r.Index > t.applied && len(p.waiting) < maxWaiting {
			p.waiting = append(p.waiting, r)
		}
		return
	}
	// What waits and is older has been overtaken.
	p.waiting = slices.DeleteFunc(p.waiting, func(w gossip.Report) bool { return w.Index <= r.Index })
	began := own != r.Digest && (p.agrees || !p.compared)
	p.compared, p.agrees = true, own == r.Digest
	if !began {
		return // agrees, or the same divergence goes on
	}
	t.metrics.divergence.Inc()
	t.log.Error("this node and a peer hold different states at the same log index", "peer", r.NodeID, "index", r.Index, "own_digest", own, "peer_digest", r.Digest)
}

// catchUp compares the reports whose index this node has reached meanwhile.
func (t *Tracker) catchUp(p *peer) {
	waiting := p.waiting
	p.waiting = nil
	for _, r := range waiting {
		if r.Index > t.applied {
			p.waiting = append(p.waiting, r)
			continue
		}
		t.compare(p, r)
	}
}

// refresh brings the derived values and gauges up to date.
func (t *Tracker) refresh(now time.Time) {
	reached := t.applied
	for id, p := range t.peers {
		reached = min(reached, p.report.Index)
		if p.heard { // nothing is known of the lag of a node that has not reported
			t.metrics.lagEntries.WithLabelValues(id).Set(float64(t.lag(p)))
			t.metrics.lagSeconds.WithLabelValues(id).Set(t.lagSeconds(p, now))
		}
	}
	done := 0
	for done < len(t.pending) && t.pending[done].index <= reached {
		t.metrics.convergence.Observe(now.Sub(t.pending[done].seen).Seconds())
		done++
	}
	t.pending = slices.Delete(t.pending, 0, done)
	converged := 0.0
	if reached >= t.commit {
		converged = 1
	}
	t.metrics.converged.Set(converged)
}

func (t *Tracker) lag(p *peer) uint64 {
	if t.commit > p.report.Index {
		return t.commit - p.report.Index
	}
	return 0
}

// lagSeconds is for how long the oldest commit that a peer has not applied has
// been known. A peer that keeps up with constant writes stays near the report
// interval.
func (t *Tracker) lagSeconds(p *peer, now time.Time) float64 {
	for _, c := range t.pending {
		if c.index > p.report.Index {
			return now.Sub(c.seen).Seconds()
		}
	}
	return 0
}

// Status is the present verdict.
func (t *Tracker) Status() Status {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.config.Now()
	s := Status{Converged: t.applied >= t.commit}
	agree, disagree := 1, 0 // this node agrees with itself
	for id, p := range t.peers {
		lag := t.lag(p)
		s.Converged = s.Converged && lag == 0
		if p.compared {
			if p.agrees {
				agree++
			} else {
				disagree++
				s.Diverged = true
			}
		}
		s.Peers = append(s.Peers, Peer{
			NodeID: id, Index: p.report.Index, Term: p.report.Term, CommitIndex: p.report.CommitIndex, LagEntries: lag, LagSeconds: t.lagSeconds(p, now),
			LastReport: p.lastReport, DigestAgrees: p.agrees,
		})
	}
	s.Minority = disagree > agree
	slices.SortFunc(s.Peers, func(a, b Peer) int { return strings.Compare(a.NodeID, b.NodeID) })
	return s
}
