package node

import (
	"context"
	"fmt"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/stemedb/stemedb/fsm"
)

// One log entry holds at most this much. The bounds keep a proposal small
// enough to replicate in one message and large enough to share its fsync.
const (
	maxGroupClaims = 512
	maxGroupBytes  = 256 << 10
)

// writeRequest is the part of a write that travels together: some claims of
// one caller, and the place where their outcome is delivered.
type writeRequest struct {
	caller  Caller
	parents []trace.SpanContext // of the recorded traces that the request is part of
	queued  time.Time           // zero without parents
	records [][]byte
	bytes   int
	done    chan writeReply // buffered: the batcher never waits for a reader
	taken   bool            // guarded by batcher.mu: part of a group, out of the queue
	exempt  bool            // written even if little space is free
}

type writeReply struct {
	index   uint64
	results []fsm.Result
	err     error
}

// batcher is the group commit: while one group is being committed, the
// requests that arrive form the next. There is no timer, so a lone write waits
// for nothing.
type batcher struct {
	// commit proposes or forwards one group and returns when its outcome is
	// known or known to be unknown. It is called by one goroutine at a time.
	commit func(group []*writeRequest) writeReply
	// maxClaims bounds the queue.
	maxClaims int

	mu     sync.Mutex
	queue  []*writeRequest
	claims int
	closed bool
	wake   chan struct{}
	idle   sync.WaitGroup
}

func newBatcher(maxClaims int, commit func([]*writeRequest) writeReply) *batcher {
	b := &batcher{commit: commit, maxClaims: maxClaims, wake: make(chan struct{}, 1)}
	b.idle.Add(1)
	go b.run()
	return b
}

// submit queues a request and waits for its outcome. When ctx ends first, the
// error tells whether the request can still take effect: ErrNoLeader if it was
// taken back out of the queue, ErrOutcomeUnknown if it was being committed.
func (b *batcher) submit(ctx context.Context, req *writeRequest) writeReply {
	if err := b.enqueue(req); err != nil {
		return writeReply{err: err}
	}
	select {
	case reply := <-req.done:
		return reply
	case <-ctx.Done():
	}
	if b.withdraw(req) {
		return writeReply{err: fmt.Errorf("%w: not proposed before the request's time ran out (%w)", ErrNoLeader, context.Cause(ctx))}
	}
	select {
	case reply := <-req.done: // both happened; the outcome is worth more
		return reply
	default:
		return writeReply{err: fmt.Errorf("%w: the request's time ran out first (%w)", ErrOutcomeUnknown, context.Cause(ctx))}
	}
}

func (b *batcher) enqueue(req *writeRequest) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return ErrStopping
	}
	if b.claims+len(req.records) > b.maxClaims {
		return fmt.Errorf("%w: %d claims are queued, %d are allowed", ErrOverloaded, b.claims, b.maxClaims)
	}
	b.queue = append(b.queue, req)
	b.claims += len(req.records)
	b.signal()
	return nil
}

// withdraw takes a request back out of the queue; false means that it is part
// of a group already.
func (b *batcher) withdraw(req *writeRequest) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if req.taken {
		return false
	}
	for i, queued := range b.queue {
		if queued == req {
			b.queue = append(b.queue[:i], b.queue[i+1:]...)
			b.claims -= len(req.records)
			break
		}
	}
	return true
}

func (b *batcher) signal() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// next takes the longest prefix of the queue that fits into one log entry. What is
// written even if little space is free goes by itself: a leader that refuses the
// rest of a group refuses the group.
func (b *batcher) next() (group []*writeRequest, closed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	claims, bytes := 0, 0
	for len(group) < len(b.queue) {
		req := b.queue[len(group)]
		if len(group) > 0 && (claims+len(req.records) > maxGroupClaims || bytes+req.bytes > maxGroupBytes || req.exempt != group[0].exempt) {
			break
		}
		req.taken = true
		claims += len(req.records)
		bytes += req.bytes
		group = b.queue[:len(group)+1]
	}
	if len(group) > 0 {
		group = append([]*writeRequest(nil), group...)
		b.queue = append(b.queue[:0], b.queue[len(group):]...)
		b.claims -= claims
	}
	return group, b.closed
}

func (b *batcher) run() {
	defer b.idle.Done()
	for {
		group, closed := b.next()
		if len(group) == 0 {
			if closed {
				return
			}
			<-b.wake
			continue
		}
		reply := b.commit(group)
		deliver(group, reply)
	}
}

// deliver hands each request of a group its part of the outcome.
func deliver(group []*writeRequest, reply writeReply) {
	at := 0
	for _, req := range group {
		part := writeReply{index: reply.index, err: reply.err}
		if reply.err == nil {
			part.results = reply.results[at : at+len(req.records)]
			at += len(req.records)
		}
		req.done <- part
	}
}

// close refuses further requests, commits those that are queued and returns
// when the last outcome has been delivered.
func (b *batcher) close() {
	b.mu.Lock()
	b.closed = true
	b.signal()
	b.mu.Unlock()
	b.idle.Wait()
}

// chunk splits the records of one write into requests that fit into one log
// entry each.
func chunk(caller Caller, parents []trace.SpanContext, records [][]byte) []*writeRequest {
	var requests []*writeRequest
	var current *writeRequest
	for _, record := range records {
		if current == nil || len(current.records) == maxGroupClaims || current.bytes+len(record) > maxGroupBytes {
			current = &writeRequest{caller: caller, parents: parents, done: make(chan writeReply, 1)}
			if len(parents) > 0 {
				current.queued = time.Now()
			}
			requests = append(requests, current)
		}
		current.records = append(current.records, record)
		current.bytes += len(record)
	}
	for _, req := range requests {
		req.exempt = exempt(req.records)
	}
	return requests
}
