package clustertest

import (
	"crypto/ed25519"
	"strings"
	"testing"

	v1 "github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/client"
)

// A claim that one node quarantines is quarantined on all of them, also on one
// that was away and whose own defence is off; a decision on another node counts
// everywhere, over a restart.
func TestQuarantineOnEveryNode(t *testing.T) {
	c := New(t, Options{})
	odd := c.Nodes[2]
	odd.Settings["defense"] = "off"
	for _, n := range c.Nodes {
		c.do(n.Start())
	}
	c.WaitReady()
	junk := Claim(t, 0)
	junk.Object, junk.Signatures = assertion.Text("hjkl hjkl hjkl hjkl hjkl hjkl hjkl hjkl"), nil
	junk.Sign(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)), junk.Timestamp)
	away := c.Nodes[1]
	c.Kill(away)
	got, err := c.Client(c.Nodes[0]).Assert(t.Context(), junk)
	if err != nil || got.Status != v1.StatusQuarantined {
		t.Fatalf("the claim: %+v, %v", got, err)
	}
	c.Restart(away)
	at := client.Consistency{MinIndex: got.Index}
	pending := func(want string) {
		t.Helper()
		for _, n := range c.Nodes {
			page, err := c.Client(n).Skeptic(t.Context(), client.Query{Subject: junk.Subject, Predicate: junk.Predicate, Consistency: at})
			if err != nil || (len(page.Claims) == 0) != (want == "1") {
				t.Errorf("%s: with %s pending the answer is %+v, %v", n.Name, want, page, err)
			}
			if !strings.Contains(ScrapeMetrics(t, n).Text, "\nstemedb_quarantine_pending "+want+"\n") {
				t.Errorf("%s: the metric does not say that %s are pending", n.Name, want)
			}
		}
	}
	pending("1")
	decided, err := c.Client(odd).ApproveClaim(t.Context(), got.Hash, "a test")
	if err != nil {
		t.Fatal(err)
	}
	at.MinIndex = decided.Index
	pending("0")
	c.WaitEqual()
	c.KillAll()
	for _, n := range c.Nodes {
		c.do(n.Start())
	}
	c.WaitReady()
	pending("0")
	list, err := c.Client(away).Quarantine(t.Context(), assertion.ReviewApproved, "", 0)
	if err != nil || len(list.Claims) != 1 || list.Claims[0].Decisions[0].Reason != "a test" {
		t.Errorf("after the restart: %+v, %v", list, err)
	}
}
