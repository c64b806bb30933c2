package clustertest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/backup"
	"github.com/stemedb/stemedb/client"
)

// smallDisk mounts a file system of so many bytes in memory. Only root may; CI is.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("mount a small file system: %v", err)
		}
		t.Skipf("mount a small file system: %v: only root can", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
	return dir
}

// visible are the names in a folder that do not begin with a dot.
func visible(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") {
			names = append(names, e.Name())
		}
	}
	return names
}

func TestFullDiskDuringBackupAndRestore(t *testing.T) {
	tiny := smallDisk(t, "64k")
	c := Start(t, Options{Nodes: 1})
	n := c.Nodes[0]
	var hashes []assertion.Hash
	for i := range 3 {
		hashes = append(hashes, c.Write(1000*i, 1000)...)
	}
	if output, exit := stemectl(c, "backup", "create", "--dir", tiny); exit != 1 || !strings.Contains(output, "no space left") {
		t.Errorf("backup onto a full disk: exit code %d, %s", exit, output)
	}
	full, _ := createBackup(c, filepath.Join(c.Dir, "backups"))
	c.KillAll()
	if output, exit := offline(c, n, "backup", "--output", tiny); exit != 1 || !strings.Contains(output, "no space left") {
		t.Errorf("backup of a stopped node onto a full disk: exit code %d, %s", exit, output)
	}
	if left, err := os.ReadDir(tiny); err != nil || len(left) != 0 {
		t.Errorf("left on the full disk: %v, %v", left, err)
	}

	elsewhere := *n
	elsewhere.DataDir = filepath.Join(tiny, "data")
	if output, exit := offline(c, &elsewhere, "restore", full); exit != 1 || !strings.Contains(output, "no space left") {
		t.Errorf("restore onto a full disk: exit code %d, %s", exit, output)
	}
	if left := visible(t, elsewhere.DataDir); len(left) != 1 || left[0] != "LOCK" {
		t.Errorf("a restore onto a full disk left %v", left)
	}
	// In place of data: the data stays.
	c.do(os.WriteFile(filepath.Join(elsewhere.DataDir, "precious"), []byte("data"), 0o600))
	if output, exit := offline(c, &elsewhere, "restore", full, "--force"); exit != 1 || !strings.Contains(output, "no space left") {
		t.Errorf("restore onto a full disk with --force: exit code %d, %s", exit, output)
	}
	if left := visible(t, elsewhere.DataDir); len(left) != 2 {
		t.Errorf("a restore onto a full disk left %v", left)
	}
	c.Restart(n)
	c.MustHold(n, client.Consistency{}, hashes[:50])
}

// Whenever a backup is killed, what can be seen in the folder is a whole backup
// or nothing.
func TestKilledBackupIsNone(t *testing.T) {
	c := Start(t, Options{Nodes: 1})
	n, dir := c.Nodes[0], filepath.Join(c.Dir, "backups")
	for i := range 3 {
		c.Write(1000*i, 1000)
	}
	sound := func(what string, delay time.Duration) {
		t.Helper()
		all, err := backup.List(t.Context(), backup.Folder(dir))
		c.do(err)
		for _, f := range all {
			if _, err := backup.Verify(f.FS()); err != nil {
				t.Errorf("%s, killed after %v: %v", what, delay, err)
			}
		}
		if _, err := os.Stat(dir); err == nil && len(visible(t, dir)) != len(all) {
			t.Errorf("%s, killed after %v: %v", what, delay, visible(t, dir))
		}
	}
	for delay := 4 * time.Millisecond; ; delay += delay / 2 {
		ctx, cancel := context.WithTimeout(t.Context(), delay)
		err := exec.CommandContext(ctx, Binary(t, "stemectl"), "backup", "create", "--dir", dir, "--url", n.URL).Run()
		cancel()
		sound("stemectl backup create", delay)
		if err == nil {
			break
		}
	}
	c.KillAll()
	for delay := 4 * time.Millisecond; killedAfter(t, n, delay, "backup", "--output", dir); delay += delay / 2 {
		sound("stemedb backup", delay)
	}
	sound("stemedb backup", 0)
	// The copy that a killed one has made of the state is cleared away.
	c.Restart(n)
	left, err := filepath.Glob(filepath.Join(n.DataDir, "state", "checkpoint-*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left in the state: %v, %v", left, err)
	}
	if s := c.MustStatus(n); s.AssertionsCount != 3000 {
		t.Errorf("after all: %+v", s)
	}
}
