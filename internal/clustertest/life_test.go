package clustertest

import (
	"errors"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	v1 "github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/client"
	"github.com/stemedb/stemedb/transport"
)

func TestOneCommandLineForFirstStartRestartAndScaleUp(t *testing.T) {
	c := Start(t, Options{})
	hashes := c.Write(0, 50)
	id := c.MustStatus(c.Nodes[0]).ClusterID
	for _, n := range c.Nodes {
		s := c.MustStatus(n)
		if s.ClusterID != id || id == "" || len(s.Members) != 3 {
			t.Fatalf("%s sees cluster %q with %d members, %s cluster %q", n.Name, s.ClusterID, len(s.Members), c.Nodes[0].Name, id)
		}
	}
	for _, n := range c.Nodes { // one after the other, as in a rolling restart
		c.Stop(n)
		c.Restart(n)
	}
	fourth := c.Add()
	c.WaitFor("the fourth node is a voter", func() bool {
		s := c.MustStatus(fourth)
		voters := 0
		for _, m := range s.Members {
			if m.Suffrage == "voter" && m.State == "alive" {
				voters++
			}
		}
		return voters == 4 && s.ClusterID == id
	})
	hashes = append(hashes, c.Write(50, 50, fourth)...)
	for _, n := range c.Nodes {
		c.MustHold(n, client.Consistency{}, hashes)
	}
	if s := c.WaitEqual(); s.Count != 100 {
		t.Errorf("%d claims, want 100", s.Count)
	}
}

func TestReadsThroughFollowers(t *testing.T) {
	c := Start(t, Options{Settings: map[string]string{"read-timeout": "1s", "write-timeout": "2s"}})
	followers := c.Followers()
	hashes := c.Write(0, 20, followers[0])
	for _, n := range c.Nodes { // at once, everywhere
		c.MustHold(n, client.Consistency{}, hashes)
	}
	db := c.Client(followers[0])
	answer, err := db.Assert(t.Context(), Claim(t, 20))
	if err != nil {
		t.Fatal(err)
	}
	hashes = append(hashes, answer.Hash)
	for _, n := range c.Nodes {
		c.MustHold(n, client.Consistency{Level: "local", MinIndex: answer.Index}, hashes)
		c.MustHold(n, client.Consistency{Level: "bounded", MaxStale: time.Minute, MinIndex: answer.Index}, hashes)
	}

	// A node that slept through writes must notice before it answers.
	asleep := followers[1]
	c.Pause(asleep)
	late := c.Write(1000, 20, others(c, asleep)...)
	c.Resume(asleep)
	c.MustHold(asleep, client.Consistency{}, late)

	// Without a quorum a node says what it cannot promise, and serves the rest.
	c.WaitEqual()
	alone := followers[0]
	for _, n := range c.Nodes {
		if n != alone {
			c.Kill(n)
		}
	}
	single, err := client.New([]string{alone.URL}, client.WithAttempts(1))
	if err != nil {
		t.Fatal(err)
	}
	defer single.Close()
	ask := func(want client.Consistency) error {
		_, err := single.Get(t.Context(), hashes[0], want)
		return err
	}
	c.WaitFor("the lone node knows that it has no leader", func() bool { return errors.Is(ask(client.Consistency{}), client.Code(v1.CodeNoLeader)) })
	for _, tc := range []struct {
		want client.Consistency
		err  error
	}{
		{client.Consistency{Level: "local"}, nil},
		{client.Consistency{Level: "local", MinIndex: 1 << 40}, client.Code(v1.CodeMinIndexNotReached)},
		{client.Consistency{Level: "bounded", MaxStale: time.Second}, client.Code(v1.CodeTooStale)},
	} {
		if err := ask(tc.want); !errors.Is(err, tc.err) {
			t.Errorf("%+v without a quorum: %v, want %v", tc.want, err, tc.err)
		}
	}
	if _, err := single.Assert(t.Context(), Claim(t, 5000)); !errors.Is(err, client.Code(v1.CodeNoLeader)) && !errors.Is(err, client.Code(v1.CodeOutcomeUnknown)) {
		t.Errorf("a write without a quorum: %v, want no_leader or outcome_unknown", err)
	}
}

func TestAJoinAddressThatSpeaksHTTPIsExplained(t *testing.T) {
	c := Start(t, Options{Nodes: 1})
	stray := New(t, Options{Nodes: 1})
	n := stray.Nodes[0]
	n.Settings["join"], n.Settings["bootstrap-expect"] = c.Nodes[0].HTTPAddr, "0"
	if err := n.Start(); err != nil {
		t.Fatal(err)
	}
	line := stray.WaitLog(n, 0, transport.ErrSpeaksHTTP.Error())
	for _, want := range []string{c.Nodes[0].HTTPAddr, "18182"} {
		if !strings.Contains(line, want) {
			t.Errorf("the explanation does not name %s: %s", want, line)
		}
	}
	if stray.MustStatus(n).ClusterID != "" {
		t.Error("a node without a cluster calls itself a member of one")
	}
}

func TestNodesOfAnotherClusterAreRefused(t *testing.T) {
	a := Start(t, Options{Nodes: 1, Name: "alpha"})
	b := Start(t, Options{Nodes: 1, Name: "beta", Settings: map[string]string{"snapshot-interval": "50ms", "snapshot-threshold": "1"}})
	own, other := b.Nodes[0], a.Nodes[0]
	id := b.MustStatus(own).ClusterID
	written := b.Write(100, 5)
	b.WaitFor("a snapshot holds the cluster's name", func() bool { // so that the node knows it before it has replayed its log
		for _, line := range regexp.MustCompile(`snapshot complete up to.*"index":(\d+)`).FindAllStringSubmatch(b.Log(own), -1) {
			if index, err := strconv.Atoi(line[1]); err == nil && index > 4 {
				return true
			}
		}
		return false
	})
	b.Stop(own)
	own.Settings["join"] = other.ClusterAddr // a mistake in the settings
	from := len(b.Log(own))
	b.Restart(own)
	if line := b.WaitLog(own, from, transport.ErrWrongCluster.Error()); !strings.Contains(line, other.Name) || !strings.Contains(line, id) {
		t.Errorf("the refusal names neither the node nor the cluster: %s", line)
	}
	hashes := a.Write(0, 10)
	b.MustHold(own, client.Consistency{}, written)
	if s := b.MustStatus(own); s.ClusterID != id || s.AssertionsCount != 5 || len(s.Members) != 1 {
		t.Errorf("the second cluster has become %+v", s)
	}
	a.MustHold(other, client.Consistency{}, hashes)
	if s := a.MustStatus(other); s.AssertionsCount != 10 || len(s.Members) != 1 {
		t.Errorf("the first cluster has become %+v", s)
	}
}
