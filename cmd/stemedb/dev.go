package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/stemedb/stemedb/internal/exitcode"
	"github.com/stemedb/stemedb/internal/localcluster"
	"github.com/stemedb/stemedb/internal/settings"
)

const (
	devMaxNodes = 9
	// devStopTime is longer than a graceful stop takes with default settings.
	devStopTime = 25 * time.Second
)

// devCluster is a cluster of child processes on loopback.
type devCluster struct {
	nodes    int
	basePort int
	dataDir  string
	out      io.Writer
}

func devCommand() *cobra.Command {
	var d devCluster
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run a whole cluster on loopback, for development",
		Long: `Run a whole cluster on loopback in one command: three processes with HTTP on 18180, 18190 and 18200, node-to-node and gossip on
the ports +2 and +3 of each. Data goes to --data-dir, or to a temporary folder that is removed at the end. Other settings of
'stemedb serve' are given as environment variables; HTTP is not encrypted. One line says when every node is ready.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			d.out = cmd.ErrOrStderr()
			if err := d.validate(); err != nil {
				return err
			}
			if err := d.run(cmd.Context()); err != nil {
				return &exitcode.Error{Code: exitError, Err: err}
			}
			return nil
		},
	}
	cmd.Flags().IntVar(&d.nodes, "nodes", 3, fmt.Sprintf("number of nodes, 1 to %d", devMaxNodes))
	cmd.Flags().IntVar(&d.basePort, "base-port", 18180, "HTTP port of the first node; each further node is 10 higher")
	cmd.Flags().StringVar(&d.dataDir, "data-dir", "", "folder for the nodes' data (default: a temporary one, removed at the end)")
	return cmd
}

func (d *devCluster) validate() error {
	if d.nodes < 1 || d.nodes > devMaxNodes {
		return fmt.Errorf("--nodes %d: 1 to %d are possible", d.nodes, devMaxNodes)
	}
	if last := d.basePort + localcluster.PortStep*d.nodes; d.basePort < 1 || last > 65535 {
		return fmt.Errorf("--base-port %d: the nodes would use ports %d to %d", d.basePort, d.basePort, last)
	}
	return nil
}

func (d *devCluster) run(ctx context.Context) (err error) {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if d.dataDir == "" {
		tmp, err := os.MkdirTemp("", "stemedb-dev-")
		if err != nil {
			return fmt.Errorf("make a folder for the data: %w", err)
		}
		defer os.RemoveAll(tmp)
		d.dataDir = tmp
	}
	lines := &lineWriter{out: d.out}
	cluster, err := d.prepare(lines)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cluster.Stop(devStopTime), cluster.Close()) }()
	if err := cluster.Start(); err != nil {
		return err
	}
	var announced sync.WaitGroup
	announced.Go(func() {
		if cluster.WaitReady(ctx, cluster.Nodes...) == nil {
			lines.print("ready", strings.Join(cluster.URLs(), " "))
		}
	})
	err = cluster.WaitEnd(ctx)
	stop()
	announced.Wait()
	return err
}

func (d *devCluster) prepare(lines *lineWriter) (*localcluster.Cluster, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	var ports []int
	for i := range d.nodes {
		port := d.basePort + localcluster.PortStep*i
		if err := localcluster.PortsFree(port); err != nil {
			return nil, fmt.Errorf("%w: stop what uses it, or give another --base-port", err)
		}
		ports = append(ports, port)
	}
	return localcluster.New(localcluster.Options{
		Binary: self, Dir: d.dataDir, Ports: ports, Env: devEnvironment(os.Environ()),
		Output: func(n *localcluster.Node) io.WriteCloser { return &prefixWriter{name: n.Name, to: lines} },
	})
}

// devEnvironment leaves out what is each node's own, and makes the log readable
// unless the environment says otherwise.
func devEnvironment(environ []string) []string {
	own := map[string]bool{}
	format := ""
	for _, s := range settings.All() {
		switch s.Name {
		case "data-dir", "node-id", "http-addr", "cluster-addr", "gossip-addr", "advertise-addr", "join", "bootstrap-expect", "http-tls-cert", "http-tls-key":
			own[s.Env()] = true
		case "log-format":
			format = s.Env()
		}
	}
	env := []string{format + "=text"} // a later value of the same name wins
	for _, pair := range environ {
		if name, _, _ := strings.Cut(pair, "="); !own[name] {
			env = append(env, pair)
		}
	}
	return env
}

// lineWriter prints whole lines of several nodes without mixing them.
type lineWriter struct {
	mu  sync.Mutex
	out io.Writer
}

func (w *lineWriter) print(name, line string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	fmt.Fprintf(w.out, "%s | %s\n", name, line)
}

// prefixWriter passes whole lines on, with a name before each.
type prefixWriter struct {
	name    string
	to      *lineWriter
	pending []byte
}

// Write implements io.Writer.
func (w *prefixWriter) Write(p []byte) (int, error) {
	w.pending = append(w.pending, p...)
	for {
		line, rest, whole := bytes.Cut(w.pending, []byte("\n"))
		if !whole {
			return len(p), nil
		}
		w.to.print(w.name, string(line))
		w.pending = rest
	}
}

// Close prints a last line that has no end.
func (w *prefixWriter) Close() error {
	if len(w.pending) > 0 {
		w.to.print(w.name, string(w.pending))
		w.pending = nil
	}
	return nil
}
