package transport

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// serverConn is the answering side of one call connection.
type serverConn struct {
	t      *Transport
	conn   net.Conn
	writer *frameWriter
	calls  sync.WaitGroup

	mu     sync.Mutex
	active map[uint64]context.CancelFunc
	bytes  int // of the bodies of active calls
}

// serveCalls answers the calls of a connection until it ends, and waits for
// their handlers.
func (t *Transport) serveCalls(conn net.Conn) {
	s := &serverConn{t: t, conn: conn, writer: newFrameWriter(conn), active: map[uint64]context.CancelFunc{}}
	ctx, cancel := context.WithCancel(t.ctx)
	var writing sync.WaitGroup
	writing.Go(func() { _ = s.writer.run() }) // the reader sees the closed connection

	err := s.read(ctx)
	cancel()
	s.writer.stop()
	_ = conn.Close()
	s.calls.Wait()
	writing.Wait()
	if errors.Is(err, ErrProtocol) {
		t.log.Warn("a node's connection was closed", "remote", conn.RemoteAddr().String(), "error", err)
	} else {
		t.log.Debug("a node's connection ended", "remote", conn.RemoteAddr().String(), "error", err)
	}
}

// read takes frames until the connection ends.
func (s *serverConn) read(ctx context.Context) error {
	r := bufio.NewReaderSize(&patientConn{s.conn}, bodyChunk)
	var scratch [headerSize]byte
	for {
		h, err := readHeader(r, &scratch)
		if err != nil {
			return err
		}
		switch h.kind {
		case kindRequest:
			err = s.start(ctx, h, r)
		case kindCancel:
			s.cancel(h.id)
		case kindPing:
			_, err = s.writer.queue(ctx, header{kind: kindPong, id: h.id}, nil)
		default:
			err = fmt.Errorf("%w: a caller sent a frame of kind %d", ErrProtocol, h.kind)
		}
		if err != nil {
			return err
		}
	}
}

// start reads a request's body and answers it in a goroutine of its own. A
// request beyond the bounds is answered at once.
func (s *serverConn) start(ctx context.Context, h header, r io.Reader) error {
	buf := s.t.codec.buffer()
	body, err := readBody(r, int(h.length), buf.AvailableBuffer())
	if err != nil {
		return err
	}
	limit := maxHandling
	if h.timeout != 0 {
		limit = time.Duration(h.timeout) * time.Millisecond
	}
	callCtx, cancel := context.WithTimeout(ctx, limit)
	if err := s.register(h, cancel); err != nil {
		cancel()
		s.t.codec.releaseBody(buf, body)
		if errors.Is(err, ErrProtocol) {
			return err
		}
		return s.fail(ctx, h.id, err)
	}
	s.calls.Go(func() {
		answer, err := s.t.dispatch(callCtx, h.code, body)
		s.t.codec.releaseBody(buf, body)
		s.finish(h)
		cancel()
		if err == nil {
			_, err = s.writer.queue(ctx, header{kind: kindResponse, code: statusOK, id: h.id, length: uint32(answer.Len())}, answer.Bytes())
			s.t.codec.release(answer)
		} else {
			err = s.fail(ctx, h.id, err)
		}
		if err != nil {
			s.t.log.Debug("an answer could not be sent", "remote", s.conn.RemoteAddr().String(), "error", err)
		}
	})
	return nil
}

func (s *serverConn) register(h header, cancel context.CancelFunc) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, twice := s.active[h.id]; twice {
		return fmt.Errorf("%w: call %d was made twice", ErrProtocol, h.id)
	}
	// A request alone is always taken, whatever its size.
	if len(s.active) >= maxInFlight || len(s.active) > 0 && s.bytes+int(h.length) > maxInFlightBytes {
		return fmt.Errorf("%w: %d calls of this connection are under way", ErrOverloaded, len(s.active))
	}
	s.active[h.id] = cancel
	s.bytes += int(h.length)
	return nil
}

func (s *serverConn) finish(h header) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.active, h.id)
	s.bytes -= int(h.length)
}

func (s *serverConn) cancel(id uint64) {
	s.mu.Lock()
	cancel := s.active[id]
	s.mu.Unlock()
	if cancel != nil {
		cancel()
	}
}

// fail answers a call with an error.
func (s *serverConn) fail(ctx context.Context, id uint64, cause error) error {
	answer, err := s.t.codec.encode(remoteError(cause))
	if err != nil {
		return err
	}
	defer s.t.codec.release(answer)
	_, err = s.writer.queue(ctx, header{kind: kindResponse, code: statusError, id: id, length: uint32(answer.Len())}, answer.Bytes())
	return err
}

// patientConn renews the read deadline before every read.
type patientConn struct{ net.Conn }

func (c *patientConn) Read(p []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(silenceLimit)); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}
