package localcluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// Node is one node of a cluster: its place, and its process while it runs. Its
// methods are for one goroutine at a time.
type Node struct {
	Name        string
	URL         string // of the HTTP API
	HTTPAddr    string
	ClusterAddr string
	GossipAddr  string
	DataDir     string
	// Settings are flags of this node alone, by name; they take effect at the
	// next start, as Env does.
	Settings map[string]string
	// Env is added to the environment of this node alone.
	Env []string
	// Wrap is put before the command line, to run the node under another
	// program that keeps it as its own process image, such as `strace -D`.
	Wrap []string

	cluster *Cluster
	process *process
}

// process is one run of a node.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{}
	err   error // valid once ended is closed
}

func (c *Cluster) newNode(port int) *Node {
	name := c.options.Name + strconv.Itoa(len(c.Nodes)+1)
	scheme := "http://"
	if c.options.RootCAs != nil {
		scheme = "https://"
	}
	at := func(offset int) string { return "127.0.0.1:" + strconv.Itoa(port+offset) }
	return &Node{
		Name: name, URL: scheme + at(httpOffset), HTTPAddr: at(httpOffset), ClusterAddr: at(clusterOffset), GossipAddr: at(gossipOffset),
		DataDir: filepath.Join(c.options.Dir, name), Settings: map[string]string{}, cluster: c,
	}
}

// arguments is the node's command line without the program.
func (n *Node) arguments() []string {
	args := []string{"serve",
		"--node-id=" + n.Name, "--data-dir=" + n.DataDir,
		"--http-addr=" + n.HTTPAddr, "--cluster-addr=" + n.ClusterAddr, "--gossip-addr=" + n.GossipAddr,
		"--bootstrap-expect=" + strconv.Itoa(n.cluster.founders),
	}
	if n.cluster.join != "" {
		args = append(args, "--join="+n.cluster.join)
	}
	extra := maps.Clone(n.cluster.options.Settings)
	if extra == nil {
		extra = map[string]string{}
	}
	maps.Copy(extra, n.Settings)
	for _, name := range slices.Sorted(maps.Keys(extra)) {
		args = append(args, "--"+name+"="+extra[name]) // a repeated flag: the last one counts
	}
	return args
}

// Start runs the node. It returns as soon as the process exists.
func (n *Node) Start() error {
	if n.Running() {
		return fmt.Errorf("%s runs already", n.Name)
	}
	line := append(append(slices.Clone(n.Wrap), n.cluster.options.Binary), n.arguments()...)
	cmd := exec.Command(line[0], line[1:]...)
	cmd.Env = slices.Concat(n.cluster.options.Env, n.Env)
	cmd.SysProcAttr = dieWithParent()
	// A pipe of our own rather than cmd.StderrPipe: Wait must not cut off what
	// the node says last.
	reader, writer, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("start %s: %w", n.Name, err)
	}
	cmd.Stderr, cmd.Stdout = writer, writer
	err = n.cluster.spawner.run(cmd.Start)
	err = errors.Join(err, writer.Close())
	if err != nil {
		return fmt.Errorf("start %s: %w", n.Name, errors.Join(err, reader.Close()))
	}
	p := &process{cmd: cmd, ended: make(chan struct{})}
	n.process = p
	output := n.cluster.options.Output(n)
	go func() {
		defer close(p.ended)
		_, copyErr := io.Copy(output, reader) // until the node has closed its end
		p.err = errors.Join(cmd.Wait(), reader.Close(), output.Close())
		if copyErr != nil {
			p.err = errors.Join(p.err, fmt.Errorf("keep the output of %s: %w", n.Name, copyErr))
		}
	}()
	return nil
}

// Running tells whether the process exists; a paused one does.
func (n *Node) Running() bool {
	if n.process == nil {
		return false
	}
	select {
	case <-n.process.ended:
		return false
	default:
		return true
	}
}

// PID is the process id of the node's newest run.
func (n *Node) PID() int { return n.process.cmd.Process.Pid }

// ExitCode is that of the newest run, which must have ended; -1 if a signal
// ended it.
func (n *Node) ExitCode() int { return n.process.cmd.ProcessState.ExitCode() }

// Signal sends a signal to the node's process.
func (n *Node) Signal(sig os.Signal) error {
	if !n.Running() {
		return fmt.Errorf("signal %v to %s: it does not run", sig, n.Name)
	}
	if err := n.process.cmd.Process.Signal(sig); err != nil {
		return fmt.Errorf("signal %v to %s: %w", sig, n.Name, err)
	}
	return nil
}

// Kill ends the process as a power failure would, but for the operating
// system's own buffers.
func (n *Node) Kill() error {
	if !n.Running() {
		return nil
	}
	if err := n.process.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill %s: %w", n.Name, err)
	}
	<-n.process.ended
	return nil
}

// Stop asks the node to end in good order and waits. The error says if it did
// not: it had another exit code than 0, or had to be killed after the time.
func (n *Node) Stop(within time.Duration) error {
	if !n.Running() {
		return nil
	}
	if err := n.Signal(syscall.SIGTERM); err != nil && n.Running() {
		return err
	}
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case <-n.process.ended:
		if n.process.err != nil {
			return fmt.Errorf("stop %s: %w", n.Name, n.process.err)
		}
		return nil
	case <-timer.C:
		return errors.Join(fmt.Errorf("stop %s: it did not end within %v and was killed", n.Name, within), n.Kill())
	}
}

// Wait waits until the process has ended by itself and returns its error.
func (n *Node) Wait(ctx context.Context) error {
	select {
	case <-n.process.ended:
		return n.process.err
	case <-ctx.Done():
		return fmt.Errorf("wait for the end of %s: %w", n.Name, context.Cause(ctx))
	}
}

// Ready tells whether the node says that it should receive requests.
func (n *Node) Ready(ctx context.Context) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, n.URL+"/readyz", nil)
	if err != nil {
		return false
	}
	resp, err := n.cluster.http.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body) // so that the connection is used again
	return err == nil && resp.StatusCode == http.StatusOK
}
