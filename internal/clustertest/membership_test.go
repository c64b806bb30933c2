package clustertest

import (
	"context"
	"errors"
	"os"
	"sync"
	"testing"
	"time"

	v1 "github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/client"
)

// quickly makes newcomers voters soon.
func quickly() map[string]string { return map[string]string{"autopilot-stabilization-time": "1s"} }

// act does an action on the membership through a node.
func act(c *Cluster, through *Node, action string, change v1.ClusterChange) (*v1.ClusterChanged, error) {
	c.t.Helper()
	return c.Client(through).ChangeCluster(c.t.Context(), action, change)
}

// must does an action that must be done.
func must(c *Cluster, through *Node, action, node string) *v1.ClusterChanged {
	c.t.Helper()
	changed, err := act(c, through, action, v1.ClusterChange{Node: node})
	if err != nil {
		c.t.Fatalf("%s %s through %s: %v", action, node, through.Name, err)
	}
	return changed
}

// voters are the names of the voters as a node sees them.
func voters(c *Cluster, n *Node) map[string]bool {
	names := map[string]bool{}
	if s := c.Status(n); s != nil {
		for _, m := range s.Members {
			if m.Suffrage == "voter" {
				names[m.Node] = true
			}
		}
	}
	return names
}

func (c *Cluster) leaderSeenBy(n *Node) (name string) {
	c.t.Helper()
	c.WaitFor(n.Name+" knows a leader", func() bool {
		if s := c.Status(n); s != nil {
			name = s.Leader
		}
		return name != ""
	})
	return name
}

func (c *Cluster) waitVoters(n *Node, count int, but ...string) {
	c.t.Helper()
	c.WaitFor("the cluster has the wanted voters", func() bool {
		names := voters(c, n)
		for _, name := range but {
			if names[name] {
				return false
			}
		}
		return len(names) == count
	})
}

// Three nodes become five and three again while clients write: the founders that
// lead or follow are removed, so that only newcomers and one founder are left.
func TestScaleFromThreeToFiveToThreeUnderLoad(t *testing.T) {
	c := Start(t, Options{Settings: quickly()})
	founders := append([]*Node(nil), c.Nodes...)
	var stop sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	defer stop.Wait()
	defer cancel()
	hashes := c.Write(0, 20)
	db := c.Client(founders...)
	var mu sync.Mutex
	for w := range 3 {
		stop.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				answer, err := db.Assert(context.WithoutCancel(ctx), Claim(t, 1000+100_000*w+i))
				if err != nil {
					t.Errorf("a write while the cluster changed: %v", err)
					return
				}
				mu.Lock()
				hashes = append(hashes, answer.Hash)
				mu.Unlock()
			}
		})
	}
	fourth, fifth := c.Add(), c.Add()
	c.waitVoters(fifth, 5)
	for _, gone := range founders[:2] {
		if c.leaderSeenBy(fourth) == gone.Name { // a removed node agrees on no leader
			if _, err := act(c, fourth, "remove", v1.ClusterChange{Node: gone.Name}); !errors.Is(err, client.Code(v1.CodeMembershipConflict)) {
				t.Errorf("removing the leader: %v", err)
			}
			must(c, gone, "transfer", founders[2].Name)
		}
		must(c, fourth, "remove", gone.Name)
		c.WaitLog(gone, 0, "this node was removed from the cluster")
		if gone.Ready(t.Context()) {
			t.Errorf("%s is ready though it was removed", gone.Name)
		}
	}
	cancel()
	stop.Wait()
	for _, gone := range founders[:2] {
		if _, err := as(t, "", gone, client.WithAttempts(1)).Get(t.Context(), hashes[0], client.Consistency{Level: "local"}); code(t, err) != v1.CodeNodeRemoved {
			t.Errorf("a read at the removed %s: %v", gone.Name, err)
		}
		c.Stop(gone)
	}
	left := []*Node{founders[2], fourth, fifth}
	c.waitVoters(founders[2], 3, founders[0].Name, founders[1].Name)
	hashes = append(hashes, c.Write(900_000, 20, left...)...)
	t.Logf("%d claims acknowledged", len(hashes))
	for _, n := range left {
		c.MustHold(n, client.Consistency{}, hashes)
	}
	if s := c.WaitEqual(); s.Count != uint64(len(hashes)) {
		t.Errorf("%d claims, %d were acknowledged", s.Count, len(hashes))
	}

	// A removed node that starts with its data is refused; emptied, it is a
	// newcomer.
	back := founders[0]
	from := len(c.Log(back))
	c.do(back.Start())
	c.WaitLog(back, from, "this node was removed from the cluster")
	if len(voters(c, fourth)) != 3 {
		t.Errorf("the voters are %v", voters(c, fourth))
	}
	c.Stop(back)
	c.do(os.RemoveAll(back.DataDir))
	c.Restart(back)
	c.waitVoters(fourth, 4)
	c.MustHold(back, client.Consistency{}, hashes)
	c.WaitEqual()
}

func TestADeadNodeIsReplaced(t *testing.T) {
	c := Start(t, Options{Settings: quickly()})
	hashes := c.Write(0, 50)
	dead := c.Followers()[0]
	c.Kill(dead)
	c.do(os.RemoveAll(dead.DataDir)) // for good
	through := c.Followers()[0]
	live := c.Leader()
	c.WaitFor("the leader knows that it is dead", func() bool {
		for _, m := range c.MustStatus(live).Members {
			if m.Node == dead.Name {
				return m.State == "dead"
			}
		}
		return false
	})
	for _, action := range []string{"remove", "demote"} { // the wrong one
		if _, err := act(c, live, action, v1.ClusterChange{Node: through.Name}); !errors.Is(err, client.Code(v1.CodeQuorumAtRisk)) {
			t.Errorf("%s of one of two live voters of three: %v", action, err)
		}
	}
	if _, err := act(c, through, "transfer", v1.ClusterChange{Node: dead.Name}); !errors.Is(err, client.Code(v1.CodeMembershipConflict)) {
		t.Errorf("a transfer to a dead node: %v", err)
	}
	if _, err := act(c, through, "remove", v1.ClusterChange{Node: "nobody"}); !errors.Is(err, client.Code(v1.CodeMemberNotFound)) {
		t.Errorf("removing a stranger: %v", err)
	}
	must(c, through, "remove", dead.Name)
	fresh := c.Add()
	c.waitVoters(fresh, 3, dead.Name)
	hashes = append(hashes, c.Write(1000, 50, fresh)...)
	c.MustHold(fresh, client.Consistency{}, hashes)
	if s := c.WaitEqual(); s.Count != 100 {
		t.Errorf("%d claims, want 100", s.Count)
	}
}

func TestTransferThroughAFollowerFailsNoRequest(t *testing.T) {
	c := Start(t, Options{Settings: quickly()})
	followers := c.Followers()
	hashes := c.Load(c.Client(), 0, 600, 4, func(n int) {
		if n == 150 {
			if got := must(c, followers[0], "transfer", followers[1].Name); got.Node != followers[1].Name || got.Status != v1.ChangeDone {
				t.Errorf("the transfer: %+v", got)
			}
		}
		if n == 400 {
			must(c, followers[0], "transfer", "")
		}
	})
	for _, n := range c.Nodes {
		c.MustHold(n, client.Consistency{}, hashes)
		if got := must(c, n, "snapshot", followers[0].Name); got.Node != followers[0].Name || got.Index == 0 {
			t.Errorf("a snapshot through %s: %+v", n.Name, got)
		}
	}
	c.WaitEqual()
}

func TestAReadReplicaServesAndIsNeverPromoted(t *testing.T) {
	c := Start(t, Options{Nodes: 1, Settings: quickly()})
	hashes := c.Write(0, 20)
	block := c.reservePort()
	replica := c.Cluster.Add(block)
	replica.Settings["non-voter"], replica.Settings["bootstrap-expect"] = "true", "0"
	c.do(replica.Start())
	c.WaitReady(replica)
	voter := c.Add() // joins later and is a voter sooner
	c.waitVoters(voter, 2, replica.Name)
	hashes = append(hashes, c.Write(100, 20, replica)...)
	for _, level := range []string{"", "local", "bounded"} {
		want := client.Consistency{Level: level}
		if level == "bounded" {
			want.MaxStale = time.Minute
		}
		if level != "" {
			want.MinIndex = c.WaitEqual().Index
		}
		c.MustHold(replica, want, hashes)
	}
	if _, err := act(c, voter, "promote", v1.ClusterChange{Node: replica.Name}); !errors.Is(err, client.Code(v1.CodeMembershipConflict)) {
		t.Errorf("promoting a read replica: %v", err)
	}
	judged, err := c.Client(replica).Autopilot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range judged.Servers {
		if s.ReadReplica != (s.Node == replica.Name) {
			t.Errorf("the autopilot takes %+v for something else", s)
		}
	}
	c.Kill(replica) // no majority waits for it
	c.Write(200, 20)
	c.Restart(replica)
	c.WaitEqual()
	if voters(c, voter)[replica.Name] {
		t.Error("the read replica votes")
	}
}
