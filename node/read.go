package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/index"
	"github.com/stemedb/stemedb/internal/tracing"
)

// Level is how fresh a read must be.
type Level uint8

const (
	// Linearizable sees every write that was acknowledged before the read began,
	// on whatever node.
	Linearizable Level = iota
	// Bounded sees every write that was acknowledged more than MaxStale before
	// the read began.
	Bounded
	// Local sees whatever this node has applied.
	Local
)

func (l Level) String() string {
	switch l {
	case Bounded:
		return "bounded"
	case Local:
		return "local"
	default:
		return "linearizable"
	}
}

// Consistency is what a read demands of the state that it is served from.
type Consistency struct {
	Level Level
	// MaxStale bounds the staleness of a Bounded read; 0 makes it linearizable.
	MaxStale time.Duration
	// MinIndex makes the read wait until this node has applied that log index.
	MinIndex uint64
	// KnownAt, if not nil, asks for the state as it was committed at that time,
	// unix seconds. It never changes later, whatever Level.
	KnownAt *uint64
}

// Read returns a view of the state that satisfies c. The caller closes it.
//
// Errors: ErrNoLeader or ErrTooStale if freshness could not be proved in time,
// ErrDisk if this node is cut off for its disk, ErrMinIndex if the wanted index was not applied in time, ErrFutureState if
// KnownAt lies ahead, ErrRemoved, ErrFailed if the state is damaged.
func (n *Node) Read(ctx context.Context, c Consistency) (*index.View, error) {
	if err := n.removal.err(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, n.cfg.ReadTimeout)
	defer cancel()
	ctx, span := tracing.Start(ctx, n.tracer, "consistency")
	if span.IsRecording() {
		span.SetAttributes(attribute.String("stemedb.node", n.id), attribute.String("stemedb.consistency", c.Level.String()))
	}
	view, err := n.readAt(ctx, c)
	endSpan(span, err)
	return view, err
}

// readAt is Read in its time and span.
func (n *Node) readAt(ctx context.Context, c Consistency) (*index.View, error) {
	want, err := n.freshIndex(ctx, c)
	if err != nil {
		return nil, err
	}
	view, err := n.viewAt(ctx, max(want, c.MinIndex))
	if err != nil || c.KnownAt == nil {
		return view, err
	}
	ctx, span := tracing.Start(ctx, n.tracer, "known state")
	view, err = n.readKnown(ctx, view, *c.KnownAt)
	endSpan(span, err)
	return view, err
}

// viewAt opens a view once this node has applied a log index.
func (n *Node) viewAt(ctx context.Context, want uint64) (*index.View, error) {
	if want > n.fsm.AppliedIndex() {
		wait, span := tracing.Start(ctx, n.tracer, "wait for apply")
		err := n.fsm.WaitApplied(wait, want)
		endSpan(span, err)
		if err != nil {
			if n.fsm.Failed() != nil {
				return nil, fmt.Errorf("%w: %w", ErrFailed, n.fsm.Failed())
			}
			return nil, fmt.Errorf("%w: it has applied %d, the read wants %d (%w)", ErrMinIndex, n.fsm.AppliedIndex(), want, err)
		}
	}
	view, err := n.fsm.View()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFailed, err)
	}
	return view, nil
}

// Signers returns who has signed a claim, as far as this node has applied the
// log; none if the claim is not there. ErrFailed if the state is damaged.
func (n *Node) Signers(h assertion.Hash) ([]assertion.AgentID, error) {
	signers, err := n.fsm.Signers(h)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFailed, err)
	}
	return signers, nil
}

// WaitApplied waits until this node has applied a log index. ErrMinIndex if ctx
// ends first, ErrFailed if the state is damaged.
func (n *Node) WaitApplied(ctx context.Context, index uint64) error {
	view, err := n.viewAt(ctx, index)
	if err != nil {
		return err
	}
	return view.Close()
}

// freshIndex returns the log index that proves the wanted freshness.
func (n *Node) freshIndex(ctx context.Context, c Consistency) (uint64, error) {
	if c.Level == Local || n.cfg.NoReadIndex {
		return 0, nil
	}
	if err := n.disk.err(); err != nil { // this node is cut off from the leader
		return 0, err
	}
	ctx, span := tracing.Start(ctx, n.tracer, "read index")
	index, err := n.provenIndex(ctx, c)
	endSpan(span, err)
	return index, err
}

func (n *Node) provenIndex(ctx context.Context, c Consistency) (uint64, error) {
	if c.Level == Bounded {
		if index, ok := n.reads.remembered(c.MaxStale); ok {
			return index, nil
		}
		index, err := n.reads.wait(ctx)
		if err != nil {
			return 0, errors.Join(ErrTooStale, err)
		}
		return index, nil
	}
	return n.reads.wait(ctx)
}
