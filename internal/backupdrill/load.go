package backupdrill

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/client"
)

// What goes on while a write is measured.
const (
	phaseOther = iota
	phaseQuiet
	phaseBackup
	phases
)

// load is a number of writers that store claims one after another.
type load struct {
	cancel context.CancelFunc
	ended  sync.WaitGroup

	mu      sync.Mutex
	now     int // the phase
	next    int
	indexes map[assertion.Hash]uint64 // of acknowledged claims
	took    [phases]*hdrhistogram.Histogram
	failed  error
}

func startLoad(ctx context.Context, urls []string, writers int) (*load, error) {
	ctx, cancel := context.WithCancel(ctx)
	l := &load{cancel: cancel, indexes: map[assertion.Hash]uint64{}}
	for i := range l.took {
		l.took[i] = hdrhistogram.New(1, time.Minute.Microseconds(), 3)
	}
	for w := range writers {
		db, err := client.New([]string{urls[w%len(urls)]})
		if err != nil {
			return nil, errors.Join(err, l.stop())
		}
		l.ended.Go(func() {
			defer db.Close()
			for ctx.Err() == nil {
				if err := l.write(context.WithoutCancel(ctx), db); err != nil {
					l.mu.Lock()
					l.failed = errors.Join(l.failed, err)
					l.mu.Unlock()
					return
				}
			}
		})
	}
	return l, nil
}

// write stores the next claim. It counts for a phase if that lasts from its
// beginning to its end.
func (l *load) write(ctx context.Context, db *client.Client) error {
	l.mu.Lock()
	number, phase := l.next, l.now
	l.next++
	l.mu.Unlock()
	a, err := claim(number, true)
	if err != nil {
		return err
	}
	began := time.Now()
	answer, err := db.Assert(ctx, a)
	took := time.Since(began)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.indexes[answer.Hash] = answer.Index
	if phase == l.now {
		return l.took[phase].RecordValue(max(took.Microseconds(), 1))
	}
	return nil
}

// phase begins one.
func (l *load) phase(p int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now = p
}

// stop ends the writers; every write is acknowledged then.
func (l *load) stop() error {
	l.cancel()
	l.ended.Wait()
	return l.failed
}

func (l *load) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.indexes)
}

// upTo counts the claims that were decided up to a log index.
func (l *load) upTo(index uint64) (count int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, at := range l.indexes {
		if at <= index {
			count++
		}
	}
	return count
}

// acknowledged are the claims with the log index of each.
func (l *load) acknowledged() map[assertion.Hash]uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.indexes)
}

func (l *load) p99(phase int) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Duration(l.took[phase].ValueAtQuantile(99)) * time.Microsecond
}
