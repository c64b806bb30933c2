package fsm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/zeebo/blake3"
)

// A checkpoint folder travels as a stream: a magic, the number of files, then
// for each file the length of its name, the name, its size, its bytes and their
// BLAKE3-256, and at the end the BLAKE3-256 of everything before. The size of
// the stream follows from the names and sizes, since raft must know it before
// the first byte.
const (
	streamMagic = "STEMSNP1"
	sumLen      = 32
	maxName     = 255
	maxFiles    = 1 << 20
)

// ErrDamagedSnapshot means that a snapshot is not what was written.
var ErrDamagedSnapshot = errors.New("damaged snapshot")

// snapshotFile is one file of a checkpoint folder.
type snapshotFile struct {
	Name string `json:"name"`
	Size int64  `json:"size"`
}

// listFiles returns the files of a checkpoint folder in the order of their
// names.
func listFiles(fs vfs.FS, dir string) ([]snapshotFile, error) {
	names, err := fs.List(dir)
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", dir, err)
	}
	var files []snapshotFile
	for _, name := range sorted(names) {
		if name == metaName {
			continue
		}
		info, err := fs.Stat(fs.PathJoin(dir, name))
		if err != nil {
			return nil, fmt.Errorf("stat %s: %w", name, err)
		}
		if info.IsDir() {
			return nil, fmt.Errorf("checkpoint %s holds a folder %s", dir, name)
		}
		files = append(files, snapshotFile{Name: name, Size: info.Size()})
	}
	return files, nil
}

// streamSize is the length of the stream of these files.
func streamSize(files []snapshotFile) int64 {
	size := int64(len(streamMagic) + 4 + sumLen)
	for _, f := range files {
		size += 2 + int64(len(f.Name)) + 8 + f.Size + sumLen
	}
	return size
}

// writeStream writes the files of a folder as a stream.
func writeStream(w io.Writer, fs vfs.FS, dir string, files []snapshotFile) error {
	whole := blake3.New()
	out := io.MultiWriter(w, whole)
	head := binary.BigEndian.AppendUint32([]byte(streamMagic), uint32(len(files)))
	if _, err := out.Write(head); err != nil {
		return err
	}
	for _, f := range files {
		if err := writeStreamFile(out, fs, dir, f); err != nil {
			return err
		}
	}
	_, err := w.Write(whole.Sum(nil))
	return err
}

func writeStreamFile(out io.Writer, fs vfs.FS, dir string, f snapshotFile) error {
	head := binary.BigEndian.AppendUint16(nil, uint16(len(f.Name)))
	head = append(head, f.Name...)
	head = binary.BigEndian.AppendUint64(head, uint64(f.Size))
	if _, err := out.Write(head); err != nil {
		return err
	}
	file, err := fs.Open(fs.PathJoin(dir, f.Name))
	if err != nil {
		return fmt.Errorf("open %s: %w", f.Name, err)
	}
	defer file.Close()
	sum := blake3.New()
	n, err := io.Copy(io.MultiWriter(out, sum), io.LimitReader(file, f.Size))
	if err != nil {
		return fmt.Errorf("send %s: %w", f.Name, err)
	}
	if n != f.Size {
		return fmt.Errorf("%w: %s has %d bytes, %d were listed", ErrDamagedSnapshot, f.Name, n, f.Size)
	}
	_, err = out.Write(sum.Sum(nil))
	return err
}

// readStream reads a stream into an empty folder and syncs every file. It
// fails, with ErrDamagedSnapshot, on anything but a whole, unaltered stream.
func readStream(r io.Reader, fs vfs.FS, dir string) error {
	whole := blake3.New()
	in := io.TeeReader(r, whole)
	head := make([]byte, len(streamMagic)+4)
	if err := readFull(in, head); err != nil {
		return err
	}
	if string(head[:len(streamMagic)]) != streamMagic {
		return fmt.Errorf("%w: the stream begins with %q, not with %q", ErrDamagedSnapshot, head[:len(streamMagic)], streamMagic)
	}
	count := binary.BigEndian.Uint32(head[len(streamMagic):])
	if count > maxFiles {
		return fmt.Errorf("%w: %d files", ErrDamagedSnapshot, count)
	}
	seen := map[string]bool{}
	for range count {
		if err := readStreamFile(in, fs, dir, seen); err != nil {
			return err
		}
	}
	want := whole.Sum(nil)
	got := make([]byte, sumLen)
	if err := readFull(r, got); err != nil {
		return err
	}
	if string(got) != string(want) {
		return fmt.Errorf("%w: the stream's checksum is wrong", ErrDamagedSnapshot)
	}
	if n, _ := io.ReadFull(r, make([]byte, 1)); n != 0 {
		return fmt.Errorf("%w: bytes after the end of the stream", ErrDamagedSnapshot)
	}
	return syncDir(fs, dir)
}

func readStreamFile(in io.Reader, fs vfs.FS, dir string, seen map[string]bool) (err error) {
	length := make([]byte, 2)
	if err := readFull(in, length); err != nil {
		return err
	}
	n := int(binary.BigEndian.Uint16(length))
	if n == 0 || n > maxName {
		return fmt.Errorf("%w: a file name of %d bytes", ErrDamagedSnapshot, n)
	}
	head := make([]byte, n+8)
	if err := readFull(in, head); err != nil {
		return err
	}
	name, size := string(head[:n]), binary.BigEndian.Uint64(head[n:])
	if name != path.Base(name) || strings.ContainsAny(name, "/\\\x00") || name == "." || name == ".." || name == metaName || seen[name] || size > 1<<50 {
		return fmt.Errorf("%w: file %q of %d bytes", ErrDamagedSnapshot, name, size)
	}
	seen[name] = true
	file, err := fs.Create(fs.PathJoin(dir, name), vfs.WriteCategoryUnspecified)
	if err != nil {
		return fmt.Errorf("create %s: %w", name, err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	sum := blake3.New() // before the file: a vfs.File may change what it is given
	copied, err := io.Copy(io.MultiWriter(sum, file), io.LimitReader(in, int64(size)))
	if err != nil {
		return fmt.Errorf("receive %s: %w", name, err)
	}
	if uint64(copied) != size {
		return fmt.Errorf("%w: the stream ends within %s", ErrDamagedSnapshot, name)
	}
	got := make([]byte, sumLen)
	if err := readFull(in, got); err != nil {
		return err
	}
	if string(got) != string(sum.Sum(nil)) {
		return fmt.Errorf("%w: the checksum of %s is wrong", ErrDamagedSnapshot, name)
	}
	return file.Sync()
}

func readFull(r io.Reader, b []byte) error {
	if _, err := io.ReadFull(r, b); err != nil {
		return fmt.Errorf("%w: the stream ends early (%w)", ErrDamagedSnapshot, err)
	}
	return nil
}

func syncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return fmt.Errorf("open %s: %w", dir, err)
	}
	return errors.Join(d.Sync(), d.Close())
}
