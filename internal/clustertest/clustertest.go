package clustertest

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/client"
	"github.com/stemedb/stemedb/internal/localcluster"
)

const (
	// patience bounds every wait. It is long because test machines are slow; a
	// test that passes does not use it up.
	patience = 90 * time.Second
	pause    = 20 * time.Millisecond
	// stopTime bounds a graceful stop.
	stopTime = 30 * time.Second
	// shownLines is how much of each node's output a failed test shows.
	shownLines = 80
)

// Node is a node of a cluster; see localcluster.Node.
type Node = localcluster.Node

// Options say what a cluster is made of.
type Options struct {
	// Nodes is the number of founding nodes; 0 means three.
	Nodes int
	// Name begins the name of every node; empty means node.
	Name string
	// Settings are flags of every node, by name, beside those of a calm cluster.
	Settings map[string]string
	// RootCAs, if set, are the authorities of the nodes' HTTP certificates: the
	// nodes are reached by HTTPS.
	RootCAs *x509.CertPool
	// BuildFlags make another build of the program than the usual one.
	BuildFlags []string
	// Wrap makes what is put before the command line of a node; see
	// localcluster.Node. dir is the cluster's Dir.
	Wrap func(dir string, n *Node) []string
}

// Cluster is a cluster that belongs to a test and ends with it.
type Cluster struct {
	*localcluster.Cluster
	// Dir holds the nodes' data and output.
	Dir string

	t testing.TB
	// rootKey is the secret that Settings give the cluster, if they do.
	rootKey string
	// logStore is the log store of the nodes, empty for the default.
	logStore string
	roots    *x509.CertPool
}

// calm are settings with which nothing happens to a cluster but what the test does:
// no score and no model is learnt from what it writes, and a machine that stands
// still for two seconds elects no other leader.
var calm = map[string]string{
	"trust-interval": "1h", "truth-interval": "1h",
	"raft-heartbeat-timeout": "3s", "raft-election-timeout": "3s", "raft-leader-lease": "2400ms",
}

// programs are built once in the life of a test binary, by main package and
// flags.
var programs sync.Map

// Binary is a built program of this module, the server if name is "stemedb".
func Binary(t testing.TB, name string, flags ...string) string {
	t.Helper()
	if os.Getenv("STEMEDB_TEST_RACE") != "" {
		flags = append(flags, "-race")
	}
	build, _ := programs.LoadOrStore(fmt.Sprint(name, flags), sync.OnceValues(func() (string, error) {
		return localcluster.Build(context.Background(), "cmd/"+name, flags...)
	}))
	path, err := build.(func() (string, error))()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// Start starts a cluster and waits until every node is ready and has written to
// the log what it writes by itself, its key for receipts: such an entry would
// otherwise come at any time in a test.
func Start(t testing.TB, o Options) *Cluster {
	t.Helper()
	c := New(t, o)
	c.do(c.Cluster.Start())
	c.WaitReady()
	c.WaitNodeKeys()
	return c
}

// New prepares a cluster; nothing runs yet.
func New(t testing.TB, o Options) *Cluster {
	t.Helper()
	if testing.Short() {
		t.Skip("whole clusters are not run with -short")
	}
	if o.Nodes == 0 {
		o.Nodes = 3
	}
	c := &Cluster{Dir: t.TempDir(), t: t, rootKey: o.Settings["root-api-key"], logStore: o.Settings["log-store"], roots: o.RootCAs}
	var ports []int
	for range o.Nodes {
		ports = append(ports, c.reservePort())
	}
	settings := maps.Clone(calm)
	maps.Copy(settings, o.Settings)
	inner, err := localcluster.New(localcluster.Options{
		Binary: Binary(t, "stemedb", o.BuildFlags...), Dir: c.Dir, Name: o.Name, Ports: ports, Settings: settings, RootCAs: o.RootCAs, Env: localcluster.CleanEnv(), Output: c.output,
	})
	c.do(err)
	c.Cluster = inner
	if o.Wrap != nil {
		for _, n := range c.Nodes {
			n.Wrap = o.Wrap(c.Dir, n)
		}
	}
	t.Cleanup(c.end)
	return c
}

func (c *Cluster) reservePort() int {
	c.t.Helper()
	blocks, err := localcluster.ReserveBlocks(1)
	c.do(err)
	c.t.Cleanup(func() {
		if err := blocks[0].Release(); err != nil {
			c.t.Error(err)
		}
	})
	return blocks[0].Port
}

// end kills what runs, and shows the nodes' last lines if the test has failed;
// requests that went well and questions for readiness are left out.
func (c *Cluster) end() {
	if err := c.Close(); err != nil {
		c.t.Error(err)
	}
	if !c.t.Failed() {
		return
	}
	for _, n := range c.Nodes {
		lines := slices.DeleteFunc(strings.Split(strings.TrimSpace(c.Log(n)), "\n"), func(line string) bool {
			return strings.Contains(line, `"level":"INFO","msg":"request"`) || strings.Contains(line, `"route":"/readyz"`)
		})
		lines = lines[max(0, len(lines)-shownLines):]
		c.t.Logf("the last lines of %s:\n%s", n.Name, strings.Join(lines, "\n"))
	}
}

// do ends the test on an error.
func (c *Cluster) do(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *Cluster) logPath(n *Node) string { return filepath.Join(c.Dir, n.Name+".log") }

// output appends what a node writes to its log file.
func (c *Cluster) output(n *Node) io.WriteCloser {
	file, err := os.OpenFile(c.logPath(n), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	c.do(err)
	return file
}

// Log is everything that a node has written, over all its runs.
func (c *Cluster) Log(n *Node) string {
	c.t.Helper()
	text, err := os.ReadFile(c.logPath(n))
	if err != nil {
		return fmt.Sprintf("(no output: %v)", err)
	}
	return string(text)
}

// WaitLog waits until a node has written a text, at or after a position in its
// log, and returns the line that holds it.
func (c *Cluster) WaitLog(n *Node, from int, text string) string {
	c.t.Helper()
	var line string
	c.WaitFor(fmt.Sprintf("%s logs %q", n.Name, text), func() bool {
		for candidate := range strings.Lines(c.Log(n)[from:]) {
			if strings.Contains(candidate, text) && strings.HasSuffix(candidate, "\n") {
				line = candidate
				return true
			}
		}
		return false
	})
	return line
}

// WaitFor polls a condition that must come true.
func (c *Cluster) WaitFor(what string, condition func() bool) {
	c.t.Helper()
	deadline := time.Now().Add(patience)
	for !condition() {
		if time.Now().After(deadline) {
			c.t.Fatalf("waited %v in vain: %s", patience, what)
		}
		time.Sleep(pause)
	}
}

// WaitReady waits until the given nodes are ready, or all that run.
func (c *Cluster) WaitReady(nodes ...*Node) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	c.do(c.Cluster.WaitReady(ctx, nodes...))
}

// Add starts one more node with the command line of the others, and waits until
// it is ready.
func (c *Cluster) Add() *Node {
	c.t.Helper()
	n := c.Cluster.Add(c.reservePort())
	c.do(n.Start())
	c.WaitReady(n)
	c.WaitNodeKeys()
	return n
}

// Kill ends a node with SIGKILL.
func (c *Cluster) Kill(n *Node) { c.t.Helper(); c.do(n.Kill()) }

// KillAll ends every node with SIGKILL at once.
func (c *Cluster) KillAll() { c.t.Helper(); c.do(c.Cluster.Kill()) }

// Stop ends a node with SIGTERM; it must end with exit code 0.
func (c *Cluster) Stop(n *Node) { c.t.Helper(); c.do(n.Stop(stopTime)) }

// Pause stops the clock of a node with SIGSTOP.
func (c *Cluster) Pause(n *Node) { c.t.Helper(); c.do(n.Signal(syscall.SIGSTOP)) }

// Resume lets a paused node go on.
func (c *Cluster) Resume(n *Node) { c.t.Helper(); c.do(n.Signal(syscall.SIGCONT)) }

// Restart starts a node that is down again, with its data and ports, and waits
// until it is ready.
func (c *Cluster) Restart(n *Node) {
	c.t.Helper()
	c.do(n.Start())
	c.WaitReady(n)
}

// Client makes a client of the given nodes, or of all. It ends with the test.
func (c *Cluster) Client(nodes ...*Node) *client.Client {
	c.t.Helper()
	if len(nodes) == 0 {
		nodes = c.Nodes
	}
	db := c.newClient(nodes)
	c.t.Cleanup(db.Close)
	return db
}

func (c *Cluster) newClient(nodes []*Node, options ...client.Option) *client.Client {
	c.t.Helper()
	var urls []string
	for _, n := range nodes {
		urls = append(urls, n.URL)
	}
	options = append(options, client.WithAPIKey(c.rootKey), client.WithRootCAs(c.roots)) // "" sends none, nil are the system's
	db, err := client.New(urls, options...)
	c.do(err)
	return db
}

// Status is the cluster as one node sees it; nil if it does not answer.
func (c *Cluster) Status(n *Node) *v1.Cluster {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 2*time.Second)
	defer cancel()
	db := c.newClient([]*Node{n})
	defer db.Close()
	status, err := db.Cluster(ctx, 0)
	if err != nil {
		return nil
	}
	return status
}

// MustStatus waits until a node answers with the cluster as it sees it.
func (c *Cluster) MustStatus(n *Node) (status *v1.Cluster) {
	c.t.Helper()
	c.WaitFor(n.Name+" tells its status", func() bool { status = c.Status(n); return status != nil })
	return status
}

// Leader waits until all running nodes that answer name the same running leader
// and returns it.
func (c *Cluster) Leader() *Node {
	c.t.Helper()
	var leader *Node
	c.WaitFor("the running nodes agree on a leader", func() bool {
		leader = nil
		names := map[string]bool{}
		for _, n := range c.Running() {
			if s := c.Status(n); s != nil {
				names[s.Leader] = true
			}
		}
		for _, n := range c.Running() {
			if len(names) == 1 && names[n.Name] {
				leader = n
			}
		}
		return leader != nil
	})
	return leader
}

// Followers are the running nodes but the leader.
func (c *Cluster) Followers() []*Node {
	c.t.Helper()
	leader := c.Leader()
	var followers []*Node
	for _, n := range c.Running() {
		if n != leader {
			followers = append(followers, n)
		}
	}
	return followers
}

// State is what nodes must agree on.
type State struct {
	Index uint64
	Content
}

// Content is what is stored, at whatever index: a leader's first entry changes
// nothing of it.
type Content struct {
	Count  uint64
	Digest assertion.Hash
}

// WaitNodeKeys waits until a key of every running node is in the log, which the node
// writes by itself some time after it is ready. Where keys are asked for and the test
// knows none, it cannot see that, and does not wait.
func (c *Cluster) WaitNodeKeys() {
	c.t.Helper()
	db := c.newClient(c.Running())
	defer db.Close()
	c.WaitFor("every node's key is registered", func() bool {
		keys, err := db.NodeKeys(c.t.Context(), client.Consistency{})
		var refused *client.Error
		if c.rootKey == "" && errors.As(err, &refused) && refused.Status == http.StatusUnauthorized {
			return true
		}
		return err == nil && !slices.ContainsFunc(c.Running(), func(n *Node) bool {
			return !slices.ContainsFunc(keys.Keys, func(k v1.NodeKey) bool { return k.NodeID == n.Name })
		})
	})
}

// WaitEqual waits until every running node has applied the same index, and
// returns the state that they must share there.
func (c *Cluster) WaitEqual() State {
	c.t.Helper()
	var states []State
	c.WaitFor("the running nodes apply the same index", func() bool {
		states = states[:0]
		for _, n := range c.Running() {
			s := c.Status(n)
			if s == nil || s.AppliedIndex != s.CommitIndex || s.Leader == "" {
				return false
			}
			states = append(states, State{s.AppliedIndex, Content{s.AssertionsCount, s.Digest}})
		}
		for _, s := range states {
			if s.Index != states[0].Index {
				return false
			}
		}
		return len(states) > 0
	})
	for i, s := range states {
		if s != states[0] {
			c.t.Fatalf("%s holds %d claims with digest %s at index %d, %s %d with %s",
				c.Running()[i].Name, s.Count, s.Digest, s.Index, c.Running()[0].Name, states[0].Count, states[0].Digest)
		}
	}
	return states[0]
}

// MustHold fails the test unless a node serves every claim at the given
// consistency.
func (c *Cluster) MustHold(n *Node, want client.Consistency, hashes []assertion.Hash) {
	c.t.Helper()
	db := c.Client(n)
	missing := 0
	for _, h := range hashes {
		if _, err := db.Get(c.t.Context(), h, want); err != nil {
			c.t.Errorf("%s does not serve claim %s: %v", n.Name, h, err)
			if missing++; missing == 3 {
				break
			}
		}
	}
	if missing > 0 {
		c.t.FailNow()
	}
}
