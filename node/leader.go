package node

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/stemedb/stemedb/fsm"
)

// routeRetry is the pause before something is tried again at the leader when no
// news of one comes; raft gives none when a follower learns of an old leader anew.
const routeRetry = 20 * time.Millisecond

// leaderNews waits for news of the leader on a channel of leaderWatch.changed,
// at most for routeRetry. It reports whether ctx goes on.
func leaderNews(ctx context.Context, changed <-chan struct{}) bool {
	retry := time.NewTimer(routeRetry)
	defer retry.Stop()
	select {
	case <-changed:
		return true
	case <-retry.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// broadcast wakes every waiter each time something changed.
type broadcast struct {
	mu sync.Mutex
	ch chan struct{}
}

func newBroadcast() *broadcast { return &broadcast{ch: make(chan struct{})} }

// changed returns a channel that closes at the next notify. Take it before
// looking at the state, so that no change is missed.
func (b *broadcast) changed() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ch
}

func (b *broadcast) notify() {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.ch)
	b.ch = make(chan struct{})
}

// watchLeader follows what raft says about leadership: it wakes those who wait
// for a leader, counts changes, and begins each term that this node leads.
func (n *Node) watchLeader() {
	observations := make(chan raft.Observation, 64)
	observer := raft.NewObserver(observations, false, func(o *raft.Observation) bool {
		switch o.Data.(type) {
		case raft.LeaderObservation, raft.RaftState, raft.FailedHeartbeatObservation, raft.ResumedHeartbeatObservation:
			return true
		}
		return false
	})
	n.raft.RegisterObserver(observer)
	defer n.raft.DeregisterObserver(observer)
	var begun sync.WaitGroup
	defer begun.Wait()
	endTerm := func() {}
	defer func() { endTerm() }()
	for {
		select {
		case leads := <-n.leadership:
			endTerm()
			n.contact.reset()
			if leads {
				ctx, cancel := context.WithCancel(n.ctx)
				endTerm = cancel
				begun.Go(func() {
					n.beginTerm(ctx)
					begun.Go(func() { n.scheduleBackups(ctx) })
					n.runAutopilot(ctx)
				})
				begun.Go(func() { n.raiseFormat(ctx) })
			}
			n.leaderWatch.notify()
		case o := <-observations:
			switch seen := o.Data.(type) {
			case raft.LeaderObservation:
				if seen.LeaderID != "" {
					n.noteLeader(string(seen.LeaderID))
				}
			case raft.FailedHeartbeatObservation:
				n.contact.failed(string(seen.PeerID), time.Now())
				continue // nobody waits for this
			case raft.ResumedHeartbeatObservation:
				n.contact.resumed(string(seen.PeerID))
				continue
			}
			n.leaderWatch.notify()
		case <-n.ctx.Done():
			return
		}
	}
}

// whileLeads returns a context that also ends when another node takes over from
// the given leader: a leader that is frozen answers nothing, and nobody should
// wait for it longer than for its successor.
func (n *Node) whileLeads(ctx context.Context, leader raft.ServerID) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	var watch sync.WaitGroup
	watch.Go(func() {
		for {
			changed := n.leaderWatch.changed()
			if _, now := n.raft.LeaderWithID(); now != leader && now != "" {
				cancel(fmt.Errorf("%s leads instead of %s", now, leader))
				return
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	})
	return ctx, func() {
		cancel(nil)
		watch.Wait()
	}
}

// noteLeader counts a change of leader once, however often raft mentions it.
func (n *Node) noteLeader(id string) {
	if old := n.lastLeader.Swap(&id); old == nil || *old != id {
		n.metrics.leaderChanges.Inc()
		n.log.Info("leader changed", "leader", id, "term", n.raft.CurrentTerm())
	}
}

// beginTerm makes the new leader usable: it writes a first command of its
// own, so that everything committed in earlier terms is known to be applied
// here before the first linearizable read, and names a new cluster. A leader
// whose first command is refused for long shuts raft down (see the package's
// comment on hashicorp/raft issue 696).
func (n *Node) beginTerm(ctx context.Context) {
	term := n.raft.CurrentTerm()
	refusedSince := time.Now()
	for {
		try, cancel := context.WithTimeout(ctx, n.cfg.WriteTimeout)
		_, err := n.propose(try, fsm.EncodeTermStart(n.unixNow(), n.id))
		cancel()
		if err == nil {
			break
		}
		n.log.Warn("first entry of the term was not committed", "term", term, "error", err)
		if ctx.Err() != nil || n.raft.State() != raft.Leader || n.raft.CurrentTerm() != term {
			return
		}
		if errors.Is(err, raft.ErrLeadershipTransferInProgress) && !n.stopping.Load() && time.Since(refusedSince) > n.cfg.WriteTimeout {
			n.fail(fmt.Errorf("this leader refuses proposals for a leadership transfer that it never began (term %d): restart the node", term))
			return
		}
		select {
		case <-time.After(routeRetry):
		case <-ctx.Done():
			return
		}
	}
	if n.raft.CurrentTerm() != term || n.raft.State() != raft.Leader {
		return
	}
	if n.storedClusterID() == "" {
		if err := n.nameCluster(ctx); err != nil {
			n.log.Error("the new cluster was not named", "error", err)
			n.fail(err)
			return
		}
	}
	n.appliedTerm.Store(term)
	n.leaderWatch.notify()
	n.log.Info("leading", "term", term, "applied", n.fsm.AppliedIndex())
}

// nameCluster gives a cluster its id: 128 random bits, made once, or the id that
// this node remembers.
func (n *Node) nameCluster(ctx context.Context) error {
	name := n.ClusterID()
	if name == "" {
		name = randomHex(clusterIDBytes)
	}
	term := n.raft.CurrentTerm()
	_, err := n.propose(ctx, fsm.EncodeClusterInit(n.unixNow(), name))
	if err != nil && n.raft.State() == raft.Leader && n.raft.CurrentTerm() == term && ctx.Err() == nil {
		return fmt.Errorf("name the cluster: %w", err)
	}
	return nil
}
