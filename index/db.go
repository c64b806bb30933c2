package index

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
)

var (
	// ErrNotFound means that no claim has the wanted hash.
	ErrNotFound = errors.New("no such claim")
	// ErrBadCursor means that a cursor was not made by this index for this
	// filter.
	ErrBadCursor = errors.New("the cursor does not belong to this query")
	// ErrClosed means that the index has been closed.
	ErrClosed = errors.New("the index is closed")
	// ErrCorrupt means that what is on disk is not what was written. Nothing
	// read together with it can be trusted.
	ErrCorrupt = errors.New("the index is damaged")
)

// Options size an index. The zero value has working defaults.
type Options struct {
	// FS is the file system; nil is the machine's.
	FS vfs.FS
	// CacheBytes is the block cache, 128 MiB by default; memtables take their
	// memory beside it.
	CacheBytes int64
	// MemTableBytes is how much is written before it is flushed to a sorted
	// table, 64 MiB by default. It bounds what a restart replays from the log.
	MemTableBytes uint64
	// FirstFlushBytes is after how much is written the first flush comes; 0 leaves
	// that to Pebble, which flushes when its memtables, overhead included, have half
	// of MemTableBytes. They grow to that by sizes that are the same everywhere, so
	// that indexes which are written alike flush at the same time.
	FirstFlushBytes uint64
	// OnCorruption, if not nil, is called once with the first damage seen.
	OnCorruption func(error)
	// Logger receives what Pebble has to say; nil is slog.Default.
	Logger *slog.Logger
}

// DB is one node's index. One goroutine writes through a Batch at a time; any
// number read through Views.
type DB struct {
	db      *pebble.DB
	cache   *pebble.Cache
	files   *pacedFS
	options Options
	damage  atomic.Pointer[error]
	once    sync.Once
	writer  writer
	commits atomic.Uint64
	// head is the committed one, nil while a batch is being committed. A snapshot
	// has it if it is the same, and not nil, before and after the snapshot is taken.
	head atomic.Pointer[head]

	background struct {
		sync.Mutex
		failures int       // since the index was opened
		logged   time.Time // when one was logged last
	}

	mu     sync.Mutex
	closed bool
	views  sync.WaitGroup
}

const (
	// memTables is how many memtables there may be, flushing ones included, before
	// writes wait.
	memTables = 4
	// usualMemTables is how many there are while flushes keep up.
	usualMemTables = 2
)

// Open opens or makes the index in dir.
func Open(dir string, o Options) (*DB, error) {
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.CacheBytes == 0 {
		o.CacheBytes = 128 << 20
	}
	if o.MemTableBytes == 0 {
		o.MemTableBytes = 64 << 20
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	// Pebble takes the memory of its memtables out of the block cache, and when there
	// are fewer, blocks take it: the sum bounds the memory of both.
	cache := o.CacheBytes + usualMemTables*int64(o.MemTableBytes)
	d := &DB{options: o, cache: pebble.NewCache(cache), files: &pacedFS{FS: o.FS}}
	db, err := pebble.Open(dir, d.pebbleOptions())
	if err != nil {
		d.cache.Unref()
		return nil, fmt.Errorf("open the index in %s: %w", dir, d.explain(err))
	}
	d.db = db
	if err := d.checkLayout(); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	d.writer.elements, d.writer.entries = newExpander(claimContext), newExpander(entryContext)
	if d.writer.head, err = d.readHead(db); err != nil {
		return nil, errors.Join(fmt.Errorf("open the index in %s: %w", dir, err), d.Close())
	}
	d.head.Store(d.writer.head)
	return d, nil
}

func (d *DB) pebbleOptions() *pebble.Options {
	po := &pebble.Options{
		FS:    d.files,
		Cache: d.cache,
		// The raft log is the write-ahead log. What a crash takes from the
		// memtable is applied again from there.
		DisableWAL:                  true,
		MemTableSize:                d.options.MemTableBytes,
		MemTableStopWritesThreshold: memTables,
		L0CompactionThreshold:       4,
		L0StopWritesThreshold:       24,
		LBaseMaxBytes:               64 << 20,
		// Fixed, so that a snapshot of a newer build can be opened by an older one
		// while a cluster is upgraded node by node.
		FormatMajorVersion: pebble.FormatValueSeparation,
		Logger:             pebbleLog{d.options.Logger},
		EventListener: &pebble.EventListener{
			BackgroundError: d.backgroundFailed,
			DataCorruption:  func(info pebble.DataCorruptionInfo) { d.note(fmt.Errorf("%w: %w", ErrCorrupt, info.Details)) },
		},
	}
	for i := range po.Levels {
		po.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
		po.Levels[i].FilterType = pebble.TableFilter
	}
	po.EnsureDefaults()
	return po
}

func (d *DB) checkLayout() error {
	raw, closer, err := d.db.Get(keyLayout)
	if errors.Is(err, pebble.ErrNotFound) {
		return d.db.Set(keyLayout, []byte{layoutVersion}, pebble.NoSync)
	}
	if err != nil {
		return d.explain(err)
	}
	defer closer.Close()
	if len(raw) == 1 && raw[0] >= oldestLayout && raw[0] < layoutVersion {
		return d.db.Set(keyLayout, []byte{layoutVersion}, pebble.NoSync)
	}
	if len(raw) != 1 || raw[0] != layoutVersion {
		return fmt.Errorf("the index has layout %x, this version of stemedb reads up to %d: start the version that wrote it, or let the node join anew with an empty data directory", raw, layoutVersion)
	}
	return nil
}

// Close refuses new views, waits for the open ones and closes the index. What
// was not flushed is in the raft log.
func (d *DB) Close() error {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.views.Wait()
	err := d.db.Close()
	d.cache.Unref()
	if err != nil {
		return fmt.Errorf("close the index: %w", d.explain(err))
	}
	return nil
}

// Flush makes everything applied durable.
func (d *DB) Flush() error {
	if err := d.db.Flush(); err != nil {
		return fmt.Errorf("flush the index: %w", d.explain(err))
	}
	return nil
}

// FlushAhead is Flush while others go on writing, so that a Checkpoint right after
// it has little left to flush. Tables are written at so many bytes a second
// meanwhile; 0 is no bound. ErrClosed if the index was closed.
func (d *DB) FlushAhead(bytesPerSecond int64) error {
	if err := d.enter(); err != nil {
		return err
	}
	defer d.views.Done()
	if bytesPerSecond > 0 {
		defer d.files.slow(bytesPerSecond)()
	}
	return d.Flush()
}

// Checkpoint makes dir, which must not exist, a copy of the index at exactly
// the applied entry, by hard links: its cost does not depend on the size of the
// index. Nothing may be written meanwhile.
func (d *DB) Checkpoint(dir string) error {
	if err := d.Flush(); err != nil {
		return err
	}
	if err := d.db.Checkpoint(dir); err != nil {
		return fmt.Errorf("checkpoint the index: %w", d.explain(err))
	}
	return nil
}

// Metrics are Pebble's own.
func (d *DB) Metrics() *pebble.Metrics { return d.db.Metrics() }

// Commits is how many batches were committed since the index was opened.
func (d *DB) Commits() uint64 { return d.commits.Load() }

// Err is the first damage that any read or background work has met.
func (d *DB) Err() error {
	if p := d.damage.Load(); p != nil {
		return *p
	}
	return nil
}

// explain turns Pebble's corruption errors into ErrCorrupt and remembers them.
func (d *DB) explain(err error) error {
	if err == nil || errors.Is(err, pebble.ErrNotFound) {
		return err
	}
	if errors.Is(err, ErrCorrupt) {
		return d.noteCorrupt(err)
	}
	if pebble.IsCorruptionError(err) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return d.noteCorrupt(fmt.Errorf("%w: %w", ErrCorrupt, err))
	}
	return err
}

// backgroundLogPause is the pause between two log lines on what fails in the
// background: Pebble repeats a flush at once.
const backgroundLogPause = 10 * time.Second

// backgroundFailed notes what a flush or compaction ended with. Damage is as it
// is; all else, as a full disk, Pebble tries again.
func (d *DB) backgroundFailed(err error) {
	if errors.Is(d.explain(err), ErrCorrupt) {
		return
	}
	d.background.Lock()
	defer d.background.Unlock()
	d.background.failures++
	if now := time.Now(); now.Sub(d.background.logged) >= backgroundLogPause {
		d.background.logged = now
		d.options.Logger.Warn("the index was not written in the background, and is tried again", "failures", d.background.failures, "error", err)
	}
}

func (d *DB) note(err error) { _ = d.explain(err) }

func (d *DB) noteCorrupt(err error) error {
	d.once.Do(func() {
		d.damage.Store(&err)
		if d.options.OnCorruption != nil {
			d.options.OnCorruption(err)
		}
	})
	return err
}

// get returns a copy of a value, or pebble.ErrNotFound.
func (d *DB) get(r pebble.Reader, key []byte) ([]byte, error) {
	raw, closer, err := r.Get(key)
	if err != nil {
		return nil, d.explain(err)
	}
	defer closer.Close()
	return append([]byte(nil), raw...), nil
}

// unlikely are the options of an iterator for seek.
var unlikely = pebble.IterOptions{UseL6Filters: true}

// seek is get for a key that is most likely not there: it asks the filters of all
// levels. Pebble's Get does not ask those of the lowest, where most keys are, and
// reads a block of it to find that a key is not there. A key that is there costs
// more with seek, which asks all levels and not only those down to the newest value.
// A filter is read whole, 10 bits for each key of a table: the blocks' cache should
// have room for those of the keys that are sought.
func (d *DB) seek(it *pebble.Iterator, key []byte) ([]byte, error) {
	if !it.SeekPrefixGE(key) {
		if err := it.Error(); err != nil {
			return nil, d.explain(err)
		}
		return nil, pebble.ErrNotFound
	}
	value, err := it.ValueAndErr()
	if err != nil {
		return nil, d.explain(err)
	}
	return append([]byte(nil), value...), nil
}

// pebbleLog passes on what matters of Pebble's chatter.
type pebbleLog struct{ log *slog.Logger }

// Infof implements pebble.Logger.
func (l pebbleLog) Infof(format string, args ...any) {
	l.log.Debug(fmt.Sprintf(format, args...), "component", "pebble")
}

// Errorf implements pebble.Logger.
func (l pebbleLog) Errorf(format string, args ...any) {
	l.log.Error(fmt.Sprintf(format, args...), "component", "pebble")
}

// Fatalf implements pebble.Logger. Pebble calls it where it must not go on.
func (l pebbleLog) Fatalf(format string, args ...any) {
	panic(fmt.Sprintf("pebble: "+format, args...))
}
