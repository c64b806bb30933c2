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
	"sync/atomic"
	"syscall"
	"time"

	wal "github.com/hashicorp/raft-wal"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/stemedb/stemedb/sync/gossip"
)

const (
	// probeInterval is the pause between two probes of the disk, and
	// diskCheckInterval that between two looks at what is under way; a short
	// DiskTimeout shortens both.
	probeInterval     = time.Second
	diskCheckInterval = 250 * time.Millisecond
	// probeBytes is what a probe writes, and provingBytes what it writes while the
	// disk is in trouble: a full disk must have more room than a single block
	// before it counts as well again.
	probeBytes   = 4 << 10
	provingBytes = 1 << 20
	// lowEnds is by how much more than the minimum must be free until a node that
	// was low is not any more: a quarter.
	lowEnds = 4
)

// diskWatch finds out whether the disk below the data directory completes what
// is written to it. Trouble is a write that has been under way for longer than
// timeout, or one that the file system refuses; it ends when nothing such is left
// and a probe that began later has gone well. Beside that it knows how much space
// is free.
//
// What the raft log writes passes through run, which repeats what fails, unless
// the store itself says that it was asked for something wrong: for raft a disk that is full is one that takes long. So raft never
// meets the errors after which it panics (its term cannot be saved) or forgets
// where its log ends, and goes on by itself when there is space again.
type diskWatch struct {
	timeout time.Duration // 0: no write is taken for hung
	minFree uint64        // bytes; 0: never low
	now     func() time.Time
	// probe writes that many bytes to the disk and syncs them.
	probe func(bytes int) error
	// space is what may still be written, and the size of the file system.
	space func() (free, size uint64, err error)
	// turned is called when trouble begins, with its reason, and with nil when it
	// has ended; lowTurned when little space begins to be free, and when more is
	// again.
	turned    func(trouble error)
	lowTurned func(low bool, free uint64)

	turning sync.Mutex // held while check decides and tells
	ended   chan struct{}
	endOnce sync.Once
	armed   atomic.Bool // refused writes are repeated
	probes  *broadcast  // notified after each probe that went well
	parts   sync.WaitGroup

	mu       sync.Mutex
	writes   map[*diskWrite]struct{}
	probeErr error
	proved   time.Time // when the newest probe that went well began
	troubled time.Time // when trouble was seen last
	trouble  error     // wraps ErrDisk; nil while the disk is well
	well     context.Context
	fall     context.CancelCauseFunc
	free     uint64
	size     uint64 // 0 if it is not known
	low      bool
}

// diskWrite is a write that has not completed.
type diskWrite struct {
	what  string
	since time.Time
	err   error // why the file system refused it; it is repeated
}

func newDiskWatch(cfg *Config, now func() time.Time) *diskWatch {
	w := &diskWatch{
		timeout: cfg.DiskTimeout, minFree: cfg.MinFreeDisk, now: now,
		probe: func(bytes int) error { return probeDisk(cfg.probePath(), bytes) },
		space: func() (free, size uint64, err error) { return diskSpace(cfg.DataDir) },
		ended: make(chan struct{}), probes: newBroadcast(), writes: map[*diskWrite]struct{}{},
		lowTurned: func(bool, uint64) {},
	}
	w.well, w.fall = context.WithCancelCause(context.Background())
	if cfg.probeDisk != nil {
		w.probe = cfg.probeDisk
	}
	if cfg.diskSpace != nil {
		w.space = cfg.diskSpace
	}
	return w
}

// probeDisk writes a new file, syncs it and puts it in the place of the last one:
// to write into that again would need no space.
func probeDisk(path string, bytes int) error {
	next := path + ".new"
	file, err := os.Create(next)
	if err != nil {
		return err
	}
	_, err = file.Write(make([]byte, bytes))
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return errors.Join(err, os.Remove(next))
	}
	return os.Rename(next, path)
}

// start looks at the disk until stop. Its goroutines are not among the node's
// loops: one of them may hang with the disk.
func (w *diskWatch) start() {
	w.armed.Store(true)
	probing, checking := probeInterval, diskCheckInterval
	if w.timeout > 0 {
		probing, checking = min(probing, w.timeout/4), min(checking, w.timeout/8)
	}
	w.parts.Go(func() { w.every(probing, w.probeOnce) })
	w.parts.Go(func() { w.every(checking, w.check) })
}

func (w *diskWatch) every(interval time.Duration, do func()) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		do()
		select {
		case <-ticker.C:
		case <-w.ended:
			return
		}
	}
}

// stop ends the looks, and the repetition of refused writes.
func (w *diskWatch) stop() { w.endOnce.Do(func() { close(w.ended) }) }

func (w *diskWatch) stopped() bool {
	select {
	case <-w.ended:
		return true
	default:
		return false
	}
}

func (w *diskWatch) begin(what string) *diskWrite {
	op := &diskWrite{what: what, since: w.now()}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.writes[op] = struct{}{}
	return op
}

func (w *diskWatch) end(op *diskWrite) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.writes, op)
}

// refused notes that the file system has refused a write that will be repeated.
func (w *diskWatch) refused(op *diskWrite, err error) {
	w.mu.Lock()
	op.err = failure(op, err)
	w.mu.Unlock()
	w.check()
}

// failure says why a write fails, without the place of the file: clients read it.
func failure(op *diskWrite, err error) error {
	var path *fs.PathError
	var link *os.LinkError
	var number syscall.Errno
	switch {
	case errors.As(err, &path):
		err = fmt.Errorf("%s: %w", path.Op, path.Err)
	case errors.As(err, &link):
		err = fmt.Errorf("%s: %w", link.Op, link.Err)
	case !errors.As(err, &number): // bbolt's text around that of a PathError: what was done, and why not
		parts := strings.Split(err.Error(), ": ")
		if len(parts) > 1 {
			parts = []string{parts[0], parts[len(parts)-1]}
		}
		err = errors.New(strings.Join(parts, ": "))
	}
	return fmt.Errorf("%s fails: %w", op.what, err)
}

// run makes a write. While it fails by the disk, it is repeated after each probe
// that went well, until stop. The error is that of the last attempt.
func (w *diskWatch) run(what string, write func() error) error {
	op := w.begin(what)
	defer w.end(op)
	for {
		proved := w.probes.changed()
		err := write()
		if err == nil || !w.armed.Load() || byProgram(err) {
			return err
		}
		w.refused(op, err)
		select {
		case <-proved:
		case <-w.ended:
			return err
		}
	}
}

// programErrors are those of a store that was asked for something wrong, or is
// closed: no repetition mends them.
var programErrors = []error{
	fs.ErrClosed, wal.ErrClosed, bolterrors.ErrDatabaseNotOpen, bolterrors.ErrDatabaseReadOnly, bolterrors.ErrTxClosed, bolterrors.ErrTxNotWritable,
	bolterrors.ErrBucketNotFound, bolterrors.ErrKeyRequired, bolterrors.ErrKeyTooLarge, bolterrors.ErrValueTooLarge, bolterrors.ErrIncompatibleValue,
}

// byProgram tells an error of the program from one of the disk. Any that is not
// known is the disk's: where bbolt enlarges, maps or syncs its file, the error
// holds the text of what the operating system said, and not its number.
func byProgram(err error) bool {
	return slices.ContainsFunc(programErrors, func(known error) bool { return errors.Is(err, known) })
}

// probeOnce writes to the disk by itself and looks how much is free.
func (w *diskWatch) probeOnce() {
	bytes := probeBytes
	if w.err() != nil {
		bytes = provingBytes
	}
	op := w.begin("a probe of the disk")
	err := w.probe(bytes)
	w.end(op)
	free, size, unknown := w.space()

	w.mu.Lock()
	before := w.low
	if w.probeErr = nil; err != nil {
		w.probeErr = failure(op, err)
	} else {
		w.proved = op.since
	}
	if unknown == nil {
		w.free, w.size = free, size
		w.low = free < w.minFree || w.low && free < w.minFree+w.minFree/lowEnds
	}
	low := w.low
	w.mu.Unlock()
	if low != before {
		w.lowTurned(low, free)
	}
	if err == nil {
		w.probes.notify()
	}
	w.check()
}

// check decides whether the disk is in trouble, and tells when that changed.
func (w *diskWatch) check() {
	w.turning.Lock()
	defer w.turning.Unlock()
	now := w.now()
	w.mu.Lock()
	reason := w.probeErr
	for op := range w.writes {
		switch {
		case op.err != nil:
			reason = op.err
		case w.timeout > 0 && now.Sub(op.since) >= w.timeout:
			reason = fmt.Errorf("%s has not completed within %v", op.what, w.timeout)
		}
	}
	if reason != nil {
		w.troubled = now
	}
	changed := true
	switch {
	case reason != nil && w.trouble == nil:
		w.trouble = fmt.Errorf("%w: %w", ErrDisk, reason)
		w.fall(w.trouble)
	case reason == nil && w.trouble != nil && w.proved.After(w.troubled):
		w.trouble = nil
		w.well, w.fall = context.WithCancelCause(context.Background())
	default:
		changed = false
	}
	trouble := w.trouble
	w.mu.Unlock()
	if changed {
		w.turned(trouble)
	}
}

// err wraps ErrDisk while the disk is in trouble.
func (w *diskWatch) err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.trouble
}

// guard returns a context that also ends when the disk is in trouble, with the
// error of that as its cause.
func (w *diskWatch) guard(ctx context.Context) (context.Context, func()) {
	w.mu.Lock()
	well := w.well
	w.mu.Unlock()
	ctx, cancel := context.WithCancelCause(ctx)
	unhook := context.AfterFunc(well, func() { cancel(context.Cause(well)) })
	return ctx, func() { unhook(); cancel(nil) }
}

// diskView is the disk as it was seen last.
type diskView struct {
	trouble    error
	low        bool
	free, size uint64 // bytes; size is 0 if they are not known
	// waiting is for how long the oldest write has been under way.
	waiting time.Duration
}

func (w *diskWatch) view() diskView {
	now := w.now()
	w.mu.Lock()
	defer w.mu.Unlock()
	v := diskView{trouble: w.trouble, low: w.low, free: w.free, size: w.size}
	for op := range w.writes {
		v.waiting = max(v.waiting, now.Sub(op.since))
	}
	return v
}

// state is what the other nodes are told.
func (v diskView) state() uint8 {
	switch {
	case v.trouble != nil:
		return gossip.DiskUnavailable
	case v.low:
		return gossip.DiskLow
	default:
		return gossip.DiskOK
	}
}
