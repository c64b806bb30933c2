package transport

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

// writeChunk is how much is written under one deadline.
const writeChunk = 256 << 10

// errWriterStopped is the writer's error after stop.
var errWriterStopped = errors.New("the connection is closed")

// frameWriter writes the frames of one connection. Whatever is queued while a
// write is under way goes out with the next one, so that many small frames
// cost few system calls.
type frameWriter struct {
	conn net.Conn

	mu      sync.Mutex
	pending []byte
	spare   []byte
	room    chan struct{} // closed when pending is taken
	queued  uint64        // bytes ever queued
	written uint64        // bytes of them that the connection took
	err     error
	wake    chan struct{}
}

func newFrameWriter(conn net.Conn) *frameWriter {
	return &frameWriter{conn: conn, room: make(chan struct{}), wake: make(chan struct{}, 1)}
}

// queue appends a frame and returns the place of its first byte in the
// stream. It waits while too much is pending. An error means that no byte of
// the frame will be written.
func (w *frameWriter) queue(ctx context.Context, h header, body []byte) (start uint64, err error) {
	w.mu.Lock()
	for w.err == nil && len(w.pending) >= maxPending {
		room := w.room
		w.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
		w.mu.Lock()
	}
	defer w.mu.Unlock()
	if w.err != nil {
		return 0, w.err
	}
	return w.add(h, body), nil
}

// offer appends a frame without a body unless that had to wait.
func (w *frameWriter) offer(h header) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil && len(w.pending) < maxPending {
		w.add(h, nil)
	}
}

func (w *frameWriter) add(h header, body []byte) (start uint64) {
	start = w.queued
	w.pending = h.appendTo(w.pending)
	w.pending = append(w.pending, body...)
	w.queued += uint64(headerSize + len(body))
	w.signal()
	return start
}

func (w *frameWriter) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// run writes until stop or an error, which it returns after closing the
// connection.
func (w *frameWriter) run() error {
	for range w.wake {
		for {
			batch, err := w.take()
			if err != nil {
				return err
			}
			if batch == nil {
				break
			}
			if err := w.write(batch); err != nil {
				w.stopWith(err)
				_ = w.conn.Close()
				return err
			}
			w.giveBack(batch)
		}
	}
	return nil
}

// take returns what is pending, nil if nothing is.
func (w *frameWriter) take() ([]byte, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return nil, w.err
	}
	if len(w.pending) == 0 {
		return nil, nil
	}
	batch := w.pending
	w.pending, w.spare = w.spare[:0], nil
	close(w.room)
	w.room = make(chan struct{})
	return batch, nil
}

func (w *frameWriter) write(batch []byte) error {
	for len(batch) > 0 {
		chunk := batch[:min(len(batch), writeChunk)]
		if err := w.conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
			return err
		}
		n, err := w.conn.Write(chunk)
		w.mu.Lock()
		w.written += uint64(n)
		w.mu.Unlock()
		if err != nil {
			return err
		}
		batch = batch[n:]
	}
	return nil
}

// giveBack keeps a written buffer for the next batch.
func (w *frameWriter) giveBack(batch []byte) {
	if cap(batch) > keptBuffer {
		return
	}
	w.mu.Lock()
	w.spare = batch[:0]
	w.mu.Unlock()
}

// stop ends run; frames that are still pending are not written.
func (w *frameWriter) stop() { w.stopWith(errWriterStopped) }

func (w *frameWriter) stopWith(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = err
		close(w.room)
		w.room = make(chan struct{})
	}
	w.signal()
}

// begun tells whether a byte at or after start was handed to the connection.
// It is final once run has returned.
func (w *frameWriter) begun(start uint64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.written > start
}
