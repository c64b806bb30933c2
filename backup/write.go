package backup

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/zeebo/blake3"
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

// Write writes a backup into a sink: what content writes, cut into segments,
// and m with what Write itself finds out. done, if not nil, is told after each
// segment how much of the content is stored.
func Write(ctx context.Context, sink Sink, m Metadata, content func(io.Writer) error, done func(bytes int64)) (*Metadata, error) {
	w := &segmenter{ctx: ctx, sink: sink, m: &m, done: done}
	m.FormatVersion, m.Files, m.TotalBytes, m.ContentBytes = FormatVersion, []File{}, 0, 0
	if err := content(w); err != nil {
		return nil, errors.Join(w.failed, err)
	}
	if err := w.flush(); err != nil {
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

// segmenter cuts what is written to it into segments.
type segmenter struct {
	ctx    context.Context
	sink   Sink
	m      *Metadata
	done   func(int64)
	held   []byte
	failed error
}

// Write implements io.Writer.
func (w *segmenter) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		if w.failed != nil {
			return 0, errStopped
		}
		part := min(len(p), SegmentBytes-len(w.held))
		w.held = append(w.held, p[:part]...)
		p = p[part:]
		if len(w.held) == SegmentBytes {
			if w.failed = w.flush(); w.failed != nil {
				return 0, errStopped
			}
		}
	}
	return n, nil
}

func (w *segmenter) flush() error {
	if len(w.held) == 0 {
		return nil
	}
	if err := w.ctx.Err(); err != nil {
		return context.Cause(w.ctx)
	}
	number := len(w.m.Files)
	file := encodeSegment(w.m.Kind, number, w.held)
	f := File{Name: segmentName(w.m.Kind, number), Size: int64(len(file)), BLAKE3: blake3.Sum256(file)}
	if err := w.sink.Put(w.ctx, f.Name, file); err != nil {
		return fmt.Errorf("store %s: %w", f.Name, err)
	}
	w.m.Files = append(w.m.Files, f)
	w.m.TotalBytes += f.Size
	w.m.ContentBytes += int64(len(w.held))
	w.held = w.held[:0]
	if w.done != nil {
		w.done(w.m.ContentBytes)
	}
	return nil
}
