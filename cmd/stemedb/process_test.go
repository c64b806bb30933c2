package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stemedb/stemedb/client"
	"github.com/stemedb/stemedb/internal/clustertest"
	"github.com/stemedb/stemedb/internal/localcluster"
)

func TestMetricsOfEveryPartAreExposed(t *testing.T) {
	c := clustertest.Start(t, clustertest.Options{})
	c.Write(0, 10)
	text, err := c.Client(c.Leader()).Document(t.Context(), 0, "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"\nraft_commitTime_count ", "\nraft_apply ", "\nmemberlist_", "\ngo_goroutines ", "\nprocess_open_fds ",
		"\nstemedb_build_info{", "\nstemedb_assertions_total 10\n", "\nstemedb_log_store_sync_seconds_count ",
		"\nstemedb_cluster_is_leader 1\n", "\nstemedb_http_requests_total{", "\nstemedb_sync_converged ",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no metric %q", strings.TrimSpace(want))
		}
	}
}

func TestASecondSignalDoesNotWait(t *testing.T) {
	c := clustertest.Start(t, clustertest.Options{})
	n := c.Followers()[0]
	for _, other := range c.Nodes {
		if other != n {
			c.Kill(other)
		}
	}
	// A write that cannot succeed holds the graceful stop up.
	before := established(t, n)
	db := c.Client(n)
	written := make(chan struct{})
	go func() {
		defer close(written)
		_, _ = db.Assert(t.Context(), clustertest.Claim(t, 1)) // its outcome does not matter
	}()
	c.WaitFor("the write is under way", func() bool { return established(t, n) > before })
	if err := n.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	c.WaitLog(n, 0, `"msg":"stopping"`)
	if !n.Running() {
		t.Fatal("the node did not wait for the write")
	}
	if err := n.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = n.Wait(t.Context())
	if n.ExitCode() != exitError {
		t.Errorf("exit code %d, want %d", n.ExitCode(), exitError)
	}
	c.WaitLog(n, 0, "second signal")
	db.Close()
}

// established counts the connections to a node's HTTP port.
func established(t *testing.T, n *clustertest.Node) (count int) {
	t.Helper()
	connections, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/tcp", n.PID()))
	if err != nil {
		t.Skipf("this test needs /proc: %v", err)
	}
	_, port, _ := strings.Cut(n.HTTPAddr, ":")
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	local := fmt.Sprintf("0100007F:%04X", number)
	for line := range strings.Lines(string(connections)) {
		if f := strings.Fields(line); len(f) > 3 && f[1] == local && f[3] == "01" {
			count++
		}
	}
	return count
}

func TestAPortInUseIsExplained(t *testing.T) {
	c := clustertest.Start(t, clustertest.Options{Nodes: 1})
	out, err := exec.CommandContext(t.Context(), clustertest.Binary(t, "stemedb"), "serve", "--data-dir="+t.TempDir(), "--http-addr="+c.Nodes[0].HTTPAddr).CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != exitError || !strings.Contains(string(out), "--http-addr") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestDevRunsAClusterAndLeavesNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("whole clusters are not run with -short")
	}
	for _, end := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		t.Run(end.String(), func(t *testing.T) {
			blocks, err := localcluster.ReserveBlocks(3)
			if err != nil {
				t.Fatal(err)
			}
			base := 0
			for _, b := range blocks {
				defer b.Release()
				base = max(base, b.Port)
			}
			if base != blocks[0].Port+2*localcluster.PortStep {
				t.Skip("no three neighbouring blocks of ports are free")
			}
			dev(t, blocks[0].Port, end)
		})
	}
}

// dev runs `stemedb dev` until it is ready and ends it with a signal.
func dev(t *testing.T, base int, end syscall.Signal) {
	t.Helper()
	tmp := t.TempDir()
	cmd := exec.Command(clustertest.Binary(t, "stemedb"), "dev", "--base-port="+strconv.Itoa(base))
	cmd.Env = append(localcluster.CleanEnv(), "TMPDIR="+tmp, "STEMEDB_JOIN=of-no-use")
	output, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill() }()
	var lines []string
	ready := ""
	for scanner := bufio.NewScanner(output); scanner.Scan(); {
		lines = append(lines, scanner.Text())
		if urls, ok := strings.CutPrefix(scanner.Text(), "ready | "); ok {
			ready = urls
			if err := cmd.Process.Signal(end); err != nil {
				t.Fatal(err)
			}
			if end == syscall.SIGKILL {
				break
			}
		}
	}
	if want := fmt.Sprintf("http://127.0.0.1:%d http://127.0.0.1:%d http://127.0.0.1:%d", base, base+10, base+20); ready != want {
		t.Fatalf("ready at %q, want %q\n%s", ready, want, strings.Join(lines, "\n"))
	}
	err = cmd.Wait()
	if end == syscall.SIGTERM {
		if err != nil {
			t.Errorf("dev ended with %v\n%s", err, strings.Join(lines, "\n"))
		}
		if left, _ := os.ReadDir(tmp); len(left) > 0 {
			t.Errorf("dev left %v behind", left)
		}
	}
	deadline := time.Now().Add(30 * time.Second)
	for i := range 3 { // the nodes are gone when their ports are free
		for localcluster.PortsFree(base+10*i) != nil {
			if time.Now().After(deadline) {
				t.Fatalf("node %d outlived the cluster's process", i+1)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
}

// While load balancers notice that a node stops, it serves on, also what arrives
// over new connections.
func TestANodeServesOnUntilItsStopIsNoticed(t *testing.T) {
	c := clustertest.Start(t, clustertest.Options{Settings: map[string]string{"shutdown-delay": "1m"}})
	leader := c.Leader()
	if err := leader.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	ready := func() bool {
		answer, err := c.Client(leader).Ready(t.Context(), 0)
		return err == nil && answer.Ready
	}
	c.WaitFor("the node is not ready", func() bool { return !ready() })
	c.WaitLog(leader, 0, "leadership handed over")
	c.MustHold(leader, client.Consistency{}, c.Write(0, 3, leader))
	if err := leader.Signal(syscall.SIGTERM); err != nil { // a second signal does not wait
		t.Fatal(err)
	}
	_ = leader.Wait(t.Context())
}
