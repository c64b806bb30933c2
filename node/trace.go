package node

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/hashicorp/raft"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/stemedb/stemedb/fsm"
	"github.com/stemedb/stemedb/internal/tracing"
	"github.com/stemedb/stemedb/transport"
)

// A group commit serves several requests at once. Each step of it is recorded in
// the trace of every request that has one, with the times of the one step, so that
// each trace is complete by itself; the spans of a step link to the first of
// them. Nothing of a trace enters the log.

// steps are the spans of one step, one in each trace.
type steps []trace.Span

// startSteps begins a step beneath each parent.
func (n *Node) startSteps(name string, parents []trace.SpanContext, options ...trace.SpanStartOption) steps {
	if len(parents) == 0 {
		return nil
	}
	spans := make(steps, len(parents))
	for i, parent := range parents {
		own := options
		if i > 0 {
			own = append(options[:len(options):len(options)], trace.WithLinks(trace.Link{SpanContext: spans[0].SpanContext()}))
		}
		_, spans[i] = n.tracer.Start(trace.ContextWithSpanContext(context.Background(), parent), name, own...)
	}
	return spans
}

// endSpan ends a span. A failure is told by what it means, never by its own words:
// they may name addresses or hold what a user wrote.
func endSpan(span trace.Span, err error, options ...trace.SpanEndOption) {
	tracing.End(span, meaning(err), options...)
}

// meaning is the error of this package, or of the request's context, that an error
// wraps.
func meaning(err error) error {
	if err == nil {
		return nil
	}
	// The unknown outcome first: it may wrap one of the others.
	for _, known := range []error{
		ErrOutcomeUnknown, ErrRemoved, ErrDisk, ErrDiskSpace, ErrStopping, ErrOverloaded, ErrTooStale, ErrMinIndex, ErrFutureState, ErrNoLeader, ErrFailed,
		context.DeadlineExceeded, context.Canceled,
	} {
		if errors.Is(err, known) {
			return known
		}
	}
	return errors.New("failed")
}

// end ends a step at every trace.
func (s steps) end(err error, options ...trace.SpanEndOption) {
	for _, span := range s {
		endSpan(span, err, options...)
	}
}

// set tells something of a step to every trace.
func (s steps) set(attributes ...attribute.KeyValue) {
	for _, span := range s {
		span.SetAttributes(attributes...)
	}
}

// contexts are the parents of what happens within a step.
func (s steps) contexts() []trace.SpanContext {
	if len(s) == 0 {
		return nil
	}
	out := make([]trace.SpanContext, len(s))
	for i, span := range s {
		out[i] = span.SpanContext()
	}
	return out
}

// parentsOf is the trace of ctx, if it is recorded.
func parentsOf(ctx context.Context) []trace.SpanContext {
	if parent, ok := tracing.Sampled(ctx); ok {
		return []trace.SpanContext{parent}
	}
	return nil
}

// serving begins what this node does for another one, in the traces of which it
// sent the parents.
func (n *Node) serving(name string, parents iter.Seq[string]) steps {
	var remote []trace.SpanContext
	for text := range parents {
		if parent, ok := tracing.ParseParent(text); ok {
			remote = append(remote, parent.WithRemote(true))
		}
	}
	if len(remote) == 0 {
		return nil
	}
	return n.startSteps(name, remote, trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(attribute.String("stemedb.node", n.id)))
}

// passage is the way of one group to the log and back.
type passage struct {
	group   []*writeRequest
	records [][]byte
	parents []trace.SpanContext // the recorded traces of all requests, in order

	forward, propose steps // begun by the first attempt of their kind
	forwards         int
}

// endQueueing records how long each request of a group waited for it, and
// returns the traces of all.
func (n *Node) endQueueing(group []*writeRequest) (parents []trace.SpanContext) {
	for _, req := range group {
		if len(req.parents) == 0 {
			continue
		}
		parents = append(parents, req.parents...)
		waited := n.startSteps("batch", req.parents, trace.WithTimestamp(req.queued), trace.WithAttributes(attribute.Int("stemedb.group.requests", len(group))))
		waited.end(nil)
	}
	return parents
}

// now is the time where it is going to be recorded.
func (p *passage) now() (t time.Time) {
	if len(p.parents) > 0 {
		t = time.Now()
	}
	return t
}

// forwarding begins or goes on with forwarding to a leader and returns on whose
// behalf. A request that is part of several traces stands there once for each.
func (n *Node) forwarding(p *passage, leader string) []transport.Caller {
	callers := make([]transport.Caller, 0, len(p.group))
	if len(p.parents) == 0 {
		for _, req := range p.group {
			callers = append(callers, req.caller)
		}
		return callers
	}
	if p.forward == nil {
		p.forward = n.startSteps("forward", p.parents, trace.WithSpanKind(trace.SpanKindClient))
	}
	p.forwards++
	p.forward.set(attribute.String("stemedb.leader", leader), attribute.Int("stemedb.attempts", p.forwards))
	spans := p.forward
	for _, req := range p.group {
		caller := req.caller
		if len(req.parents) == 0 {
			callers = append(callers, caller)
			continue
		}
		for range req.parents {
			caller.TraceParent = tracing.Parent(spans[0].SpanContext())
			callers, spans = append(callers, caller), spans[1:]
		}
	}
	return callers
}

// proposing begins the proposal of a group, or goes on with it.
func (n *Node) proposing(p *passage) {
	if p.propose == nil && len(p.parents) > 0 {
		p.propose = n.startSteps("proposal", p.parents, trace.WithAttributes(
			attribute.Int("stemedb.group.requests", len(p.group)), attribute.Int("stemedb.group.entries", len(p.records))))
	}
}

// applied records the two parts of a proposal that went through: until a quorum
// had the entry, and until the FSM had applied it.
func (n *Node) applied(p *passage, began time.Time, applied interval, response *fsm.Response) {
	if len(p.propose) == 0 {
		return
	}
	p.propose.set(attribute.Int64("stemedb.index", int64(response.Index)))
	if applied.from.IsZero() { // not measured: this node only passes traces on
		return
	}
	within := p.propose.contexts()
	n.startSteps("commit", within, trace.WithTimestamp(began)).end(nil, trace.WithTimestamp(applied.from))
	n.startSteps("apply", within, trace.WithTimestamp(applied.from), trace.WithAttributes(attribute.Int("stemedb.apply.log_entries", applied.entries))).
		end(nil, trace.WithTimestamp(applied.to))
}

// end ends what was begun.
func (p *passage) end(err error) {
	p.propose.end(err)
	p.forward.end(err)
}

// interval is when the FSM worked on a batch, and how many log entries that was.
type interval struct {
	from, to time.Time
	entries  int
}

// timedResponse is the FSM's answer with the time that it took.
type timedResponse struct {
	*fsm.Response
	applied interval
}

// timedFSM measures the FSM from outside: it knows no clock.
type timedFSM struct{ *fsm.FSM }

var (
	_ raft.BatchingFSM        = timedFSM{}
	_ raft.ConfigurationStore = timedFSM{}
)

// Apply implements raft.FSM.
func (f timedFSM) Apply(log *raft.Log) any { return f.ApplyBatch([]*raft.Log{log})[0] }

// ApplyBatch implements raft.BatchingFSM.
func (f timedFSM) ApplyBatch(logs []*raft.Log) []any {
	applied := interval{from: time.Now(), entries: len(logs)}
	responses := f.FSM.ApplyBatch(logs)
	applied.to = time.Now()
	for i := range responses {
		if response, ok := responses[i].(*fsm.Response); ok {
			responses[i] = timedResponse{response, applied}
		}
	}
	return responses
}

// stateMachine is what raft applies to: with measured times where there is
// somebody to tell.
func (n *Node) stateMachine() raft.FSM {
	if n.cfg.Tracer == nil {
		return n.fsm
	}
	return timedFSM{n.fsm}
}
