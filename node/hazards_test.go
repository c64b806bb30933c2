package node

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"

	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/fsm"
	"github.com/stemedb/stemedb/sync/gossip"
)

// neverFuture is a raft future of a cluster that has lost its quorum: it does
// not resolve (hashicorp/raft issue 498) until the test ends.
type neverFuture struct{ end chan struct{} }

func (f neverFuture) Error() error { <-f.end; return raft.ErrRaftShutdown }

func TestAFutureThatNeverResolvesDoesNotHoldTheCaller(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	future := neverFuture{make(chan struct{})}
	defer close(future.end)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	err := await(ctx, future)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("await: %v, want the deadline", err)
	}
	if got := proposalError(err); !errors.Is(got, ErrOutcomeUnknown) || errors.Is(got, ErrNoLeader) {
		t.Errorf("an unresolved proposal is reported as %v, want ErrOutcomeUnknown", got)
	}
}

func TestOnlyWhatWasCertainlyNotProposedIsRetried(t *testing.T) {
	for err, retry := range map[error]bool{
		raft.ErrNotLeader:                    true,
		raft.ErrLeadershipTransferInProgress: true,
		raft.ErrEnqueueTimeout:               true,
		raft.ErrLeadershipLost:               false,
		raft.ErrAbortedByRestore:             false,
		raft.ErrRaftShutdown:                 false,
		context.DeadlineExceeded:             false,
	} {
		got := proposalError(err)
		if errors.Is(got, ErrNoLeader) != retry || errors.Is(got, ErrOutcomeUnknown) == retry {
			t.Errorf("%v becomes %v, retry should be %v", err, got, retry)
		}
	}
}

func TestWithoutQuorumNothingHangsAndNothingIsInvented(t *testing.T) {
	c := startCluster(t, 3, func(_ int, cfg *Config) { cfg.ReadTimeout, cfg.WriteTimeout = time.Second, time.Second })
	hashes := write(t, c.leader(), 0, 5)
	leader := c.leader()
	mustHold(t, leader, Consistency{Level: Bounded, MaxStale: time.Hour}, hashes)
	for i, n := range c.nodes {
		if n != leader {
			c.halt(i)
		}
	}
	before, _, count := leader.fsm.Current()
	_, err := leader.Write(t.Context(), Caller{}, claim(t, 99))
	if !errors.Is(err, ErrOutcomeUnknown) && !errors.Is(err, ErrNoLeader) {
		t.Errorf("a write without quorum: %v, want ErrOutcomeUnknown or ErrNoLeader", err)
	}
	if after, _, now := leader.fsm.Current(); after != before || now != count {
		t.Errorf("without quorum the state moved from %d/%d to %d/%d", before, count, after, now)
	}
	if _, err := leader.Read(t.Context(), Consistency{}); !errors.Is(err, ErrNoLeader) {
		t.Errorf("a linearizable read without quorum: %v, want ErrNoLeader", err)
	}
	if _, err := leader.Read(t.Context(), Consistency{Level: Bounded, MaxStale: time.Nanosecond}); !errors.Is(err, ErrTooStale) {
		t.Errorf("a tightly bounded read without quorum: %v, want ErrTooStale", err)
	}
	mustHold(t, leader, Consistency{Level: Bounded, MaxStale: time.Hour}, hashes)
	mustHold(t, leader, Consistency{Level: Local}, hashes)
	waitFor(t, func() bool { h := leader.Health(); return h.Status == "no_leader" && h.Role != "leader" })
	if r := leader.Ready(t.Context()); !r.Ready {
		t.Errorf("a sound node without a leader stays ready for local reads: %+v", r)
	}
}

func TestANewLeaderServesNoReadBeforeItsFirstEntryIsApplied(t *testing.T) {
	c := startCluster(t, 3, nil)
	leader := c.leader()
	term := leader.appliedTerm.Swap(0) // as if the entry were still on its way
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if index, err := leader.leaderReadIndex(ctx); err == nil {
		t.Errorf("a leader that has not applied an entry of its term gave the read index %d", index)
	}
	leader.appliedTerm.Store(term)
	leader.leaderWatch.notify()
	if _, err := leader.leaderReadIndex(t.Context()); err != nil {
		t.Errorf("read index of a settled leader: %v", err)
	}
}

func TestReadsWaitForTheStateNotForTheQueue(t *testing.T) {
	c := startCluster(t, 3, nil)
	for i := range 30 { // raft.AppliedIndex runs ahead of the FSM; a read must not
		hashes := write(t, c.follower(), 10*i, 3)
		mustHold(t, c.follower(), Consistency{}, hashes)
	}
}

func TestMinIndexWaitsForTheLocalApply(t *testing.T) {
	c := startCluster(t, 3, func(_ int, cfg *Config) { cfg.ReadTimeout = 2 * time.Second })
	f := c.follower()
	result, err := c.leader().Write(t.Context(), Caller{}, claim(t, 1))
	if err != nil {
		t.Fatal(err)
	}
	mustHold(t, f, Consistency{Level: Local, MinIndex: result.Index}, []assertion.Hash{result.Results[0].Hash})
	if _, err := f.Read(t.Context(), Consistency{Level: Local, MinIndex: result.Index + 1000}); !errors.Is(err, ErrMinIndex) {
		t.Errorf("an index that never comes: %v, want ErrMinIndex", err)
	}
}

func TestOneRoundServesEveryReadThatBeganBeforeIt(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	var rounds atomic.Uint64
	entered, release := make(chan struct{}), make(chan struct{})
	r := &readIndexer{round: func(trace.SpanContext) (uint64, error) {
		entered <- struct{}{}
		<-release
		return rounds.Add(1), nil
	}}
	var wg sync.WaitGroup
	first := make(chan uint64, 1)
	wg.Go(func() { index, _ := r.wait(t.Context()); first <- index })
	<-entered
	late := make(chan uint64, 10)
	for range 10 { // these begin while a round is under way: they need the next one
		wg.Go(func() { index, _ := r.wait(t.Context()); late <- index })
	}
	waitFor(t, func() bool { r.mu.Lock(); defer r.mu.Unlock(); return len(r.waiting) == 10 })
	release <- struct{}{}
	<-entered
	release <- struct{}{}
	wg.Wait()
	r.drain()
	if got := <-first; got != 1 {
		t.Errorf("the first read was served by round %d, want 1", got)
	}
	for range 10 {
		if got := <-late; got != 2 {
			t.Errorf("a later read was served by round %d, want 2", got)
		}
	}
	if _, ok := r.remembered(time.Hour); !ok {
		t.Error("the last round is not remembered")
	}
	if _, ok := r.remembered(0); ok {
		t.Error("a round is remembered past its age")
	}
}

func TestTheCommonFormatIsThatOfTheOldestMember(t *testing.T) {
	servers := []raft.Server{{ID: "a"}, {ID: "b"}, {ID: "c", Suffrage: raft.Nonvoter}}
	member := func(id string, format uint16) gossip.Member {
		return gossip.Member{Meta: gossip.Meta{NodeID: id, CommandFormat: format}}
	}
	newest := fsm.FormatVersion
	for name, c := range map[string]struct {
		members []gossip.Member
		want    uint16
	}{
		"all":               {[]gossip.Member{member("a", newest), member("b", newest), member("c", newest)}, newest},
		"newer ones":        {[]gossip.Member{member("a", newest+1), member("b", newest+7), member("c", newest+1)}, newest},
		"an old replica":    {[]gossip.Member{member("a", newest), member("b", newest), member("c", newest-1)}, newest - 1},
		"one is not known":  {[]gossip.Member{member("a", newest), member("b", newest)}, 0},
		"an old non-member": {[]gossip.Member{member("a", newest), member("b", newest), member("c", newest), member("d", newest-1)}, newest},
	} {
		if got := commonFormat(servers, c.members); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

func TestAPromiseIsGivenToOneProposerAtATime(t *testing.T) {
	var p promise
	now := time.Unix(1000, 0)
	if _, ok := p.give("a", now); !ok {
		t.Fatal("a free node refuses its promise")
	}
	if holder, ok := p.give("b", now.Add(promiseTTL-1)); ok || holder != "a" {
		t.Errorf("a promised node promises itself again (to %s)", holder)
	}
	if _, ok := p.give("a", now.Add(1)); !ok {
		t.Error("the holder cannot renew")
	}
	p.release("b")
	if _, ok := p.give("b", now.Add(2)); ok {
		t.Error("someone else released the promise")
	}
	p.release("a")
	if _, ok := p.give("b", now.Add(3)); !ok {
		t.Error("a released promise still binds")
	}
	if _, ok := p.give("c", now.Add(3+promiseTTL)); !ok {
		t.Error("an expired promise still binds")
	}
}
