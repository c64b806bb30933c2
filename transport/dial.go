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

// dial opens a connection of the given kind and has it accepted. The
// connection is closed with the transport. Its errors say why the peer cannot
// be used; nothing has been asked of it.
func (t *Transport) dial(ctx context.Context, addr string, kind byte) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(t.ctx, cancel)()

	if err := t.usable(); err != nil {
		return nil, err
	}
	dialer := net.Dialer{Timeout: dialTimeout}
	raw, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	keepAlive(raw)
	conn := &ownedConn{Conn: raw, released: func(c *ownedConn) { t.untrack(c) }}
	if err := t.track(conn); err != nil {
		_ = conn.Close()
		return nil, err
	}
	stream, err := t.introduce(ctx, conn, addr, kind)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return stream, nil
}

// introduce sends the preface, inside TLS where that is configured, and reads
// the peer's answer.
func (t *Transport) introduce(ctx context.Context, conn net.Conn, addr string, kind byte) (net.Conn, error) {
	deadline := time.Now().Add(handshakeTimeout)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	if err := conn.SetDeadline(deadline); err != nil {
		return nil, fmt.Errorf("set the handshake's deadline: %w", err)
	}
	// A context that ends without a deadline must wake the reads below as well.
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()

	stream := conn
	if t.cfg.TLS != nil {
		secured, err := t.secure(ctx, conn, addr)
		if err != nil {
			return nil, err
		}
		stream = secured
	}
	if _, err := stream.Write(preface(kind, protocolVersion)); err != nil {
		return nil, fmt.Errorf("introduce this node: %w", err)
	}
	var answer [prefaceSize]byte
	// Five bytes tell the languages apart; a TLS alert has no more than seven.
	n, err := io.ReadAtLeast(stream, answer[:], 5)
	if err != nil {
		return nil, silence(err)
	}
	if err := checkAnswer(answer[:n]); err != nil {
		return nil, err
	}
	if _, err := io.ReadFull(stream, answer[n:]); err != nil {
		return nil, silence(err)
	}
	if !stop() {
		return nil, context.Cause(ctx)
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		return nil, fmt.Errorf("lift the handshake's deadline: %w", err)
	}
	return stream, nil
}

func (t *Transport) secure(ctx context.Context, conn net.Conn, addr string) (*tls.Conn, error) {
	cfg := t.cfg.TLS.Clone()
	if cfg.ServerName == "" {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, fmt.Errorf("address %q is not host:port: %w", addr, err)
		}
		cfg.ServerName = host
	}
	secured := tls.Client(conn, cfg)
	err := secured.HandshakeContext(ctx)
	var foreign tls.RecordHeaderError
	switch {
	case err == nil:
		return secured, nil
	case errors.As(err, &foreign):
		if told := checkAnswer(foreign.RecordHeader[:]); told != nil {
			return nil, told
		}
		return nil, fmt.Errorf("%w: TLS handshake: %w", ErrProtocol, err)
	default:
		return nil, fmt.Errorf("TLS handshake: %w", err)
	}
}

// silence explains a peer that accepted the connection and did not answer.
func silence(err error) error {
	var timeout net.Error
	switch {
	case isRemoteAlert(err):
		return fmt.Errorf("%w: it does not accept this node's certificate: %w", ErrProtocol, err)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: it closed the connection without an answer (is this the node-to-node port, and do both nodes use TLS or none of them?): %w", ErrProtocol, err)
	case errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Errorf("it accepted the connection but did not answer in time: %w", err)
	default:
		return fmt.Errorf("read its answer: %w", err)
	}
}

// isRemoteAlert recognises an alert that the peer sent: crypto/tls wraps those
// in a net.OpError with this operation.
func isRemoteAlert(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error"
}
