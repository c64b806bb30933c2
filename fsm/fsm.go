package fsm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"

	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/index"
)

// ErrFailed means that applying failed or the state is damaged; nothing is
// served any more.
var ErrFailed = errors.New("the state machine has failed")

// ErrSkipped is the Response.Err of an entry whose effect was there before:
// what became of its claims is not kept.
var ErrSkipped = errors.New("the entry was applied before this process started")

// Options configure an FSM. The zero value has working defaults.
type Options struct {
	// FS is the file system; nil is the machine's.
	FS vfs.FS
	// CacheBytes, MemTableBytes and FirstFlushBytes are those of index.Options.
	CacheBytes      int64
	MemTableBytes   uint64
	FirstFlushBytes uint64
	// Retain is how many snapshots are kept, 2 by default.
	Retain int
	// OnFatal, if not nil, is called once, with the error that made the FSM fail.
	OnFatal func(error)
	// Logger is slog.Default if nil.
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.Retain == 0 {
		o.Retain = 2
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o
}

// Result is what became of one entry of a command.
type Result struct {
	Outcome index.Outcome
	Hash    assertion.Hash
}

// Response is what raft's ApplyFuture returns for an entry.
type Response struct {
	// Index is the entry's log index.
	Index uint64
	// Results are the outcomes of what a command holds, in order.
	Results []Result
	// Err is set if the entry was not applied: the FSM has failed, or the entry
	// took effect before (ErrSkipped).
	Err error
}

// FSM is the state machine of one node. Raft calls its methods from one
// goroutine; the rest may be called from any.
type FSM struct {
	options   Options
	log       *slog.Logger
	databases databases
	snapshots *SnapshotStore

	applying sync.Mutex // held while the database is written or copied

	mu      sync.RWMutex // guards db against being swapped
	db      *index.DB
	closing sync.WaitGroup // databases that were swapped out and still have views

	position positions
	format   atomic.Uint32 // of the database that is served
	failure  atomic.Pointer[error]
	failed   chan struct{}
	replay   replay
	seq      uint64 // of checkpoint folders; guarded by applying
	members  atomic.Pointer[configuration]
	live     atomic.Uint64 // number of the database that is served, 0 while opening
}

var (
	_ raft.BatchingFSM        = (*FSM)(nil)
	_ raft.ConfigurationStore = (*FSM)(nil)
)

// Open opens or makes the state in dir. If the newest snapshot is ahead of the
// database (the process ended between receiving a snapshot and switching to
// it), the database is restored from it.
func Open(dir string, o Options) (*FSM, error) {
	o = o.withDefaults()
	f := &FSM{options: o, log: o.Logger.With("component", "fsm"), failed: make(chan struct{})}
	f.databases = databases{fs: o.FS, dir: dir, onCorruption: f.corrupt, options: index.Options{
		FS: o.FS, CacheBytes: o.CacheBytes, MemTableBytes: o.MemTableBytes, FirstFlushBytes: o.FirstFlushBytes, Logger: o.Logger,
	}}
	db, err := f.databases.open()
	if err != nil {
		return nil, err
	}
	f.db = db
	f.snapshots, err = openSnapshotStore(o.FS, o.FS.PathJoin(dir, snapshotsName), o.Retain, f.log)
	if err == nil {
		err = f.finishInstall()
	}
	if err == nil {
		err = understood(f.db)
	}
	if err == nil {
		err = f.publishStored()
	}
	if err == nil {
		err = f.serve()
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// serve makes damage of the newest database fatal from here on, also damage
// that was met while it was opened.
func (f *FSM) serve() error {
	f.live.Store(f.databases.number)
	return f.db.Err()
}

// corrupt is told of damage in a database. In one that is not served yet it
// fails the restore, in one that was replaced only the reads that go on in it.
func (f *FSM) corrupt(number uint64, err error) {
	if f.live.Load() == number {
		f.fail(err)
	}
}

// finishInstall restores the newest snapshot if the database does not reach it.
func (f *FSM) finishInstall() error {
	newest, err := f.snapshots.newest()
	if err != nil || newest == nil {
		return err
	}
	f.StoreConfiguration(newest.ConfigurationIndex, newest.Configuration)
	applied, err := f.stored()
	if err != nil || applied.Index >= newest.Index {
		return err
	}
	f.log.Info("finishing the installation of a snapshot", "snapshot", newest.ID, "applied", applied.Index)
	_, reader, err := f.snapshots.Open(newest.ID)
	if err != nil {
		return err
	}
	return errors.Join(f.Restore(reader), reader.Close())
}

// stored is the applied entry as the database has it.
func (f *FSM) stored() (index.Applied, error) {
	v, err := f.db.View()
	if err != nil {
		return index.Applied{}, err
	}
	defer v.Close()
	return v.Applied(), nil
}

// publishStored tells waiters and readers what the database holds.
func (f *FSM) publishStored() error {
	v, err := f.db.View()
	if err != nil {
		return err
	}
	defer v.Close()
	f.format.Store(uint32(v.Format()))
	f.position.reset(state{v.Applied().Index, v.Digest(), v.Count()})
	return nil
}

// Close closes the state. Open views delay it.
func (f *FSM) Close() error {
	f.mu.Lock()
	db := f.db
	f.db = nil
	f.mu.Unlock()
	f.closing.Wait()
	if db == nil {
		return nil
	}
	var err error
	if f.Failed() == nil {
		err = db.Flush() // the next start has nothing to replay
	}
	return errors.Join(err, db.Close())
}

// SnapshotStore is the store that raft must use with this FSM.
func (f *FSM) SnapshotStore() raft.SnapshotStore { return f.snapshots }

// View opens a view of the newest applied state; close it.
func (f *FSM) View() (*index.View, error) {
	if err := f.Failed(); err != nil {
		return nil, err
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.db == nil {
		return nil, index.ErrClosed
	}
	v, err := f.db.View()
	if err != nil {
		return nil, err
	}
	return v, nil
}

// Signers returns who has signed a claim, in the newest applied state; none if
// it is not there.
func (f *FSM) Signers(h assertion.Hash) ([]assertion.AgentID, error) {
	if err := f.Failed(); err != nil {
		return nil, err
	}
	f.mu.RLock()
	db := f.db
	f.mu.RUnlock()
	if db == nil {
		return nil, index.ErrClosed
	}
	return db.Signers(h)
}

// AppliedIndex is the log index up to which entries have taken effect.
func (f *FSM) AppliedIndex() uint64 { return f.position.applied() }

// Format is the command format that the cluster writes, as applied here. It never
// falls.
func (f *FSM) Format() uint16 { return uint16(f.format.Load()) }

// WaitApplied waits until the entry at a log index has taken effect, ctx ends,
// or the FSM has failed.
func (f *FSM) WaitApplied(ctx context.Context, index uint64) error {
	return f.position.wait(ctx, index, f.failed, f.Failed)
}

// Current returns the applied index with the digest and count of exactly that
// index.
func (f *FSM) Current() (index uint64, digest assertion.Hash, count uint64) {
	return f.position.current()
}

// DigestAt returns the digest as it was after a log index, for the last few
// thousand entries.
func (f *FSM) DigestAt(index uint64) (assertion.Hash, bool) { return f.position.digestAt(index) }

// Failed is the error that made the FSM fail, nil while it works. It wraps
// ErrFailed.
func (f *FSM) Failed() error {
	if p := f.failure.Load(); p != nil {
		return *p
	}
	return nil
}

// Failure is closed when the FSM has failed.
func (f *FSM) Failure() <-chan struct{} { return f.failed }

// fail records the first failure.
func (f *FSM) fail(err error) {
	err = fmt.Errorf("%w: %w", ErrFailed, err)
	if !f.failure.CompareAndSwap(nil, &err) {
		return
	}
	close(f.failed)
	f.log.Error("the state machine has failed and serves nothing any more", "error", err)
	if f.options.OnFatal != nil {
		f.options.OnFatal(err)
	}
}

// Metrics are those of the live database, nil when it is closed.
func (f *FSM) Metrics() *pebble.Metrics {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.db == nil {
		return nil
	}
	return f.db.Metrics()
}

// Commits is how many batches the live database has committed since it was
// opened, 0 when it is closed.
func (f *FSM) Commits() uint64 {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.db == nil {
		return 0
	}
	return f.db.Commits()
}

// usable says whether the goroutine that applies may touch the database.
func (f *FSM) usable() error {
	if err := f.Failed(); err != nil {
		return err
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.db == nil {
		return index.ErrClosed
	}
	return nil
}

// Snapshot implements raft.FSM: a checkpoint at exactly the applied index. The
// flush before it makes everything up to there durable.
func (f *FSM) Snapshot() (raft.FSMSnapshot, error) {
	f.applying.Lock()
	defer f.applying.Unlock()
	c, err := f.checkpoint("")
	if err != nil {
		return nil, err
	}
	return c, nil
}

// checkpoint takes a checkpoint of the newest applied state. Nothing may be
// written meanwhile.
func (f *FSM) checkpoint(name string) (*checkpoint, error) {
	if err := f.usable(); err != nil {
		return nil, err
	}
	f.seq++
	dir := f.options.FS.PathJoin(f.databases.dir, fmt.Sprintf("%s%s%d", checkpointPrefix, name, f.seq))
	if err := f.options.FS.RemoveAll(dir); err != nil {
		return nil, fmt.Errorf("remove an old checkpoint: %w", err)
	}
	if err := f.db.Checkpoint(dir); err != nil {
		return nil, errors.Join(err, f.options.FS.RemoveAll(dir))
	}
	return &checkpoint{fs: f.options.FS, dir: dir}, nil
}

// checkpoint is a snapshot that waits to be handed to the store, or is copied.
type checkpoint struct {
	fs  vfs.FS
	dir string
}

// Persist implements raft.FSMSnapshot.
func (c *checkpoint) Persist(sink raft.SnapshotSink) error {
	own, ok := sink.(*snapshotSink)
	if !ok {
		return errors.Join(fmt.Errorf("the FSM needs its own snapshot store, not one that makes %T", sink), sink.Cancel())
	}
	if err := own.adopt(c.dir); err != nil {
		return errors.Join(err, sink.Cancel())
	}
	return sink.Close()
}

// Release implements raft.FSMSnapshot: what was not handed over is removed.
func (c *checkpoint) Release() { _ = c.remove() }

func (c *checkpoint) remove() error {
	if err := c.fs.RemoveAll(c.dir); err != nil {
		return fmt.Errorf("remove a checkpoint: %w", err)
	}
	return nil
}

// Restore implements raft.FSM: it replaces the state by a snapshot. One of this
// node's own store is linked, anything else is read as a stream.
func (f *FSM) Restore(source io.ReadCloser) error {
	f.applying.Lock()
	defer f.applying.Unlock()
	if err := f.usable(); err != nil {
		return err
	}
	number := f.databases.number + 1
	dir := f.databases.path(number)
	fresh, err := f.build(source, number, dir)
	if err != nil {
		return errors.Join(fmt.Errorf("restore a snapshot: %w", err), f.options.FS.RemoveAll(dir))
	}
	if err := understood(fresh); err != nil {
		f.fail(err) // the node cannot take part any more; its old state is whole
		return errors.Join(fmt.Errorf("restore a snapshot: %w", err), fresh.Close(), f.options.FS.RemoveAll(dir))
	}
	if err := f.databases.writeCurrent(number); err != nil {
		if live, found, unknown := f.databases.readCurrent(); unknown != nil || !found || live != f.databases.number {
			f.fail(err) // which of the two is live is not known any more
			return errors.Join(err, fresh.Close())
		}
		return errors.Join(fmt.Errorf("restore a snapshot: %w", err), fresh.Close(), f.options.FS.RemoveAll(dir))
	}
	f.databases.number = number
	f.mu.Lock()
	old := f.db
	f.db = fresh
	f.mu.Unlock()
	if f.live.Load() != 0 { // not while opening
		if err := f.serve(); err != nil {
			f.fail(err)
		}
	}
	f.closing.Go(func() {
		if err := errors.Join(old.Close(), f.options.FS.RemoveAll(f.databases.path(number-1))); err != nil {
			f.log.Warn("the replaced database was not removed", "error", err)
		}
	})
	if err := f.publishStored(); err != nil {
		f.fail(err)
		return err
	}
	f.log.Info("restored a snapshot", "applied", f.AppliedIndex())
	return nil
}

// understood refuses a database of a newer command format.
func understood(db *index.DB) error {
	v, err := db.View()
	if err != nil {
		return err
	}
	defer v.Close()
	if v.Format() > FormatVersion {
		return tooNew(v.Format())
	}
	return nil
}

// build makes a database folder from a snapshot and opens it, with the applied
// entry that the snapshot stands for.
func (f *FSM) build(source io.ReadCloser, number uint64, dir string) (*index.DB, error) {
	if err := f.options.FS.RemoveAll(dir); err != nil {
		return nil, err
	}
	var meta *raft.SnapshotMeta
	for inner := source; ; {
		if own, ok := inner.(*snapshotReader); ok {
			meta = &own.meta.Meta
			if err := f.databases.link(own.dir, dir, own.meta.Files); err != nil {
				return nil, err
			}
			break
		}
		wrapper, ok := inner.(raft.ReadCloserWrapper)
		if !ok {
			if err := f.options.FS.MkdirAll(dir, 0o700); err != nil {
				return nil, err
			}
			if err := readStream(source, f.options.FS, dir); err != nil {
				return nil, err
			}
			break
		}
		inner = wrapper.WrappedReadCloser()
	}
	db, err := f.databases.openIndex(number)
	if err != nil {
		return nil, err
	}
	if meta != nil {
		f.StoreConfiguration(meta.ConfigurationIndex, meta.Configuration)
		if err := advance(db, meta.Index, meta.Term); err != nil {
			return nil, errors.Join(err, db.Close())
		}
	}
	return db, nil
}

// advance moves the applied index up to that of a snapshot. Raft counts entries
// that never reach the FSM too; without this a reader that waits for one of
// them would wait for the next command.
func advance(db *index.DB, to, term uint64) error {
	batch, err := db.NewBatch()
	if err != nil {
		return err
	}
	defer batch.Close()
	applied := batch.Applied()
	if applied.Index > to { // entries above to would be skipped
		return fmt.Errorf("%w: it is of log index %d and holds the entries up to %d", ErrDamagedSnapshot, to, applied.Index)
	}
	if applied.Index == to {
		return nil
	}
	batch.SetApplied(index.Applied{Index: to, Term: term, CommittedAt: applied.CommittedAt})
	if err := batch.Commit(); err != nil {
		return err
	}
	return db.Flush()
}
