package fsm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/zeebo/blake3"
	"pgregory.net/rapid"
)

func TestStreamRoundTrip(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		fs := vfs.NewMem()
		for _, dir := range []string{"from", "to"} {
			if err := fs.MkdirAll(dir, 0o700); err != nil {
				rt.Fatal(err)
			}
		}
		contents := rapid.MapOf(rapid.StringMatching(`[a-z0-9.-]{1,20}x`), rapid.SliceOf(rapid.Byte())).Draw(rt, "files")
		for name, content := range contents {
			if err := writeFile(fs, "from/"+name, bytes.Clone(content)); err != nil {
				rt.Fatal(err)
			}
		}
		files, err := listFiles(fs, "from")
		if err != nil {
			rt.Fatal(err)
		}
		var stream bytes.Buffer
		if err := writeStream(&stream, fs, "from", files); err != nil {
			rt.Fatal(err)
		}
		if int64(stream.Len()) != streamSize(files) {
			rt.Fatalf("the stream has %d bytes, streamSize says %d", stream.Len(), streamSize(files))
		}
		if err := readStream(&stream, fs, "to"); err != nil {
			rt.Fatal(err)
		}
		names, _ := fs.List("to")
		if len(names) != len(contents) {
			rt.Fatalf("received %d files of %d", len(names), len(contents))
		}
		for name, content := range contents {
			if got := mustRead(rt, fs, "to/"+name); !bytes.Equal(got, content) {
				rt.Fatalf("%s = %x, want %x", name, got, content)
			}
		}
	})
}

type fataler interface{ Fatal(...any) }

func mustRead(t fataler, fs vfs.FS, path string) []byte {
	f, err := fs.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	raw, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// Any changed bit, any missing or additional byte: the stream is refused and
// the state stays as it was.
func TestDamagedStreamIsRefused(t *testing.T) {
	leader := mustOpen(t, "leader", small(vfs.NewMem()))
	defer mustClose(t, leader)
	feed(t, leader, testLog(t, 60), 10)
	meta, stream := streamOf(t, leader)
	follower := mustOpen(t, "follower", small(vfs.NewMem()))
	defer mustClose(t, follower)
	feed(t, follower, testLog(t, 5), 2)
	before := outlineOf(follower)

	refused := func(t fataler, what string, damaged []byte) {
		err := install(follower, meta, damaged)
		if !errors.Is(err, ErrDamagedSnapshot) {
			t.Fatal(what, ": the stream was taken or refused for another reason: ", err)
		}
		if outlineOf(follower) != before || follower.Failed() != nil {
			t.Fatal(what, ": the state changed: ", outlineOf(follower), follower.Failed())
		}
		if names, _ := follower.options.FS.List("follower/snapshots"); len(names) > 0 {
			t.Fatal(what, ": left behind ", names)
		}
	}
	flip := func(bit int) []byte {
		damaged := bytes.Clone(stream)
		damaged[bit/8] ^= 1 << (bit % 8)
		return damaged
	}
	for bit := range 8 * 64 { // the header, the first name and size
		refused(t, fmt.Sprintf("bit %d", bit), flip(bit))
	}
	for bit := 8 * (len(stream) - sumLen); bit < 8*len(stream); bit++ {
		refused(t, fmt.Sprintf("bit %d of the last sum", bit), flip(bit))
	}
	refused(t, "nothing", stream[:1])
	refused(t, "a byte too few", stream[:len(stream)-1])
	refused(t, "a byte too many", append(bytes.Clone(stream), 0))
	refused(t, "twice", append(bytes.Clone(stream), stream...))
	rapid.Check(t, func(rt *rapid.T) {
		refused(rt, "flipped", flip(rapid.IntRange(0, 8*len(stream)-1).Draw(rt, "bit")))
		refused(rt, "cut", stream[:rapid.IntRange(1, len(stream)-1).Draw(rt, "length")])
		extra := rapid.SliceOfN(rapid.Byte(), 1, 100).Draw(rt, "extra")
		at := rapid.IntRange(0, len(stream)).Draw(rt, "at")
		longer := append(append(bytes.Clone(stream[:at]), extra...), stream[at:]...)
		refused(rt, "inserted", longer)
	})
	if err := install(follower, meta, stream); err != nil {
		t.Fatal("the whole stream is refused: ", err)
	}
	if outlineOf(follower) != outlineOf(leader) {
		t.Errorf("restored %+v, the leader has %+v", outlineOf(follower), outlineOf(leader))
	}
}

// streamOfNames makes a stream of empty files with right checksums.
func streamOfNames(names ...string) []byte {
	empty := blake3.Sum256(nil)
	b := binary.BigEndian.AppendUint32([]byte(streamMagic), uint32(len(names)))
	for _, name := range names {
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(name))), name...)
		b = binary.BigEndian.AppendUint64(b, 0)
		b = append(b, empty[:]...)
	}
	sum := blake3.Sum256(b)
	return append(b, sum[:]...)
}

func TestStreamNamesStayInTheFolder(t *testing.T) {
	fs := vfs.NewMem()
	if err := fs.MkdirAll("dir", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := readStream(bytes.NewReader(streamOfNames("000001.sst")), fs, "dir"); err != nil {
		t.Fatal(err)
	}
	for _, names := range [][]string{{"../evil"}, {"/evil"}, {"a/b"}, {`a\b`}, {"."}, {".."}, {"a\x00b"}, {metaName}, {"twice", "twice"}, {""}, {string(make([]byte, maxName+1))}} {
		if err := readStream(bytes.NewReader(streamOfNames(names...)), fs, "dir"); !errors.Is(err, ErrDamagedSnapshot) {
			t.Errorf("file names %q: %v", names, err)
		}
	}
	if names, _ := fs.List(""); len(names) != 1 {
		t.Errorf("the file system holds %q", names)
	}
}

func FuzzReadStream(f *testing.F) {
	f.Add(streamOfNames("000001.sst", "MANIFEST-000001"))
	f.Add(streamOfNames())
	f.Fuzz(func(t *testing.T, raw []byte) {
		fs := vfs.NewMem()
		if err := fs.MkdirAll("dir", 0o700); err != nil {
			t.Fatal(err)
		}
		if err := readStream(bytes.NewReader(raw), fs, "dir"); err != nil {
			return
		}
		files, err := listFiles(fs, "dir")
		if err != nil || streamSize(files) != int64(len(raw)) {
			t.Fatalf("took a stream of %d bytes as %v, %v", len(raw), files, err)
		}
	})
}
