package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/stemedb/stemedb/fsm"
	"github.com/stemedb/stemedb/transport"
)

// confirmHedge is how long the voters that are asked first have to answer before
// the others are asked too. After it nobody is waited for if a voter is of an
// older version.
const confirmHedge = 20 * time.Millisecond

// leadershipCheck proves, for a read index, that nothing had been acknowledged in
// a higher term when the check began. It asks as many of the other voters as make
// a majority with the leader for their terms. What is acknowledged in a term was
// stored by a majority in that term, and a voter enters a term before it votes or
// stores anything in it: a majority whose terms are the leader's, each looked at
// after the check began, is the proof. The majority is one of the leader's newest
// configuration, read after the check began. The first leader of a higher term was
// elected by a majority of that configuration or of one that differs from it by
// one voter, which share a voter; these voters stay in higher terms whatever it
// changes later, and this leader can commit no further change.
//
// raft.VerifyLeader is no such proof. It counts answers to heartbeats, also those
// of non-voters and those that were given before it was called; and it goes through
// raft's main loop, which waits while an entry is written to the leader's disk.
//
// A leader that learns of a higher term here does not step down by it; raft does
// when that voter refuses an entry.
type leadershipCheck struct {
	// ask returns a voter's term.
	ask func(ctx context.Context, voter raft.Server) (uint64, error)
	// commit stores an entry of the leader's term on a majority, which proves the
	// same. It is for voters of a version that cannot tell their terms.
	commit func(ctx context.Context) error
	// patience bounds the wait for answers: the leader may have been succeeded
	// meanwhile, or a voter be well that could not be asked.
	patience time.Duration

	mu sync.Mutex
	// slowness is how long each voter takes to answer, a moving average. That of
	// one that is not asked fades with each check, so that it is asked again.
	slowness map[raft.ServerID]time.Duration
}

// confirm returns nil if a majority of the voters among servers, self counted as
// one if it is one, was in the term at some time after the call. The caller
// compares self's term when it has returned. An error is not the last word: the
// next check may find others.
func (c *leadershipCheck) confirm(ctx context.Context, term uint64, self raft.ServerID, servers []raft.Server) error {
	others, missing := confirming(servers, self)
	switch {
	case missing == 0:
		return nil
	case missing > len(others):
		return fmt.Errorf("%d voters are needed and %d known", missing, len(others))
	}
	var asked sync.WaitGroup
	defer asked.Wait()
	asking, cancel := context.WithTimeout(ctx, c.patience)
	defer cancel()
	others = c.byPromise(others, missing)
	answers := make(chan error, len(others))
	next := 0
	ask := func(count int) {
		for _, voter := range others[next:min(next+count, len(others))] {
			began := time.Now()
			asked.Go(func() { answers <- c.sameTerm(asking, began, voter, term) })
			next++
		}
	}
	ask(missing)
	hedge := time.NewTimer(confirmHedge)
	defer hedge.Stop()
	var faults []error
	older, hedged := false, false
	for open := len(others); open >= missing && !(older && hedged); {
		select {
		case err := <-answers:
			open--
			if err == nil {
				if missing--; missing == 0 {
					return nil
				}
				continue
			}
			faults = append(faults, err)
			older = older || isOlder(err)
			ask(1)
		case <-hedge.C:
			hedged = true
			ask(len(others))
		}
	}
	if older && ctx.Err() == nil {
		return c.commit(ctx)
	}
	return errors.Join(faults...)
}

// isOlder reports whether a voter does not know the question for its term.
func isOlder(err error) bool {
	remote := (*transport.RemoteError)(nil)
	return errors.As(err, &remote) && remote.Code == transport.CodeUnknownMethod
}

// sameTerm asks a voter whether it is in the given term.
func (c *leadershipCheck) sameTerm(ctx context.Context, began time.Time, voter raft.Server, term uint64) error {
	its, err := c.ask(ctx, voter)
	switch {
	case err != nil:
		err = fmt.Errorf("ask %s for its term: %w", voter.ID, err)
	case its > term:
		err = fmt.Errorf("%w: %s is in term %d, this leader in %d", raft.ErrLeadershipLost, voter.ID, its, term)
	case its < term:
		err = fmt.Errorf("%s is in term %d, before the leader's, %d", voter.ID, its, term)
	}
	c.note(ctx, voter.ID, time.Since(began), err)
	return err
}

// note counts how long a voter took. One that does not confirm counts as one that
// is too slow; one that is not needed any more says nothing.
func (c *leadershipCheck) note(ctx context.Context, voter raft.ServerID, took time.Duration, err error) {
	if err != nil {
		if ctx.Err() != nil && took < confirmHedge {
			return
		}
		took = max(took, confirmHedge)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if before, known := c.slowness[voter]; known {
		took = (3*before + took) / 4
	}
	c.slowness[voter] = took
}

// byPromise returns the voters with those first that have answered soonest, and
// lets the slowness fade of those that are not among the first.
func (c *leadershipCheck) byPromise(voters []raft.Server, first int) []raft.Server {
	c.mu.Lock()
	defer c.mu.Unlock()
	maps.DeleteFunc(c.slowness, func(id raft.ServerID, _ time.Duration) bool {
		return !slices.ContainsFunc(voters, func(s raft.Server) bool { return s.ID == id })
	})
	voters = slices.SortedStableFunc(slices.Values(voters), func(a, b raft.Server) int {
		return cmp.Compare(c.slowness[a.ID], c.slowness[b.ID])
	})
	for _, voter := range voters[first:] {
		if before, known := c.slowness[voter.ID]; known {
			c.slowness[voter.ID] = before - before/1024
		}
	}
	return voters
}

// confirming returns the voters beside self, and how many of them are a majority
// of the voters together with self.
func confirming(servers []raft.Server, self raft.ServerID) (others []raft.Server, missing int) {
	voters := 0
	for _, s := range servers {
		if s.Suffrage == raft.Voter {
			voters++
			if s.ID != self {
				others = append(others, s)
			}
		}
	}
	missing = voters/2 + 1
	if len(others) < voters {
		missing-- // self is one of the voters
	}
	return others, missing
}

// newLeadershipCheck returns the check of this node's leadership.
func (n *Node) newLeadershipCheck() *leadershipCheck {
	return &leadershipCheck{
		patience: min(n.cfg.HeartbeatTimeout, n.cfg.ReadTimeout/4),
		slowness: map[raft.ServerID]time.Duration{},
		ask: func(ctx context.Context, voter raft.Server) (uint64, error) {
			response, err := n.client.Term(ctx, string(voter.Address), transport.TermRequest{ClusterID: n.ClusterID(), NodeID: string(voter.ID)})
			return response.Term, err
		},
		commit: func(ctx context.Context) error {
			if err := await(ctx, n.raft.Apply(fsm.EncodeTermStart(n.unixNow(), n.id), timeLeft(ctx))); err != nil {
				return fmt.Errorf("commit an entry: %w", err) // of a read, so that its outcome is no matter
			}
			return nil
		},
	}
}
