package localcluster

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// script makes a program that stands in for the server: it prints its
// arguments and then does what the text says.
func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "stemedb")
	if err := os.WriteFile(path, []byte("#!/bin/sh\nfor a in \"$@\"; do echo \"arg $a\"; done\n"+text+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// outputs keeps what each node says.
type outputs struct {
	mu   sync.Mutex
	text map[string]*bytes.Buffer
}

type nodeOutput struct {
	to   *outputs
	name string
}

func (o *outputs) open(n *Node) io.WriteCloser { return nodeOutput{o, n.Name} }

func (o *outputs) of(n *Node) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	if b := o.text[n.Name]; b != nil {
		return b.String()
	}
	return ""
}

func (w nodeOutput) Write(p []byte) (int, error) {
	w.to.mu.Lock()
	defer w.to.mu.Unlock()
	if w.to.text[w.name] == nil {
		w.to.text[w.name] = &bytes.Buffer{}
	}
	return w.to.text[w.name].Write(p)
}

func (nodeOutput) Close() error { return nil }

func newCluster(t *testing.T, program string, nodes int) (*Cluster, *outputs) {
	t.Helper()
	blocks, err := ReserveBlocks(nodes)
	if err != nil {
		t.Fatal(err)
	}
	o := &outputs{text: map[string]*bytes.Buffer{}}
	options := Options{Binary: program, Dir: t.TempDir(), Env: CleanEnv(), Settings: map[string]string{"log-level": "warn"}, Output: o.open}
	for _, b := range blocks {
		options.Ports = append(options.Ports, b.Port)
		t.Cleanup(func() {
			if err := b.Release(); err != nil {
				t.Error(err)
			}
		})
	}
	c, err := New(options)
	if err != nil {
		t.Fatal(err)
	}
	return c, o
}

func waitOutput(t *testing.T, o *outputs, n *Node, want string) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !strings.Contains(o.of(n), want) {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not say %q but %q", n.Name, want, o.of(n))
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestNodesHaveOneCommandLine(t *testing.T) {
	c, _ := newCluster(t, "/bin/true", 3)
	defer c.Close()
	fourth := c.Add(1000)
	own := []string{"--node-id=", "--data-dir=", "--http-addr=", "--cluster-addr=", "--gossip-addr="}
	common := func(n *Node) []string {
		return slices.DeleteFunc(n.arguments(), func(a string) bool {
			return slices.ContainsFunc(own, func(prefix string) bool { return strings.HasPrefix(a, prefix) })
		})
	}
	for _, n := range append(c.Nodes[1:], fourth) {
		if !slices.Equal(common(n), common(c.Nodes[0])) {
			t.Errorf("%s has %v, %s has %v", n.Name, common(n), c.Nodes[0].Name, common(c.Nodes[0]))
		}
	}
	if args := common(fourth); !slices.Contains(args, "--bootstrap-expect=3") || !slices.Contains(args, "--log-level=warn") {
		t.Errorf("arguments %v", args)
	}
	fourth.Settings["log-level"] = "debug"
	if args := fourth.arguments(); args[len(args)-1] != "--log-level=debug" {
		t.Errorf("a node's own setting does not come last: %v", args)
	}
}

func TestStopWaitsAndTellsHowItEnded(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	for name, tc := range map[string]struct {
		program string
		wantErr bool
	}{
		"in good order":  {`trap 'echo last words; exit 0' TERM; echo up; while :; do sleep 0.01; done`, false},
		"with a failure": {`trap 'echo last words; exit 3' TERM; echo up; while :; do sleep 0.01; done`, true},
		"not at all":     {`trap 'echo last words' TERM; echo up; while :; do sleep 0.01; done`, true},
	} {
		t.Run(name, func(t *testing.T) {
			c, o := newCluster(t, script(t, tc.program), 1)
			n := c.Nodes[0]
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			if err := n.Start(); err == nil {
				t.Error("a second start of a running node is no error")
			}
			waitOutput(t, o, n, "up\n")
			within := 30 * time.Second
			if name == "not at all" {
				within = 3 * time.Second
			}
			if err := n.Stop(within); (err != nil) != tc.wantErr {
				t.Errorf("stop: %v, want an error: %v", err, tc.wantErr)
			}
			if n.Running() || !strings.Contains(o.of(n), "last words") {
				t.Errorf("runs %v, said %q", n.Running(), o.of(n))
			}
			if err := n.Stop(time.Second); err != nil {
				t.Errorf("stop of a node that is down: %v", err)
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestKillEndsAllAtOnce(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	c, o := newCluster(t, script(t, `trap '' TERM; echo up; while :; do sleep 0.01; done`), 3)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	for _, n := range c.Nodes {
		waitOutput(t, o, n, "up\n")
	}
	if err := c.Kill(); err != nil || len(c.Running()) > 0 {
		t.Errorf("kill: %v, %d run", err, len(c.Running()))
	}
	if err := c.Nodes[0].Signal(os.Interrupt); err == nil {
		t.Error("a signal to no process is no error")
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

func TestAnEndIsNoticed(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	c, _ := newCluster(t, script(t, `exit 7`), 3)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := c.WaitEnd(ctx); err == nil || !strings.Contains(err.Error(), "exit code 7") {
		t.Errorf("the end of a node: %v", err)
	}
	if err := c.WaitReady(ctx, c.Nodes...); err == nil || ctx.Err() != nil {
		t.Errorf("readiness of nodes that have ended: %v", err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

func TestReservedPortsAreReservedOnce(t *testing.T) {
	blocks, err := ReserveBlocks(20)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		for _, b := range blocks {
			if err := b.Release(); err != nil {
				t.Error(err)
			}
		}
	}()
	seen := map[int]bool{}
	for _, b := range blocks {
		if seen[b.Port] || b.Port < firstBlock || b.Port > lastBlock {
			t.Errorf("block %d", b.Port)
		}
		seen[b.Port] = true
		if _, err := reserve(filepath.Join(os.TempDir(), "stemedb-ports-"+strconv.Itoa(os.Getuid())), b.Port); err == nil {
			t.Errorf("block %d was reserved twice", b.Port)
		}
	}
	for _, offset := range []int{httpOffset, clusterOffset, gossipOffset} {
		l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(blocks[0].Port+offset))
		if err != nil {
			t.Fatal(err)
		}
		if err := PortsFree(blocks[0].Port); err == nil || !strings.Contains(err.Error(), strconv.Itoa(blocks[0].Port+offset)) {
			t.Errorf("port +%d is in use, but: %v", offset, err)
		}
		l.Close()
	}
	if err := PortsFree(blocks[0].Port); err != nil {
		t.Error(err)
	}
}

func TestTheEnvironmentOfANodeIsClean(t *testing.T) {
	t.Setenv("STEMEDB_JOIN", "x")
	t.Setenv("OTHER", "y")
	env := CleanEnv()
	if slices.Contains(env, "STEMEDB_JOIN=x") || !slices.Contains(env, "OTHER=y") {
		t.Errorf("environment %v", env)
	}
}
