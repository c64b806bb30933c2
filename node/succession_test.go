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
	server := raft.Server{ID: raft.ServerID(leader.id), Address: raft.ServerAddress(leader.address)}
	term := leader.raft.CurrentTerm()
	follower.standIn(t.Context(), server, errors.New("the connection was cut"))
	write(t, follower, 0, 1)
	c.waitEqual()
	if now := follower.raft.CurrentTerm(); now != term || !leader.leads() {
		t.Errorf("term %d became %d, the leader leads: %v", term, now, leader.leads())
	}
	var others []candidate
	var lives bool
	waitFor(t, func() bool { // on a slow machine a heartbeat may come late
		others, lives = follower.survey(t.Context(), server)
		return lives && len(others) == 1 && !others[0].silent && others[0].last == follower.raft.LastIndex()
	})
	for _, n := range c.up() {
		patient(t, n) // or the survey meets their election
	}
	c.halt(c.number(leader))
	waitFor(t, func() bool {
		others, lives = follower.survey(t.Context(), server)
		return !lives && len(others) == 1 && others[0].silent
	})
}

func TestWhoStandsForElection(t *testing.T) {
	three := []raft.Server{{ID: "a"}, {ID: "b"}, {ID: "c"}, {ID: "r", Suffrage: raft.Nonvoter}}
	five := append([]raft.Server{{ID: "d"}, {ID: "e"}}, three...)
	silent := func(id string, last uint64) candidate { return candidate{id, last, true} }
	for name, c := range map[string]struct {
		own    candidate
		lives  bool
		others []candidate
		config []raft.Server
		want   decision
	}{
		"the smaller id":                {silent("b", 7), false, []candidate{silent("c", 7)}, three, yes},
		"the greater id":                {silent("c", 7), false, []candidate{silent("b", 7)}, three, later},
		"the longer log":                {silent("c", 8), false, []candidate{silent("b", 7)}, three, yes},
		"the shorter log":               {silent("b", 6), false, []candidate{silent("c", 7)}, three, later},
		"another hears the leader":      {silent("b", 7), false, []candidate{{"c", 7, false}}, three, no},
		"the leader's process answers":  {silent("b", 7), true, []candidate{silent("c", 7)}, three, no},
		"nobody answers":                {silent("b", 7), false, nil, three, no},
		"no majority of five":           {silent("b", 7), false, []candidate{silent("c", 7)}, five, no},
		"a majority of five":            {silent("b", 7), false, []candidate{silent("c", 7), silent("d", 7)}, five, yes},
		"a read replica":                {silent("r", 9), false, []candidate{silent("b", 7), silent("c", 7)}, three, no},
		"a node that is not in it":      {silent("x", 9), false, []candidate{silent("b", 7), silent("c", 7)}, three, no},
		"two voters, the other is gone": {silent("b", 7), false, nil, three[:2], no},
	} {
		if got := shouldStand(c.own, c.others, c.lives, c.config); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}
