package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/zeebo/blake3"
	"pgregory.net/rapid"

	"github.com/stemedb/stemedb/assertion"
)

// memory is a Sink that keeps the files.
type memory struct {
	files     fstest.MapFS
	committed bool
}

func (m *memory) Put(_ context.Context, name string, content []byte) error {
	m.files[name] = &fstest.MapFile{Data: bytes.Clone(content)}
	return nil
}

func (m *memory) Commit(context.Context) error { m.committed = true; return nil }

// noise is content that compresses badly, the same for each seed.
func noise(seed byte, size int) []byte {
	b := make([]byte, size)
	h := blake3.New()
	_, _ = h.Write([]byte{seed})
	_, _ = h.Digest().Read(b)
	return b
}

func full(index uint64) Metadata {
	return Metadata{Kind: Full, ClusterID: "c1", Node: "n1", Index: index, Term: 2, CommittedAt: 1000 + index, AssertionCount: 3,
		Digest: assertion.Hash{1}, Timestamp: time.Unix(int64(5000+index), 0).UTC(), SoftwareVersion: "test"}
}

func logOf(first, last uint64) Metadata {
	m := full(last)
	m.Kind, m.FirstIndex, m.PreviousTerm = Log, first, 2
	return m
}

func writing(content []byte) func(io.Writer) error {
	return func(w io.Writer) error { _, err := w.Write(content); return err }
}

func written(t testing.TB, m Metadata, content []byte) fstest.MapFS {
	t.Helper()
	sink := &memory{files: fstest.MapFS{}}
	if _, err := Write(t.Context(), sink, m, writing(content), Options{}); err != nil {
		t.Fatal(err)
	}
	if !sink.committed {
		t.Fatal("the backup was not committed")
	}
	return sink.files
}

func entries(first, last uint64) (b []byte) {
	for i := first; i <= last; i++ {
		b = AppendEntry(b, Entry{Index: i, Term: 2, Data: fmt.Appendf(nil, "entry %d", i)})
	}
	return b
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	for _, size := range []int{0, 1, frameBytes, SegmentBytes - 1, SegmentBytes, SegmentBytes + 1, 2*SegmentBytes + 12345} {
		content := noise(1, size)
		files := written(t, full(7), content)
		m, err := Verify(files)
		if err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		if want := (size + SegmentBytes - 1) / SegmentBytes; m.FileCount != want || m.ContentBytes != int64(size) || m.Index != 7 {
			t.Errorf("%d bytes: %d files of %d bytes, want %d files", size, m.FileCount, m.ContentBytes, want)
		}
		got, err := io.ReadAll(NewReader(files, m))
		if err != nil || !bytes.Equal(got, content) {
			t.Errorf("%d bytes came back as %d (%v)", size, len(got), err)
		}
		for name, file := range files {
			if name != MetadataName && !strings.HasPrefix(string(file.Data), "STEM") {
				t.Errorf("%s does not begin with STEM", name)
			}
		}
	}
}

// copyOf is a backup to damage.
func copyOf(files fstest.MapFS) fstest.MapFS {
	out := fstest.MapFS{}
	for name, f := range files {
		out[name] = &fstest.MapFile{Data: bytes.Clone(f.Data)}
	}
	return out
}

// known reports whether an error is one that Verify promises.
func known(err error) bool {
	return errors.Is(err, ErrDamaged) || errors.Is(err, ErrVersion) || errors.Is(err, ErrNotBackup)
}

// Wherever one bit is flipped, a file is cut short, goes on, is missing, added,
// or exchanged, Verify and Receive say so.
func TestEveryDamageIsFound(t *testing.T) {
	content := func(seed byte) []byte { // two segments, small files
		return slices.Concat(noise(seed, 10_000), make([]byte, SegmentBytes-10_000), noise(1, 5000))
	}
	whole, other := written(t, full(7), content(2)), written(t, full(7), content(3))
	names := slices.Sorted(maps.Keys(whole))
	rapid.Check(t, func(t *rapid.T) {
		files := copyOf(whole)
		name := rapid.SampledFrom(names).Draw(t, "file")
		data := files[name].Data
		switch rapid.SampledFrom([]string{"flip", "cut", "longer", "missing", "extra", "swap", "foreign"}).Draw(t, "damage") {
		case "flip":
			// Half of the flips hit where the structure is dense.
			most := len(data) - 1
			if rapid.Bool().Draw(t, "near an end") {
				most = min(most, 200)
			}
			at := rapid.IntRange(0, most).Draw(t, "at")
			if rapid.Bool().Draw(t, "from the end") {
				at = len(data) - 1 - at
			}
			data[at] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		case "cut":
			files[name].Data = data[:rapid.IntRange(0, len(data)-1).Draw(t, "length")]
		case "longer":
			files[name].Data = append(data, rapid.SliceOfN(rapid.Byte(), 1, 100).Draw(t, "more")...)
		case "missing":
			delete(files, name)
		case "extra":
			files[rapid.SampledFrom([]string{"state-000002.seg", "log-000000.seg", "x"}).Draw(t, "extra")] = &fstest.MapFile{Data: data}
		case "swap":
			files["state-000000.seg"], files["state-000001.seg"] = files["state-000001.seg"], files["state-000000.seg"]
		case "foreign": // a sound file of another backup
			if files[name] = other[name]; name == "state-000001.seg" {
				t.Skip("both backups have the same second segment")
			}
		}
		if _, err := Verify(files); !known(err) {
			t.Fatalf("Verify: %v", err)
		}
	})
}

// Every single bit of a small backup.
func TestEverySingleBitMatters(t *testing.T) {
	whole := written(t, logOf(1, 3), entries(1, 3))
	for name, file := range whole {
		for bit := range 8 * len(file.Data) {
			file.Data[bit/8] ^= 1 << (bit % 8)
			if _, err := Verify(whole); !known(err) {
				t.Fatalf("bit %d of %s is flipped: %v", bit, name, err)
			}
			file.Data[bit/8] ^= 1 << (bit % 8)
		}
		for n := range file.Data {
			cut := copyOf(whole)
			cut[name].Data = file.Data[:n]
			if _, err := Verify(cut); !known(err) {
				t.Fatalf("%s is cut to %d bytes: %v", name, n, err)
			}
		}
	}
	if _, err := Verify(whole); err != nil {
		t.Errorf("undamaged: %v", err)
	}
}

func TestFaultsHaveTheirOwnMessages(t *testing.T) {
	for what, test := range map[string]struct {
		damage func(fstest.MapFS)
		want   error
		says   string
	}{
		"magic":            {func(f fstest.MapFS) { copy(f["state-000000.seg"].Data, "JUNK") }, ErrNotBackup, "magic bytes STEM"},
		"segment version":  {func(f fstest.MapFS) { f["state-000000.seg"].Data[5] = 9 }, ErrVersion, "version 9, this software reads 1"},
		"manifest version": {func(f fstest.MapFS) { f[MetadataName].Data = []byte(`{"format_version": 2}`) }, ErrVersion, "2, this software reads 1"},
		"no manifest":      {func(f fstest.MapFS) { delete(f, MetadataName) }, ErrNotBackup, "there is no " + MetadataName},
		"missing":          {func(f fstest.MapFS) { delete(f, "state-000000.seg") }, ErrDamaged, "state-000000.seg"},
		"extra":            {func(f fstest.MapFS) { f["more"] = &fstest.MapFile{} }, ErrDamaged, "holds more"},
		"manifest changed": {func(f fstest.MapFS) {
			f[MetadataName].Data = bytes.Replace(f[MetadataName].Data, []byte(`"index": 7`), []byte(`"index": 8`), 1)
		}, ErrDamaged, "own checksum"},
	} {
		files := written(t, full(7), []byte("content"))
		test.damage(files)
		if _, err := Verify(files); !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v, want %v with %q", what, err, test.want, test.says)
		}
	}
}

func TestStream(t *testing.T) {
	content := append(make([]byte, SegmentBytes), noise(4, 5000)...)
	var archive bytes.Buffer
	if _, err := Write(t.Context(), NewStream(&archive), full(7), writing(content), Options{}); err != nil {
		t.Fatal(err)
	}
	whole := archive.Bytes()
	sink := &memory{files: fstest.MapFS{}}
	var told int64
	m, err := Receive(t.Context(), bytes.NewReader(whole), sink, func(n int64) { told = n })
	if err != nil || !sink.committed || told != int64(len(content)) {
		t.Fatalf("receive: %v, committed %v, told of %d bytes", err, sink.committed, told)
	}
	if again, err := Verify(sink.files); err != nil || again.Digest != m.Digest {
		t.Errorf("what was received: %v", err)
	}
	// What fills up the last block, and the trailer, carry nothing.
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, len(whole)-1024-512).Draw(t, "length")
		sink := &memory{files: fstest.MapFS{}}
		if _, err := Receive(t.Context(), bytes.NewReader(whole[:n]), sink, nil); err == nil || sink.committed {
			t.Fatalf("cut to %d of %d bytes: %v, committed %v", n, len(whole), err, sink.committed)
		}
	})
}

// broken is a Sink whose disk is full after some files.
type broken struct {
	*Dir
	left int
}

var errFull = errors.New("no space left on device")

func (b *broken) Put(ctx context.Context, name string, content []byte) error {
	if b.left--; b.left < 0 {
		return errFull
	}
	return b.Dir.Put(ctx, name, content)
}

func TestNothingUnfinishedIsABackup(t *testing.T) {
	parent := t.TempDir()
	at := time.Unix(1e9, 0)
	content := noise(5, 2*SegmentBytes)
	for left := range 3 { // the second segment, then the manifest does not fit
		d, err := NewDir(parent, at)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Write(t.Context(), &broken{d, left}, full(7), writing(content), Options{}); !errors.Is(err, errFull) {
			t.Errorf("with %d files: %v", left, err)
		}
		if all, err := List(t.Context(), Folder(parent)); err != nil || len(all) != 0 {
			t.Errorf("before it is closed: %v, %v", all, err)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		if names, err := os.ReadDir(parent); err != nil || len(names) != 0 {
			t.Errorf("left behind: %v, %v", names, err)
		}
	}
	for range 2 {
		d, err := NewDir(parent, at)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Write(t.Context(), d, full(7), writing(content[:10]), Options{}); err != nil {
			t.Fatal(err)
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
	all, err := List(t.Context(), Folder(parent))
	if err != nil || len(all) != 2 || all[0].Name != "stemedb-backup-20010909-014640" || all[1].Name != "stemedb-backup-20010909-014641" {
		t.Fatalf("two backups of one second: %v, %v", all, err)
	}
	// What a killed process leaves is no backup, and is found when it is old.
	if err := os.Mkdir(filepath.Join(parent, unfinished+Name(at)), 0o700); err != nil {
		t.Fatal(err)
	}
	if left, err := Folder(parent).Leftovers(t.Context(), time.Now().Add(time.Hour)); err != nil || len(left) != 1 {
		t.Errorf("leftovers: %v, %v", left, err)
	}
	if left, err := Folder(parent).Leftovers(t.Context(), time.Now().Add(-time.Hour)); err != nil || len(left) != 0 {
		t.Errorf("a backup under way is a leftover: %v, %v", left, err)
	}
	// One that was taken for abandoned cannot be finished any more.
	slow, err := NewDir(parent, at.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	removing := Options{Done: func(int64) {
		if _, err := Folder(parent).hide(filepath.Base(slow.temporary)); err != nil {
			t.Error(err)
		}
	}}
	if _, err := Write(t.Context(), slow, full(7), writing(content[:10]), removing); err == nil {
		t.Error("a backup that is being removed is finished")
	}
	if err := Folder(parent).Remove(t.Context(), all[0].Name); err != nil {
		t.Error(err)
	}
	if all, err := List(t.Context(), Folder(parent)); err != nil || len(all) != 1 {
		t.Errorf("after a removal: %v, %v", all, err)
	}
}

// store writes backups into a folder, named in order.
func store(t *testing.T, parent string, all ...Metadata) (paths []string) {
	t.Helper()
	for i, m := range all {
		d, err := NewDir(parent, time.Unix(int64(1e9+i), 0))
		if err != nil {
			t.Fatal(err)
		}
		content := []byte("state")
		if m.Kind == Log {
			content = entries(m.FirstIndex, m.Index)
		}
		if _, err := Write(t.Context(), d, m, writing(content), Options{}); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, d.Path())
	}
	return paths
}

func TestPlan(t *testing.T) {
	parent := t.TempDir()
	paths := store(t, parent, full(10), logOf(11, 20), logOf(21, 30), full(25), logOf(41, 50), logOf(1, 9))
	at := func(i int) string { return paths[i] }
	for what, test := range map[string]struct {
		path string
		to   Target
		want []string
		says string
	}{
		"a full one":                   {at(0), Target{}, []string{at(0)}, ""},
		"a log one":                    {at(1), Target{}, []string{at(0), at(1)}, ""},
		"a log one after a newer full": {at(2), Target{}, []string{at(3), at(2)}, ""},
		"to an index":                  {at(0), Target{Index: 15}, []string{at(0), at(1)}, ""},
		"to the index of the backup":   {at(0), Target{Index: 10}, []string{at(0)}, ""},
		"to a time":                    {at(0), Target{Time: 1021}, []string{at(0), at(1), at(2)}, ""},
		"to the last time":             {at(3), Target{Time: 1030}, []string{at(3), at(2)}, ""},
		"the log from its beginning":   {at(5), Target{}, []string{at(5)}, ""},
		"across a gap":                 {at(0), Target{Index: 45}, nil, "end with log index 30"},
		"a log one after a gap":        {at(4), Target{}, nil, "end with log index 30"},
		"before the backup":            {at(3), Target{Index: 12}, nil, "choose an earlier full backup"},
		"beyond the last time":         {at(3), Target{Time: 2000}, nil, "end with log index 30"},
	} {
		plan, err := Plan(t.Context(), Folder(parent), filepath.Base(test.path), test.to)
		var got []string
		for _, f := range plan {
			got = append(got, f.Path)
		}
		if test.says != "" && (!errors.Is(err, ErrGap) || !strings.Contains(err.Error(), test.says)) || test.says == "" && err != nil || !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, %v; want %v", what, got, err, test.want)
		}
	}
	all, err := List(t.Context(), Folder(parent))
	if err != nil {
		t.Fatal(err)
	}
	if tip := Tip(all, "c1"); tip == nil || tip.Path != at(2) {
		t.Errorf("the next log backup would continue %v", tip)
	}
	if tip := Tip(all, "c2"); tip != nil {
		t.Errorf("the next log backup of another cluster would continue %v", tip)
	}
}

func TestPruneKeepsWhatIsNeeded(t *testing.T) {
	parent := t.TempDir()
	paths := store(t, parent, full(10), logOf(11, 20), full(20), logOf(21, 30), full(30), logOf(31, 35))
	all, err := List(t.Context(), Folder(parent))
	if err != nil {
		t.Fatal(err)
	}
	late := time.Unix(1e9, 0)
	for what, test := range map[string]struct {
		keep Keep
		want []int
	}{
		"two":                 {Keep{Full: 2, Since: late}, []int{0, 1}},
		"one":                 {Keep{Full: 1, Since: late}, []int{0, 1, 2, 3}},
		"never the newest":    {Keep{Full: 0, Since: late}, []int{0, 1, 2, 3}},
		"all that are young":  {Keep{Full: 1, Since: time.Unix(5020, 0)}, []int{0, 1}},
		"more than there are": {Keep{Full: 9, Since: late}, nil},
	} {
		var got, want []string
		for _, f := range Prune(all, test.keep) {
			got = append(got, f.Path)
		}
		for _, i := range test.want {
			want = append(want, paths[i])
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v would go, want %v", what, got, want)
		}
	}
	// What cannot be read now may be what a log backup continues; what is damaged cannot.
	for unread, logs := range map[error]int{errFull: 0, ErrVersion: 0, ErrDamaged: 1} {
		some := slices.Clone(all)
		i := slices.IndexFunc(some, func(f Found) bool { return f.Path == paths[0] })
		some[i].Metadata, some[i].Err = nil, unread
		var got int
		for _, f := range Prune(some, Keep{Full: 2, Since: late}) {
			got += boolean(f.Metadata.Kind == Log)
		}
		if got != logs {
			t.Errorf("where a full backup is unusable (%v) %d log backups would go, want %d", unread, got, logs)
		}
	}
}

func TestEntries(t *testing.T) {
	files := written(t, logOf(4, 9), entries(4, 9))
	m, err := Verify(files)
	if err != nil {
		t.Fatal(err)
	}
	var got []uint64
	if err := Entries(files, m, func(e Entry) error {
		if string(e.Data) != fmt.Sprintf("entry %d", e.Index) {
			t.Errorf("entry %d holds %q", e.Index, e.Data)
		}
		got = append(got, e.Index)
		return nil
	}); err != nil || !slices.Equal(got, []uint64{4, 5, 6, 7, 8, 9}) {
		t.Errorf("%v, %v", got, err)
	}
	for what, content := range map[string][]byte{"one is missing": append(entries(4, 6), entries(8, 9)...), "cut off": entries(4, 9)[:100], "too few": entries(4, 8)} {
		files := written(t, logOf(4, 9), content)
		m, err := Verify(files)
		if err != nil {
			t.Fatal(err)
		}
		if err := Entries(files, m, func(Entry) error { return nil }); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
