package clustertest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/stemedb/stemedb/backup"
	"github.com/stemedb/stemedb/client"
	"github.com/stemedb/stemedb/internal/s3test"
)

// scheduled are settings with which the leader takes a backup each second.
func scheduled(url string) map[string]string {
	settings := quickly()
	settings["backup-url"], settings["backup-interval"], settings["backup-keep"] = url, "1s", "2"
	return settings
}

// backups are those at a URL.
func (c *Cluster) backups(url string) []backup.Found {
	c.t.Helper()
	store, err := backup.OpenStore(url, backup.Keys{})
	c.do(err)
	all, err := backup.List(c.t.Context(), store)
	c.do(err)
	return all
}

// waitBackup waits for a backup at a URL that holds so many claims.
func (c *Cluster) waitBackup(url string, claims uint64) (found backup.Found) {
	c.t.Helper()
	c.WaitFor("a backup of the newest state", func() bool {
		for _, f := range c.backups(url) {
			if f.Metadata != nil && f.Metadata.AssertionCount == claims {
				found = f
				return true
			}
		}
		return false
	})
	return found
}

// ageKey makes a key, and returns the file that holds it and its recipient.
func ageKey(c *Cluster, name string) (file, recipient string) {
	c.t.Helper()
	key, err := age.GenerateX25519Identity()
	c.do(err)
	file = filepath.Join(c.Dir, name)
	c.do(os.WriteFile(file, []byte(key.String()+"\n"), 0o600))
	return file, key.Recipient().String()
}

// The leader takes backups into a bucket, encrypted; a new leader goes on; an
// unchanged state is not stored again; old ones go; and each can be restored.
func TestScheduledBackups(t *testing.T) {
	s3test.Start(t)
	url := "s3://" + s3test.Bucket + "/cluster"
	c := New(t, Options{Settings: scheduled(url)})
	key, recipient := ageKey(c, "key.txt")
	other, _ := ageKey(c, "other.txt")
	for _, n := range c.Nodes {
		n.Settings["backup-age-recipients"] = recipient
	}
	c.do(c.Cluster.Start())
	c.WaitReady()
	c.WaitNodeKeys()
	hashes := c.Write(0, 30)
	first := c.waitBackup(url, 30)
	leader := c.Leader()
	if first.Metadata.Node != leader.Name || first.Metadata.Kind != backup.Full {
		t.Errorf("%s leads, the backup is %+v", leader.Name, first.Metadata)
	}

	// Nothing changes: no other backup, but the state is known to be safe.
	metric := func(n *Node, name string) float64 { return ScrapeMetrics(t, n).Values["stemedb_backup_"+name] }
	success := metric(leader, "last_success_timestamp_seconds")
	c.WaitFor("the leader has looked again", func() bool {
		leader = c.Leader()
		return metric(leader, "last_success_timestamp_seconds") > success+2
	})
	if all := c.backups(url); all[len(all)-1].Name != first.Name {
		t.Errorf("an unchanged state was stored again: %v", all)
	}
	if size, interval, failures := metric(leader, "size_bytes"), metric(leader, "interval_seconds"), metric(leader, "failures_total"); size != float64(first.Metadata.TotalBytes) || interval != 1 || failures != 0 {
		t.Errorf("size %v of %d, interval %v, failures %v", size, first.Metadata.TotalBytes, interval, failures)
	}
	if age := metric(leader, "age_seconds"); age < 0 || age > float64(time.Now().Unix())-success {
		t.Errorf("the age is %v", age)
	}
	for _, n := range c.Followers() {
		if got := metric(n, "interval_seconds"); got != 1 {
			t.Errorf("the interval of %s is %v", n.Name, got)
		}
	}

	// Another leader goes on.
	c.Kill(leader)
	hashes = append(hashes, c.Write(100, 5, c.Running()...)...)
	second := c.waitBackup(url, 35)
	if now := c.Leader(); second.Metadata.Node != now.Name || now == leader {
		t.Errorf("%s leads, the backup is %+v", now.Name, second.Metadata)
	}
	c.Restart(leader)

	// Of several the newest two stay.
	for i := range 3 {
		hashes = append(hashes, c.Write(200+i, 1)...)
		second = c.waitBackup(url, uint64(len(hashes)))
	}
	c.WaitFor("old backups are removed", func() bool { return len(c.backups(url)) == 2 })

	if output, exit := stemectl(c, "backup", "list", "--dir", url); exit != 0 || !strings.Contains(output, second.Name) {
		t.Errorf("list: exit code %d, %s", exit, output)
	}
	for _, use := range []struct {
		flags []string
		exit  int
		says  string
	}{
		{[]string{"--identity", key}, 0, "sound: full backup"}, {[]string{"--identity", other}, 1, "encrypted for another key"}, {nil, 1, "the backup is encrypted: give"},
	} {
		if output, exit := stemectl(c, append([]string{"backup", "verify", "--dir", url}, use.flags...)...); exit != use.exit || !strings.Contains(output, use.says) {
			t.Errorf("verify %v: exit code %d, %s", use.flags, exit, output)
		}
	}
	if output, exit := stemectl(c, "restore", second.Path, "--yes", "--identity", key); exit != 0 || !strings.Contains(output, "there already") {
		t.Errorf("into the running cluster: exit code %d, %s", exit, output)
	}

	// A new cluster, by the command and by the setting of a first start.
	c.KillAll()
	c.wipe()
	n := c.Nodes[0]
	if output, exit := offline(c, n, "restore", second.Path, "--backup-age-identity-file", other); exit != 1 || !strings.Contains(output, "encrypted for another key") {
		t.Errorf("with another key: exit code %d, %s", exit, output)
	}
	if _, err := os.Stat(filepath.Join(n.DataDir, "node.json")); err == nil {
		t.Error("a restore that was refused has written something")
	}
	if output := c.restored(second.Path, "--backup-age-identity-file", key); !strings.Contains(output, second.Metadata.Digest.String()) {
		t.Errorf("the backup has digest %s: %s", second.Metadata.Digest, output)
	}
	c.MustHold(c.Nodes[2], client.Consistency{}, hashes)
	// The new cluster keeps its own backups, and leaves those of the old one alone.
	hashes = append(hashes, c.Write(300, 1)...)
	third := c.waitBackup(url, uint64(len(hashes)))
	if third.Metadata.ClusterID == second.Metadata.ClusterID || len(c.backups(url)) < 3 {
		t.Errorf("backups: %v", c.backups(url))
	}
	c.KillAll()
	c.wipe()
	for _, n := range c.Nodes { // all with the same settings, and at once
		n.Settings["restore-from"], n.Settings["restore-node"], n.Settings["backup-age-identity-file"] = third.Path, c.Nodes[1].Name, key
		c.do(n.Start())
	}
	c.WaitReady()
	c.mustBeOne()
	c.MustHold(c.Nodes[0], client.Consistency{}, hashes)
}

// A node that is killed while it uploads leaves nothing that counts, and what it
// leaves is removed by the next run after it is old.
func TestKilledUpload(t *testing.T) {
	server := s3test.Start(t)
	url := "s3://" + s3test.Bucket
	c := New(t, Options{Nodes: 1, Settings: scheduled(url)})
	n := c.Nodes[0]
	for what, match := range map[string]func(method, key string) bool{
		"the segment":  func(method, key string) bool { return method == "PUT" && strings.HasSuffix(key, ".seg") },
		"the manifest": func(method, key string) bool { return method == "PUT" && strings.HasSuffix(key, backup.MetadataName) },
	} {
		before := len(c.backups(url))
		reached := server.Hold(match)
		c.do(n.Start())
		c.WaitReady()
		c.WaitNodeKeys() // no entry of the node's own comes later, to be backed up
		c.Write(len(what)*1000, 10)
		select {
		case <-reached:
		case <-t.Context().Done():
			t.Fatalf("%s is never uploaded", what)
		}
		c.Kill(n)
		server.Drop()
		if all := c.backups(url); len(all) != before {
			t.Errorf("killed at %s: %v", what, all)
		}
	}
	store, err := backup.OpenStore(url, backup.Keys{})
	c.do(err)
	left, err := store.Leftovers(t.Context(), time.Now().Add(time.Hour))
	c.do(err)
	if len(left) != 1 {
		t.Fatalf("killed before its manifest, an upload leaves its segment, and killed before that nothing: %v", left)
	}
	c.do(n.Start())
	c.WaitReady()
	c.waitBackup(url, c.MustStatus(n).AssertionsCount)
	young, err := store.Leftovers(t.Context(), time.Now().Add(time.Hour))
	c.do(err)
	if len(young) != 1 || young[0] != left[0] {
		t.Errorf("uploads that may still be under way were removed: %v of %v are left", young, left)
	}
	past := time.Now().Add(-time.Hour)
	for _, name := range left {
		files, err := filepath.Glob(filepath.Join(server.Dir, name, "*"))
		c.do(err)
		for _, file := range files {
			c.do(os.Chtimes(file, past, past))
		}
	}
	c.WaitFor("what is old and unfinished is removed", func() bool {
		left, err := store.Leftovers(t.Context(), time.Now().Add(time.Hour))
		c.do(err)
		return len(left) == 0
	})
	c.KillAll()
	all := c.backups(url)
	if len(all) == 0 {
		t.Error("the backups were removed, too")
	}
	for _, f := range all {
		if _, err := backup.Verify(f.FS()); err != nil {
			t.Errorf("%s: %v", f.Path, err)
		}
	}
}

// The same with a folder: what a killed node leaves there has a hidden name.
func TestKilledBackupIntoAFolder(t *testing.T) {
	dir := t.TempDir()
	c := Start(t, Options{Nodes: 1})
	n := c.Nodes[0]
	for i := range 4 {
		c.Write(1000*i, 1000)
	}
	c.Stop(n)
	n.Settings = scheduled(dir)
	n.Settings["backup-rate"] = "1" // what comes after the first MiB never ends
	hidden := func() []string {
		left, err := filepath.Glob(filepath.Join(dir, ".*"))
		c.do(err)
		return left
	}
	c.do(n.Start())
	c.WaitFor("a backup is under way", func() bool { return len(hidden()) > 0 })
	c.Kill(n)
	left := hidden()
	if all := c.backups(dir); len(all) != 0 || len(left) != 1 || len(visible(t, dir)) != 0 {
		t.Fatalf("a node that was killed leaves %v, and the backups %v", left, all)
	}
	past := time.Now().Add(-time.Hour)
	for _, path := range left {
		c.do(os.Chtimes(path, past, past))
	}
	delete(n.Settings, "backup-rate")
	c.do(n.Start())
	c.WaitReady()
	found := c.waitBackup(dir, 4000)
	c.WaitFor("what is old and unfinished is removed", func() bool { return len(hidden()) == 0 })
	c.KillAll()
	if _, err := backup.Verify(found.FS()); err != nil {
		t.Error(err)
	}
}

// A store that cannot be written is a failure that is counted, logged and tried
// again; wrong settings end the start.
func TestScheduledBackupsThatFail(t *testing.T) {
	dir := t.TempDir()
	blocked := filepath.Join(dir, "file")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c := Start(t, Options{Nodes: 1, Settings: scheduled(blocked)})
	n := c.Nodes[0]
	c.WaitLog(n, 0, "the scheduled backup failed")
	c.WaitFor("two failures are counted", func() bool {
		return ScrapeMetrics(t, n).Values["stemedb_backup_failures_total"] >= 2
	})
	s := ScrapeMetrics(t, n).Values
	if _, aged := s["stemedb_backup_age_seconds"]; aged || s["stemedb_backup_last_success_timestamp_seconds"] != 0 {
		t.Errorf("a success is reported: %v", s)
	}
	c.do(os.Remove(blocked))
	c.waitBackup(blocked, 0)
	c.KillAll()
	for says, setting := range map[string][2]string{
		"no kind of store": {"backup-url", "ftp://host/path"}, "age-keygen": {"backup-age-recipients", "age1nonsense"}, "must be at least 1s": {"backup-interval", "1ms"},
	} {
		n.Settings = map[string]string{setting[0]: setting[1]}
		from := len(c.Log(n))
		c.do(n.Start())
		c.WaitLog(n, from, says)
		c.WaitFor("the node has ended", func() bool { return !n.Running() })
		if n.ExitCode() != 78 {
			t.Errorf("%v: exit code %d", setting, n.ExitCode())
		}
	}
}
