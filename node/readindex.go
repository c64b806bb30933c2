package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"
	"go.opentelemetry.io/otel/trace"

	"github.com/stemedb/stemedb/internal/tracing"
	"github.com/stemedb/stemedb/transport"
)

// readRound is one proof of freshness: everything committed before Started is
// at or below Index.
type readRound struct {
	started time.Time
	index   uint64
}

// readIndexer coalesces read-index rounds: however many reads wait, one round
// is under way, and a read is answered only by a round that began after it.
type readIndexer struct {
	// round fetches the read index from the leader, wherever that is.
	// parent is the recorded trace of one of the reads that it serves, if any has
	// one.
	round func(parent trace.SpanContext) (uint64, error)

	mu      sync.Mutex
	running bool
	waiting []chan readReply  // served by the round after the running one
	parent  trace.SpanContext // the first recorded trace of those that wait
	last    readRound         // the newest successful round
	stop    sync.WaitGroup
}

type readReply struct {
	index uint64
	err   error
}

// wait joins the next round and returns its index.
func (r *readIndexer) wait(ctx context.Context) (uint64, error) {
	reply := make(chan readReply, 1)
	parent, sampled := tracing.Sampled(ctx)
	r.mu.Lock()
	if sampled && !r.parent.IsValid() {
		r.parent = parent
	}
	r.waiting = append(r.waiting, reply)
	if !r.running {
		r.running = true
		r.stop.Go(r.run)
	}
	r.mu.Unlock()
	select {
	case got := <-reply:
		return got.index, got.err
	case <-ctx.Done():
		return 0, fmt.Errorf("%w: no read index before the request's time ran out (%w)", ErrNoLeader, context.Cause(ctx))
	}
}

// run serves rounds until nobody waits.
func (r *readIndexer) run() {
	for {
		r.mu.Lock()
		if len(r.waiting) == 0 {
			r.running = false
			r.mu.Unlock()
			return
		}
		readers, parent := r.waiting, r.parent
		r.waiting, r.parent = nil, trace.SpanContext{}
		r.mu.Unlock()

		started := time.Now()
		index, err := r.round(parent)
		if err == nil {
			r.mu.Lock()
			r.last = readRound{started: started, index: index}
			r.mu.Unlock()
		}
		for _, reader := range readers {
			reader <- readReply{index: index, err: err}
		}
	}
}

// remembered returns the newest round if it began at most maxStale ago.
func (r *readIndexer) remembered(maxStale time.Duration) (uint64, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.last.started.IsZero() || time.Since(r.last.started) > maxStale {
		return 0, false
	}
	return r.last.index, true
}

// drain waits for the goroutine of a running round.
func (r *readIndexer) drain() { r.stop.Wait() }

// fetchReadIndex is one round: from this node if it leads, else from the
// leader. While nothing is known of a leader it waits for news, up to the read
// time-out.
func (n *Node) fetchReadIndex(parent trace.SpanContext) (index uint64, err error) {
	ctx, cancel := context.WithTimeout(n.ctx, n.cfg.ReadTimeout)
	defer cancel()
	ctx, unguard := n.disk.guard(ctx)
	defer unguard()
	if parent.IsSampled() {
		var span trace.Span
		ctx, span = n.tracer.Start(trace.ContextWithSpanContext(ctx, parent), "read index round")
		defer func() { endSpan(span, err) }()
	}
	for {
		changed := n.leaderWatch.changed()
		if err := errors.Join(n.removal.err(), n.disk.err()); err != nil {
			return 0, err
		}
		index, err := n.tryReadIndex(ctx)
		if err == nil {
			return index, nil
		}
		if !leaderNews(ctx, changed) {
			return 0, fmt.Errorf("%w: %w", ErrNoLeader, err)
		}
	}
}

func (n *Node) tryReadIndex(ctx context.Context) (uint64, error) {
	if n.raft.State() == raft.Leader {
		return n.leaderReadIndex(ctx)
	}
	address, id := n.raft.LeaderWithID()
	if address == "" || string(id) == n.id {
		return 0, ErrNoLeader
	}
	ctx, done := n.whileLeads(ctx, id)
	defer done()
	request := transport.ReadIndexRequest{ClusterID: n.ClusterID(), NodeID: n.id, Term: n.raft.CurrentTerm()}
	if parent, ok := tracing.Sampled(ctx); ok {
		request.TraceParent = tracing.Parent(parent)
	}
	response, err := n.client.ReadIndex(ctx, string(address), request)
	if err != nil {
		return 0, fmt.Errorf("ask the leader %s: %w", id, err)
	}
	return response.Index, nil
}

// leaderReadIndex follows the order that makes a read index safe: an entry of
// this term has been applied here (so the commit index is of this term), then
// the commit index, then a majority confirms the leadership, still in the same
// term.
func (n *Node) leaderReadIndex(ctx context.Context) (uint64, error) {
	term, err := n.waitTermApplied(ctx)
	if err != nil {
		return 0, err
	}
	index := n.raft.CommitIndex()
	if err := n.confirmer.confirm(ctx, term, raft.ServerID(n.id), n.servers()); err != nil {
		return 0, fmt.Errorf("confirm the leadership: %w", err)
	}
	if now := n.raft.CurrentTerm(); now != term {
		return 0, fmt.Errorf("%w: the term changed from %d to %d", raft.ErrLeadershipLost, term, now)
	}
	return index, nil
}

// witnessedReadIndex is the read index for a voter whose request confirms the
// leadership (see leadershipCheck): it was in this leader's term after its reads
// began, and the two are a majority. It reports false if that is not so, and a
// round is needed.
func (n *Node) witnessedReadIndex(witness raft.ServerID, term uint64) (uint64, bool) {
	if n.raft.State() != raft.Leader || n.appliedTerm.Load() != term || n.disk.err() != nil {
		return 0, false
	}
	index := n.raft.CommitIndex()
	others, missing := confirming(n.servers(), raft.ServerID(n.id))
	if missing > 1 || !slices.ContainsFunc(others, func(s raft.Server) bool { return s.ID == witness }) {
		return 0, false
	}
	return index, n.raft.CurrentTerm() == term
}

// waitTermApplied waits until this node, as leader, has applied its own first
// entry of the current term, and returns that term.
func (n *Node) waitTermApplied(ctx context.Context) (uint64, error) {
	for {
		changed := n.leaderWatch.changed()
		if n.raft.State() != raft.Leader {
			return 0, raft.ErrNotLeader
		}
		if term := n.raft.CurrentTerm(); term == n.appliedTerm.Load() {
			return term, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return 0, fmt.Errorf("%w: the new leader's first entry is not applied yet (%w)", ErrNoLeader, context.Cause(ctx))
		}
	}
}
