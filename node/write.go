package node

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/raft"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/fsm"
	"github.com/stemedb/stemedb/internal/tracing"
	"github.com/stemedb/stemedb/transport"
)

// Caller is who asked for a write; it travels with a forwarded one.
type Caller = transport.Caller

// WriteResult says what became of each entry of a write, in order. Index is
// the highest log index at which one of them was decided: a read with that
// min_index sees them all.
type WriteResult struct {
	Index   uint64
	Results []fsm.Result
}

// Write makes entries durable on a quorum and returns their outcomes. They must
// be normalised, validated and, where they are signed, verified. Entries of one
// call may end in several commands: each is decided by itself.
//
// Errors: ErrNoLeader, ErrOverloaded, ErrStopping, ErrRemoved, ErrDisk, ErrDiskSpace
// (nothing was proposed),
// ErrOutcomeUnknown (some entries may have taken effect; repeat the call).
func (n *Node) Write(ctx context.Context, caller Caller, entries ...assertion.Entry) (WriteResult, error) {
	records := make([][]byte, len(entries))
	for i, e := range entries {
		record, err := assertion.AppendEntry(nil, e)
		if err != nil {
			return WriteResult{}, fmt.Errorf("encode entry %d, a %s: %w", i, e.Kind(), err)
		}
		records[i] = record
	}
	ctx, span := tracing.Start(ctx, n.tracer, "write")
	if span.IsRecording() {
		span.SetAttributes(attribute.String("stemedb.node", n.id), attribute.Int("stemedb.entries", len(entries)))
	}
	result, err := n.submit(ctx, caller, parentsOf(ctx), records)
	if err == nil && span.IsRecording() {
		span.SetAttributes(attribute.Int64("stemedb.index", int64(result.Index)))
	}
	endSpan(span, err)
	return result, err
}

// submit runs encoded entries through the group commit. Parts of a large write
// are queued together, so that they follow each other through the log.
func (n *Node) submit(ctx context.Context, caller Caller, parents []trace.SpanContext, records [][]byte) (WriteResult, error) {
	if err := errors.Join(n.removal.err(), n.disk.err(), n.room(records)); err != nil {
		return WriteResult{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, n.cfg.WriteTimeout)
	defer cancel()
	requests := chunk(caller, parents, records)
	if len(requests) == 1 {
		reply := n.batcher.submit(ctx, requests[0])
		return WriteResult{Index: reply.index, Results: reply.results}, reply.err
	}
	replies := make([]writeReply, len(requests))
	var wg sync.WaitGroup
	for i, req := range requests {
		wg.Go(func() { replies[i] = n.batcher.submit(ctx, req) })
	}
	wg.Wait()
	var out WriteResult
	var failed error
	decided := false
	for _, reply := range replies {
		if reply.err != nil {
			failed = reply.err
			continue
		}
		decided = true
		out.Index = max(out.Index, reply.index)
		out.Results = append(out.Results, reply.results...)
	}
	if failed != nil {
		if decided && !errors.Is(failed, ErrOutcomeUnknown) {
			failed = fmt.Errorf("%w: a part of the write was stored, another was not (%w)", ErrOutcomeUnknown, failed)
		}
		return WriteResult{}, failed
	}
	return out, nil
}

// commitGroup is the batcher's commit: it brings one group to the leader,
// wherever that is, and waits for the outcome.
func (n *Node) commitGroup(group []*writeRequest) writeReply {
	// A group gives up before its requests do, so that they learn whether it was
	// proposed.
	ctx, cancel := context.WithTimeout(n.ctx, n.cfg.WriteTimeout-n.cfg.WriteTimeout/5)
	defer cancel()
	ctx, unguard := n.disk.guard(ctx)
	defer unguard()
	claims := 0
	for _, req := range group {
		claims += len(req.records)
	}
	records := make([][]byte, 0, claims)
	for _, req := range group {
		records = append(records, req.records...)
	}
	n.metrics.batchClaims.Observe(float64(claims))
	start := time.Now()
	reply := n.route(ctx, &passage{group: group, records: records, parents: n.endQueueing(group)})
	if reply.err == nil {
		n.metrics.commitSeconds.Observe(time.Since(start).Seconds())
	}
	return reply
}

// route proposes here or forwards, and repeats only while it is certain that
// nothing was proposed.
func (n *Node) route(ctx context.Context, p *passage) (reply writeReply) {
	defer func() { p.end(reply.err) }()
	for {
		changed := n.leaderWatch.changed()
		reply, err := n.attempt(ctx, p)
		if err == nil {
			return reply
		}
		if !errors.Is(err, ErrNoLeader) {
			return writeReply{err: err}
		}
		// The leader is unknown, gone or changing: wait for news of it.
		if !leaderNews(ctx, changed) {
			return writeReply{err: err}
		}
	}
}

// attempt tries once. Its error is ErrNoLeader exactly if the group was
// certainly not proposed and may be tried again.
func (n *Node) attempt(ctx context.Context, p *passage) (writeReply, error) {
	if err := errors.Join(n.removal.err(), n.disk.err()); err != nil {
		return writeReply{}, err
	}
	if n.raft.State() == raft.Leader {
		return n.proposeGroup(ctx, p)
	}
	address, id := n.raft.LeaderWithID()
	if address == "" || string(id) == n.id {
		return writeReply{}, ErrNoLeader
	}
	callers := n.forwarding(p, string(id))
	ctx, done := n.whileLeads(ctx, id)
	defer done()
	response, err := n.client.Forward(ctx, string(address), transport.ForwardRequest{
		ClusterID: n.ClusterID(), Callers: callers, Records: p.records,
	})
	switch {
	case err == nil:
	case errors.Is(err, transport.ErrNotLeader), errors.Is(err, transport.ErrUnreachable):
		return writeReply{}, fmt.Errorf("%w: forward to %s: %w", ErrNoLeader, id, err)
	case errors.Is(err, transport.ErrOverloaded):
		return writeReply{}, fmt.Errorf("%w at the leader %s", ErrOverloaded, id)
	case errors.Is(err, transport.ErrNoSpace):
		return writeReply{}, fmt.Errorf("%w: forward to the leader %s: %w", ErrDiskSpace, id, err)
	case errors.Is(err, transport.ErrWrongCluster), errors.Is(err, transport.ErrRefused):
		return writeReply{}, fmt.Errorf("forward to the leader %s: %w", id, err)
	default:
		return writeReply{}, fmt.Errorf("%w: forward to %s: %w", ErrOutcomeUnknown, id, err)
	}
	if len(response.Results) != len(p.records) {
		return writeReply{}, fmt.Errorf("%w: the leader %s answered %d outcomes for %d entries", ErrOutcomeUnknown, id, len(response.Results), len(p.records))
	}
	n.metrics.forwarded.Add(float64(len(p.records)))
	return writeReply{index: response.Index, results: fromWire(response.Results)}, nil
}

// proposeGroup writes one group to the log as its leader.
func (n *Node) proposeGroup(ctx context.Context, p *passage) (writeReply, error) {
	n.proposing(p)
	began := p.now()
	response, applied, err := n.append(ctx, fsm.EncodeWrite(n.fsm.Format(), n.unixNow(), p.records))
	if err != nil {
		return writeReply{}, err
	}
	n.applied(p, began, applied, response)
	if len(response.Results) != len(p.records) {
		return writeReply{}, fmt.Errorf("%w: entry %d holds %d outcomes for %d entries", ErrOutcomeUnknown, response.Index, len(response.Results), len(p.records))
	}
	return writeReply{index: response.Index, results: response.Results}, nil
}

// propose appends one command and waits until the FSM has decided it, ctx
// ends, or leadership is lost. ErrNoLeader means that it was not appended.
func (n *Node) propose(ctx context.Context, command []byte) (*fsm.Response, error) {
	response, _, err := n.append(ctx, command)
	return response, err
}

// timeLeft is how long raft may take to accept a command; 0 is as long as it
// likes.
func timeLeft(ctx context.Context) time.Duration {
	deadline, ok := ctx.Deadline()
	if !ok {
		return 0
	}
	return max(time.Until(deadline), time.Millisecond)
}

// append is propose; applied tells when the FSM worked on the entry, if that is
// measured (see stateMachine).
func (n *Node) append(ctx context.Context, command []byte) (response *fsm.Response, applied interval, err error) {
	future := n.raft.Apply(command, timeLeft(ctx))
	if err := await(ctx, future); err != nil {
		return nil, applied, proposalError(err)
	}
	switch answer := future.Response().(type) {
	case *fsm.Response:
		response = answer
	case timedResponse:
		response, applied = answer.Response, answer.applied
	default:
		return nil, applied, fmt.Errorf("%w: the FSM answered %T", ErrOutcomeUnknown, answer)
	}
	if response.Err != nil {
		return nil, applied, fmt.Errorf("%w: %w", ErrOutcomeUnknown, response.Err)
	}
	return response, applied, nil
}

// proposalError sorts raft's answers into "was not appended" and "cannot be
// known".
func proposalError(err error) error {
	switch {
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrLeadershipTransferInProgress), errors.Is(err, raft.ErrEnqueueTimeout):
		return fmt.Errorf("%w: %w", ErrNoLeader, err)
	default:
		return fmt.Errorf("%w: %w", ErrOutcomeUnknown, err)
	}
}

// await waits for a raft future or the end of ctx, whichever comes first. A
// future may never resolve while there is no quorum (hashicorp/raft issue
// 498); the goroutine that keeps waiting ends at the latest when raft shuts
// down.
func await(ctx context.Context, future raft.Future) error {
	done := make(chan error, 1)
	go func() { done <- future.Error() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
