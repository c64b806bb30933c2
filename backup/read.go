package backup

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/zeebo/blake3"
)

// Verify reads a whole backup and checks all of it.
//
// Errors: ErrNotBackup, ErrVersion, ErrDamaged, ErrEncrypted, ErrWrongKey.
func Verify(backup fs.FS) (*Metadata, error) {
	m, err := ReadMetadata(backup)
	if err != nil {
		return nil, err
	}
	if _, err := filesOf(backup, m); err != nil {
		return nil, err
	}
	_, err = io.Copy(io.Discard, NewReader(backup, m))
	return m, err
}

// filesOf are the files of a backup by their names. One that the manifest does not
// list is ErrDamaged.
func filesOf(backup fs.FS, m *Metadata) (map[string]fs.DirEntry, error) {
	all, err := fs.ReadDir(backup, ".")
	if err != nil {
		return nil, fmt.Errorf("list the backup: %w", err)
	}
	known := map[string]bool{MetadataName: true}
	for _, f := range m.Files {
		known[f.Name] = true
	}
	there := map[string]fs.DirEntry{}
	for _, e := range all {
		if !known[e.Name()] {
			return nil, fmt.Errorf("%w: it holds %s, which %s does not list", ErrDamaged, e.Name(), MetadataName)
		}
		there[e.Name()] = e
	}
	return there, nil
}

// Complete checks, by their names and sizes alone, that a backup with a manifest
// holds every file that is listed there, and no other. An encrypted file must have the
// size that encryption for the recipients of its store gives it. What is in the files
// only Verify tells.
//
// Errors: ErrDamaged; ErrEncrypted where the store has no recipients.
func (f Found) Complete() error {
	there, err := filesOf(f.files, f.Metadata)
	if err != nil {
		return err
	}
	var sealed func(plain int64) int64 // the same for all files: to encrypt costs more than to look
	for _, listed := range f.Metadata.Files {
		e, ok := there[listed.Name]
		if !ok {
			return fmt.Errorf("%w: it lacks %s, which %s lists", ErrDamaged, listed.Name, MetadataName)
		}
		want := listed.Size
		if opening, ok := f.files.(opening); ok && isSealed(e) {
			if sealed == nil {
				if sealed, err = opening.keys.sealedSize(); err != nil {
					return err
				}
			}
			want = sealed(want)
		}
		info, err := e.Info()
		if err != nil {
			return fmt.Errorf("look at %s: %w", listed.Name, err)
		}
		if info.Size() != want {
			return fmt.Errorf("%w: %s has %d bytes instead of %d", ErrDamaged, listed.Name, info.Size(), want)
		}
	}
	return nil
}

// Reader reads the content of a backup and checks each byte of it. It fails,
// with the errors of Verify, rather than to return anything that was not written.
type Reader struct {
	backup fs.FS
	m      *Metadata
	next   int // the file to read next
	read   int64
	held   []byte // of buffer, what is not returned yet
	buffer []byte // content of one file
}

// NewReader returns a reader of the content of a backup with a manifest.
func NewReader(backup fs.FS, m *Metadata) *Reader { return &Reader{backup: backup, m: m} }

// Read implements io.Reader.
func (r *Reader) Read(p []byte) (int, error) {
	for len(r.held) == 0 {
		if r.next == len(r.m.Files) {
			if r.read != r.m.ContentBytes {
				return 0, fmt.Errorf("%w: its content has %d bytes, %s says %d", ErrDamaged, r.read, MetadataName, r.m.ContentBytes)
			}
			return 0, io.EOF
		}
		if err := r.segment(r.next); err != nil {
			return 0, err
		}
		r.next++
		r.held, r.read = r.buffer, r.read+int64(len(r.buffer))
	}
	n := copy(p, r.held)
	r.held = r.held[n:]
	return n, nil
}

// segment reads the content of one file into the buffer.
func (r *Reader) segment(number int) error {
	listed := r.m.Files[number]
	file, err := readFile(r.backup, listed.Name, maxSegmentBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if err != nil { // not of the backup: its store does not answer, or a key is missing
		return err
	}
	if r.buffer == nil {
		r.buffer = make([]byte, 0, min(max(r.m.ContentBytes, 0), SegmentBytes))
	}
	r.buffer = r.buffer[:0]
	if err := readSegment(r.m.Kind, number, file, func(content []byte) { r.buffer = append(r.buffer, content...) }); err != nil {
		return err
	}
	if int64(len(file)) != listed.Size || blake3.Sum256(file) != listed.BLAKE3 {
		return fmt.Errorf("%w: %s is not the file that %s lists: another backup's?", ErrDamaged, listed.Name, MetadataName)
	}
	return nil
}
