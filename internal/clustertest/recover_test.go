package clustertest

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stemedb/stemedb/client"
	"github.com/stemedb/stemedb/internal/localcluster"
	"github.com/stemedb/stemedb/transport"
)

// recoverNode runs `stemedb recover` with the settings of a node.
func recoverNode(c *Cluster, n *Node, flags ...string) (output string, exit int) {
	c.t.Helper()
	return offline(c, n, append([]string{"recover"}, flags...)...)
}

// offline runs a command of the server on the data directory of a node, with the
// node's settings.
func offline(c *Cluster, n *Node, command ...string) (output string, exit int) {
	c.t.Helper()
	line := append([]string{Binary(c.t, "stemedb")}, command...)
	if c.logStore != "" {
		line = append(line, "--log-store="+c.logStore)
	}
	output, state := runOffline(c, append(line, "--data-dir="+n.DataDir, "--node-id="+n.Name, "--cluster-addr="+n.ClusterAddr)...)
	return output, state.ExitCode()
}

// runOffline runs a command line beside the cluster, and returns what it wrote and
// how it ended.
func runOffline(c *Cluster, line ...string) (output string, state *os.ProcessState) {
	c.t.Helper()
	cmd := exec.CommandContext(c.t.Context(), line[0], line[1:]...)
	var out bytes.Buffer
	cmd.Env = localcluster.CleanEnv()
	cmd.Stdout, cmd.Stderr = &out, &out
	var failed *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &failed) {
		c.t.Fatal(err)
	}
	return out.String(), cmd.ProcessState
}

// Of three nodes two are destroyed for good. The third becomes a new cluster with
// everything that it had, grows back to three, and a lost node that comes back
// after all cannot mix with it.
func TestRecoveryOfALostQuorum(t *testing.T) {
	for name, settings := range map[string]map[string]string{
		"from the log":    {},
		"from a snapshot": {"snapshot-interval": "50ms", "snapshot-threshold": "20", "trailing-logs": "5"},
		"of a wal log":    {"snapshot-interval": "50ms", "snapshot-threshold": "20", "trailing-logs": "5", "log-store": "wal"},
	} {
		t.Run(name, func(t *testing.T) {
			settings["autopilot-stabilization-time"] = "1s"
			c := Start(t, Options{Settings: settings})
			survivor, ghost, destroyed := c.Nodes[0], c.Nodes[1], c.Nodes[2]
			hashes := c.Load(c.Client(), 0, 150, 3, func(int) {})
			before := c.WaitEqual() // the survivor has all that was acknowledged
			old := c.MustStatus(survivor).ClusterID

			output, exit := recoverNode(c, survivor, "--yes")
			if exit != 1 || !strings.Contains(output, "in use by another process") {
				t.Errorf("recovery of a running node: exit code %d, %s", exit, output)
			}
			c.KillAll()
			c.do(os.RemoveAll(destroyed.DataDir))
			if output, exit = recoverNode(c, survivor); exit != 1 || !strings.Contains(output, "nothing was changed") || !strings.Contains(output, "Lost:") || !strings.Contains(output, ghost.Name) {
				t.Errorf("without --yes: exit code %d, %s", exit, output)
			}
			if output, exit = recoverNode(c, survivor, "--yes"); exit != 0 {
				t.Fatalf("recover: exit code %d, %s", exit, output)
			}
			if output, exit = recoverNode(c, survivor, "--yes"); exit != 0 { // as after an interruption
				t.Fatalf("recover again: exit code %d, %s", exit, output)
			}
			c.Restart(survivor)
			c.MustHold(survivor, client.Consistency{}, hashes)
			status := c.MustStatus(survivor)
			if status.AssertionsCount != before.Count || status.ClusterID == old || len(status.Members) != 1 {
				t.Fatalf("the recovered cluster is %+v, the old one %s had %d claims", status, old, before.Count)
			}
			hashes = append(hashes, c.Write(1000, 30, survivor)...)

			// Back to three: an emptied node and a new one.
			c.Restart(destroyed)
			fresh := c.Add()
			c.waitVoters(survivor, 3)
			hashes = append(hashes, c.Write(2000, 30, fresh)...)
			for _, n := range []*Node{survivor, destroyed, fresh} {
				c.MustHold(n, client.Consistency{}, hashes)
			}
			if s := c.WaitEqual(); s.Count != uint64(len(hashes)) {
				t.Errorf("%d claims, want %d", s.Count, len(hashes))
			}
			// The lost node knows the others' addresses and its old cluster's votes.
			from := len(c.Log(ghost))
			c.do(ghost.Start())
			c.WaitLog(ghost, from, transport.ErrWrongCluster.Error())
			hashes = append(hashes, c.Write(3000, 10, survivor, destroyed, fresh)...)
			c.WaitFor("the survivor has all of it, with the lost node back", func() bool {
				status = c.MustStatus(survivor)
				return len(status.Members) == 3 && status.AssertionsCount >= uint64(len(hashes))
			})
			if status.AssertionsCount != uint64(len(hashes)) {
				t.Errorf("%d claims, want %d", status.AssertionsCount, len(hashes))
			}
			c.Kill(ghost)
			c.KillAll() // the recovered log and state restart like any other
			for _, n := range []*Node{survivor, destroyed, fresh} {
				c.do(n.Start())
			}
			c.WaitReady()
			c.MustHold(survivor, client.Consistency{}, hashes)
			c.WaitEqual()
		})
	}
}

func TestRecoveryRefusesWhatIsNoNode(t *testing.T) {
	c := New(t, Options{Nodes: 1})
	if output, exit := recoverNode(c, c.Nodes[0], "--yes"); exit != 1 || !strings.Contains(output, "holds no node's data") {
		t.Errorf("an empty directory: exit code %d, %s", exit, output)
	}
	if _, err := os.Stat(filepath.Join(c.Nodes[0].DataDir, "LOCK")); err == nil {
		t.Error("the recovery made a data directory")
	}
}

// killedAfter runs a command of the server on the data directory of a node and
// kills it after a delay; false if it had ended by itself.
func killedAfter(t *testing.T, n *Node, delay time.Duration, command ...string) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), delay)
	defer cancel()
	cmd := exec.CommandContext(ctx, Binary(t, "stemedb"), append(command, "--data-dir="+n.DataDir, "--node-id="+n.Name, "--cluster-addr="+n.ClusterAddr)...)
	cmd.Env = localcluster.CleanEnv()
	err := cmd.Run()
	if err == nil {
		return false
	}
	if ctx.Err() == nil {
		t.Fatalf("%v ended by itself: %v", command, err)
	}
	return true
}
