package node

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"

	"github.com/hashicorp/raft"
	walfs "github.com/hashicorp/raft-wal/fs"
	"github.com/hashicorp/raft-wal/segment"
	"github.com/hashicorp/raft-wal/types"
	"pgregory.net/rapid"
)

// eachLogKind runs a test with each kind of log store.
func eachLogKind(t *testing.T, test func(t *testing.T, kind string)) {
	t.Helper()
	for _, kind := range []string{LogBolt, LogWAL} {
		t.Run(kind, func(t *testing.T) { test(t, kind) })
	}
}

// smallSegment makes a LogWAL change segments often.
const smallSegment = 2 << 10

// entry is one that can be told from every other of its index and term.
func entry(index, term uint64) *raft.Log {
	return &raft.Log{Index: index, Term: term, Data: bytes.Repeat([]byte{byte(index), byte(term), 3}, 20+int(index%7))}
}

// entries are those from first to last.
func entries(first, last, term uint64) (logs []*raft.Log) {
	for i := first; i <= last; i++ {
		logs = append(logs, entry(i, term))
	}
	return logs
}

// fatal is what a test and a property have in common.
type fatal interface {
	Helper()
	Fatalf(format string, args ...any)
}

// mustBe fails unless a log holds exactly the entries of the model.
func mustBe(t fatal, logs *LogStore, model []*raft.Log) {
	t.Helper()
	first, err := logs.FirstIndex()
	last, err2 := logs.LastIndex()
	if err := errors.Join(err, err2); err != nil {
		t.Fatalf("the bounds of the log: %v", err)
	}
	if len(model) == 0 {
		if first != 0 || last != 0 {
			t.Fatalf("the log goes from %d to %d and is to be empty", first, last)
		}
		return
	}
	if first != model[0].Index || last != model[len(model)-1].Index {
		t.Fatalf("the log goes from %d to %d, want %d to %d", first, last, model[0].Index, model[len(model)-1].Index)
	}
	for _, want := range model {
		var got raft.Log
		if err := logs.GetLog(want.Index, &got); err != nil || got.Term != want.Term || !bytes.Equal(got.Data, want.Data) {
			t.Fatalf("entry %d is of term %d, %x, %v; want term %d, %x", want.Index, got.Term, got.Data, err, want.Term, want.Data)
		}
	}
	for _, beyond := range []uint64{first - 1, last + 1} {
		if err := logs.GetLog(beyond, new(raft.Log)); !errors.Is(err, raft.ErrLogNotFound) {
			t.Fatalf("entry %d, of a log from %d to %d: %v", beyond, first, last, err)
		}
	}
}

// refusals are the operations that the property test has refused.
var refusals = []string{"create", "write", "sync"}

// faultyFiles are a file system that refuses things for a while.
type faultyFiles struct {
	types.VFS
	mu     sync.Mutex     // raft-wal changes segments by itself
	refuse map[string]int // how often still, by operation
}

// refusing sets how often operations are refused from now on.
func (f *faultyFiles) refusing(operation string, times int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refuse[operation] = times
}

func (f *faultyFiles) refused(operation string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refuse[operation] == 0 {
		return nil
	}
	f.refuse[operation]--
	return &os.PathError{Op: operation, Path: "segment", Err: syscall.ENOSPC}
}

func (f *faultyFiles) Create(dir, name string, size uint64) (types.WritableFile, error) {
	file, err := f.VFS.Create(dir, name, size)
	if err != nil {
		return nil, err
	}
	if err := f.refused("create"); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	if size > 0 {
		if err := f.refused("set aside"); err != nil {
			return nil, errors.Join(err, file.Close())
		}
	}
	return &faultyFile{file, f}, nil
}

func (f *faultyFiles) OpenWriter(dir, name string) (types.WritableFile, error) {
	file, err := f.VFS.OpenWriter(dir, name)
	if err != nil {
		return nil, err
	}
	return &faultyFile{file, f}, nil
}

type faultyFile struct {
	types.WritableFile
	of *faultyFiles
}

func (f *faultyFile) WriteAt(p []byte, at int64) (int, error) {
	if err := f.of.refused("write"); err != nil {
		n, _ := f.WritableFile.WriteAt(p[:len(p)/2], at)
		return n, err
	}
	return f.WritableFile.WriteAt(p, at)
}

func (f *faultyFile) Sync() error {
	if err := f.of.refused("sync"); err != nil {
		return err
	}
	return f.WritableFile.Sync()
}

// However appends, removals and reopenings follow each other, and whatever of them
// the file system refuses at first, the log is that of a plain list.
func TestALogIsThatOfAPlainListWhateverTheDiskRefuses(t *testing.T) {
	eachLogKind(t, func(t *testing.T, kind string) {
		rapid.Check(t, func(r *rapid.T) {
			dir := t.TempDir()
			files := &faultyFiles{VFS: walfs.New(), refuse: map[string]int{}}
			open := func() *LogStore {
				for _, operation := range refusals {
					files.refusing(operation, 0)
				}
				logs, err := OpenLogStore(dir, LogOptions{Kind: kind, NoSync: true, segmentBytes: smallSegment, files: files})
				if err != nil {
					r.Fatalf("open the log: %v", err)
				}
				return logs
			}
			logs := open()
			defer func() { _ = logs.Close() }()
			var model []*raft.Log
			next, term := rapid.Uint64Range(1, 100).Draw(r, "first"), uint64(1)
			// until repeats a write as the watch of the disk does.
			until := func(write func() error) {
				err := errors.New("never tried")
				for try := 0; err != nil; try++ {
					if try == 20 {
						r.Fatalf("a write is refused for ever: %v", err)
					}
					err = write()
				}
			}
			for range rapid.IntRange(1, 25).Draw(r, "steps") {
				for _, operation := range refusals {
					if rapid.IntRange(0, 3).Draw(r, operation) == 0 {
						files.refusing(operation, rapid.IntRange(1, 3).Draw(r, "times"))
					}
				}
				switch rapid.SampledFrom([]string{"append", "append", "append", "append", "prefix", "suffix", "all", "open"}).Draw(r, "step") {
				case "append":
					batch := entries(next, next+rapid.Uint64Range(0, 9).Draw(r, "more"), term)
					until(func() error {
						err := logs.StoreLogs(batch)
						if wal, ok := logs.logEngine.(*walStore); ok && err != nil && rapid.Bool().Draw(r, "doubt") {
							wal.doubt = true // a removal beside it has failed
						}
						return err
					})
					model = append(model, batch...)
					next += uint64(len(batch))
				case "prefix":
					if len(model) > 1 {
						n := rapid.IntRange(1, len(model)-1).Draw(r, "prefix")
						until(func() error { return logs.DeleteRange(model[0].Index, model[n-1].Index) })
						model = model[n:]
					}
				case "suffix":
					if len(model) > 1 {
						n := rapid.IntRange(1, len(model)-1).Draw(r, "kept")
						until(func() error { return logs.DeleteRange(model[n].Index, model[len(model)-1].Index) })
						next, term, model = model[n].Index, term+1, model[:n:n]
					}
				case "all": // as a snapshot that is installed does; a gap follows
					if len(model) > 0 {
						until(func() error { return logs.DeleteRange(model[0].Index, model[len(model)-1].Index) })
						next, model = next+rapid.Uint64Range(0, 1000).Draw(r, "gap"), nil
					}
				case "open":
					if err := logs.Close(); err != nil {
						r.Fatalf("close the log: %v", err)
					}
					logs = open()
				}
				mustBe(r, logs, model)
			}
			if err := logs.Close(); err != nil {
				r.Fatalf("close the log: %v", err)
			}
			logs = open()
			mustBe(r, logs, model)
		})
	})
}

// A disk that has room for entries, but not for a whole segment, takes entries.
func TestNoRoomForAWholeSegmentIsNoTrouble(t *testing.T) {
	files := &faultyFiles{VFS: walfs.New(), refuse: map[string]int{"set aside": 1000}}
	logs, err := OpenLogStore(t.TempDir(), LogOptions{Kind: LogWAL, NoSync: true, segmentBytes: smallSegment, files: files})
	if err != nil {
		t.Fatal(err)
	}
	for i := uint64(1); i < 200; i++ {
		if err := logs.StoreLog(entry(i, 1)); err != nil {
			t.Fatal(err)
		}
	}
	mustBe(t, logs, entries(1, 199, 1))
	if err := logs.Close(); err != nil {
		t.Fatal(err)
	}
}

// No append is acknowledged before the name of its segment is on disk, whichever
// process has made the file and however often that fails.
func TestTheNameOfASegmentIsSynced(t *testing.T) {
	const name = "segment"
	files := walFiles{VFS: walfs.New()}
	for way, open := range map[string]func(dir string) (types.WritableFile, error){
		"made": func(dir string) (types.WritableFile, error) { return files.Create(dir, name, 0) },
		"opened": func(dir string) (types.WritableFile, error) {
			if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
				return nil, err
			}
			return files.OpenWriter(dir, name)
		},
	} {
		dir := filepath.Join(t.TempDir(), "log")
		away := dir + "-away"
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		file, err := open(dir)
		if err != nil {
			t.Fatal(err)
		}
		move := func(from, to string) {
			t.Helper()
			if err := os.Rename(from, to); err != nil {
				t.Fatal(err)
			}
		}
		move(dir, away) // so that the folder cannot be synced
		for range 2 {
			if err := file.Sync(); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s: a sync without one of the name: %v", way, err)
			}
		}
		move(away, dir)
		if err := file.Sync(); err != nil {
			t.Errorf("%s: %v", way, err)
		}
		move(dir, away)
		if err := errors.Join(file.Sync(), file.Close()); err != nil {
			t.Errorf("%s: a sync after the name is on disk: %v", way, err)
		}
	}
}

// copyFiles copies the files of a folder into a new one.
func copyFiles(t *testing.T, from, to string) {
	t.Helper()
	if err := os.MkdirAll(to, 0o700); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(from)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		content, err := os.ReadFile(filepath.Join(from, f.Name()))
		if err == nil {
			err = os.WriteFile(filepath.Join(to, f.Name()), content, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// Of the last append the disk may have any part when the machine stops, that which
// seals a segment included: what was appended before is there, and the log goes on.
func TestAPartOfTheLastAppendCostsNothingElse(t *testing.T) {
	dir := t.TempDir()
	open := func(dir string) *LogStore {
		t.Helper()
		logs, err := OpenLogStore(dir, LogOptions{Kind: LogWAL, NoSync: true, segmentBytes: smallSegment})
		if err != nil {
			t.Fatal(err)
		}
		return logs
	}
	logs := open(dir)
	segments := func() int {
		files, err := filepath.Glob(filepath.Join(walPath(dir), "*.wal"))
		if err != nil {
			t.Fatal(err)
		}
		return len(files)
	}
	cuts := 0
	for last := uint64(0); segments() < 3; last += 3 {
		before := t.TempDir()
		copyFiles(t, walPath(dir), walPath(before))
		if err := logs.StoreLogs(entries(last+1, last+3, 1)); err != nil {
			t.Fatal(err)
		}
		if err := logs.Set([]byte("settled"), []byte("yes")); err != nil { // after a change of segments
			t.Fatal(err)
		}
		tails, err := filepath.Glob(filepath.Join(walPath(before), "*.wal"))
		if err != nil {
			t.Fatal(err)
		}
		tail := filepath.Base(tails[len(tails)-1])
		was, err := os.ReadFile(filepath.Join(walPath(before), tail))
		if err != nil {
			t.Fatal(err)
		}
		is, err := os.ReadFile(filepath.Join(walPath(dir), tail))
		if err != nil {
			t.Fatal(err)
		}
		was = append(was, make([]byte, max(0, len(is)-len(was)))...)
		from, to := 0, len(is)
		for from < to && was[from] == is[from] {
			from++
		}
		for to > from && was[to-1] == is[to-1] {
			to--
		}
		step := 40
		if segments() > len(tails) {
			step = 8
		}
		for at := from; at <= to+step; at += step {
			cut := min(at, to)
			for _, torn := range [][]byte{
				append(bytes.Clone(is[:cut]), was[cut:]...), // the beginning was written
				append(bytes.Clone(was[:cut]), is[cut:]...), // the end was
			} {
				cuts++
				crashed := filepath.Join(before, fmt.Sprint("crashed-", cuts))
				copyFiles(t, walPath(before), walPath(crashed))
				if err := os.WriteFile(filepath.Join(walPath(crashed), tail), torn, 0o600); err != nil {
					t.Fatal(err)
				}
				want := last
				if bytes.Equal(torn, is) {
					want = last + 3
				}
				for more := uint64(0); more < 2; more++ {
					logs := open(crashed)
					mustBe(t, logs, entries(1, want, 1))
					want++
					if err := logs.StoreLog(entry(want, 1)); err != nil {
						t.Fatalf("an append after a crash that left the bytes from %d to %d written up to %d: %v", from, to, cut, err)
					}
					mustBe(t, logs, entries(1, want, 1))
					if err := logs.Close(); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
	}
	if err := logs.Close(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d crashes", cuts)
}

// appenderDir makes this test's program the process that TestAKilledProcess kills.
const (
	appenderDir  = "STEMEDB_TEST_APPENDER_DIR"
	appenderKind = "STEMEDB_TEST_APPENDER_KIND"
)

// append entries until killed, and say which are acknowledged.
func appendForEver(dir, kind string) error {
	logs, err := OpenLogStore(dir, LogOptions{Kind: kind, segmentBytes: smallSegment})
	if err != nil {
		return err
	}
	last, err := logs.LastIndex()
	if err != nil {
		return err
	}
	for {
		if err := logs.StoreLogs(entries(last+1, last+4, 1)); err != nil {
			return err
		}
		last += 4
		if _, err := fmt.Println(last); err != nil {
			return err
		}
		if last%40 == 0 && last > 100 {
			if err := logs.DeleteRange(1, last-100); err != nil {
				return err
			}
		}
	}
}

// A process that is killed at any moment has on disk what it had acknowledged, and
// the log goes on.
func TestAKilledProcessHasWhatItAcknowledged(t *testing.T) {
	if dir := os.Getenv(appenderDir); dir != "" {
		t.Fatal(appendForEver(dir, os.Getenv(appenderKind)))
	}
	eachLogKind(t, func(t *testing.T, kind string) {
		dir := t.TempDir()
		acknowledged := uint64(0)
		for round := range 12 {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+"TestAKilledProcessHasWhatItAcknowledged"+"$")
			cmd.Env = append(os.Environ(), appenderDir+"="+dir, appenderKind+"="+kind)
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(out)
			for n := 0; lines.Scan(); n++ {
				last, err := strconv.ParseUint(lines.Text(), 10, 64)
				if err != nil {
					t.Errorf("the process says %q", lines.Text())
					break
				}
				acknowledged = last
				if n == 5+7*round {
					_ = cmd.Process.Kill()
				}
			}
			_ = cmd.Wait()
			logs, err := OpenLogStore(dir, LogOptions{Kind: kind, segmentBytes: smallSegment})
			if err != nil {
				t.Fatal(err)
			}
			first, err := logs.FirstIndex()
			last, err2 := logs.LastIndex()
			if err := errors.Join(err, err2); err != nil || last < acknowledged || last > acknowledged+4 || first > max(1, last-99) {
				t.Fatalf("the log goes from %d to %d, %v; acknowledged was %d", first, last, err, acknowledged)
			}
			mustBe(t, logs, entries(first, last, 1))
			if err := logs.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if acknowledged < 200 {
			t.Errorf("only %d entries were acknowledged", acknowledged)
		}
	})
}

// A process that has made the file of the next segment, and was refused the entry in
// the list, leaves the file behind: its name is taken when the segment is made again.
func TestAFileInTheWayOfASegmentIsNoTroubleForLong(t *testing.T) {
	const last = 200
	for name, first := range map[string]uint64{"the next segment": 1, "the first one, which begins elsewhere": 50} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			logs, err := OpenLogStore(dir, LogOptions{Kind: LogWAL, NoSync: true, segmentBytes: smallSegment})
			if err != nil {
				t.Fatal(err)
			}
			defer logs.Close()
			for id := uint64(1); id < 4; id++ { // segment 0 is there
				for base := uint64(2); base <= last; base++ {
					path := filepath.Join(walPath(dir), segment.FileName(types.SegmentInfo{ID: id, BaseIndex: base}))
					if err := os.WriteFile(path, nil, 0o600); err != nil {
						t.Fatal(err)
					}
				}
			}
			refused := 0
			for i := first; i <= last; i++ {
				for err = logs.StoreLog(entry(i, 1)); err != nil; err = logs.StoreLog(entry(i, 1)) {
					if refused++; refused > 20 {
						t.Fatalf("entry %d is refused for ever: %v", i, err)
					}
				}
			}
			if refused == 0 {
				t.Error("no file was in the way: the test shows nothing")
			}
			mustBe(t, logs, entries(first, last, 1))
		})
	}
}
