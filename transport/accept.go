package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// receive finds out what an accepted connection is and serves it.
func (t *Transport) receive(conn *ownedConn) {
	kind, stream, err := t.greet(conn)
	if err != nil {
		if t.ctx.Err() == nil && !errors.Is(err, errProbe) {
			t.log.Warn("a connection was refused", "remote", conn.RemoteAddr().String(), "error", err)
		}
		_ = conn.Close()
		return
	}
	if kind == protoRaft {
		t.raft.offer(stream)
		return
	}
	defer conn.Close()
	t.serveCalls(stream)
}

// errProbe is a connection that was closed before it said anything, as load
// balancers and port scanners do.
var errProbe = errors.New("closed without a word")

// greet reads the preface of an accepted connection, inside TLS where that is
// configured, and accepts or refuses it. A refusal is answered in the
// language that the peer seems to speak.
func (t *Transport) greet(conn *ownedConn) (kind byte, stream net.Conn, err error) {
	if err := conn.SetDeadline(time.Now().Add(handshakeTimeout)); err != nil {
		return 0, nil, fmt.Errorf("set the handshake's deadline: %w", err)
	}
	var first [1]byte
	if _, err := io.ReadFull(conn, first[:]); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) {
			return 0, nil, errProbe
		}
		return 0, nil, fmt.Errorf("read the first byte: %w", err)
	}
	stream = &replayConn{Conn: conn, first: first[:]}
	switch {
	case looksHTTP(first[0]):
		t.refuse(conn, t.httpAnswer())
		return 0, nil, errors.New("it speaks HTTP; this is the node-to-node port")
	case first[0] == tlsHandshake && t.cfg.TLS == nil:
		t.refuse(conn, preface(answerNeedsPlain, protocolVersion))
		return 0, nil, errors.New("it speaks TLS and this node has no certificate")
	case first[0] != tlsHandshake && t.cfg.TLS != nil:
		t.refuse(conn, preface(answerNeedsTLS, protocolVersion))
		return 0, nil, errors.New("it speaks plain text and this node demands TLS")
	case t.cfg.TLS != nil:
		secured := tls.Server(stream, t.cfg.TLS)
		if err := secured.HandshakeContext(t.ctx); err != nil {
			linger(conn)
			return 0, nil, fmt.Errorf("TLS handshake: %w", err)
		}
		stream = secured
	}
	var hello [prefaceSize]byte
	if _, err := io.ReadFull(stream, hello[:]); err != nil {
		return 0, nil, fmt.Errorf("read the preface: %w", err)
	}
	return t.judge(conn, stream, hello[:])
}

// judge answers a preface.
func (t *Transport) judge(conn, stream net.Conn, hello []byte) (byte, net.Conn, error) {
	refuse := func(answer []byte, err error) (byte, net.Conn, error) {
		t.refuse(stream, answer)
		return 0, nil, err
	}
	switch {
	case looksHTTP(hello[0]):
		return refuse(t.httpAnswer(), errors.New("it speaks HTTPS; this is the node-to-node port"))
	case !isPreface(hello):
		return 0, nil, fmt.Errorf("it does not speak the node-to-node protocol (it began with %q)", hello)
	case hello[0] != protoRaft && hello[0] != protoRPC:
		return refuse(preface(answerUnknownKind, protocolVersion), fmt.Errorf("unknown kind of connection %#x", hello[0]))
	case hello[3] != protocolVersion:
		return refuse(preface(answerVersion, protocolVersion), fmt.Errorf("it speaks version %d of the node-to-node protocol, this node version %d", hello[3], protocolVersion))
	}
	if _, err := stream.Write(preface(answerAccepted, protocolVersion)); err != nil {
		return 0, nil, fmt.Errorf("accept: %w", err)
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		return 0, nil, fmt.Errorf("lift the handshake's deadline: %w", err)
	}
	if replay, ok := stream.(*replayConn); ok {
		stream = replay.Conn // the byte has been read again
	}
	return hello[0], stream, nil
}

// refuse writes an answer and lets the peer read it.
func (t *Transport) refuse(conn net.Conn, answer []byte) {
	if _, err := conn.Write(answer); err == nil {
		linger(conn)
	}
}

// linger ends the sending side and reads what the peer still sends, for a
// short time: a connection that is closed with unread input loses what was
// written last.
func linger(conn net.Conn) {
	half := conn
	if owned, ok := conn.(*ownedConn); ok {
		half = owned.Conn
	}
	if closer, ok := half.(interface{ CloseWrite() error }); ok {
		_ = closer.CloseWrite()
	}
	_ = conn.SetReadDeadline(time.Now().Add(time.Second))
	_, _ = io.CopyN(io.Discard, conn, 64<<10)
}

// httpAnswer tells an HTTP client where it is and, unless only nodes may know
// anything here, where it wants to be.
func (t *Transport) httpAnswer() []byte {
	where := "The HTTP API has a port of its own, by default 18180."
	if h := t.handler.Load(); h != nil && t.cfg.TLS == nil {
		ctx, cancel := context.WithTimeout(t.ctx, time.Second)
		defer cancel()
		if hello, err := (*h).Hello(ctx, HelloRequest{}); err == nil && hello.HTTPAddr != "" {
			where = "The HTTP API of this node is at " + hello.HTTPAddr + "."
		}
	}
	body := "This is the node-to-node port of a StemeDB node; it does not speak HTTP. " + where + "\n"
	return fmt.Appendf(nil, "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", len(body), body)
}

// replayConn gives a byte that was read ahead once more.
type replayConn struct {
	net.Conn
	first []byte
}

func (c *replayConn) Read(p []byte) (int, error) {
	if len(c.first) > 0 && len(p) > 0 {
		n := copy(p, c.first)
		c.first = c.first[n:]
		return n, nil
	}
	return c.Conn.Read(p)
}
