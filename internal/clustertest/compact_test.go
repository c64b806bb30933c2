package clustertest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/stemedb/stemedb/client"
)

// compact runs `stemedb compact` on a node's data directory, behind a command line
// if one is given.
func compact(c *Cluster, n *Node, before ...string) (output string, state *os.ProcessState) {
	c.t.Helper()
	return runOffline(c, append(before, Binary(c.t, "stemedb"), "compact", "--data-dir="+n.DataDir)...)
}

// compactKilled is compact, killed when one of its threads makes a system call on a
// file for the given time. strace counts the calls of each thread by itself, so if
// none makes so many, the log is put back and the call before is tried.
func compactKilled(c *Cluster, n *Node, call, file string, when int) (output string, state *os.ProcessState) {
	c.t.Helper()
	log := filepath.Join(n.DataDir, "raft.db")
	before, err := os.ReadFile(log)
	c.do(err)
	for ; when > 0; when-- {
		c.do(os.WriteFile(log, before, 0o600))
		output, state = compact(c, n, "strace", "-f", "-o", os.DevNull, "-P", file, "-e", "trace="+call, "-e", fmt.Sprintf("inject=%s:signal=KILL:when=%d", call, when))
		if killed(state) {
			break
		}
	}
	return output, state
}

func killed(state *os.ProcessState) bool {
	status, ok := state.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// logContent is everything that a raft log holds.
func logContent(t *testing.T, n *Node) string {
	t.Helper()
	db, err := bbolt.Open(filepath.Join(n.DataDir, "raft.db"), 0o600, &bbolt.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var content strings.Builder
	if err := db.View(func(tx *bbolt.Tx) error {
		return tx.ForEach(func(name []byte, bucket *bbolt.Bucket) error {
			return bucket.ForEach(func(key, value []byte) error {
				_, err := fmt.Fprintf(&content, "%s %x %x\n", name, key, value)
				return err
			})
		})
	}); err != nil {
		t.Fatal(err)
	}
	return content.String()
}

func logSize(t *testing.T, n *Node) int64 {
	t.Helper()
	file, err := os.Stat(filepath.Join(n.DataDir, "raft.db"))
	if err != nil {
		t.Fatal(err)
	}
	return file.Size()
}

// A log that has let most of its entries go is compacted, killed at each of its
// steps, and compacted in full: nothing is ever missing, and the node goes on. Then
// it does so by itself when it starts.
func TestCompactionOfTheLog(t *testing.T) {
	c := Start(t, Options{Settings: map[string]string{"trailing-logs": "20"}})
	n := c.Nodes[0]
	bloat := func(from int) {
		t.Helper()
		for i := range 4 {
			c.Write(from+i*1000, 1000)
		}
		c.Write(from+4000, 1)
		for i := range 40 { // so that most of the entries come before those that stay
			c.Write(from+4001+i, 1)
		}
		c.WaitEqual()
		for _, n := range c.Nodes {
			must(c, n, "snapshot", n.Name)
		}
		c.WaitFor("the log is truncated", func() bool { return ScrapeMetrics(t, n).Values["stemedb_log_store_entries"] < 100 })
	}
	bloat(0)
	if output, state := compact(c, n); state.ExitCode() != 1 || !strings.Contains(output, "in use by another process") {
		t.Errorf("beside a running node: exit code %d, %s", state.ExitCode(), output)
	}
	c.Stop(n)
	content, size := logContent(t, n), logSize(t, n)
	left := filepath.Join(n.DataDir, "raft.db.compact")
	if !canTrace() {
		t.Log("strace may not trace here: the compaction is not killed")
	} else {
		for _, kill := range []struct {
			call, file string
			when       int
			replaced   bool
		}{
			{"ftruncate", left, 1, false}, {"pwrite64", left, 1, false}, {"pwrite64", left, 6, false}, {"fdatasync", left, 1, false},
			{"renameat", left, 1, false}, {"fsync", n.DataDir, 1, true},
		} {
			at := fmt.Sprintf("killed at %s %d of %s", kill.call, kill.when, kill.file)
			if output, state := compactKilled(c, n, kill.call, kill.file, kill.when); !killed(state) {
				t.Errorf("%s: it ended with %v, %s", at, state, output)
			}
			if _, err := os.Stat(left); errors.Is(err, os.ErrNotExist) != kill.replaced {
				t.Errorf("%s: the copy: %v", at, err)
			}
			if replaced := logSize(t, n) < size; replaced != kill.replaced {
				t.Errorf("%s: the log is replaced: %v", at, replaced)
			}
			if logContent(t, n) != content {
				t.Fatalf("%s: the log is not what it was", at)
			}
		}
	}
	output, state := compact(c, n)
	if after := logSize(t, n); state.ExitCode() != 0 || after > size/4 || !strings.Contains(output, fmt.Sprintf("%d bytes after", after)) {
		t.Errorf("exit code %d, %d bytes before, %d after, %s", state.ExitCode(), size, after, output)
	}
	if logContent(t, n) != content {
		t.Fatal("the log is not what it was")
	}
	c.Restart(n)
	c.MustHold(n, client.Consistency{}, c.Write(10000, 5, n))
	c.WaitEqual()

	bloat(20000)
	size = logSize(t, n)
	c.Stop(n)
	c.do(os.WriteFile(left, []byte("of an interrupted one"), 0o600))
	n.Settings["log-compact-percent"] = "50"
	c.Restart(n)
	c.WaitLog(n, 0, `"msg":"raft log compacted"`)
	if after := logSize(t, n); after > size/4 {
		t.Errorf("the log has %d bytes after a start, %d before", after, size)
	}
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the copy is still there: %v", err)
	}
	c.MustHold(n, client.Consistency{}, c.Write(30000, 5, n))
	c.WaitEqual()
}
