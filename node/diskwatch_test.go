package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/stemedb/stemedb/sync/gossip"
)

// fakeDisk is a watch over a disk and a clock that the test moves.
type fakeDisk struct {
	*diskWatch
	clock struct {
		sync.Mutex
		now time.Time
	}
	probeErr error
	probed   []int // bytes
	left     uint64
	told     []error
}

func newFakeDisk(timeout time.Duration, minFree uint64) *fakeDisk {
	f := &fakeDisk{left: 1 << 40}
	f.clock.now = time.Unix(1000, 0)
	f.diskWatch = newDiskWatch(&Config{DiskTimeout: timeout, MinFreeDisk: minFree}, func() time.Time {
		f.clock.Lock()
		defer f.clock.Unlock()
		return f.clock.now
	})
	f.probe = func(bytes int) error { f.probed = append(f.probed, bytes); return f.probeErr }
	f.space = func() (free, size uint64, err error) { return f.left, 1 << 41, nil }
	f.turned = func(trouble error) { f.told = append(f.told, trouble) }
	f.armed.Store(true)
	return f
}

func (f *fakeDisk) pass(d time.Duration) {
	f.clock.Lock()
	f.clock.now = f.clock.now.Add(d)
	f.clock.Unlock()
}

// must fails the test unless the disk is in trouble for a reason, or in none if it
// is "", and has said so the given number of times.
func (f *fakeDisk) must(t *testing.T, reason string, times int) {
	t.Helper()
	err := f.err()
	if reason == "" && err != nil || reason != "" && (!errors.Is(err, ErrDisk) || !strings.Contains(err.Error(), reason)) {
		t.Errorf("the disk is in trouble: %v, want %q", err, reason)
	}
	if len(f.told) != times || times > 0 && !errors.Is(f.told[times-1], err) {
		t.Errorf("it has told %v, want %d times, the last %v", f.told, times, err)
	}
}

func TestAWriteThatDoesNotCompleteIsTrouble(t *testing.T) {
	f := newFakeDisk(5*time.Second, 0)
	guarded, unguard := f.guard(t.Context())
	defer unguard()
	write := f.begin("a write to the raft log")
	f.pass(5*time.Second - 1)
	f.check()
	f.must(t, "", 0)
	if waiting := f.view().waiting; waiting != 5*time.Second-1 {
		t.Errorf("the write waits for %v", waiting)
	}
	f.pass(1)
	f.check()
	f.must(t, "a write to the raft log has not completed within 5s", 1)
	<-guarded.Done()
	if cause := context.Cause(guarded); !errors.Is(cause, ErrDisk) {
		t.Errorf("what was under way ends with %v", cause)
	}
	late, unguardLate := f.guard(t.Context())
	defer unguardLate()
	<-late.Done() // what begins now ends at once

	f.probeOnce() // a probe that goes well does not clear a write that hangs
	f.must(t, "has not completed", 1)
	f.pass(time.Second)
	f.end(write)
	f.check() // nothing hangs, but nothing has shown yet that the disk works
	f.must(t, "has not completed", 1)
	f.pass(time.Second)
	f.probeOnce()
	f.must(t, "", 2)
	if want := []int{provingBytes, provingBytes}; f.probed[0] != want[0] || f.probed[1] != want[1] {
		t.Errorf("probes of %v bytes while the disk was in trouble, want %v", f.probed, want)
	}
	f.probeOnce()
	if f.probed[2] != probeBytes {
		t.Errorf("a probe of %d bytes of a disk that is well", f.probed[2])
	}
	again, unguardAgain := f.guard(t.Context())
	defer unguardAgain()
	if again.Err() != nil {
		t.Error("what begins on a disk that is well again ends at once")
	}
}

func TestAProbeThatFailsOrHangsIsTrouble(t *testing.T) {
	f := newFakeDisk(5*time.Second, 0)
	f.probeErr = syscall.ENOSPC
	f.probeOnce()
	f.must(t, syscall.ENOSPC.Error(), 1)
	f.probeErr = nil
	f.pass(time.Second)
	f.probeOnce()
	f.must(t, "", 2)

	hung := make(chan struct{})
	entered := make(chan struct{})
	f.probe = func(int) error { close(entered); <-hung; return nil }
	var probe sync.WaitGroup
	probe.Go(f.probeOnce)
	<-entered
	f.pass(time.Minute)
	f.check()
	f.must(t, "a probe of the disk has not completed", 3)
	close(hung)
	probe.Wait() // it began before the trouble was seen, and proves nothing
	f.must(t, "a probe", 3)
	f.probe = func(int) error { return nil }
	f.pass(time.Second)
	f.probeOnce()
	f.must(t, "", 4)
}

func TestWithoutATimeoutNothingHangs(t *testing.T) {
	f := newFakeDisk(0, 0)
	f.begin("a write to the raft log")
	f.pass(time.Hour)
	f.check()
	f.must(t, "", 0)
}

func TestARefusedWriteIsRepeatedUntilThereIsSpace(t *testing.T) {
	f := newFakeDisk(5*time.Second, 0)
	attempts, result := make(chan error), make(chan error, 1)
	go func() { result <- f.run("a write", func() error { return <-attempts }) }()
	attempts <- &fs.PathError{Op: "write", Path: "/secret/raft.db", Err: syscall.ENOSPC}
	waitFor(t, func() bool { return f.err() != nil }) // run tells it on its own goroutine
	if text := f.err().Error(); strings.Contains(text, "secret") || !strings.Contains(text, "write: no space left") {
		t.Errorf("clients read %q", text)
	}
	f.pass(time.Second)
	f.probeOnce()
	attempts <- syscall.ENOSPC // still too little for this one: it stays in trouble
	if f.err() == nil {
		t.Error("a small probe went well, and the disk counts as well while a write is refused")
	}
	f.pass(time.Second)
	f.probeOnce()
	attempts <- nil
	if err := <-result; err != nil {
		t.Errorf("the write ends with %v", err)
	}
	f.pass(time.Second)
	f.probeOnce()
	f.must(t, "", 2)

	for _, own := range []error{bolterrors.ErrDatabaseNotOpen, bolterrors.ErrTxClosed, bolterrors.ErrValueTooLarge, fs.ErrClosed} {
		if err := f.run("a write", func() error { return fmt.Errorf("a write: %w", own) }); !errors.Is(err, own) {
			t.Errorf("an error that is not the disk's: %v", err)
		}
	}
	go func() { result <- f.run("a write", func() error { return syscall.EIO }) }()
	f.stop()
	if err := <-result; !errors.Is(err, syscall.EIO) {
		t.Errorf("a write that is refused until the stop: %v", err)
	}
}

func TestLittleSpaceEndsWithAQuarterMore(t *testing.T) {
	f := newFakeDisk(time.Second, 1000)
	var told []string
	f.lowTurned = func(low bool, free uint64) { told = append(told, fmt.Sprint(low, free)) }
	for _, tc := range []struct {
		left uint64
		low  bool
	}{{1000, false}, {999, true}, {1000, true}, {1249, true}, {1250, false}, {1000, false}, {0, true}} {
		f.left = tc.left
		f.probeOnce()
		v := f.view()
		if v.low != tc.low || v.free != tc.left || (v.state() == gossip.DiskLow) != tc.low {
			t.Errorf("%d bytes are left: low is %v, state %d", v.free, v.low, v.state())
		}
	}
	if want := []string{"true 999", "false 1250", "true 0"}; !slices.Equal(told, want) {
		t.Errorf("told %v, want %v", told, want)
	}
	f.space = func() (uint64, uint64, error) { return 0, 0, errors.ErrUnsupported }
	f.left = 0
	g := newFakeDisk(time.Second, 1000)
	g.space = f.space
	g.probeOnce()
	if g.view().low {
		t.Error("a disk of which nothing is known is low")
	}
}

// bboltTexts are what bbolt says where it enlarges, syncs and maps its file: it
// hides the number of the error.
var bboltTexts = map[string]string{
	"file resize error: truncate /secret/raft.db: file too large":       "a write fails: file resize error: file too large",
	"file sync error: sync /secret/raft.db: input/output error":         "a write fails: file sync error: input/output error",
	"mmap allocate error: mlock/munlock error: cannot allocate memory":  "a write fails: mmap allocate error: cannot allocate memory",
	"mmap allocate error: file resize error: no space left on device":   "a write fails: mmap allocate error: no space left on device",
	"an error that a later version of the store may have and we do not": "a write fails: an error that a later version of the store may have and we do not",
}

func TestAnErrorWhoseNumberBboltHidesIsRepeated(t *testing.T) {
	for text, want := range bboltTexts {
		f := newFakeDisk(5*time.Second, 0)
		attempts, result := make(chan error), make(chan error, 1)
		go func() { result <- f.run("a write", func() error { return <-attempts }) }()
		attempts <- errors.New(text)
		waitFor(t, func() bool { return f.err() != nil || len(result) > 0 })
		if err := f.err(); err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Fatalf("clients read %v, want %s", err, want)
		}
		f.pass(time.Second)
		f.probeOnce()
		attempts <- nil
		if err := <-result; err != nil {
			t.Errorf("%s: the write ends with %v", text, err)
		}
	}
}

// What the probe says names no path either.
func TestTheFailureOfAProbeNamesNoPath(t *testing.T) {
	for _, err := range []error{
		&os.LinkError{Op: "rename", Old: "/secret/disk-probe.new", New: "/secret/disk-probe", Err: syscall.EROFS},
		errors.Join(&fs.PathError{Op: "sync", Path: "/secret/disk-probe.new", Err: syscall.EROFS}, errors.New("remove /secret/disk-probe.new: busy")),
	} {
		f := newFakeDisk(5*time.Second, 0)
		f.probeErr = err
		f.probeOnce()
		f.must(t, syscall.EROFS.Error(), 1)
		if strings.Contains(f.err().Error(), "secret") {
			t.Errorf("clients read %q", f.err())
		}
	}
}

// Raft panics where its term cannot be saved: neither before nor in a stop may it
// meet that.
func TestRaftNeverMeetsAStableStoreThatFails(t *testing.T) {
	eachLogKind(t, raftMeetsNoFailure)
}

func raftMeetsNoFailure(t *testing.T, kind string) {
	t.Helper()
	f := newFakeDisk(time.Second, 0)
	store, err := OpenLogStore(t.TempDir(), LogOptions{Kind: kind, NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	store.watch = f.diskWatch
	if err := store.SetUint64([]byte("term"), 1); err != nil {
		t.Fatal(err)
	}
	refusals := []error{syscall.ENOSPC}
	for text := range bboltTexts {
		refusals = append(refusals, errors.New(text))
	}
	ended := make(chan bool, len(refusals))
	for _, refusal := range refusals {
		go func() {
			returned := false
			defer func() { ended <- returned }()
			_ = store.keep(func() error { return refusal })
			returned = true
		}()
	}
	waitFor(t, func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		refused := 0
		for op := range f.writes {
			if op.err != nil {
				refused++
			}
		}
		return refused == len(refusals)
	})
	f.stop()
	for range refusals {
		if <-ended {
			t.Error("the stable store has returned an error to raft")
		}
	}
	if err := store.StoreLog(&raft.Log{Index: 1, Term: 1}); err != nil {
		t.Errorf("a log entry after the stop: %v", err)
	}
	if err := store.DeleteRange(1, 1); err != nil {
		t.Error(err)
	}
	if last, err := store.LastIndex(); err != nil || last != 0 {
		t.Errorf("last index %d, %v", last, err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
}
