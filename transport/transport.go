package transport

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Transport is the node-to-node port of one node: it listens, and it dials the
// other nodes. Listen makes it, Close ends it.
type Transport struct {
	cfg      Config
	log      *slog.Logger
	codec    *codec
	listener net.Listener
	addr     string
	raft     *raftLayer
	client   *Client
	handler  atomic.Pointer[Handler]

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup // every goroutine of the package

	mu       sync.Mutex
	closed   bool
	deaf     bool
	conns    map[net.Conn]struct{} // open connections, accepted and dialled
	accepted int
}

// Listen opens the port and accepts connections. raft's are queued until
// RaftLayer's Accept takes them; calls are answered with ErrUnreachable until
// Serve.
func Listen(c Config) (*Transport, error) {
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	codec, err := newCodec()
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", c.Addr)
	if err != nil {
		return nil, fmt.Errorf("listen for nodes on %s: %w: is another process using the port?", c.Addr, err)
	}
	addr, err := advertised(c.Advertise, listener.Addr())
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	t := &Transport{
		cfg: c, log: c.Logger.With("component", "transport"), codec: codec, listener: listener, addr: addr,
		conns: map[net.Conn]struct{}{},
	}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	t.raft = newRaftLayer(t)
	t.client = newClient(t)
	t.wg.Go(t.acceptLoop)
	return t, nil
}

// clusterID is this node's cluster, "" while it has none.
func (t *Transport) clusterID() string {
	if t.cfg.ClusterID == nil {
		return ""
	}
	return t.cfg.ClusterID()
}

// Addr is the address by which the other nodes reach this one (host:port).
func (t *Transport) Addr() string { return t.addr }

// Client calls the other nodes. It is closed with the transport.
func (t *Transport) Client() *Client { return t.client }

// Serve begins to answer calls. It returns at once.
func (t *Transport) Serve(h Handler) { t.handler.Store(&h) }

// Close closes the port and every connection, ends the contexts of running
// handlers, and waits for everything that the transport started. Calls under
// way end with ErrOutcomeUnknown.
func (t *Transport) Close() error {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		t.wg.Wait()
		return nil
	}
	t.closed = true
	conns := slices.Collect(maps.Keys(t.conns))
	t.mu.Unlock()

	t.cancel()
	err := t.listener.Close()
	hangUp(conns)
	t.raft.shut()
	t.wg.Wait()
	if err != nil {
		return fmt.Errorf("close the node-to-node port: %w", err)
	}
	return nil
}

// hangUp closes connections; what matters is that their goroutines wake up.
func hangUp(conns []net.Conn) {
	for _, conn := range conns {
		_ = conn.Close()
	}
}

// SetDeaf cuts this node off from the others, or lets it take part again. While
// it is deaf its connections are closed, new ones are closed without an answer,
// and none are dialled: ErrDeaf together with ErrUnreachable. To the other nodes
// it looks like one whose process has ended.
func (t *Transport) SetDeaf(deaf bool) {
	t.mu.Lock()
	t.deaf = deaf
	var conns []net.Conn
	if deaf {
		conns = slices.Collect(maps.Keys(t.conns))
	}
	t.mu.Unlock()
	hangUp(conns)
}

// usable is ErrClosed or ErrDeaf while there is to be no connection.
func (t *Transport) usable() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.refuses()
}

func (t *Transport) refuses() error {
	switch {
	case t.closed:
		return ErrClosed
	case t.deaf:
		return ErrDeaf
	default:
		return nil
	}
}

// spawn runs fn in a goroutine that Close waits for; false means closed.
func (t *Transport) spawn(fn func()) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return false
	}
	t.wg.Go(fn)
	return true
}

// track makes Close and SetDeaf close conn too; ErrClosed and ErrDeaf mean that
// they would have done so already.
func (t *Transport) track(conn net.Conn) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	err := t.refuses()
	if err == nil {
		t.conns[conn] = struct{}{}
	}
	return err
}

func (t *Transport) untrack(conn net.Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.conns, conn)
}

// admit counts an accepted connection, up to maxConnections.
func (t *Transport) admit() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.accepted >= maxConnections {
		return false
	}
	t.accepted++
	return true
}

func (t *Transport) dismiss() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.accepted--
}

// acceptLoop runs until the listener is closed. Errors that pass, such as too
// many open files, slow it down.
func (t *Transport) acceptLoop() {
	const slowest = time.Second
	pause := 5 * time.Millisecond
	for {
		conn, err := t.listener.Accept()
		if err == nil {
			pause = 5 * time.Millisecond
			t.accept(conn)
			continue
		}
		if t.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
			return
		}
		t.log.Error("a connection could not be accepted", "error", err, "retry_in", pause.String())
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-t.ctx.Done():
			timer.Stop()
			return
		}
		pause = min(2*pause, slowest)
	}
}

// accept hands a new connection to a goroutine of its own.
func (t *Transport) accept(raw net.Conn) {
	keepAlive(raw)
	conn := &ownedConn{Conn: raw, released: func(c *ownedConn) { t.untrack(c); t.dismiss() }}
	if !t.admit() {
		t.log.Warn("a connection was refused: too many are open", "remote", raw.RemoteAddr().String(), "limit", maxConnections)
		_ = raw.SetWriteDeadline(time.Now().Add(time.Millisecond))
		_, _ = raw.Write(preface(answerFull, protocolVersion))
		_ = raw.Close()
		return
	}
	if t.track(conn) != nil || !t.spawn(func() { t.receive(conn) }) {
		_ = conn.Close()
	}
}

// ownedConn is a connection that Transport.Close closes, until its owner does.
type ownedConn struct {
	net.Conn
	once     sync.Once
	released func(*ownedConn)
}

func (c *ownedConn) Close() error {
	c.once.Do(func() { c.released(c) })
	return c.Conn.Close()
}

// keepAlive lets the kernel find out about a peer that vanished, for
// connections whose protocol (raft's) has no sign of life of its own.
func keepAlive(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 2 * time.Second, Count: 3})
	}
}
