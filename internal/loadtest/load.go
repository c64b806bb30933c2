package loadtest

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// grace is how long an open loop may go on after its last operation was due.
	grace = 10 * time.Second
	// tooManyFailures in a row end a load: the cluster is gone.
	tooManyFailures = 100
)

// Load is a stream of operations of one kind. Duration or Count must bound it.
type Load struct {
	// Workers is how many operations are under way at most.
	Workers int
	// Rate is how many operations a second become due: an open loop. 0 is a closed
	// loop, in which each worker begins an operation as soon as its last has ended.
	Rate float64
	// Duration bounds the time in which operations begin (closed loop) or become
	// due (open loop); 0: no bound.
	Duration time.Duration
	// Count bounds the number of operations; 0: no bound.
	Count uint64
	// Do is operation number k, which no other one has. Its error is that of the
	// operation; the load goes on.
	Do func(ctx context.Context, worker int, k uint64) error
	// Of says which of the recorders operation k is recorded by; nil: the first.
	Of func(k uint64) int
}

// due is when operation k of an open loop should begin.
func (l Load) due(start time.Time, k uint64) time.Time {
	return start.Add(time.Duration(math.Round(float64(k) / l.Rate * float64(time.Second))))
}

// size is how many operations an open loop has by its schedule.
func (l Load) size() uint64 {
	n := l.Count
	if l.Duration > 0 {
		if byTime := uint64(l.Rate * l.Duration.Seconds()); n == 0 || byTime < n {
			n = byTime
		}
	}
	return n
}

// Run runs the load to its end, or until ctx ends, and records every operation.
func (l Load) Run(ctx context.Context, recorders ...*Recorder) {
	loading, cancel := context.WithCancel(ctx)
	defer cancel()
	start := time.Now()
	for _, r := range recorders {
		r.begin(start)
	}
	s := &run{load: l, recorders: recorders, start: start, cancel: cancel}
	if l.Rate > 0 {
		s.size = l.size()
		// The operations that are left at the deadline are never sent.
		s.deadline = l.due(start, s.size).Add(grace)
	}
	var workers sync.WaitGroup
	for w := range l.Workers {
		workers.Go(func() { s.work(loading, w) })
	}
	workers.Wait()
	end := time.Now()
	if l.Rate > 0 && ctx.Err() == nil {
		for k := s.next.Load(); k < s.size && l.due(start, k).Before(end); k++ {
			s.recorder(k).unsent(end, end.Sub(l.due(start, k)))
		}
	}
	for _, r := range recorders {
		r.finish(end)
	}
}

type run struct {
	load      Load
	recorders []*Recorder
	start     time.Time
	size      uint64    // of an open loop
	deadline  time.Time // of an open loop
	cancel    context.CancelFunc
	next      atomic.Uint64
	failures  atomic.Int64 // since the last success
}

func (s *run) recorder(k uint64) *Recorder {
	if s.load.Of == nil {
		return s.recorders[0]
	}
	return s.recorders[s.load.Of(k)]
}

func (s *run) work(ctx context.Context, worker int) {
	for ctx.Err() == nil {
		k, begin, ok := s.claim(ctx)
		if !ok {
			return
		}
		err := s.load.Do(ctx, worker, k)
		now := time.Now()
		switch {
		case err == nil:
			s.failures.Store(0)
			s.recorder(k).success(now, now.Sub(begin))
		case ctx.Err() != nil:
			return // it was broken off, and says nothing
		default:
			s.recorder(k).failure(err)
			if s.failures.Add(1) >= tooManyFailures {
				s.cancel()
			}
		}
	}
}

// claim takes the next operation, waits until it is due, and says from when its
// latency counts. It is false at the end of the load.
func (s *run) claim(ctx context.Context) (k uint64, begin time.Time, ok bool) {
	now := time.Now()
	if s.load.Rate == 0 {
		if s.load.Duration > 0 && now.Sub(s.start) >= s.load.Duration {
			return 0, now, false
		}
		k = s.next.Add(1) - 1
		return k, now, s.load.Count == 0 || k < s.load.Count
	}
	if now.After(s.deadline) {
		return 0, now, false
	}
	k = s.next.Add(1) - 1
	if k >= s.size {
		return k, now, false
	}
	begin = s.load.due(s.start, k)
	if wait := begin.Sub(now); wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			s.next.Add(^uint64(0)) // it was not sent
			return k, begin, false
		}
	}
	return k, begin, true
}
