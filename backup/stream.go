package backup

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/zeebo/blake3"
)

// Stream is a Sink that writes a backup as a tar archive, the manifest last: an
// archive that was cut off has none.
type Stream struct{ tar *tar.Writer }

// NewStream returns a Stream to w.
func NewStream(w io.Writer) *Stream { return &Stream{tar.NewWriter(w)} }

// Put implements Sink.
func (s *Stream) Put(_ context.Context, name string, content []byte) error {
	head := &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(content)), Mode: 0o600, Format: tar.FormatUSTAR}
	if err := s.tar.WriteHeader(head); err != nil {
		return err
	}
	_, err := s.tar.Write(content)
	return err
}

// Commit implements Sink.
func (s *Stream) Commit(context.Context) error { return s.tar.Close() }

// Receive reads a backup from the archive that a Stream has written, checks
// every file against the manifest, and puts it into a sink. done, if not nil, is
// told after each segment how much of the content has come.
//
// Errors: ErrVersion, ErrDamaged, also for an archive that ends early.
func Receive(ctx context.Context, r io.Reader, sink Sink, done func(bytes int64)) (*Metadata, error) {
	archive := tar.NewReader(r)
	var got []File
	var file []byte
	content := int64(0)
	for {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		head, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("%w: the stream ends without %s: the backup was cut off", ErrDamaged, MetadataName)
		}
		if err != nil {
			return nil, fmt.Errorf("read the stream: %w", err)
		}
		if head.Name == MetadataName {
			return finish(ctx, archive, head.Size, got, content, sink)
		}
		if head.Size > maxSegmentBytes || head.Name != segmentName(Full, len(got)) && head.Name != segmentName(Log, len(got)) {
			return nil, fmt.Errorf("%w: the stream holds %q of %d bytes where segment %d should be", ErrDamaged, head.Name, head.Size, len(got))
		}
		file = slices.Grow(file[:0], int(head.Size))[:head.Size]
		if _, err := io.ReadFull(archive, file); err != nil {
			return nil, fmt.Errorf("read %s: %w", head.Name, err)
		}
		kind := Full
		if head.Name == segmentName(Log, len(got)) {
			kind = Log
		}
		if err := readSegment(kind, len(got), file, func(plain []byte) { content += int64(len(plain)) }); err != nil {
			return nil, err
		}
		if err := sink.Put(ctx, head.Name, file); err != nil {
			return nil, fmt.Errorf("store %s: %w", head.Name, err)
		}
		got = append(got, File{Name: head.Name, Size: head.Size, BLAKE3: blake3.Sum256(file)})
		if done != nil {
			done(content)
		}
	}
}

// finish reads the manifest, compares it with the files that have come, and
// lets the backup count.
func finish(ctx context.Context, archive *tar.Reader, size int64, got []File, content int64, sink Sink) (*Metadata, error) {
	if size > maxMetadataBytes {
		return nil, fmt.Errorf("%w: a manifest of %d bytes", ErrDamaged, size)
	}
	raw, err := io.ReadAll(archive)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", MetadataName, err)
	}
	m, err := DecodeMetadata(raw)
	if err != nil {
		return nil, err
	}
	if len(got) != len(m.Files) || content != m.ContentBytes {
		return nil, fmt.Errorf("%w: %d files of %d bytes of content have come, %s lists %d of %d", ErrDamaged, len(got), content, MetadataName, len(m.Files), m.ContentBytes)
	}
	for i, f := range got {
		if f != m.Files[i] {
			return nil, fmt.Errorf("%w: %s did not arrive as %s lists it", ErrDamaged, f.Name, MetadataName)
		}
	}
	switch _, err := archive.Next(); {
	case err == nil:
		return nil, fmt.Errorf("%w: the stream goes on after %s", ErrDamaged, MetadataName)
	case !errors.Is(err, io.EOF):
		return nil, fmt.Errorf("read the end of the stream: %w", err)
	}
	if err := sink.Put(ctx, MetadataName, raw); err != nil {
		return nil, fmt.Errorf("store %s: %w", MetadataName, err)
	}
	return m, sink.Commit(ctx)
}
