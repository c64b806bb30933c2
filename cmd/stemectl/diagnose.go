package main

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	v1 "github.com/stemedb/stemedb/api/v1"
)

// The verdicts of doctor.
const (
	verdictOK   = "ok"
	verdictWarn = "warn"
	verdictFail = "fail"
)

// The bounds of doctor.
const (
	skewWarn   = 2 * time.Second
	skewFail   = time.Minute
	expiryWarn = 30 * 24 * time.Hour
	lagWarn    = 1000 // entries; more keep a node from being ready
	syncWarn   = 0.02 // seconds, mean of the log's fdatasync
	syncFail   = 0.2
	spaceWarn  = 0.15 // of the data directory's file system, free
	spaceFail  = 0.05
)

// finding is what doctor says of one thing.
type finding struct {
	Check   string `json:"check"`
	About   string `json:"about,omitempty"` // a node
	Verdict string `json:"verdict"`
	Detail  string `json:"detail"`
	Fix     string `json:"fix,omitempty"`
}

// diagnosis collects findings.
type diagnosis []finding

func (d *diagnosis) add(check, about, verdict, fix, format string, args ...any) {
	if verdict == verdictOK {
		fix = ""
	}
	*d = append(*d, finding{check, about, verdict, fmt.Sprintf(format, args...), fix})
}

// diagnose judges what was seen.
func diagnose(seen []sighting, closed map[port]string, now time.Time) diagnosis {
	var d diagnosis
	var views []*v1.Cluster
	for i := range seen {
		s := &seen[i]
		d.node(s)
		if s.Health == nil {
			continue
		}
		if s.Cluster != nil {
			views = append(views, s.Cluster)
		}
		d.exposure(s)
		d.certificates(s, now)
		d.disk(s)
		d.space(s)
	}
	d.clocks(seen)
	if len(views) == 0 {
		d.add("cluster", "", verdictFail, "start the nodes; give the --url of each, and an --api-key that may read", "no node tells of the cluster")
		return d
	}
	d.leader(views)
	d.members(views)
	d.unseen(seen, views[0])
	for _, p := range slices.SortedFunc(maps.Keys(closed), func(a, b port) int { return strings.Compare(a.address, b.address) }) {
		d.add("ports", p.node, verdictWarn, "open it between the nodes, if they cannot reach it either; from elsewhere it need not be open",
			"the %s port %s cannot be reached from here: %s", p.use, p.address, closed[p])
	}
	if len(closed) == 0 {
		d.add("ports", "", verdictOK, "", "the node-to-node and gossip ports of the live members can be reached from here")
	}
	return d
}

// node judges whether one serves.
func (d *diagnosis) node(s *sighting) {
	if s.Health == nil {
		d.add("answer", s.URL, verdictFail, "start the node, or correct the URL, --ca or network", "%s", s.Err)
		return
	}
	verdict := verdictOK
	if s.Health.Status != "ok" {
		verdict = verdictFail
	}
	d.add("status", s.Health.Node, verdict, "see its log, and the checks of readiness", "%s, %s", s.Health.Status, orNone(s.Health.Role))
	if s.Cluster == nil {
		d.add("status", s.Health.Node, verdictWarn, "give an --api-key that may read", "it tells nothing of the cluster: %s", s.Err)
	}
	for _, c := range s.Ready.Checks {
		if !c.OK {
			d.add("ready", s.Health.Node, verdictFail, "the detail says what to do", "%s: %s", c.Name, c.Detail)
		}
	}
}

// exposure judges who can ask and listen.
func (d *diagnosis) exposure(s *sighting) {
	verdict := verdictFail
	if loopback(s.URL) {
		verdict = verdictWarn
	}
	if s.Open {
		d.add("authentication", s.Health.Node, verdict, "set auth-enabled and root-api-key on every node", "it answers without an API key: whoever reaches it may read and write")
	} else {
		d.add("authentication", s.Health.Node, verdictOK, "", "it demands an API key")
	}
	if strings.HasPrefix(s.URL, "http://") && !loopback(s.URL) {
		d.add("encryption", s.Health.Node, verdictWarn, "set http-tls-cert and http-tls-key, or put a proxy in front", "HTTP is not encrypted on the way to %s", s.URL)
	}
	if s.Metrics != nil && !slices.ContainsFunc(slices.Collect(maps.Keys(s.Metrics)), func(k string) bool { return strings.HasPrefix(k, certificateMetric+`{use="cluster"`) }) {
		d.add("encryption", s.Health.Node, verdictWarn, "set tls-cert, tls-key and tls-ca on every node, unless the network between them is private", "connections between the nodes are not encrypted")
	}
}

const certificateMetric = "stemedb_certificate_expiry_timestamp_seconds"

func (d *diagnosis) certificates(s *sighting, now time.Time) {
	ends := map[string]time.Time{}
	if !s.CertificateEnds.IsZero() {
		ends["the one that HTTPS shows"] = s.CertificateEnds
	}
	for name, v := range s.Metrics {
		if use, ok := strings.CutPrefix(name, certificateMetric+`{use="`); ok {
			ends["use "+strings.TrimSuffix(use, `"}`)] = time.Unix(int64(v), 0)
		}
	}
	for _, which := range slices.Sorted(maps.Keys(ends)) {
		verdict, left := verdictOK, ends[which].Sub(now)
		switch {
		case left <= 0:
			verdict = verdictFail
		case left < expiryWarn:
			verdict = verdictWarn
		}
		d.add("certificate", s.Health.Node, verdict, "renew it with `stemedb certs node --force`; nodes read it without a restart", "%s is valid until %s", which, ends[which].UTC().Format(time.DateOnly))
	}
}

func (d *diagnosis) disk(s *sighting) {
	if s.Metrics == nil {
		d.add("disk", s.Health.Node, verdictWarn, "give an --api-key that may read metrics", "its metrics could not be read")
		return
	}
	if s.Metrics["stemedb_disk_unavailable"] == 1 {
		d.add("disk", s.Health.Node, verdictFail, "docs/runbooks/disk-hung.md", "it hangs or fails: a write waits for %.1f s, and the node is cut off from the others",
			s.Metrics["stemedb_disk_write_waiting_seconds"])
		return
	}
	count := s.Metrics["stemedb_log_store_sync_seconds_count"]
	if count == 0 {
		d.add("disk", s.Health.Node, verdictOK, "", "nothing was written since it started; the index uses %s", quantity(s.Metrics["stemedb_index_disk_bytes"]))
		return
	}
	mean, verdict := s.Metrics["stemedb_log_store_sync_seconds_sum"]/count, verdictOK
	switch {
	case mean >= syncFail:
		verdict = verdictFail
	case mean >= syncWarn:
		verdict = verdictWarn
	}
	d.add("disk", s.Health.Node, verdict, "every write waits for this: use a local SSD, and nothing else that writes much on it",
		"a write to the raft log takes %.1f ms on average, its sync included; the index uses %s", 1000*mean, quantity(s.Metrics["stemedb_index_disk_bytes"]))
}

// space looks at what is free where the data directory is.
func (d *diagnosis) space(s *sighting) {
	size := s.Metrics["stemedb_disk_size_bytes"]
	if size == 0 {
		return // an older node, or the metrics cannot be read, which disk says
	}
	free, least, verdict := s.Metrics["stemedb_disk_free_bytes"], s.Metrics["stemedb_disk_min_free_bytes"], verdictOK
	if s.Metrics["stemedb_disk_low"] == 1 {
		d.add("space", s.Health.Node, verdictFail, "make room, or enlarge the file system: docs/runbooks/disk-space.md",
			"%s are free where its data directory is, less than its minimum of %s: it does not lead, and writes are refused while fewer than a majority have more", quantity(free), quantity(least))
		return
	}
	switch {
	case free < spaceFail*size:
		verdict = verdictFail
	case free < spaceWarn*size:
		verdict = verdictWarn
	}
	d.add("space", s.Health.Node, verdict, "make room, or enlarge the file system: a node needs room for every write",
		"%.0f %% of the data directory's file system are free, %s", 100*free/size, quantity(free))
}

// clocks compares the nodes with each other and with this machine.
func (d *diagnosis) clocks(seen []sighting) {
	lowest, highest := time.Duration(math.MaxInt64), time.Duration(math.MinInt64)
	var fast, slow string
	note := func(name string, ahead time.Duration) {
		if ahead < lowest {
			lowest, slow = ahead, name
		}
		if ahead > highest {
			highest, fast = ahead, name
		}
	}
	note("this machine", 0)
	for _, s := range seen {
		if s.Health != nil {
			note(s.Health.Node, s.Ahead)
		}
	}
	verdict, skew := verdictOK, (highest - lowest).Round(100*time.Millisecond)
	switch {
	case skew > skewFail:
		verdict = verdictFail
	case skew > skewWarn:
		verdict = verdictWarn
	}
	if fast == slow {
		fast = "none"
	}
	d.add("clocks", "", verdict, "run NTP on every machine: claims dated more than 5 minutes ahead of a node are refused, and commits are dated by the leader",
		"the clocks differ by %v (to about a second); %s is ahead", skew, fast)
}

// leader judges whether all who answer follow the same one.
func (d *diagnosis) leader(views []*v1.Cluster) {
	leaders, clusters := map[string]bool{}, map[string]bool{}
	for _, c := range views {
		leaders[orNone(c.Leader)], clusters[c.ClusterID] = true, true
	}
	names := strings.Join(slices.Sorted(maps.Keys(leaders)), ", ")
	if len(clusters) > 1 {
		d.add("cluster", "", verdictFail, "give the --url of nodes of one cluster; a node of another one must be given an empty data directory to join", "the nodes belong to %d clusters", len(clusters))
	}
	verdict := verdictOK
	if len(leaders) > 1 || leaders[orNone("")] {
		verdict = verdictFail
	}
	d.add("leader", "", verdict, "wait some seconds and ask again; without a majority of the voters there is none (docs/runbooks/quorum-lost.md)", "%s, as %d nodes see it", names, len(views))
}

// members judges the members as the leader sees them, if it answers.
func (d *diagnosis) members(views []*v1.Cluster) {
	c := views[0]
	for _, v := range views {
		if v.Node == v.Leader {
			c = v
		}
	}
	voters, live, versions := 0, 0, map[string]bool{}
	for _, m := range c.Members {
		if m.Suffrage == "none" {
			d.add("members", m.Node, verdictWarn, "if it was removed, stop it; if it should join, see its log", "it gossips and is no member")
			continue
		}
		if m.Version != "" {
			versions[m.Version] = true
		}
		alive := m.State == "alive"
		if m.Suffrage == "voter" {
			voters++
			if alive && m.Disk != "unavailable" {
				live++
			}
		}
		switch {
		case !alive:
			d.add("members", m.Node, verdictWarn, "start it; if it is gone for good, `stemectl cluster remove` it", "a %s that is %s", m.Suffrage, m.State)
		case !m.DigestAgrees:
			d.add("digest", m.Node, verdictFail, "stop it, move its data directory away and let it join anew", "its state differs from that of %s at the same log index", c.Node)
		case m.Disk == "unavailable":
			d.add("members", m.Node, verdictFail, "docs/runbooks/disk-hung.md", "its disk hangs or fails, and it takes part in nothing")
		case m.LagEntries > lagWarn:
			d.add("lag", m.Node, verdictWarn, "look at its disk, CPU and network", "%d entries behind, for %.1f s", m.LagEntries, m.LagSeconds)
		}
	}
	need, verdict, fix := voters/2+1, verdictOK, ""
	switch {
	case live < need:
		verdict, fix = verdictFail, "start the missing voters; if they are gone for good, docs/runbooks/quorum-lost.md"
	case live == need:
		verdict, fix = verdictWarn, "start the missing voters, or add nodes: three voters survive the loss of one"
	}
	d.add("quorum", "", verdict, fix, "%d of %d voters answer, %d must: %d more may be lost", live, voters, need, max(live-need, 0))
	verdict = verdictOK
	if len(versions) > 1 {
		verdict = verdictWarn
	}
	d.add("versions", "", verdict, "finish the upgrade: nodes of different versions are for its duration only", "%s", strings.Join(slices.Sorted(maps.Keys(versions)), ", "))
	d.agreement(c)
}

// agreement says that digests and lags are well, if they are.
func (d *diagnosis) agreement(c *v1.Cluster) {
	for _, check := range []string{"digest", "lag"} {
		if !slices.ContainsFunc(*d, func(f finding) bool { return f.Check == check }) {
			d.add(check, "", verdictOK, "", "well on all live members, as %s sees them", c.Node)
		}
	}
}

// unseen names the live members that nobody asked.
func (d *diagnosis) unseen(seen []sighting, c *v1.Cluster) {
	for _, m := range c.Members {
		asked := slices.ContainsFunc(seen, func(s sighting) bool { return s.Health != nil && s.Health.Node == m.Node })
		if m.State == "alive" && m.Suffrage != "none" && !asked {
			d.add("members", m.Node, verdictWarn, "give its --url too, such as that of "+m.HTTPAddr, "it was not examined itself")
		}
	}
}

// worst is the worst verdict.
func (d diagnosis) worst() string {
	worst := verdictOK
	for _, f := range d {
		if f.Verdict == verdictFail || worst == verdictOK {
			worst = f.Verdict
		}
		if worst == verdictFail {
			break
		}
	}
	return worst
}
