package auditlog

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

func open(t *testing.T, fs vfs.FS, most int) *Log {
	t.Helper()
	l, err := Open("audit", Options{FS: fs, MaxEntries: most, Now: func() time.Time { return time.Unix(1, 0) }})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func page(t *testing.T, l *Log, agent string, before uint64, limit int) string {
	t.Helper()
	entries, err := l.Page(agent, before, limit)
	if err != nil {
		t.Fatal(err)
	}
	out := ""
	for _, e := range entries {
		out += fmt.Sprintf("%s:%s ", e.Agent, e.Data)
	}
	return out
}

// Entries outlive the process, newest first, by agent too; the oldest make room.
func TestEntriesAreKeptAndBounded(t *testing.T) {
	fs := vfs.NewMem()
	l := open(t, fs, 4)
	var ids []uint64
	for i := range 3 {
		id, ok := l.Record([]string{"ann", "bob"}[i%2], fmt.Append(nil, i))
		if !ok {
			t.Fatal("dropped with an empty queue")
		}
		ids = append(ids, id)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, ok := l.Record("ann", nil); ok {
		t.Error("recorded after Close")
	}
	l = open(t, fs, 4)
	if got := page(t, l, "", 0, 10); got != "ann:2 bob:1 ann:0 " {
		t.Errorf("all: %s", got)
	}
	if got := page(t, l, "ann", 0, 10); got != "ann:2 ann:0 " {
		t.Errorf("of ann: %s", got)
	}
	if got := page(t, l, "", ids[2], 1); got != "bob:1 " {
		t.Errorf("before the newest: %s", got)
	}
	if got := page(t, l, "ann", ids[2], 10); got != "ann:0 " {
		t.Errorf("of ann before the newest: %s", got)
	}
	for i := 3; i < 7; i++ {
		if id, _ := l.Record("cat", fmt.Append(nil, i)); id <= ids[2] {
			t.Errorf("id %d after %d", id, ids[2])
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = open(t, fs, 4)
	defer l.Close()
	if got := page(t, l, "", 0, 10); got != "cat:6 cat:5 cat:4 cat:3 " {
		t.Errorf("after the bound: %s", got)
	}
	if got := page(t, l, "ann", 0, 10); got != "" {
		t.Errorf("of ann after the bound: %s", got)
	}
	if _, err := l.Get(ids[0]); !errors.Is(err, ErrNotFound) {
		t.Errorf("a removed entry: %v", err)
	}
}

// A full queue drops rather than waits.
func TestRecordNeverWaits(t *testing.T) {
	l := &Log{options: Options{Now: time.Now}, queue: make(chan Entry, 1)} // nobody writes
	if _, ok := l.Record("a", nil); !ok {
		t.Error("dropped with room in the queue")
	}
	if _, ok := l.Record("a", nil); ok || l.Dropped() != 1 {
		t.Errorf("queued without room, or not counted: %d", l.Dropped())
	}
}

func TestAPausedLogDrops(t *testing.T) {
	paused := true
	l := &Log{options: Options{Now: time.Now, Paused: func() bool { return paused }}, queue: make(chan Entry, 1)}
	if _, ok := l.Record("a", nil); ok || l.Dropped() != 1 || len(l.queue) != 0 {
		t.Errorf("queued while it was paused, or not counted: %d", l.Dropped())
	}
	paused = false
	if _, ok := l.Record("a", nil); !ok {
		t.Error("dropped after the pause")
	}
}

// What was queued before the disk was full is not written to it, and a log on such
// a disk is not closed.
func TestAPausedLogLeavesTheDiskAlone(t *testing.T) {
	var full atomic.Bool
	entered, leave := make(chan struct{}), make(chan struct{})
	looks := 0 // of the goroutine that writes
	l, err := Open("audit", Options{FS: vfs.NewMem(), Now: time.Now, Logger: slog.New(slog.DiscardHandler), Paused: func() bool {
		if looks++; looks == 2 { // Record has looked once
			close(entered)
			<-leave
		}
		return full.Load()
	}})
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := l.Record("a", nil); !ok {
		t.Fatal("dropped without need")
	}
	<-entered
	full.Store(true)
	close(leave)
	l.mu.Lock()
	l.closed = true
	close(l.queue)
	l.mu.Unlock()
	l.done.Wait()
	if got := page(t, l, "", 0, 10); got != "" || l.Dropped() != 1 {
		t.Errorf("written: %q, dropped: %d", got, l.Dropped())
	}
	l.closed, l.queue = false, make(chan Entry)
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if got := page(t, l, "", 0, 10); got != "" { // the database is open still
		t.Errorf("written: %q", got)
	}
	if err := l.db.Close(); err != nil {
		t.Error(err)
	}
}

func TestCloseDoesNotWaitForADiskThatHangs(t *testing.T) {
	l := open(t, vfs.NewMem(), 4)
	l.closeWithin = time.Millisecond
	hangs := make(chan struct{})
	l.done.Go(func() { <-hangs })
	if err := l.Close(); err == nil || !strings.Contains(err.Error(), "within 1ms") {
		t.Errorf("closed: %v", err)
	}
	close(hangs)
}

func FuzzDecode(f *testing.F) {
	f.Add(entryKey(1), []byte("\x01ab"))
	f.Add(entryKey(1), []byte{0x80})
	f.Fuzz(func(t *testing.T, key, value []byte) {
		if len(key) != len(entryKey(1)) {
			return // not of an entry
		}
		if e, err := decode(key, value); err == nil && len(e.Agent)+len(e.Data) >= len(value) {
			t.Errorf("%x is %+v", value, e)
		}
	})
}
