package clustertest

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/client"
)

// putBack runs stemectl restore and returns what it says.
func putBack(c *Cluster, path string, flags ...string) (counts map[string]int) {
	c.t.Helper()
	output, exit := stemectl(c, append([]string{"restore", path, "--yes", "-o", "json"}, flags...)...)
	if exit != 0 {
		c.t.Fatalf("restore: exit code %d, %s", exit, output)
	}
	var done map[string]json.RawMessage
	if err := json.Unmarshal([]byte(output[strings.Index(output, "{"):]), &done); err != nil {
		c.t.Fatalf("%v in %s", err, output)
	}
	counts = map[string]int{}
	for name, raw := range done {
		n := 0
		if json.Unmarshal(raw, &n) == nil {
			counts[name] = n
		}
	}
	return counts
}

// A backup is put into the cluster that it is of, which has decided more since,
// and into another one.
func TestRestoreIntoARunningCluster(t *testing.T) {
	settings := func() map[string]string {
		return map[string]string{"auth-enabled": "true", "root-api-key": rootSecret,
			"meter-enabled": "false", "breakers-enabled": "false", "admission-enabled": "false"}
	}
	c := Start(t, Options{Nodes: 1, Settings: settings()})
	db := c.Client()
	c.WaitFor("the root key is there", func() bool { _, err := db.APIKeys(t.Context()); return err == nil })
	hashes := c.Write(0, 1500)
	// A co-signature, junk that was approved and junk that was rejected, a transition by
	// an administrator, a vote, a source that is retracted, a key that is not revoked yet.
	cosigned := Claim(t, 1)
	cosigned.Signatures = nil
	cosigned.Sign(signer(7), cosigned.Timestamp)
	var junk [2]assertion.Hash
	for i := range junk {
		a := claimOf(t, signer(3), 9000+i)
		a.Object, a.Signatures = assertion.Text("hjkl hjkl hjkl hjkl hjkl hjkl hjkl hjkl"), nil
		a.Sign(signer(3), a.Timestamp)
		got, err := db.Assert(t.Context(), a)
		c.do(err)
		if got.Status != v1.StatusQuarantined {
			t.Fatalf("junk is %s", got.Status)
		}
		junk[i] = got.Hash
	}
	ruled := Claim(t, 2)
	ruled.ParentHash, ruled.Lifecycle, ruled.Signatures = &hashes[2], assertion.Deprecated, nil
	ruled.Sign(signer(8), ruled.Timestamp)
	vote := &assertion.Vote{AssertionHash: hashes[3], Weight: 0.5, Timestamp: 1_700_000_000}
	vote.Sign(signer(9))
	source := Claim(t, 4).SourceHash
	for _, a := range []*assertion.Assertion{cosigned, ruled} {
		if _, err := db.Assert(t.Context(), a); err != nil {
			t.Fatal(err)
		}
	}
	for _, step := range []func() error{
		func() error { _, err := db.ApproveClaim(t.Context(), junk[0], "fine"); return err },
		func() error { _, err := db.RejectClaim(t.Context(), junk[1], "junk"); return err },
		func() error { _, err := db.Vote(t.Context(), vote); return err },
		func() error {
			_, err := db.SetSourceStatus(t.Context(), &assertion.SourceStatus{Source: source, Retracted: true, Reason: "wrong"})
			return err
		},
		func() error {
			_, err := db.SetAlias(t.Context(), &assertion.Alias{Name: "one", Canonical: "other"})
			return err
		},
	} {
		c.do(step())
	}
	key := c.newKey(db, v1.KeyRequest{Role: assertion.RoleWrite, Name: "old"})
	full, m := createBackup(c, filepath.Join(c.Dir, "backups"))

	// Since then: the source is reinstated, the key revoked, the decision reversed.
	_, err := db.SetSourceStatus(t.Context(), &assertion.SourceStatus{Source: source, Reason: "right after all"})
	c.do(err)
	_, err = db.RevokeAPIKey(t.Context(), key.ID)
	c.do(err)
	_, err = db.RejectClaim(t.Context(), junk[0], "not fine after all")
	c.do(err)
	before := c.WaitEqual()
	if output, exit := stemectl(c, "restore", full); exit != 1 || !strings.Contains(output, "nothing was changed") {
		t.Errorf("without --yes: exit code %d, %s", exit, output)
	}
	for _, flags := range [][]string{nil, {"--with-keys"}} {
		if did := putBack(c, full, flags...); did["added"] != 0 || did["refused"] != 0 || did["existing"] < 1500 {
			t.Errorf("with %v into the cluster that it is of: %v", flags, did)
		}
		if after := c.WaitEqual(); after.Content != before.Content {
			t.Errorf("with %v the restore has changed the state from %+v to %+v", flags, before, after)
		}
	}
	if _, err := as(t, key.Secret, c.Nodes[0]).Lenses(t.Context()); code(t, err) != v1.CodeAPIKeyRevoked {
		t.Errorf("a key that was revoked is good again: %v", err)
	}

	other := Start(t, Options{Nodes: 1, Name: "other", Settings: settings()})
	to := other.Client()
	other.WaitFor("the root key is there", func() bool { _, err := to.APIKeys(t.Context()); return err == nil })
	theirs := other.Write(5000, 20)
	if did := putBack(other, full); did["refused"] != 0 || did["left_out"] != 2 {
		t.Errorf("into another cluster: %v", did)
	}
	other.MustHold(other.Nodes[0], client.Consistency{}, append(theirs, hashes[:100]...))
	if s := other.WaitEqual(); s.Count != m.AssertionCount+20 {
		t.Errorf("%d claims, want %d and 20", s.Count, m.AssertionCount)
	}
	for what, hash := range map[string]assertion.Hash{"co-signed": hashes[1], "ruled": hashes[2], "voted": hashes[3], "retracted": hashes[4], "approved": junk[0], "rejected": junk[1]} {
		got, err := to.Get(t.Context(), hash, client.Consistency{})
		c.do(err)
		switch {
		case what == "co-signed" && len(got.Signatures) != 2, what == "ruled" && got.Lifecycle != assertion.Deprecated, what == "voted" && len(got.Votes) != 1,
			what == "retracted" && !got.SourceRetracted:
			t.Errorf("%s: %+v", what, got)
		}
	}
	for state, want := range map[assertion.Review]assertion.Hash{assertion.ReviewApproved: junk[0], assertion.ReviewRejected: junk[1]} {
		if page, err := to.Quarantine(t.Context(), state, "", 10); err != nil || len(page.Claims) != 1 || page.Claims[0].Hash != want {
			t.Errorf("%v: %+v, %v", state, page, err)
		}
	}
	if _, err := as(t, key.Secret, other.Nodes[0]).Lenses(t.Context()); code(t, err) != v1.CodeAPIKeyUnknown {
		t.Errorf("a key without --with-keys: %v", err)
	}
	if did := putBack(other, full, "--with-keys"); did["added"] != 1 {
		t.Errorf("the keys: %v", did)
	}
	other.WaitFor("the key is good", func() bool { _, err := as(t, key.Secret, other.Nodes[0]).Lenses(t.Context()); return err == nil })
}
