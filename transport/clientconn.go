package transport

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// errNotSent means that no byte of a request was handed to its connection.
var errNotSent = errors.New("the request was not sent")

// clientConn is the asking side of one call connection.
type clientConn struct {
	codec  *codec
	conn   net.Conn
	writer *frameWriter
	slots  chan struct{} // one for each call under way
	done   chan struct{} // closed when err is final

	mu     sync.Mutex
	calls  map[uint64]chan result
	nextID uint64
	used   time.Time // when the last call began
	err    error
}

// result is an answer's status and body.
type result struct {
	status uint8
	body   []byte
}

func newClientConn(codec *codec, conn net.Conn) *clientConn {
	return &clientConn{
		codec: codec, conn: conn, writer: newFrameWriter(conn), slots: make(chan struct{}, maxInFlight), done: make(chan struct{}),
		calls: map[uint64]chan result{}, used: time.Now(),
	}
}

// broken tells whether the connection takes no further calls.
func (c *clientConn) broken() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err != nil
}

// run owns the connection until it breaks, ctx ends or nobody uses it.
func (c *clientConn) run(ctx context.Context) {
	var parts sync.WaitGroup
	ctx, cancel := context.WithCancel(ctx)
	parts.Go(func() { _ = c.writer.run() }) // the reader sees the closed connection
	parts.Go(func() { c.keepAlive(ctx) })
	err := c.read()
	c.refuseCalls(err)
	cancel()
	c.writer.stop()
	_ = c.conn.Close()
	parts.Wait()
	close(c.done) // only now is it certain what was written
}

// refuseCalls records why no further calls are taken; the first reason stays.
func (c *clientConn) refuseCalls(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = err
	}
}

// read delivers answers until the connection ends.
func (c *clientConn) read() error {
	r := bufio.NewReaderSize(&patientConn{c.conn}, bodyChunk)
	var scratch [headerSize]byte
	for {
		h, err := readHeader(r, &scratch)
		if err != nil {
			return err
		}
		switch h.kind {
		case kindPong:
		case kindResponse:
			body, err := readBody(r, int(h.length), nil)
			if err != nil {
				return err
			}
			c.deliver(h, body)
		default:
			return fmt.Errorf("%w: an answering node sent a frame of kind %d", ErrProtocol, h.kind)
		}
	}
}

// deliver hands an answer to its caller, unless that has gone.
func (c *clientConn) deliver(h header, body []byte) {
	c.mu.Lock()
	waiting := c.calls[h.id]
	delete(c.calls, h.id)
	c.mu.Unlock()
	if waiting != nil {
		waiting <- result{status: h.code, body: body} // has room for the only answer
	}
}

// keepAlive shows the peer that this side is alive, which makes the peer
// answer, and closes a connection that nobody has used for long.
func (c *clientConn) keepAlive(ctx context.Context) {
	ticker := time.NewTicker(pingInterval)
	defer ticker.Stop()
	for {
		select {
		case now := <-ticker.C:
			if c.retire(now) {
				_ = c.conn.Close()
				return
			}
			if _, err := c.writer.queue(ctx, header{kind: kindPing}, nil); err != nil {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// retire makes an unused connection take no further calls.
func (c *clientConn) retire(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.calls) > 0 || now.Sub(c.used) < unusedLimit || c.err != nil {
		return false
	}
	c.err = errors.New("unused")
	return true
}

// roundTrip sends one request and waits for its answer. Its error is
// errNotSent, a *RemoteError, or anything else for an unknown outcome.
func (c *clientConn) roundTrip(ctx context.Context, method uint8, body []byte) ([]byte, error) {
	select {
	case c.slots <- struct{}{}:
	default:
		select {
		case c.slots <- struct{}{}:
		case <-c.done:
			return nil, errNotSent
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: it waited for its turn: %w", errNotSent, context.Cause(ctx))
		}
	}
	defer func() { <-c.slots }()

	waiting := make(chan result, 1)
	id, ok := c.register(waiting)
	if !ok {
		return nil, errNotSent
	}
	start, err := c.writer.queue(ctx, header{kind: kindRequest, code: method, id: id, length: uint32(len(body)), timeout: remaining(ctx)}, body)
	if err != nil {
		c.abandon(id)
		if ctx.Err() == nil {
			c.refuseCalls(err) // the reader may notice only later
		}
		return nil, fmt.Errorf("%w: %w", errNotSent, err)
	}
	select {
	case answer := <-waiting:
		return c.open(answer)
	case <-ctx.Done():
		if c.abandon(id) {
			// Best effort: the writer is not waited for, the caller is in a hurry.
			c.writer.offer(header{kind: kindCancel, id: id})
		}
		return nil, context.Cause(ctx)
	case <-c.done:
	}
	select {
	case answer := <-waiting: // it came just before the end
		return c.open(answer)
	default:
	}
	if !c.writer.begun(start) {
		return nil, errNotSent
	}
	return nil, fmt.Errorf("the connection broke: %w", c.reason())
}

// watch waits for the end of the connection, as a call that is never sent: it
// keeps the connection from being retired.
func (c *clientConn) watch(ctx context.Context) error {
	if id, ok := c.register(make(chan result, 1)); ok {
		defer c.abandon(id)
	}
	select {
	case <-c.done:
		return fmt.Errorf("the connection ended: %w", c.reason())
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (c *clientConn) register(waiting chan result) (id uint64, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return 0, false
	}
	c.nextID++
	c.calls[c.nextID] = waiting
	c.used = time.Now()
	return c.nextID, true
}

// abandon forgets a call; false means that its answer has been delivered.
func (c *clientConn) abandon(id uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, waiting := c.calls[id]
	delete(c.calls, id)
	return waiting
}

func (c *clientConn) reason() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// open turns an answer into its body or the remote error.
func (c *clientConn) open(answer result) ([]byte, error) {
	switch answer.status {
	case statusOK:
		return answer.body, nil
	case statusError:
		remote := new(RemoteError)
		if err := c.codec.decode(answer.body, remote); err != nil {
			return nil, err
		}
		return nil, remote
	default:
		return nil, fmt.Errorf("%w: unknown status %d", ErrProtocol, answer.status)
	}
}
