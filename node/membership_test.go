package node

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/stemedb/stemedb/transport"
)

// add starts one more node of the cluster, changed by tweak.
func (c *cluster) add(tweak func(*Config)) *Node {
	c.t.Helper()
	i := len(c.nodes)
	cfg := c.config(i, 0, nil)
	for _, other := range c.configs {
		cfg.Join = append(cfg.Join, other.ClusterAddr)
	}
	if tweak != nil {
		tweak(&cfg)
	}
	c.configs, c.nodes = append(c.configs, cfg), append(c.nodes, nil)
	c.start(i)
	return c.nodes[i]
}

func (c *cluster) suffrageOf(id string) string {
	for _, m := range c.leader().Cluster().Members {
		if m.NodeID == id {
			return m.Suffrage
		}
	}
	return ""
}

func change(t *testing.T, n *Node, action, id string) MemberResponse {
	t.Helper()
	response, err := n.ChangeMembers(t.Context(), MemberRequest{Action: action, NodeID: id})
	if err != nil {
		t.Fatalf("%s %s: %v", action, id, err)
	}
	return response
}

func TestAReadReplicaIsNeverPromoted(t *testing.T) {
	c := startCluster(t, 1, nil)
	hashes := write(t, c.leader(), 0, 10)
	replica := c.add(func(cfg *Config) { cfg.NonVoter = true })
	voter := c.add(nil)
	waitFor(t, func() bool { return c.suffrageOf(voter.id) == "voter" && replica.Ready(t.Context()).Ready })
	// The voter joined later, and the replica had been healthy for as long.
	mustHold(t, replica, Consistency{}, hashes)
	waitFor(t, func() bool {
		for _, s := range change(t, replica, transport.ActionAutopilot, "").Autopilot.Servers {
			if s.NodeID == replica.id && s.Healthy && time.Since(time.Unix(s.StableSince, 0)) > 2*c.configs[0].Stabilization {
				return s.NonVoter && s.Suffrage == "nonvoter"
			}
		}
		return false
	})
	if _, err := voter.ChangeMembers(t.Context(), MemberRequest{Action: transport.ActionPromote, NodeID: replica.id}); !errors.Is(err, ErrMembership) {
		t.Errorf("promoting a read replica: %v", err)
	}
	if replica.Health().Role != "non-voter" {
		t.Errorf("the replica's role is %s", replica.Health().Role)
	}
}

func TestADemotedNodeStaysANonVoterUntilItIsPromoted(t *testing.T) {
	c := startCluster(t, 3, nil)
	leader, follower := c.leader(), c.follower()
	i := c.number(follower)
	for _, through := range []*Node{leader, follower} {
		if response := change(t, through, transport.ActionDemote, follower.id); response.Changed != (through == leader) {
			t.Errorf("demoting %s through %s: %+v", follower.id, through.id, response)
		}
	}
	c.halt(i)
	c.start(i) // it has kept that it was demoted
	follower = c.nodes[i]
	waitFor(t, func() bool { return follower.Ready(t.Context()).Ready && follower.role() == "non-voter" })
	// Another leader does not promote it either.
	change(t, leader, transport.ActionTransfer, "")
	waitFor(t, func() bool { l := c.leaderOrNil(); return l != nil && l != leader && l.pilot.Load() != nil })
	waitFor(t, func() bool {
		for _, s := range change(t, leader, transport.ActionAutopilot, "").Autopilot.Servers {
			if s.NodeID == follower.id {
				return s.NonVoter && s.Healthy
			}
		}
		return false
	})
	if c.suffrageOf(follower.id) != "nonvoter" {
		t.Error("the demoted node votes again")
	}
	change(t, follower, transport.ActionPromote, follower.id)
	waitFor(t, func() bool { return c.suffrageOf(follower.id) == "voter" && follower.role() == "follower" })
	write(t, follower, 0, 5)
	c.waitEqual()
}

func TestARemovedNodeServesNothingAndDoesNotComeBack(t *testing.T) {
	c := startCluster(t, 3, nil)
	hashes := write(t, c.leader(), 0, 10)
	gone := c.follower()
	i := c.number(gone)
	c.halt(i) // it does not hear of its removal
	waitFor(t, func() bool {
		_, err := c.leader().ChangeMembers(t.Context(), MemberRequest{Action: transport.ActionRemove, NodeID: gone.id})
		return err == nil || errors.Is(err, ErrNoMember) // removed by the try before, whose answer was lost
	})
	old := c.configs[i].ClusterAddr
	c.configs[i].ClusterAddr = fmt.Sprintf("127.0.0.1:%d", reservePorts(t).ClusterPort()) // a new address is no way back in
	c.start(i)
	gone = c.nodes[i]
	waitFor(t, func() bool { return errors.Is(gone.removal.err(), ErrRemoved) })
	if _, err := gone.Read(t.Context(), Consistency{Level: Local}); !errors.Is(err, ErrRemoved) {
		t.Errorf("a read at a removed node: %v", err)
	}
	if _, err := gone.Write(t.Context(), Caller{}, claim(t, 99)); !errors.Is(err, ErrRemoved) {
		t.Errorf("a write at a removed node: %v", err)
	}
	if _, err := gone.ChangeMembers(t.Context(), MemberRequest{Action: transport.ActionAutopilot}); !errors.Is(err, ErrRemoved) {
		t.Errorf("a change through a removed node: %v", err)
	}
	if r := gone.Ready(t.Context()); r.Ready || gone.Health().Status != "removed" {
		t.Errorf("a removed node is %+v, ready %v", gone.Health(), r)
	}
	if s := c.suffrageOf(gone.id); s != "none" && s != "" { // gossip may not have seen it yet
		t.Errorf("the removed node is a %s", s)
	}
	// The operator may take it back with its data.
	if _, err := c.leader().ChangeMembers(t.Context(), MemberRequest{Action: transport.ActionJoin, NodeID: "other", ClusterAddr: gone.address}); !errors.Is(err, ErrMembership) {
		t.Errorf("joining a node under another name: %v", err)
	}
	if _, err := c.leader().ChangeMembers(t.Context(), MemberRequest{Action: transport.ActionJoin, NodeID: gone.id, ClusterAddr: old}); !errors.Is(err, ErrMembership) {
		t.Errorf("joining a node at an address where nobody answers: %v", err)
	}
	if r, err := c.leader().ChangeMembers(t.Context(), MemberRequest{Action: transport.ActionJoin, NodeID: gone.id, ClusterAddr: gone.address}); err != nil || !r.Changed {
		t.Fatalf("joining it again: %+v, %v", r, err)
	}
	c.waitReady()
	mustHold(t, gone, Consistency{}, hashes)
}

func TestTheGuardsOfALeader(t *testing.T) {
	c := startCluster(t, 3, nil)
	leader := c.leader()
	refused := func(req MemberRequest, want error) {
		t.Helper()
		if _, err := leader.ChangeMembers(t.Context(), req); !errors.Is(err, want) {
			t.Errorf("%+v: %v, want %v", req, err, want)
		}
	}
	refused(MemberRequest{Action: transport.ActionRemove, NodeID: leader.id}, ErrMembership)
	refused(MemberRequest{Action: transport.ActionDemote, NodeID: leader.id}, ErrMembership)
	refused(MemberRequest{Action: transport.ActionRemove, NodeID: "nobody"}, ErrNoMember)
	refused(MemberRequest{Action: "dance"}, ErrMembership)
	dead := c.follower()
	c.halt(c.number(dead))
	waitFor(t, func() bool {
		for _, s := range leader.standings() {
			if s.id == dead.id {
				return !s.live
			}
		}
		return false
	})
	live := c.follower()
	for _, action := range []string{transport.ActionRemove, transport.ActionDemote} {
		refused(MemberRequest{Action: action, NodeID: live.id}, ErrQuorumAtRisk)
	}
	refused(MemberRequest{Action: transport.ActionTransfer, NodeID: dead.id}, ErrMembership)
	if got := change(t, live, transport.ActionRemove, dead.id); !got.Changed {
		t.Errorf("removing the dead one through a follower: %+v", got)
	}
	write(t, live, 0, 5)
}

// A transfer that raft has not begun is told as such: the request goes on to the
// leader.
func TestATransferIsBegunByTheLeaderAlone(t *testing.T) {
	c := startCluster(t, 3, nil)
	leader := c.leader()
	for _, n := range c.up() {
		if n == leader {
			continue
		}
		for _, heir := range []string{"", leader.id} {
			if done, err := n.transfer(t.Context(), MemberRequest{NodeID: heir}); !errors.Is(err, ErrNoLeader) {
				t.Errorf("a transfer to %q by the follower %s: %+v, %v", heir, n.id, done, err)
			}
		}
	}
	if got := change(t, c.follower(), transport.ActionTransfer, c.follower().id); !got.Changed {
		t.Errorf("a transfer through a follower: %+v", got)
	}
}

func TestADeadNodeIsRemovedInTimeAndNotBelowTheSmallestQuorum(t *testing.T) {
	c := startCluster(t, 3, func(_ int, cfg *Config) { cfg.DeadAfter = 300 * time.Millisecond })
	fourth := c.add(func(cfg *Config) { cfg.DeadAfter = 300 * time.Millisecond })
	waitFor(t, func() bool { return c.suffrageOf(fourth.id) == "voter" })
	c.halt(3)
	waitFor(t, func() bool { return c.suffrageOf(fourth.id) != "voter" })
	third := c.follower()
	c.halt(c.number(third))
	var leader *Node
	waitFor(t, func() bool { // it has been dead for long enough, and the autopilot has looked again
		leader = c.leader()
		p := leader.pilot.Load()
		if p == nil {
			return false
		}
		failed := []raft.ServerID{}
		for id, s := range p.KnownServers() {
			if s.NodeStatus != "alive" {
				failed = append(failed, id)
			}
		}
		m, known := leader.seen()[third.id]
		return len(failed) == 1 && known && m.State != "alive" && time.Since(m.Since) > 4*c.configs[0].DeadAfter
	})
	if c.suffrageOf(third.id) != "voter" {
		t.Error("a dead node was removed below the smallest quorum")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if _, err := leader.ChangeMembers(ctx, MemberRequest{Action: transport.ActionSnapshot}); err != nil {
		t.Errorf("snapshot: %v", err)
	}
}
