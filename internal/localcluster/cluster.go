package localcluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"reflect"
	"strings"
	"time"
)

// Each node has a block of ports of its own.
const (
	// PortStep is the size of a node's block of ports.
	PortStep = 10

	httpOffset    = 0
	clusterOffset = 2
	gossipOffset  = 3
)

// readyPause is the pause between two questions for readiness.
const readyPause = 50 * time.Millisecond

// Options say what a cluster is made of.
type Options struct {
	// Binary is the program: cmd/stemedb, built.
	Binary string
	// Dir holds a folder with the data of each node.
	Dir string
	// Ports has the first port of each founding node's block: HTTP is on it,
	// node-to-node on +2, gossip on +3. Its length is the number of nodes.
	Ports []int
	// Name begins the name of every node; its number follows. Empty means node.
	Name string
	// Settings are flags of every node, by name.
	Settings map[string]string
	// RootCAs, if set, are the authorities of the nodes' HTTP certificates, which
	// Settings name: the nodes are reached by HTTPS.
	RootCAs *x509.CertPool
	// Env is the whole environment of every node.
	Env []string
	// Output receives what a node writes; it is closed when the node has ended.
	// Called once for each start of a node.
	Output func(n *Node) io.WriteCloser
}

// Cluster is a set of nodes. Close ends it.
type Cluster struct {
	// Nodes are the founding ones, then those that were added.
	Nodes []*Node

	options  Options
	founders int
	join     string // "" for one node alone
	spawner  *spawner
	http     *http.Client
}

// New prepares a cluster; nothing runs yet.
func New(o Options) (*Cluster, error) {
	if len(o.Ports) == 0 || o.Binary == "" || o.Dir == "" || o.Output == nil {
		return nil, errors.New("a cluster needs a program, a folder, an output, and ports for at least one node")
	}
	if o.Name == "" {
		o.Name = "node"
	}
	c := &Cluster{
		options: o, founders: len(o.Ports), spawner: newSpawner(),
		http: &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: o.RootCAs}}},
	}
	var join []string
	for _, port := range o.Ports {
		n := c.newNode(port)
		c.Nodes = append(c.Nodes, n)
		join = append(join, n.ClusterAddr)
	}
	if len(join) > 1 {
		c.join = strings.Join(join, ",")
	}
	return c, nil
}

// Add prepares one more node, with the command line that the others have.
func (c *Cluster) Add(port int) *Node {
	if c.join == "" {
		c.join = c.Nodes[0].ClusterAddr
	}
	n := c.newNode(port)
	c.Nodes = append(c.Nodes, n)
	return n
}

// Start starts every node that does not run.
func (c *Cluster) Start() error {
	for _, n := range c.Nodes {
		if !n.Running() {
			if err := n.Start(); err != nil {
				return err
			}
		}
	}
	return nil
}

// WaitReady waits until the given nodes, or all that run if none is given, are
// ready. The error names one that ended or was not ready in time.
func (c *Cluster) WaitReady(ctx context.Context, nodes ...*Node) error {
	if len(nodes) == 0 {
		nodes = c.Running()
	}
	for _, n := range nodes {
		for !n.Ready(ctx) {
			if !n.Running() {
				return fmt.Errorf("%s ended while it was awaited: %w", n.Name, n.Wait(ctx))
			}
			select {
			case <-time.After(readyPause):
			case <-ctx.Done():
				return fmt.Errorf("%s is not ready: %w", n.Name, context.Cause(ctx))
			}
		}
	}
	return nil
}

// Running are the nodes whose processes exist.
func (c *Cluster) Running() []*Node {
	var running []*Node
	for _, n := range c.Nodes {
		if n.Running() {
			running = append(running, n)
		}
	}
	return running
}

// URLs are the base URLs of all nodes.
func (c *Cluster) URLs() []string {
	urls := make([]string, len(c.Nodes))
	for i, n := range c.Nodes {
		urls[i] = n.URL
	}
	return urls
}

// WaitEnd waits until a node that was started has ended, and says which, or
// until ctx ends, which is no error.
func (c *Cluster) WaitEnd(ctx context.Context) error {
	var started []*Node
	cases := []reflect.SelectCase{{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(ctx.Done())}}
	for _, n := range c.Nodes {
		if n.process != nil {
			started = append(started, n)
			cases = append(cases, reflect.SelectCase{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(n.process.ended)})
		}
	}
	chosen, _, _ := reflect.Select(cases)
	if chosen == 0 {
		return nil
	}
	n := started[chosen-1]
	return fmt.Errorf("%s ended by itself with exit code %d: its last lines say why", n.Name, n.ExitCode())
}

// Stop stops one node after the other in good order, as a rolling restart
// would; each gets the given time.
func (c *Cluster) Stop(within time.Duration) error {
	var errs []error
	for _, n := range c.Nodes {
		errs = append(errs, n.Stop(within))
	}
	return errors.Join(errs...)
}

// Kill kills all nodes at once: no one gets the time to notice.
func (c *Cluster) Kill() error {
	var errs []error
	running := c.Running()
	for _, n := range running {
		if err := n.process.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			errs = append(errs, fmt.Errorf("kill %s: %w", n.Name, err))
		}
	}
	for _, n := range running {
		<-n.process.ended
	}
	return errors.Join(errs...)
}

// Close kills what still runs and gives everything back.
func (c *Cluster) Close() error {
	err := c.Kill()
	c.spawner.close()
	c.http.CloseIdleConnections()
	return err
}
