package clustertest

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/backup"
	"github.com/stemedb/stemedb/client"
	"github.com/stemedb/stemedb/internal/localcluster"
)

// acks are acknowledged claims with the log index of each.
type acks struct {
	mu      sync.Mutex
	indexes map[assertion.Hash]uint64
}

// writeOn stores claims one by one until stop is closed.
func (a *acks) writeOn(t *testing.T, db *client.Client, from int, stop <-chan struct{}) {
	for i := from; ; i++ {
		select {
		case <-stop:
			return
		default:
		}
		answer, err := db.Assert(t.Context(), Claim(t, i))
		if err != nil {
			t.Errorf("claim %d: %v", i, err)
			return
		}
		a.mu.Lock()
		a.indexes[answer.Hash] = answer.Index
		a.mu.Unlock()
	}
}

func (a *acks) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.indexes)
}

// upTo sorts the claims by whether they were decided up to a log index.
func (a *acks) upTo(index uint64) (in, after []assertion.Hash) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for h, at := range a.indexes {
		if at <= index {
			in = append(in, h)
		} else {
			after = append(after, h)
		}
	}
	return in, after
}

// mustLack fails the test if a node serves one of the claims.
func (c *Cluster) mustLack(n *Node, hashes []assertion.Hash) {
	c.t.Helper()
	db := c.Client(n)
	for _, h := range hashes {
		if _, err := db.Get(c.t.Context(), h, client.Consistency{}); err == nil {
			c.t.Fatalf("%s serves claim %s", n.Name, h)
		}
	}
}

// createBackup takes a backup with stemectl and returns where it is.
func createBackup(c *Cluster, dir string, flags ...string) (string, *backup.Metadata) {
	c.t.Helper()
	output, exit := stemectl(c, append([]string{"backup", "create", "-o", "json", "--dir", dir}, flags...)...)
	if exit != 0 {
		c.t.Fatalf("backup create: exit code %d, %s", exit, output)
	}
	var done struct {
		Path string `json:"path"`
		backup.Metadata
	}
	if err := json.Unmarshal([]byte(output[strings.Index(output, "{"):]), &done); err != nil {
		c.t.Fatalf("%v in %s", err, output)
	}
	return done.Path, &done.Metadata
}

// wipe removes the data of nodes that do not run.
func (c *Cluster) wipe() {
	c.t.Helper()
	for _, n := range c.Nodes {
		c.do(os.RemoveAll(n.DataDir))
	}
}

// restored restores a backup on the first node and starts all.
func (c *Cluster) restored(backup string, flags ...string) (output string) {
	c.t.Helper()
	output, exit := offline(c, c.Nodes[0], append([]string{"restore", backup}, flags...)...)
	if exit != 0 {
		c.t.Fatalf("restore: exit code %d, %s", exit, output)
	}
	for _, n := range c.Nodes {
		c.do(n.Start())
	}
	c.WaitReady()
	c.waitVoters(c.Nodes[0], len(c.Nodes))
	return output
}

func TestBackupUnderLoadAndRestoreToEveryPoint(t *testing.T) {
	settings := quickly()
	settings["snapshot-threshold"], settings["snapshot-interval"] = "300", "100ms"
	c := Start(t, Options{Settings: settings})
	old := c.MustStatus(c.Nodes[0]).ClusterID
	dir := filepath.Join(c.Dir, "backups")
	written := &acks{indexes: map[assertion.Hash]uint64{}}
	stop := make(chan struct{})
	var writers sync.WaitGroup
	for w := range 3 {
		db := c.Client(c.Nodes[w])
		writers.Go(func() { written.writeOn(t, db, w*1_000_000, stop) })
	}
	reach := func(n int) {
		c.WaitFor(fmt.Sprintf("%d claims are written", n), func() bool { return written.count() >= n || t.Failed() })
	}
	reach(300)
	before := written.count()
	full, m := createBackup(c, dir)
	in, _ := written.upTo(m.Index)
	if len(in) < before || m.AssertionCount < uint64(len(in)) {
		t.Errorf("%d claims were acknowledged before the backup began, %d of them up to its index, and it counts %d", before, len(in), m.AssertionCount)
	}
	reach(before + 200)
	_, first := createBackup(c, dir, "--log-only")
	reach(before + 400)
	last, second := createBackup(c, dir, "--log-only")
	reach(before + 500)
	close(stop)
	writers.Wait()
	if first.FirstIndex != m.Index+1 || second.FirstIndex != first.Index+1 {
		t.Errorf("the backups end with %d, and go from %d to %d and from %d to %d", m.Index, first.FirstIndex, first.Index, second.FirstIndex, second.Index)
	}
	c.WaitEqual()
	for _, n := range c.Nodes { // each can be asked, whoever leads
		stream, err := c.Client(n).Backup(t.Context(), client.BackupOptions{})
		c.do(err)
		sink, err := backup.NewDir(filepath.Join(c.Dir, "of each"), time.Now())
		c.do(err)
		m, err := backup.Receive(t.Context(), stream, sink, func(int64) {})
		c.do(errors.Join(err, stream.Close(), sink.Close()))
		if m.Node != n.Name || m.AssertionCount != uint64(written.count()) {
			t.Errorf("the backup of %s, of %d claims, is %+v", n.Name, written.count(), m)
		}
	}
	if output, exit := stemectl(c, "backup", "verify", "--dir", dir); exit != 0 || strings.Count(output, "sound: ") != 3 {
		t.Errorf("verify: exit code %d, %s", exit, output)
	}
	if output, exit := offline(c, c.Nodes[0], "restore", full, "--force"); exit != 1 || !strings.Contains(output, "in use by another process") {
		t.Errorf("restore on a running node: exit code %d, %s", exit, output)
	}

	// Onto three empty nodes.
	c.KillAll()
	c.wipe()
	output := c.restored(full)
	if !strings.Contains(output, m.Digest.String()) {
		t.Errorf("the backup has digest %s, the restore says %s", m.Digest, output)
	}
	in, after := written.upTo(m.Index)
	c.MustHold(c.Nodes[2], client.Consistency{}, in)
	c.mustLack(c.Nodes[2], after)
	status := c.MustStatus(c.Nodes[1])
	if status.AssertionsCount != m.AssertionCount || status.ClusterID == old {
		t.Errorf("the restored cluster is %+v", status)
	}
	c.Write(9_000_000, 20, c.Nodes[1])
	c.WaitEqual()

	// To a point between, and to the end, in place of what is there.
	c.KillAll()
	if output, exit := offline(c, c.Nodes[0], "restore", full); exit != 1 || !strings.Contains(output, "is not empty") {
		t.Errorf("onto data without --force: exit code %d, %s", exit, output)
	}
	between := (first.Index + second.Index) / 2
	for _, point := range []struct {
		path  string
		flags []string
		index uint64
	}{{full, []string{"--to-index", fmt.Sprint(between)}, between}, {last, nil, second.Index}} {
		first := c.Nodes[0]
		for _, n := range c.Nodes[1:] {
			c.do(os.RemoveAll(n.DataDir))
		}
		output := c.restored(point.path, append(point.flags, "--force")...)
		_, replaced, found := strings.Cut(output, "replaced    ")
		replaced, _, _ = strings.Cut(replaced, "\n")
		if _, err := os.Stat(filepath.Join(replaced, "node.json")); !found || err != nil {
			t.Errorf("what was there before is not kept: %v, %s", err, output)
		}
		in, after := written.upTo(point.index)
		c.MustHold(first, client.Consistency{}, in)
		c.mustLack(first, after)
		c.Write(9_100_000, 20)
		c.WaitEqual()
		c.KillAll()
	}
	// A restored node starts again like any other.
	for _, n := range c.Nodes {
		c.do(n.Start())
	}
	c.WaitReady()
	in, _ = written.upTo(second.Index)
	c.MustHold(c.Nodes[0], client.Consistency{}, in)
}

// A time between two writes of different seconds is a point to restore to.
func TestRestoreToATime(t *testing.T) {
	c := Start(t, Options{Nodes: 1})
	n, dir := c.Nodes[0], filepath.Join(c.Dir, "backups")
	c.Write(0, 10)
	full, _ := createBackup(c, dir)
	early := c.Write(100, 10)
	detail, err := c.Client().Get(t.Context(), early[9], client.Consistency{})
	c.do(err)
	late := 200
	var after []assertion.Hash
	c.WaitFor("a later second", func() bool {
		after = c.Write(late, 1)
		late++
		got, err := c.Client().Get(t.Context(), after[0], client.Consistency{})
		return err == nil && got.CommittedAt > detail.CommittedAt
	})
	createBackup(c, dir, "--log-only")
	if output, exit := stemectl(c, "backup", "create", "--dir", dir, "--log-only"); exit != 0 || !strings.Contains(output, "nothing new") {
		t.Errorf("a log backup without anything new: exit code %d, %s", exit, output)
	}
	c.KillAll()
	c.wipe()
	c.restored(full, "--to-time", time.Unix(int64(detail.CommittedAt), 0).UTC().Format(time.RFC3339))
	c.MustHold(n, client.Consistency{}, early)
	c.mustLack(n, after)
}

// The log was truncated after the last backup: a log backup would have a gap.
func TestLogBackupRefusesAGap(t *testing.T) {
	c := Start(t, Options{Nodes: 1, Settings: map[string]string{"snapshot-threshold": "5", "snapshot-interval": "50ms", "trailing-logs": "3"}})
	dir := filepath.Join(c.Dir, "backups")
	createBackup(c, dir)
	from := 0
	c.WaitFor("the log is truncated", func() bool {
		c.Write(from, 1)
		from++
		output, exit := stemectl(c, "backup", "create", "--dir", dir, "--log-only")
		if exit == 0 {
			c.do(os.RemoveAll(dir)) // begin again: only a full backup may be there
			createBackup(c, dir)
			for range 30 {
				c.Write(from, 1)
				from++
			}
			return false
		}
		return exit == 4 && strings.Contains(output, "log_gap") && strings.Contains(output, "take a full backup")
	})
	// Without a full backup: all that there is, and from where to where.
	var output string
	c.WaitFor("a backup of the log is taken while nothing truncates it", func() bool {
		var exit int
		output, exit = stemectl(c, "backup", "create", "--dir", filepath.Join(c.Dir, "elsewhere"), "--log-only")
		if exit != 0 {
			t.Logf("exit code %d, %s", exit, output)
		}
		return exit == 0
	})
	if !strings.Contains(output, "taking everything that its log still holds") || !strings.Contains(output, "log entries ") {
		t.Errorf("without a full backup: %s", output)
	}
}

// A killed node's data directory holds everything that it acknowledged, and so
// does the backup of it.
func TestBackupOfAStoppedNode(t *testing.T) { eachLogStore(t, backupOfAStoppedNode) }

func backupOfAStoppedNode(t *testing.T, settings map[string]string) {
	t.Helper()
	c := Start(t, Options{Nodes: 1, Settings: settings})
	n, dir := c.Nodes[0], filepath.Join(c.Dir, "backups")
	hashes := c.Write(0, 50)
	if output, exit := offline(c, n, "backup", "--output", dir); exit != 1 || !strings.Contains(output, "in use by another process") {
		t.Errorf("backup of a running node by its files: exit code %d, %s", exit, output)
	}
	c.KillAll()
	if output, exit := offline(c, n, "backup", "--output", dir, "--log-only"); exit != 0 || !strings.Contains(output, "log entries 1 to ") {
		t.Fatalf("log backup: exit code %d, %s", exit, output)
	}
	if output, exit := offline(c, n, "backup", "--output", dir); exit != 0 || !strings.Contains(output, "50 assertions") {
		t.Fatalf("backup: exit code %d, %s", exit, output)
	}
	if output, exit := offline(c, n, "backup", "--output", dir, "--log-only"); exit != 0 || !strings.Contains(output, "nothing new") {
		t.Errorf("log backup after it: exit code %d, %s", exit, output)
	}
	c.Restart(n) // the backup has changed nothing
	c.MustHold(n, client.Consistency{}, hashes)
	more := c.Write(100, 10)
	c.Stop(n)
	if output, exit := offline(c, n, "backup", "--output", dir, "--log-only"); exit != 0 {
		t.Fatalf("log backup: exit code %d, %s", exit, output)
	}
	all, err := backup.List(t.Context(), backup.Folder(dir))
	c.do(err)
	if len(all) != 3 {
		t.Fatalf("backups: %v", all)
	}
	for _, f := range []backup.Found{all[2], all[0]} { // full and log, then the log alone from its beginning
		c.wipe()
		c.restored(f.Path)
		c.MustHold(n, client.Consistency{}, hashes)
		if f.Path == all[2].Path {
			c.MustHold(n, client.Consistency{}, more)
		}
		c.KillAll()
	}
}

// A damaged backup changes nothing, and a restore that is killed at any time
// leaves either what was there before or something that is refused until it is
// run again.
func TestRestoreIsAllOrNothing(t *testing.T) {
	c := Start(t, Options{Nodes: 1})
	n, dir := c.Nodes[0], filepath.Join(c.Dir, "backups")
	c.Write(0, 200)
	full, m := createBackup(c, dir)
	later := c.Write(1000, 10)
	c.KillAll()
	segment := filepath.Join(full, m.Files[0].Name)
	sound, err := os.ReadFile(segment)
	c.do(err)
	broken := append([]byte(nil), sound...)
	broken[len(broken)/2] ^= 1
	c.do(os.WriteFile(segment, broken, 0o600))
	if output, exit := offline(c, n, "restore", full, "--force"); exit != 1 || !strings.Contains(output, "damaged backup") {
		t.Errorf("a damaged backup: exit code %d, %s", exit, output)
	}
	c.do(os.WriteFile(segment, sound, 0o600))
	c.Restart(n)
	c.MustHold(n, client.Consistency{}, later)
	c.KillAll()

	for delay := 5 * time.Millisecond; ; delay += delay / 2 {
		if !killedAfter(t, n, delay, "restore", full, "--force") {
			break
		}
		c.Restart(n) // the old data or, if the kill came after the exchange, the restored
		if s := c.MustStatus(n); s.AssertionsCount != 210 && s.AssertionsCount != 200 {
			t.Fatalf("killed after %v: %+v", delay, s)
		}
		c.KillAll()
	}
	// Into an empty directory.
	for delay := 5 * time.Millisecond; ; delay += delay / 2 {
		c.wipe()
		if !killedAfter(t, n, delay, "restore", full) {
			break
		}
		if _, err := os.Stat(filepath.Join(n.DataDir, "restore.tmp")); err == nil {
			from := len(c.Log(n))
			c.do(n.Start())
			c.WaitLog(n, from, "was interrupted")
			c.WaitFor("the node has ended", func() bool { return !n.Running() })
		}
	}
	c.wipe()
	c.do(os.MkdirAll(filepath.Join(n.DataDir, "restore.tmp", "state"), 0o700))
	c.restored(full)
	if s := c.MustStatus(n); s.AssertionsCount != 200 {
		t.Errorf("after all: %+v", s)
	}
}

// mustBeOne fails the test if the nodes belong to several clusters.
func (c *Cluster) mustBeOne() {
	c.t.Helper()
	for _, n := range c.Nodes {
		if got, want := c.MustStatus(n).ClusterID, c.MustStatus(c.Nodes[0]).ClusterID; got != want || got == "" {
			c.t.Errorf("%s belongs to cluster %q, %s to %q", n.Name, got, c.Nodes[0].Name, want)
		}
	}
}

// The first start of the node that a setting names restores the backup that another
// one names; nodes with the same settings join it and form no cluster without it.
// Later starts, and nodes that find a cluster, do not restore.
func TestBootFromABackup(t *testing.T) {
	source := Start(t, Options{Nodes: 1, Name: "source"})
	hashes := source.Write(0, 50)
	full, m := createBackup(source, filepath.Join(source.Dir, "backups"))
	source.KillAll()

	c := New(t, Options{Settings: quickly()})
	for _, n := range c.Nodes {
		n.Settings["restore-from"] = full
		c.do(n.Start())
	}
	for _, n := range c.Nodes { // which of them restores is not said
		c.WaitFor("the node has ended", func() bool { return !n.Running() })
		if n.ExitCode() != 78 || !strings.Contains(c.Log(n), "name the one that restores with restore-node") {
			t.Errorf("%s: exit code %d, %s", n.Name, n.ExitCode(), c.Log(n))
		}
		n.Settings["restore-node"] = c.Nodes[0].Name
		n.Settings["bootstrap-expect"] = "2" // the other two could form a cluster
	}
	for _, n := range c.Nodes[1:] {
		c.do(n.Start())
	}
	for _, n := range c.Nodes[1:] {
		c.WaitLog(n, 0, "only the first start of node "+c.Nodes[0].Name)
	}
	c.do(c.Nodes[0].Start())
	c.WaitReady()
	c.waitVoters(c.Nodes[0], 3)
	for _, n := range c.Nodes {
		c.MustHold(n, client.Consistency{}, hashes)
	}
	c.mustBeOne()
	if s := c.MustStatus(c.Nodes[1]); s.AssertionsCount != m.AssertionCount || s.ClusterID == m.ClusterID {
		t.Errorf("the new cluster is %+v", s)
	}
	more := c.Write(100, 5)
	c.Kill(c.Nodes[0])
	c.Restart(c.Nodes[0])
	c.MustHold(c.Nodes[0], client.Consistency{}, more)
	// With its disk lost it joins the others instead.
	c.Kill(c.Nodes[0])
	c.do(os.RemoveAll(c.Nodes[0].DataDir))
	from := len(c.Log(c.Nodes[0]))
	c.do(c.Nodes[0].Start())
	c.WaitLog(c.Nodes[0], from, "not restoring the backup")
	c.WaitReady(c.Nodes[0])
	c.MustHold(c.Nodes[0], client.Consistency{}, more)
}

// The scripts find a running cluster, a stopped node, and what is wrong.
func TestBackupScripts(t *testing.T) {
	c := Start(t, Options{Nodes: 1})
	n := c.Nodes[0]
	root := t.TempDir() // as in a clone, with the programs in bin/
	for _, name := range []string{"stemedb", "stemectl"} {
		c.do(os.MkdirAll(filepath.Join(root, "bin"), 0o700))
		c.do(os.Symlink(Binary(t, name), filepath.Join(root, "bin", name)))
	}
	c.do(os.MkdirAll(filepath.Join(root, "scripts"), 0o700))
	for _, name := range []string{"backup-stemedb.sh", "restore-stemedb.sh"} {
		text, err := os.ReadFile(filepath.Join("../../scripts", name))
		c.do(err)
		c.do(os.WriteFile(filepath.Join(root, "scripts", name), text, 0o700))
	}
	run := func(script string, args ...string) (string, int) {
		cmd := exec.CommandContext(t.Context(), filepath.Join(root, "scripts", script), args...)
		cmd.Dir = c.Dir
		cmd.Env = append(localcluster.CleanEnv(), "STEMEDB_URL="+n.URL)
		out, err := cmd.CombinedOutput()
		var failed *exec.ExitError
		if err != nil && !errors.As(err, &failed) {
			t.Fatal(err)
		}
		return string(out), cmd.ProcessState.ExitCode()
	}
	first := c.Write(0, 20)
	if output, exit := run("backup-stemedb.sh"); exit != 0 || !strings.Contains(output, "backups/stemedb-backup-") || !strings.Contains(output, "20 assertions") ||
		!strings.Contains(output, "(100 %)") {
		t.Fatalf("backup of a running cluster: exit code %d, %s", exit, output)
	}
	second := c.Write(100, 20)
	if output, exit := run("backup-stemedb.sh", "--wal-only"); exit != 0 || !strings.Contains(output, "log entries ") {
		t.Fatalf("log backup of a running cluster: exit code %d, %s", exit, output)
	}
	nothingNew := func(args ...string) {
		t.Helper()
		if output, exit := run("backup-stemedb.sh", append(args, "--wal-only")...); exit != 0 || !strings.Contains(output, "nothing new") {
			t.Errorf("log backup without anything new, %v: exit code %d, %s", args, exit, output)
		}
	}
	nothingNew()
	third := c.Write(200, 20)
	c.KillAll()
	if output, exit := run("backup-stemedb.sh", "--wal-only", "--data-dir", n.DataDir); exit != 0 || !strings.Contains(output, "60 assertions") {
		t.Fatalf("log backup of a stopped node: exit code %d, %s", exit, output)
	}
	nothingNew("--data-dir", n.DataDir)
	for _, args := range [][]string{{"--walonly"}, {"--output"}} {
		if output, exit := run("backup-stemedb.sh", args...); exit != 2 || !strings.Contains(output, args[0]) {
			t.Errorf("%v: exit code %d, %s", args, exit, output)
		}
	}
	all, err := backup.List(t.Context(), backup.Folder(filepath.Join(c.Dir, backup.DefaultFolder)))
	c.do(err)
	if len(all) != 3 {
		t.Fatalf("backups: %v", all)
	}
	newest := all[2].Path
	args := []string{newest, "--data-dir", n.DataDir, "--node-id", n.Name, "--cluster-addr", n.ClusterAddr}
	if output, exit := run("restore-stemedb.sh", args...); exit != 1 || !strings.Contains(output, "is not empty") {
		t.Errorf("onto data: exit code %d, %s", exit, output)
	}
	if output, exit := run("restore-stemedb.sh", append(args, "--force")...); exit != 0 || !strings.Contains(output, "replaced ") {
		t.Fatalf("with --force: exit code %d, %s", exit, output)
	}
	c.Restart(n)
	c.MustHold(n, client.Consistency{}, slices.Concat(first, second, third))
}
