package backup

import (
	"context"
	"errors"
	"fmt"
	"io"

	"golang.org/x/time/rate"
)

// Sink takes the files of one backup: a folder, a stream, a store of objects.
type Sink interface {
	// Put stores a file as a whole; content is the caller's again when it returns.
	// The manifest is the last file.
	Put(ctx context.Context, name string, content []byte) error
	// Commit makes the backup count. Without it there must never be anything that
	// could be taken for a backup.
	Commit(ctx context.Context) error
}

// errStopped ends the content's writer when the sink has failed.
var errStopped = errors.New("the backup was ended")

// Options say how a backup is written.
type Options struct {
	// Rate bounds how much content is taken in a second, in bytes; 0 is no bound.
	// Reading, hashing and compressing take their time from others.
	Rate int64
	// Done, if not nil, is told after each segment how much of the content is
	// stored.
	Done func(bytes int64)
}

// Write writes a backup into a sink: what content writes, cut into segments, and
// m with what Write itself finds out.
func Write(ctx context.Context, sink Sink, m Metadata, content func(io.Writer) error, o Options) (*Metadata, error) {
	w := &segmenter{ctx: ctx, sink: sink, m: &m, done: o.Done, held: make([]byte, 0, frameBytes)}
	if o.Rate > 0 {
		w.pace = rate.NewLimiter(rate.Limit(o.Rate), frameBytes)
	}
	m.FormatVersion, m.Files, m.TotalBytes, m.ContentBytes = FormatVersion, []File{}, 0, 0
	if err := content(w); err != nil {
		return nil, errors.Join(w.failed, err)
	}
	if err := errors.Join(w.frame(), w.segment()); err != nil {
		return nil, err
	}
	m.FileCount = len(m.Files)
	raw, err := m.encode()
	if err != nil {
		return nil, err
	}
	if err := m.check(); err != nil {
		return nil, err
	}
	if err := sink.Put(ctx, MetadataName, raw); err != nil {
		return nil, err
	}
	return &m, sink.Commit(ctx)
}

// segmenter cuts what is written to it into frames and segments.
type segmenter struct {
	ctx    context.Context
	sink   Sink
	m      *Metadata
	done   func(int64)
	pace   *rate.Limiter // nil: none
	held   []byte        // of the next frame
	file   encoding
	failed error
}

// Write implements io.Writer.
func (w *segmenter) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		if w.failed != nil {
			return 0, errStopped
		}
		part := min(len(p), frameBytes-len(w.held))
		w.held = append(w.held, p[:part]...)
		p = p[part:]
		if len(w.held) == frameBytes {
			w.failed = w.frame()
		}
	}
	return n, nil
}

// frame puts what is held into the segment, and stores that if it is full.
func (w *segmenter) frame() error {
	if len(w.held) == 0 || w.failed != nil {
		return w.failed
	}
	if w.pace != nil {
		if err := w.pace.WaitN(w.ctx, len(w.held)); err != nil {
			return err
		}
	}
	if w.ctx.Err() != nil {
		return context.Cause(w.ctx)
	}
	if w.file.frames == 0 {
		w.file.begin(w.m.Kind, len(w.m.Files))
	}
	w.file.add(w.held)
	w.held = w.held[:0]
	if w.file.content < SegmentBytes {
		return nil
	}
	return w.segment()
}

// segment stores the segment that was begun.
func (w *segmenter) segment() error {
	if w.file.frames == 0 {
		return nil
	}
	content := w.file.content
	file, sum := w.file.end()
	w.file.frames = 0
	f := File{Name: segmentName(w.m.Kind, len(w.m.Files)), Size: int64(len(file)), BLAKE3: sum}
	if err := w.sink.Put(w.ctx, f.Name, file); err != nil {
		return fmt.Errorf("store %s: %w", f.Name, err)
	}
	w.m.Files = append(w.m.Files, f)
	w.m.TotalBytes += f.Size
	w.m.ContentBytes += int64(content)
	if w.done != nil {
		w.done(w.m.ContentBytes)
	}
	return nil
}
