package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

// raftTimeout bounds each read and write of a raft message; raft scales it
// with the size for snapshots.
const raftTimeout = 5 * time.Second

const (
	// pipelinePatience bounds the sending of a message to a peer, and the wait until
	// it may be sent one more than are under way.
	pipelinePatience = 2 * time.Second
	// pipelineRate is how many bytes a second a message may take beside that.
	pipelineRate = 1 << 20
)

// raftPool is how many idle connections raft keeps to each peer.
const raftPool = 3

// RaftTransport is raft's transport over the node-to-node port. Embedding
// keeps raft.WithPreVote and the other optional interfaces.
type RaftTransport struct {
	*raft.NetworkTransport

	patience time.Duration // of a pipeline's calls
}

var (
	_ raft.Transport   = (*RaftTransport)(nil)
	_ raft.WithPreVote = (*RaftTransport)(nil)
	_ raft.WithClose   = (*RaftTransport)(nil)
)

// RaftTransport makes raft's transport; call it once. Close it after raft has
// shut down and before the Transport.
func (t *Transport) RaftTransport(logger hclog.Logger) *RaftTransport {
	return &RaftTransport{NetworkTransport: raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream: t.raft, MaxPool: raftPool, Timeout: raftTimeout, Logger: logger,
	}), patience: pipelinePatience}
}

// AppendEntriesPipeline implements raft.Transport: a pipeline of which a call waits
// longer than pipelinePatience, and a second for each MiB, ends. raft stops reading
// answers after the first that is no success, and may send again before it notices
// (hashicorp/raft issue 612). With the embedded pipeline that waits until somebody
// reads, which is for ever: the peer is sent no entry any more, while heartbeats
// keep it quiet, and raft does not shut down.
func (r *RaftTransport) AppendEntriesPipeline(id raft.ServerID, target raft.ServerAddress) (raft.AppendPipeline, error) {
	p, err := r.NetworkTransport.AppendEntriesPipeline(id, target)
	if err != nil {
		return nil, err
	}
	return boundedPipeline{p, r.patience}, nil
}

// boundedPipeline ends a pipeline of which a call waits longer than patience and
// what its entries may take. That of a peer that is only slow ends too: raft then
// sends it one message at a time until it answers. raft takes the end of a pipeline
// for a sign of the peer, as it does with the embedded one: it counts for the
// leader's lease once more.
type boundedPipeline struct {
	raft.AppendPipeline

	patience time.Duration
}

func (p boundedPipeline) AppendEntries(args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) (raft.AppendFuture, error) {
	size := 0
	for _, entry := range args.Entries {
		size += len(entry.Data)
	}
	stuck := time.AfterFunc(p.patience+time.Duration(size)*time.Second/pipelineRate, func() { _ = p.Close() }) // it never fails
	defer stuck.Stop()
	return p.AppendPipeline.AppendEntries(args, resp)
}

// Close implements raft.WithClose: unlike the embedded one it also closes the
// pooled connections.
func (r *RaftTransport) Close() error {
	err := r.NetworkTransport.Close()
	r.CloseStreams()
	return err
}

// RaftLayer is the part of the port that carries raft's stream.
func (t *Transport) RaftLayer() raft.StreamLayer { return t.raft }

// raftLayer is a net.Listener of the raft connections, and their dialer.
type raftLayer struct {
	t     *Transport
	queue chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newRaftLayer(t *Transport) *raftLayer {
	return &raftLayer{t: t, queue: make(chan net.Conn), done: make(chan struct{})}
}

// offer hands an accepted connection to raft, or closes it when it comes from
// another cluster or raft is gone.
func (l *raftLayer) offer(conn net.Conn) {
	if err := l.checkCluster(conn); err != nil {
		l.t.log.Warn("refused a raft connection", "remote", conn.RemoteAddr(), "error", err)
		_ = conn.Close()
		return
	}
	select {
	case l.queue <- conn:
	case <-l.done:
		_ = conn.Close()
	}
}

// maxClusterID bounds the name of a cluster at the head of a raft connection.
const maxClusterID = 128

// nameCluster begins a raft connection with this node's cluster: a length and
// the name.
func (l *raftLayer) nameCluster(conn net.Conn) error {
	name := l.t.clusterID()
	if len(name) > maxClusterID {
		return fmt.Errorf("the cluster's name has %d bytes, %d are possible", len(name), maxClusterID)
	}
	_, err := conn.Write(append([]byte{byte(len(name))}, name...))
	return err
}

// checkCluster reads what nameCluster wrote and compares it with this node's
// cluster. A side that has no cluster yet agrees with any.
func (l *raftLayer) checkCluster(conn net.Conn) error {
	if err := conn.SetReadDeadline(time.Now().Add(handshakeTimeout)); err != nil {
		return err
	}
	var length [1]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return fmt.Errorf("read the cluster's name: %w", err)
	}
	if length[0] > maxClusterID {
		return fmt.Errorf("%w: a cluster's name of %d bytes", ErrProtocol, length[0])
	}
	name := make([]byte, length[0])
	if _, err := io.ReadFull(conn, name); err != nil {
		return fmt.Errorf("read the cluster's name: %w", err)
	}
	if own := l.t.clusterID(); own != "" && len(name) > 0 && own != string(name) {
		return fmt.Errorf("%w: it belongs to %q, this node to %q", ErrWrongCluster, name, own)
	}
	return conn.SetReadDeadline(time.Time{})
}

// Accept implements net.Listener.
func (l *raftLayer) Accept() (net.Conn, error) {
	select {
	case conn := <-l.queue:
		return conn, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *raftLayer) shut() { l.once.Do(func() { close(l.done) }) }

// Close implements net.Listener. It ends raft's part of the port; calls go on.
func (l *raftLayer) Close() error {
	l.shut()
	return nil
}

// Addr implements net.Listener with the address that other nodes use: raft
// introduces itself by it.
func (l *raftLayer) Addr() net.Addr { return address(l.t.addr) }

// Dial implements raft.StreamLayer.
func (l *raftLayer) Dial(to raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(l.t.ctx, timeout)
	defer cancel()
	select {
	case <-l.done:
		return nil, unreachable(string(to), ErrClosed)
	default:
	}
	conn, err := l.t.dial(ctx, string(to), protoRaft)
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("no answer within %v: %w", timeout, err)
		}
		return nil, unreachable(string(to), err)
	}
	if err := l.nameCluster(conn); err != nil {
		return nil, errors.Join(unreachable(string(to), err), conn.Close())
	}
	return conn, nil
}

// address is a host:port as a net.Addr.
type address string

func (address) Network() string  { return "tcp" }
func (a address) String() string { return string(a) }
