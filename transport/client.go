package transport

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Client calls other nodes by their node-to-node address. Its methods may be
// used by many goroutines; calls to one address share one connection, which is
// opened by the first of them and again after it broke.
//
// Their errors: what the remote handler answered, as a *RemoteError;
// ErrUnreachable if the handler certainly has not seen the request;
// ErrOutcomeUnknown if it may have. The remaining time of ctx travels with the
// request and ends the remote handler's context as well.
type Client struct {
	t *Transport

	mu    sync.Mutex
	peers map[string]*peerConn
}

// peerConn is the way to one address: a usable connection, or the dial that
// every caller waits for. dialled is closed when conn and err are set.
type peerConn struct {
	dialled chan struct{}
	conn    *clientConn
	err     error
}

func newClient(t *Transport) *Client {
	return &Client{t: t, peers: map[string]*peerConn{}}
}

// Hello asks who is at addr.
func (c *Client) Hello(ctx context.Context, addr string, req HelloRequest) (HelloResponse, error) {
	return call[HelloResponse](ctx, c, addr, methodHello, &req)
}

// Forward brings claims to the leader at addr. A claim is identified by its
// content, so repeating it after ErrOutcomeUnknown is safe, but only its
// caller may decide to.
func (c *Client) Forward(ctx context.Context, addr string, req ForwardRequest) (ForwardResponse, error) {
	packed, err := call[forwardResults](ctx, c, addr, methodForward, &req)
	if err != nil {
		return ForwardResponse{}, err
	}
	resp, err := packed.unpack()
	if err != nil {
		return ForwardResponse{}, outcomeUnknown(addr, err)
	}
	return resp, nil
}

// ReadIndex asks the leader at addr for a read index.
func (c *Client) ReadIndex(ctx context.Context, addr string, req ReadIndexRequest) (ReadIndexResponse, error) {
	return call[ReadIndexResponse](ctx, c, addr, methodReadIndex, &req)
}

// Term asks the node at addr for its raft term.
func (c *Client) Term(ctx context.Context, addr string, req TermRequest) (TermResponse, error) {
	return call[TermResponse](ctx, c, addr, methodTerm, &req)
}

// Join asks the leader at addr to make a node a member.
func (c *Client) Join(ctx context.Context, addr string, req JoinRequest) (JoinResponse, error) {
	return call[JoinResponse](ctx, c, addr, methodJoin, &req)
}

// Grant asks the node at addr for its promise to a proposer.
func (c *Client) Grant(ctx context.Context, addr string, req GrantRequest) (GrantResponse, error) {
	return call[GrantResponse](ctx, c, addr, methodGrant, &req)
}

// Member asks the node at addr for an action on the membership.
func (c *Client) Member(ctx context.Context, addr string, req MemberRequest) (MemberResponse, error) {
	return call[MemberResponse](ctx, c, addr, methodMember, &req)
}

// Watch waits until the connection to addr ends, and returns why: its peer is
// gone, or the network between them. The connection is opened if there is none,
// and kept while it is watched. ErrUnreachable means that there was no connection
// to watch; the error of ctx, that ctx ended first.
func (c *Client) Watch(ctx context.Context, addr string) error {
	conn, _, err := c.connect(ctx, addr)
	if err != nil {
		return unreachable(addr, err)
	}
	return conn.watch(ctx)
}

// call makes one call and sorts its failure.
func call[A any](ctx context.Context, c *Client, addr string, method uint8, req any) (A, error) {
	var resp A
	body, err := c.t.codec.encode(req)
	if err != nil {
		return resp, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	defer c.t.codec.release(body)
	answer, err := c.roundTrip(ctx, addr, method, body.Bytes())
	if err == nil {
		if err = c.t.codec.decode(answer, &resp); err == nil {
			return resp, nil
		}
	}
	switch remote := (*RemoteError)(nil); {
	case errors.Is(err, errNotSent):
		return resp, unreachable(addr, err)
	case errors.As(err, &remote):
		return resp, fmt.Errorf("%s: %w", addr, err)
	default:
		return resp, outcomeUnknown(addr, err)
	}
}

// roundTrip sends a request over the connection to addr, over a second one if
// the first was an old one and dead. Its errors are those of
// clientConn.roundTrip.
func (c *Client) roundTrip(ctx context.Context, addr string, method uint8, body []byte) ([]byte, error) {
	for redialled := false; ; redialled = true {
		conn, fresh, err := c.connect(ctx, addr)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errNotSent, err)
		}
		answer, err := conn.roundTrip(ctx, method, body)
		if !errors.Is(err, errNotSent) || fresh || redialled || ctx.Err() != nil {
			return answer, err
		}
	}
}

// connect returns a usable connection to addr. fresh tells that it was dialled
// for this caller.
func (c *Client) connect(ctx context.Context, addr string) (conn *clientConn, fresh bool, err error) {
	if ctx.Err() != nil {
		return nil, false, context.Cause(ctx)
	}
	c.mu.Lock()
	peer := c.peers[addr]
	if peer != nil && peer.conn != nil && peer.conn.broken() {
		peer = nil
	}
	if peer == nil {
		peer, fresh = &peerConn{dialled: make(chan struct{})}, true
		c.peers[addr] = peer
		// The dial belongs to all who will wait for it, not to the first one.
		if !c.t.spawn(func() { c.dial(addr, peer) }) {
			delete(c.peers, addr)
			c.mu.Unlock()
			return nil, false, ErrClosed
		}
	}
	c.mu.Unlock()
	select {
	case <-peer.dialled:
		return peer.conn, fresh, peer.err
	case <-ctx.Done():
		return nil, false, context.Cause(ctx)
	}
}

func (c *Client) dial(addr string, peer *peerConn) {
	ctx, cancel := context.WithTimeout(c.t.ctx, dialTimeout+handshakeTimeout)
	defer cancel()
	stream, err := c.t.dial(ctx, addr, protoRPC)
	var conn *clientConn
	if err == nil {
		conn = newClientConn(c.t.codec, stream)
		if !c.t.spawn(func() { conn.run(c.t.ctx); c.forget(addr, peer) }) {
			_ = stream.Close()
			conn, err = nil, ErrClosed
		}
	}
	c.mu.Lock()
	peer.conn, peer.err = conn, err
	if err != nil && c.peers[addr] == peer {
		delete(c.peers, addr) // the next caller dials anew
	}
	c.mu.Unlock()
	close(peer.dialled)
}

// forget drops a connection that has ended.
func (c *Client) forget(addr string, peer *peerConn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.peers[addr] == peer {
		delete(c.peers, addr)
	}
}

// remaining is the time until ctx ends as a frame carries it.
func remaining(ctx context.Context) uint32 {
	deadline, ok := ctx.Deadline()
	if !ok {
		return 0
	}
	return wireTimeout(time.Until(deadline))
}
