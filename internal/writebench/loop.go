package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// measurement is what a closed loop came to.
type measurement struct {
	rate     float64 // writes a second
	p50, p99 time.Duration
}

// closedLoop keeps n callers busy with write for a time. Each call gets a
// number that no other has.
func closedLoop(ctx context.Context, n int, d time.Duration, write func(ctx context.Context, i uint64) error) (measurement, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var next atomic.Uint64
	var wg sync.WaitGroup
	histograms := make([]*hdrhistogram.Histogram, n)
	faults := make([]error, n)
	start := time.Now()
	for caller := range n {
		histograms[caller] = hdrhistogram.New(1, time.Minute.Microseconds(), 3)
		wg.Go(func() {
			for time.Since(start) < d && ctx.Err() == nil {
				began := time.Now()
				if err := write(ctx, next.Add(1)-1); err != nil {
					faults[caller] = err
					cancel()
					return
				}
				_ = histograms[caller].RecordValue(time.Since(began).Microseconds())
			}
		})
	}
	wg.Wait()
	took := time.Since(start)
	if err := errors.Join(faults...); err != nil {
		return measurement{}, fmt.Errorf("a write failed: %w", err)
	}
	all := hdrhistogram.New(1, time.Minute.Microseconds(), 3)
	for _, h := range histograms {
		all.Merge(h)
	}
	micros := func(q float64) time.Duration { return time.Duration(all.ValueAtQuantile(q)) * time.Microsecond }
	return measurement{rate: float64(all.TotalCount()) / took.Seconds(), p50: micros(50), p99: micros(99)}, nil
}
