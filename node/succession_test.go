package node

import (
	"errors"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// patient lets raft on this node wait a minute for the leader.
func patient(t *testing.T, n *Node) {
	t.Helper()
	config := n.raft.ReloadableConfig()
	config.HeartbeatTimeout, config.ElectionTimeout = time.Minute, time.Minute
	if err := n.raft.ReloadConfig(config); err != nil {
		t.Fatal(err)
	}
}

func TestALeaderThatEndedIsSucceededBeforeRaftMissesIt(t *testing.T) {
	c := startCluster(t, 3, nil)
	leader := c.leader()
	hashes := write(t, leader, 0, 20)
	for _, n := range c.up() {
		patient(t, n)
	}
	c.halt(c.number(leader))
	// Of a minute's patience waitFor has half.
	waitFor(t, func() bool {
		heir := c.leaderOrNil()
		return heir != nil && heir.appliedTerm.Load() == heir.raft.CurrentTerm()
	})
	hashes = append(hashes, write(t, c.leader(), 100, 5)...)
	for _, n := range c.up() {
		mustHold(t, n, Consistency{}, hashes)
	}
}

func TestALeaderThatLivesIsNotSucceeded(t *testing.T) {
	c := startCluster(t, 3, nil)
	leader, follower := c.leader(), c.follower()
	term := leader.raft.CurrentTerm()
	ended := errors.New("the connection was cut")
	server := raft.Server{ID: raft.ServerID(leader.id), Address: raft.ServerAddress(leader.address)}
	follower.standIn(t.Context(), server, ended)
	// A port that nobody listens at does not count while the leader is heard.
	server.Address = "127.0.0.1:1"
	follower.standIn(t.Context(), server, ended)
	write(t, follower, 0, 1)
	if now := follower.raft.CurrentTerm(); now != term || !leader.leads() {
		t.Errorf("term %d became %d, the leader leads: %v", term, now, leader.leads())
	}
}

func TestVotersStandInTurn(t *testing.T) {
	servers := []raft.Server{{ID: "d"}, {ID: "b"}, {ID: "a"}, {ID: "c", Suffrage: raft.Nonvoter}}
	for id, want := range map[string]int{"a": 0, "d": 1} {
		if place, voter := turn(servers, "b", id); !voter || place != want {
			t.Errorf("%s stands at place %d (voter %v), want %d", id, place, voter, want)
		}
	}
	for _, id := range []string{"b", "c", "e"} {
		if _, voter := turn(servers, "b", id); voter {
			t.Errorf("%s stands: the leader, a non-voter and a stranger must not", id)
		}
	}
}
