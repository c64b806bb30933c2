package main

import (
	"strings"
	"testing"
	"time"

	v1 "github.com/stemedb/stemedb/api/v1"
)

var diagnosed = time.Unix(1_800_000_000, 0)

// healthy are three nodes of which nothing bad can be said.
func healthy() []sighting {
	members := []v1.Member{}
	for _, name := range []string{"n1", "n2", "n3"} {
		members = append(members, v1.Member{Node: name, State: "alive", Suffrage: "voter", Leader: name == "n1", DigestAgrees: true, Version: "1.0",
			HTTPAddr: name + ":18180", ClusterAddr: name + ":18182", GossipAddr: name + ":18183"})
	}
	seen := []sighting{}
	for _, m := range members {
		seen = append(seen, sighting{
			URL: "https://" + m.HTTPAddr, Health: &v1.Health{Status: "ok", Node: m.Node, Leader: "n1", Role: "follower"}, Ready: &v1.Readiness{Ready: true, Checks: []v1.Check{{Name: "member", OK: true}}},
			Cluster: &v1.Cluster{ClusterID: "c", Node: m.Node, Leader: "n1", Members: append([]v1.Member(nil), members...)}, CertificateEnds: diagnosed.Add(200 * 24 * time.Hour),
			Metrics: samples([]byte("# HELP x y\nstemedb_log_store_sync_seconds_sum 1\nstemedb_log_store_sync_seconds_count 1000\nstemedb_index_disk_bytes 1048576\nstemedb_disk_size_bytes 1e10\nstemedb_disk_free_bytes 5e9\n" +
				`stemedb_certificate_expiry_timestamp_seconds{use="cluster"} 1.9e+09` + "\n")),
		})
	}
	return seen
}

func TestDiagnose(t *testing.T) {
	everywhere := func(seen []sighting, change func(*v1.Cluster)) {
		for i := range seen {
			change(seen[i].Cluster)
		}
	}
	for _, tc := range []struct {
		what           string
		change         func([]sighting)
		check, verdict string // the finding that must be there
		detail         string
		closed         map[port]string
	}{
		{"all is well", func([]sighting) {}, "quorum", verdictOK, "3 of 3 voters", nil},
		{"a node is down", func(s []sighting) { s[2] = sighting{URL: s[2].URL, Err: "refused"} }, "answer", verdictFail, "refused", nil},
		{"a voter is dead", func(s []sighting) { everywhere(s, func(c *v1.Cluster) { c.Members[2].State = "dead" }) }, "quorum", verdictWarn, "0 more", nil},
		{"two voters are dead", func(s []sighting) {
			everywhere(s, func(c *v1.Cluster) { c.Members[1].State, c.Members[2].State = "dead", "left" })
		}, "quorum", verdictFail, "1 of 3", nil},
		{"no leader", func(s []sighting) { everywhere(s, func(c *v1.Cluster) { c.Leader = "" }) }, "leader", verdictFail, "(none)", nil},
		{"two leaders", func(s []sighting) { s[1].Cluster.Leader = "n2" }, "leader", verdictFail, "n1, n2", nil},
		{"two clusters", func(s []sighting) { s[1].Cluster.ClusterID = "d" }, "cluster", verdictFail, "2 clusters", nil},
		{"another state", func(s []sighting) { s[0].Cluster.Members[1].DigestAgrees = false }, "digest", verdictFail, "differs", nil},
		{"far behind", func(s []sighting) { s[0].Cluster.Members[1].LagEntries = 5000 }, "lag", verdictWarn, "5000", nil},
		{"two versions", func(s []sighting) { s[0].Cluster.Members[1].Version = "2.0" }, "versions", verdictWarn, "1.0, 2.0", nil},
		{"a removed node", func(s []sighting) { s[1].Health.Status = "removed" }, "status", verdictFail, "removed", nil},
		{"not ready", func(s []sighting) { s[1].Ready.Checks[0] = v1.Check{Name: "lag", Detail: "slow"} }, "ready", verdictFail, "lag: slow", nil},
		{"clocks apart", func(s []sighting) { s[1].Ahead = 5 * time.Second }, "clocks", verdictWarn, "n2 is ahead", nil},
		{"clocks far apart", func(s []sighting) { s[1].Ahead = -time.Hour }, "clocks", verdictFail, "this machine", nil},
		{"a certificate ends", func(s []sighting) { s[0].CertificateEnds = diagnosed.Add(time.Hour) }, "certificate", verdictWarn, "2027", nil},
		{"a certificate has ended", func(s []sighting) { s[0].CertificateEnds = diagnosed.Add(-time.Hour) }, "certificate", verdictFail, "2027", nil},
		{"open to all", func(s []sighting) { s[0].Open = true }, "authentication", verdictFail, "without an API key", nil},
		{"open on loopback", func(s []sighting) { s[0].Open, s[0].URL = true, "http://127.0.0.1:18180" }, "authentication", verdictWarn, "without an API key", nil},
		{"plain HTTP", func(s []sighting) { s[0].URL = "http://n1:18180" }, "encryption", verdictWarn, "HTTP", nil},
		{"plain between nodes", func(s []sighting) { delete(s[0].Metrics, certificateMetric+`{use="cluster"}`) }, "encryption", verdictWarn, "between", nil},
		{"a slow disk", func(s []sighting) { s[0].Metrics["stemedb_log_store_sync_seconds_sum"] = 50 }, "disk", verdictWarn, "50.0 ms", nil},
		{"a very slow disk", func(s []sighting) { s[0].Metrics["stemedb_log_store_sync_seconds_sum"] = 500 }, "disk", verdictFail, "500.0 ms", nil},
		{"little space", func(s []sighting) { s[0].Metrics["stemedb_disk_free_bytes"] = 1e9 }, "space", verdictWarn, "10 %", nil},
		{"no space", func(s []sighting) { s[0].Metrics["stemedb_disk_free_bytes"] = 1e8 }, "space", verdictFail, "1 %", nil},
		{"less space than the minimum", func(s []sighting) {
			s[0].Metrics["stemedb_disk_low"], s[0].Metrics["stemedb_disk_free_bytes"], s[0].Metrics["stemedb_disk_min_free_bytes"] = 1, 1<<20, 1<<28
		}, "space", verdictFail, "minimum of 256", nil},
		{"a disk that hangs", func(s []sighting) {
			s[0].Metrics["stemedb_disk_unavailable"], s[0].Metrics["stemedb_disk_write_waiting_seconds"] = 1, 12.34
		}, "disk", verdictFail, "waits for 12.3 s", nil},
		{"another's disk hangs", func(s []sighting) { s[0].Cluster.Members[1].Disk = "unavailable" }, "members", verdictFail, "takes part in nothing", nil},
		{"another's disk hangs, of which the quorum has less", func(s []sighting) { s[0].Cluster.Members[1].Disk = "unavailable" }, "quorum", verdictWarn, "2 of 3 voters", nil},
		{"no metrics", func(s []sighting) { s[0].Metrics = nil }, "disk", verdictWarn, "metrics", nil},
		{"a stranger", func(s []sighting) { s[0].Cluster.Members[1].Suffrage = "none" }, "members", verdictWarn, "no member", nil},
		{"not asked", func(s []sighting) { s[2].Health.Node = "n9" }, "members", verdictWarn, "not examined", nil},
		{"a closed port", func([]sighting) {}, "ports", verdictWarn, "n1:18182", map[port]string{{"n1", "node-to-node", "n1:18182"}: "refused"}},
	} {
		seen := healthy()
		tc.change(seen)
		d := diagnose(seen, tc.closed, diagnosed)
		found := false
		for _, f := range d {
			found = found || f.Check == tc.check && f.Verdict == tc.verdict && strings.Contains(f.Detail, tc.detail)
			if (f.Verdict != verdictOK) != (f.Fix != "") {
				t.Errorf("%s: %+v: what to do goes with what is wrong", tc.what, f)
			}
		}
		if !found {
			t.Errorf("%s: no %s of %s with %q in %+v", tc.what, tc.verdict, tc.check, tc.detail, d)
		}
		if got := d.worst(); tc.verdict == verdictFail && got != verdictFail || tc.what == "all is well" && got != verdictOK {
			t.Errorf("%s: the worst verdict is %s", tc.what, got)
		}
	}
	if d := diagnose([]sighting{{URL: "http://n1", Err: "refused"}}, nil, diagnosed); d.worst() != verdictFail {
		t.Errorf("no node at all: %+v", d)
	}
}
