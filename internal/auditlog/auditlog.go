// Package auditlog keeps who asked this node what, for a while: a bounded log of
// queries on Pebble, written behind the answers.
//
// It owns the numbering, the bound and the lookup by agent; what an entry says
// is its caller's. Recording never waits: what cannot be queued is dropped and
// counted. The newest entries may be lost with the process; nothing that the
// cluster promises rests on them.
package auditlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// ErrNotFound means that no entry has the wanted id; it may have been removed
// to make room.
var ErrNotFound = errors.New("no such audit entry")

// Options size a log. The zero value has working defaults.
type Options struct {
	// FS is the file system; nil is the machine's.
	FS vfs.FS
	// MaxEntries is how many entries are kept, 100,000 by default.
	MaxEntries int
	// Queue is how many entries may wait to be written, 4,096 by default.
	Queue int
	// Paused, if not nil, tells that nothing is to be written now, as when the disk
	// is full, which would end the process: entries are dropped and counted, those
	// that are queued already too, and Close leaves the files as they are.
	Paused func() bool
	// Now is the clock that ids are made from; nil is time.Now.
	Now func() time.Time
	// Logger receives what goes wrong behind the answers; nil is slog.Default.
	Logger *slog.Logger
}

// Entry is one audited query.
type Entry struct {
	// ID orders entries by time: the microsecond of the query, made unique.
	ID uint64
	// Agent is who asked.
	Agent string
	// Data is what the caller keeps.
	Data []byte
}

// Log is an open log. One process at a time may have it open.
type Log struct {
	db      *pebble.DB
	options Options
	queue   chan Entry
	done    sync.WaitGroup
	last    atomic.Uint64 // newest id given out
	dropped atomic.Uint64
	count   int // of the goroutine that writes
	// closeWithin is how long Close waits for the disk.
	closeWithin time.Duration

	mu     sync.RWMutex // guards queue against being closed
	closed bool
}

// The keyspace: newest first, since ids are inverted.
const (
	spaceEntry = 'e' // ^id → length of agent, agent, data
	spaceAgent = 'a' // agent 0 ^id
)

func entryKey(id uint64) []byte { return binary.BigEndian.AppendUint64([]byte{spaceEntry}, ^id) }

func agentKey(agent string, id uint64) []byte {
	return binary.BigEndian.AppendUint64(append(append([]byte{spaceAgent}, agent...), 0), ^id)
}

func idOf(key []byte) uint64 { return ^binary.BigEndian.Uint64(key[len(key)-8:]) }

// Open opens or makes the log in dir.
func Open(dir string, o Options) (*Log, error) {
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.MaxEntries == 0 {
		o.MaxEntries = 100_000
	}
	if o.Queue == 0 {
		o.Queue = 4096
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	db, err := pebble.Open(dir, &pebble.Options{
		FS: o.FS, MemTableSize: 4 << 20, CacheSize: 4 << 20, FormatMajorVersion: pebble.FormatValueSeparation, Logger: quiet{},
	})
	if err != nil {
		return nil, fmt.Errorf("open the audit log in %s: %w", dir, err)
	}
	l := &Log{db: db, options: o, queue: make(chan Entry, o.Queue), closeWithin: closeLimit}
	err = l.walk([]byte{spaceEntry}, nil, func(key, _ []byte) bool {
		l.last.Store(max(l.last.Load(), idOf(key)))
		l.count++
		return true
	})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	l.done.Go(l.write)
	return l, nil
}

// Record queues an entry and returns its id. It never waits: if the queue is
// full, or the log is paused, the entry is dropped, and ok is false.
func (l *Log) Record(agent string, data []byte) (id uint64, ok bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.closed {
		return 0, false
	}
	if l.paused() {
		l.dropped.Add(1)
		return 0, false
	}
	select {
	case l.queue <- Entry{ID: l.nextID(), Agent: agent, Data: data}:
		return l.last.Load(), true
	default:
		l.dropped.Add(1)
		return 0, false
	}
}

func (l *Log) paused() bool { return l.options.Paused != nil && l.options.Paused() }

func (l *Log) nextID() uint64 {
	for {
		last := l.last.Load()
		id := max(uint64(max(l.options.Now().UnixMicro(), 0)), last+1)
		if l.last.CompareAndSwap(last, id) {
			return id
		}
	}
}

// Dropped counts the entries that found the queue full, or the log paused then or
// when they were to be written.
func (l *Log) Dropped() uint64 { return l.dropped.Load() }

// write is the goroutine behind Record.
func (l *Log) write() {
	for first := range l.queue {
		entries := append([]Entry{first}, l.waiting()...)
		if l.paused() {
			l.dropped.Add(uint64(len(entries)))
			continue
		}
		batch := l.db.NewBatch()
		var err error
		for _, e := range entries {
			value := append(binary.AppendUvarint(nil, uint64(len(e.Agent))), e.Agent...)
			err = errors.Join(err, batch.Set(entryKey(e.ID), append(value, e.Data...), nil), batch.Set(agentKey(e.Agent, e.ID), nil, nil))
		}
		l.count += len(entries)
		err = errors.Join(err, l.trim(batch), batch.Commit(pebble.NoSync), batch.Close())
		if err != nil {
			l.options.Logger.Error("audit entries were lost", "entries", len(entries), "error", err)
		}
	}
}

// waiting takes what else is queued, so that it is written together.
func (l *Log) waiting() (entries []Entry) {
	for len(entries) < 256 {
		select {
		case e, ok := <-l.queue:
			if !ok {
				return entries
			}
			entries = append(entries, e)
		default:
			return entries
		}
	}
	return entries
}

// trim removes the oldest entries over the bound.
func (l *Log) trim(batch *pebble.Batch) (err error) {
	if l.count <= l.options.MaxEntries {
		return nil
	}
	it, err := l.db.NewIter(&pebble.IterOptions{LowerBound: []byte{spaceEntry}, UpperBound: []byte{spaceEntry + 1}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for ok := it.Last(); ok && l.count > l.options.MaxEntries; ok = it.Prev() {
		e, err := decode(it.Key(), it.Value())
		if err != nil {
			return err
		}
		if err := errors.Join(batch.Delete(it.Key(), nil), batch.Delete(agentKey(e.Agent, e.ID), nil)); err != nil {
			return err
		}
		l.count--
	}
	return it.Error()
}

func decode(key, value []byte) (Entry, error) {
	length, n := binary.Uvarint(value)
	if n <= 0 || uint64(len(value)-n) < length {
		return Entry{}, fmt.Errorf("audit entry %x is damaged", key)
	}
	rest := value[n:]
	return Entry{ID: idOf(key), Agent: string(rest[:length]), Data: append([]byte(nil), rest[length:]...)}, nil
}

// Get returns the entry of an id, or ErrNotFound.
func (l *Log) Get(id uint64) (Entry, error) {
	value, closer, err := l.db.Get(entryKey(id))
	if errors.Is(err, pebble.ErrNotFound) {
		return Entry{}, ErrNotFound
	}
	if err != nil {
		return Entry{}, fmt.Errorf("read the audit log: %w", err)
	}
	defer closer.Close()
	return decode(entryKey(id), value)
}

// Page returns up to limit entries, of one agent if it is not "", newest first,
// beginning with those older than before; 0 is no bound.
func (l *Log) Page(agent string, before uint64, limit int) (entries []Entry, err error) {
	prefix := []byte{spaceEntry}
	if agent != "" {
		prefix = append(append([]byte{spaceAgent}, agent...), 0)
	}
	var from []byte
	if before > 0 {
		from = binary.BigEndian.AppendUint64(append([]byte(nil), prefix...), ^before+1)
	}
	var failed error
	err = l.walk(prefix, from, func(key, value []byte) bool {
		if len(entries) == limit {
			return false
		}
		var e Entry
		if agent == "" {
			e, failed = decode(key, value)
		} else if e, failed = l.Get(idOf(key)); errors.Is(failed, ErrNotFound) { // removed meanwhile
			failed = nil
			return true
		}
		entries = append(entries, e)
		return failed == nil
	})
	return entries, errors.Join(err, failed)
}

// walk visits the keys of a prefix from a key on, until visit says to stop.
func (l *Log) walk(prefix, from []byte, visit func(key, value []byte) bool) (err error) {
	end := append([]byte(nil), prefix...)
	end[len(end)-1]++
	if from == nil {
		from = prefix
	}
	it, err := l.db.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: end})
	if err != nil {
		return fmt.Errorf("read the audit log: %w", err)
	}
	for ok := it.First(); ok && visit(it.Key(), it.Value()); {
		ok = it.Next()
	}
	if err := errors.Join(it.Error(), it.Close()); err != nil {
		return fmt.Errorf("read the audit log: %w", err)
	}
	return nil
}

// closeLimit is how long Close waits for the disk.
const closeLimit = 5 * time.Second

// Close writes what is queued and closes the log. While the log is paused it does
// neither, and it waits for a disk that hangs for a while only: what is left open
// then ends with the process, and may lose the newest entries.
func (l *Log) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	close(l.queue)
	l.mu.Unlock()
	if l.paused() {
		l.options.Logger.Warn("the audit log is left as it is: its disk is in trouble, or has little space")
		return nil
	}
	closed := make(chan error, 1)
	go func() {
		l.done.Wait()
		closed <- errors.Join(l.db.Flush(), l.db.Close())
	}()
	select {
	case err := <-closed:
		if err != nil {
			return fmt.Errorf("close the audit log: %w", err)
		}
		return nil
	case <-time.After(l.closeWithin):
		return fmt.Errorf("close the audit log: the disk has not completed that within %v, the newest entries may be lost", l.closeWithin)
	}
}

// quiet drops Pebble's chatter; its errors are returned.
type quiet struct{}

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Fatalf(format string, args ...any) {
	panic(fmt.Sprintf("audit log: "+format, args...))
}
