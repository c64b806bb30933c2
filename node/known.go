package node

import (
	"context"
	"fmt"
	"time"

	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/index"
)

// maxAhead is how far a past state may lie ahead of the node's clock: the
// second that has just begun, and what clocks differ by.
const maxAhead = 2

// readKnown makes a view show the state as it was committed at a time. What was
// known then is settled only when the log's time has passed it, since an entry
// may still be committed at that very second; if the log stands still, an entry
// that only says what time it is moves it on.
func (n *Node) readKnown(ctx context.Context, view *index.View, at uint64) (*index.View, error) {
	ticked := false
	for view.Applied().CommittedAt <= at {
		closed := view.Close()
		if closed != nil {
			return nil, closed
		}
		if now := n.unixNow(); at >= now+maxAhead {
			return nil, fmt.Errorf("%w: %d, and it is %d", ErrFutureState, at, now)
		}
		if err := n.passTime(ctx, at, ticked); err != nil {
			return nil, err
		}
		ticked = true
		result, err := n.Write(ctx, Caller{}, &assertion.Clock{})
		if err != nil {
			return nil, err
		}
		if view, err = n.viewAt(ctx, result.Index); err != nil {
			return nil, err
		}
	}
	view.KnownAt(at)
	return view, nil
}

// passTime waits until this node's clock has passed a second; once more if the
// leader's clock turned out to be behind it.
func (n *Node) passTime(ctx context.Context, at uint64, again bool) error {
	left := time.Unix(int64(at)+1, 0).Sub(n.cfg.Now())
	if again {
		left = max(left, 10*routeRetry)
	}
	if left <= 0 {
		return nil
	}
	wait := time.NewTimer(left)
	defer wait.Stop()
	select {
	case <-wait.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: the second %d has not passed at the leader yet (%w)", ErrFutureState, at, context.Cause(ctx))
	}
}
