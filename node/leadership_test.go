package node

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"
	"pgregory.net/rapid"

	"github.com/stemedb/stemedb/transport"
)

// silent is the term of a voter that does not answer, older that of one that
// cannot tell it.
const (
	silent = 0
	older  = math.MaxUint64
)

var errCommit = errors.New("an entry was to be committed")

type terms = map[raft.ServerID]uint64

// checkOf is a check among voters with the given terms; the others cannot be
// reached. What voters of an older version store is known to fail.
func checkOf(terms terms) *leadershipCheck {
	return &leadershipCheck{
		ask: func(ctx context.Context, voter raft.Server) (uint64, error) {
			switch term, known := terms[voter.ID]; {
			case !known:
				return 0, transport.ErrUnreachable
			case term == silent:
				<-ctx.Done()
				return 0, ctx.Err()
			case term == older:
				return 0, &transport.RemoteError{Code: transport.CodeUnknownMethod}
			default:
				return term, nil
			}
		},
		commit:   func(context.Context) error { return errCommit },
		patience: 10 * confirmHedge,
		slowness: map[raft.ServerID]time.Duration{},
	}
}

func votersOf(count int) (servers []raft.Server) {
	for i := range count {
		servers = append(servers, raft.Server{ID: raft.ServerID(fmt.Sprintf("n%d", i))})
	}
	return servers
}

func TestWhatConfirmsALeadership(t *testing.T) { synctest.Test(t, whatConfirms) }

func whatConfirms(t *testing.T) {
	replica := raft.Server{ID: "r", Suffrage: raft.Nonvoter}
	errNot := errors.New("not confirmed")
	for name, c := range map[string]struct {
		servers []raft.Server
		terms   terms
		want    error // errNot: not, and for no reason that the check knows by name
	}{
		"alone":                              {votersOf(1), nil, nil},
		"alone with a replica":               {append(votersOf(1), replica), terms{"r": silent}, nil},
		"the only other one":                 {votersOf(2), terms{"n1": 7}, nil},
		"one of two others":                  {votersOf(3), terms{"n1": 7, "n2": silent}, nil},
		"the other of two others":            {votersOf(3), terms{"n1": silent, "n2": 7}, nil},
		"one beside one that is gone":        {votersOf(3), terms{"n2": 7}, nil},
		"one beside one that is behind":      {votersOf(3), terms{"n1": 6, "n2": 7}, nil},
		"one beside an older one":            {votersOf(3), terms{"n1": older, "n2": 7}, nil},
		"two of four others":                 {votersOf(5), terms{"n1": silent, "n2": 7, "n3": silent, "n4": 7}, nil},
		"nobody":                             {votersOf(3), nil, errNot},
		"a single one of four others":        {votersOf(5), terms{"n3": 7}, errNot},
		"all are behind":                     {votersOf(3), terms{"n1": 6, "n2": 6}, errNot},
		"a replica does not count":           {append(votersOf(2), replica), terms{"r": 7}, errNot},
		"no configuration":                   {nil, nil, errNot},
		"a leader that is no voter any more": {votersOf(4)[1:], terms{"n2": 7}, errNot},
		"such a leader is not missed":        {votersOf(4)[1:], terms{"n1": 7, "n2": silent, "n3": 7}, nil},
		"one beside one of a higher term":    {votersOf(3), terms{"n1": 8, "n2": 7}, nil},
		"a higher term":                      {votersOf(3), terms{"n1": 8}, raft.ErrLeadershipLost},
		"a higher term beside a silent one":  {votersOf(5), terms{"n1": silent, "n2": 8}, raft.ErrLeadershipLost},
		"silent ones":                        {votersOf(3), terms{"n1": silent, "n2": silent}, errNot},
		"older ones":                         {votersOf(3), terms{"n1": older, "n2": older}, errCommit},
		"an older one and one that is gone":  {votersOf(3), terms{"n1": older}, errCommit},
		"an older one and a silent one":      {votersOf(3), terms{"n1": older, "n2": silent}, errCommit},
		"a silent one and an older one":      {votersOf(3), terms{"n1": silent, "n2": older}, errCommit},
	} {
		err := checkOf(c.terms).confirm(t.Context(), 7, "n0", c.servers)
		known := errors.Is(err, errCommit) || errors.Is(err, raft.ErrLeadershipLost)
		if c.want == errNot && (err == nil || known) || c.want != errNot && !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := checkOf(terms{"n1": silent, "n2": silent}).confirm(ctx, 7, "n0", votersOf(3)); !errors.Is(err, context.Canceled) {
		t.Errorf("a check that nobody answers: %v, want the end of its context", err)
	}
}

// Whatever was acknowledged in a higher term was stored by a majority in it, and
// no choice of voters, in any order, leaves all of these out.
func TestASuccessorIsNoticed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		servers := votersOf(rapid.IntRange(1, 7).Draw(t, "voters"))
		known := terms{}
		check := checkOf(known)
		same := 0
		for _, s := range servers {
			known[s.ID] = rapid.Uint64Range(6, 8).Draw(t, "term")
			check.slowness[s.ID] = time.Duration(rapid.IntRange(0, 3).Draw(t, "slowness"))
		}
		known["n0"] = 7
		for _, s := range servers {
			if known[s.ID] == 7 {
				same++
			}
		}
		err := check.confirm(context.Background(), 7, "n0", servers)
		if majority := same > len(servers)/2; err == nil && !majority {
			t.Fatalf("confirmed by %d of %d: %v", same, len(servers), known)
		} else if err != nil && majority {
			t.Fatalf("%d of %d are in the leader's term, and the check fails: %v", same, len(servers), err)
		}
	})
}

// Asking one more voter than is needed makes the others work for nothing.
func TestNoMoreVotersAreAskedThanAreNeeded(t *testing.T) {
	synctest.Test(t, noMoreVotersAreAsked)
}

func noMoreVotersAreAsked(t *testing.T) {
	for voters, want := range map[int]int32{2: 1, 3: 1, 4: 2, 5: 2, 7: 3} {
		var asked atomic.Int32
		check := checkOf(nil)
		check.ask = func(context.Context, raft.Server) (uint64, error) { asked.Add(1); return 7, nil }
		if err := check.confirm(t.Context(), 7, "n0", votersOf(voters)); err != nil || asked.Load() != want {
			t.Errorf("of %d voters %d were asked, want %d: %v", voters, asked.Load(), want, err)
		}
	}
}

// A voter that does not answer is asked last, until it is forgotten that it was
// slow; one that is slower than the other is left alone.
func TestTheVotersThatAnswerSoonestAreAsked(t *testing.T) {
	voters := votersOf(3)[1:]
	order := func(c *leadershipCheck) (ids []raft.ServerID) {
		for _, v := range c.byPromise(voters, 1) {
			ids = append(ids, v.ID)
		}
		return ids
	}
	c := checkOf(nil)
	sound, ended := t.Context(), func() context.Context {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		return ctx
	}()
	c.note(sound, "n1", time.Millisecond, nil)
	if got := order(c); got[0] != "n2" {
		t.Errorf("the one that was never asked comes second: %v", got)
	}
	c.note(sound, "n2", 2*time.Millisecond, nil)
	c.note(ended, "n1", time.Millisecond, context.Canceled) // not needed any more
	if got := order(c); got[0] != "n1" {
		t.Errorf("the slower one comes first: %v", got)
	}
	c.note(sound, "n1", time.Microsecond, transport.ErrUnreachable)
	if got := order(c); got[0] != "n2" {
		t.Errorf("one that cannot be reached comes first: %v", got)
	}
	rounds := 0
	for ; rounds <= 10_000 && order(c)[0] == "n2"; rounds++ {
		c.note(sound, "n2", 2*time.Millisecond, nil)
	}
	if rounds < 100 || rounds > 10_000 {
		t.Errorf("it was asked again after %d checks", rounds)
	}
	c.note(ended, "n1", 2*confirmHedge, context.Canceled) // silent until another answered
	if got := order(c); got[0] != "n2" {
		t.Errorf("a silent one comes first: %v", got)
	}
}

// In a cluster of three the question of a follower needs no round.
func TestAFollowerWitnessesItsOwnReadIndex(t *testing.T) {
	c := startCluster(t, 3, nil)
	leader, follower := c.leader(), c.follower()
	written := write(t, follower, 0, 5)
	mustHold(t, leader, Consistency{}, written)
	leader.confirmer.ask = func(context.Context, raft.Server) (uint64, error) { return 0, transport.ErrUnreachable }
	mustHold(t, follower, Consistency{}, written) // its own term is enough

	term := leader.raft.CurrentTerm()
	for name, w := range map[string]struct {
		node    *Node
		witness string
		term    uint64
		want    bool
	}{
		"a voter in the leader's term": {leader, follower.id, term, true},
		"one of an earlier term":       {leader, follower.id, term - 1, false},
		"one of a later term":          {leader, follower.id, term + 1, false},
		"one that does not say":        {leader, "", 0, false},
		"the leader itself":            {leader, leader.id, term, false},
		"a stranger":                   {leader, "stranger", term, false},
		"asked of a follower":          {follower, leader.id, term, false},
	} {
		if index, ok := w.node.witnessedReadIndex(raft.ServerID(w.witness), w.term); ok != w.want {
			t.Errorf("%s: read index %d, %v, want %v", name, index, ok, w.want)
		}
	}
	// While the leader has not applied an entry of its term, its commit index may
	// be behind what was acknowledged.
	leader.appliedTerm.Store(term - 1)
	if index, ok := leader.witnessedReadIndex(raft.ServerID(follower.id), term); ok {
		t.Errorf("a leader that has not begun its term gave the read index %d", index)
	}
	leader.appliedTerm.Store(term)
}

// A voter that could not be asked once is asked again while another is silent:
// their leader has its majority.
func TestOneFaultBesideASilentVoterFailsNoRead(t *testing.T) {
	c := startCluster(t, 3, nil)
	leader, follower := c.leader(), c.follower()
	written := write(t, leader, 0, 5)
	sound, faults := leader.confirmer.ask, atomic.Int32{}
	leader.confirmer.ask = func(ctx context.Context, voter raft.Server) (uint64, error) {
		if string(voter.ID) != follower.id {
			<-ctx.Done()
			return 0, ctx.Err()
		}
		if faults.Add(1) == 1 {
			return 0, transport.ErrUnreachable
		}
		return sound(ctx, voter)
	}
	mustHold(t, leader, Consistency{}, written)
	if faults.Load() < 2 {
		t.Errorf("the voter was asked %d times", faults.Load())
	}
}

// Voters of a version that cannot tell its term store an entry instead.
func TestAnOlderVoterConfirmsByAnEntry(t *testing.T) {
	c := startCluster(t, 3, nil)
	leader := c.leader()
	written := write(t, leader, 0, 5)
	leader.confirmer.ask = func(context.Context, raft.Server) (uint64, error) {
		return 0, &transport.RemoteError{Code: transport.CodeUnknownMethod}
	}
	commit, commits := leader.confirmer.commit, atomic.Int32{}
	leader.confirmer.commit = func(ctx context.Context) error { commits.Add(1); return commit(ctx) }
	before := leader.raft.LastIndex()
	mustHold(t, leader, Consistency{}, written)
	if after := leader.raft.LastIndex(); after == before || commits.Load() == 0 {
		t.Errorf("%d entries were to be committed, the log grew by %d", commits.Load(), after-before)
	}
}

// With five voters a follower and the leader are no majority.
func TestAWitnessOfFiveVotersIsNotEnough(t *testing.T) {
	c := startCluster(t, 5, nil)
	leader, follower := c.leader(), c.follower()
	written := write(t, leader, 0, 5)
	if index, ok := leader.witnessedReadIndex(raft.ServerID(follower.id), leader.raft.CurrentTerm()); ok {
		t.Errorf("one voter of five was enough for the read index %d", index)
	}
	mustHold(t, follower, Consistency{}, written)
}

func TestATermIsToldOnlyToThoseWhoMeanThisNode(t *testing.T) {
	c := startCluster(t, 1, nil)
	n := c.nodes[0]
	for name, test := range map[string]struct {
		request transport.TermRequest
		want    error
	}{
		"this node":       {transport.TermRequest{ClusterID: n.ClusterID(), NodeID: n.id}, nil},
		"another node":    {transport.TermRequest{ClusterID: n.ClusterID(), NodeID: "other"}, transport.ErrRefused},
		"another cluster": {transport.TermRequest{ClusterID: "0123", NodeID: n.id}, transport.ErrWrongCluster},
	} {
		response, err := n.client.Term(t.Context(), n.address, test.request)
		if !errors.Is(err, test.want) || (err == nil) != (response.Term == n.raft.CurrentTerm()) {
			t.Errorf("%s: term %d, %v, want %v", name, response.Term, err, test.want)
		}
	}
}
