package loadtest

import (
	"slices"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// longestLatency is what longer ones count as.
const longestLatency = 10 * time.Minute

// Recorder keeps the latencies of one load. It is safe for concurrent use.
type Recorder struct {
	window time.Duration

	mu      sync.Mutex
	start   time.Time
	end     time.Time
	all     *hdrhistogram.Histogram // microseconds
	current *hdrhistogram.Histogram // of the window that is open
	closed  *hdrhistogram.Histogram // of the last one that was closed
	windows []Window
	last    time.Time // newest acknowledgement
	longest time.Duration
	gapAt   time.Duration
	failed  uint64
	dropped uint64
	first   error // the first failure
}

// NewRecorder makes a recorder whose series has one point for each window.
func NewRecorder(window time.Duration) *Recorder {
	return &Recorder{window: window, all: newHistogram(), current: newHistogram(), closed: newHistogram()}
}

// newHistogram counts microseconds, exact to three digits.
func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, longestLatency.Microseconds(), 3)
}

func (r *Recorder) begin(start time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.start, r.last = start, start
}

func (r *Recorder) success(now time.Time, latency time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if gap := now.Sub(r.last); gap > r.longest {
		r.longest, r.gapAt = gap, r.last.Sub(r.start)
	}
	if now.After(r.last) { // two workers may come in the other order
		r.last = now
	}
	r.record(now, latency)
}

// unsent records an operation that was due and never sent, by how long it has
// waited.
func (r *Recorder) unsent(now time.Time, waited time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dropped++
	r.record(now, waited)
}

func (r *Recorder) failure(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failed++; r.first == nil {
		r.first = err
	}
}

// record must be called with the lock held.
func (r *Recorder) record(now time.Time, latency time.Duration) {
	r.turn(now)
	micros := min(max(latency, time.Microsecond), longestLatency).Microseconds()
	// Values within the bounds are always taken.
	_ = r.all.RecordValue(micros)
	_ = r.current.RecordValue(micros)
}

// turn closes the windows that have ended. The lock must be held.
func (r *Recorder) turn(now time.Time) {
	for open := r.opened(); !now.Before(open.Add(r.window)); open = r.opened() {
		r.close(r.window)
	}
}

// opened is when the open window began.
func (r *Recorder) opened() time.Time {
	return r.start.Add(time.Duration(len(r.windows)) * r.window)
}

// close appends the open window, which has lasted for the given time.
func (r *Recorder) close(lasted time.Duration) {
	n := r.current.TotalCount()
	w := Window{AtSeconds: r.opened().Sub(r.start).Seconds(), PerSecond: float64(n) / lasted.Seconds()}
	if n > 0 {
		w.P50, w.P99, w.Max = millis(r.current, 50), millis(r.current, 99), millis(r.current, 100)
	}
	r.windows = append(r.windows, w)
	r.current, r.closed = r.closed, r.current
	r.current.Reset()
}

func (r *Recorder) finish(end time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if gap := end.Sub(r.last); gap > r.longest {
		r.longest, r.gapAt = gap, r.last.Sub(r.start)
	}
	r.end = end
	r.turn(end)
	lasted := end.Sub(r.opened())
	switch {
	case r.current.TotalCount() == 0:
		return
	case lasted < r.window/2 && len(r.windows) > 0:
		// Too short to say anything by itself: it is a part of the window before.
		r.closed.Merge(r.current)
		r.current, r.closed = r.closed, r.current
		r.windows = r.windows[:len(r.windows)-1]
		lasted += r.window
	}
	r.close(max(lasted, time.Nanosecond))
}

// millis is a percentile in milliseconds.
func millis(h *hdrhistogram.Histogram, percentile float64) float64 {
	return float64(h.ValueAtPercentile(percentile)) / 1000
}

// distributionAt are the percentiles that a measurement is plotted at.
var distributionAt = []float64{0, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 99.95, 99.99, 99.999, 100}

// Measured is what has been recorded; perOperation is how many claims an
// operation has.
func (r *Recorder) Measured(kind string, l Load, perOperation int) *Measurement {
	r.mu.Lock()
	defer r.mu.Unlock()
	took := r.end.Sub(r.start).Seconds()
	sent := r.all.TotalCount() - int64(r.dropped)
	m := &Measurement{
		Kind: kind, Loop: LoopClosed, Workers: l.Workers, ItemsPerOperation: perOperation,
		Seconds: took, Operations: uint64(sent), Failed: r.failed, Unsent: r.dropped,
		LongestGapMS: float64(r.longest.Microseconds()) / 1000, LongestGapAtSeconds: r.gapAt.Seconds(),
		WindowSeconds: r.window.Seconds(), Series: slices.Clone(r.windows),
	}
	for i := range m.Series {
		m.Series[i].PerSecond *= float64(perOperation)
	}
	if l.Rate > 0 {
		m.Loop, m.AskedPerSecond = LoopOpen, l.Rate*float64(perOperation)
	}
	if took > 0 {
		m.PerSecond = float64(sent) * float64(perOperation) / took
	}
	if r.first != nil {
		m.FirstFailure = r.first.Error()
	}
	if r.all.TotalCount() == 0 {
		return m
	}
	m.MeanMS = r.all.Mean() / 1000
	m.P50, m.P90, m.P99, m.P999, m.Max = millis(r.all, 50), millis(r.all, 90), millis(r.all, 99), millis(r.all, 99.9), millis(r.all, 100)
	for _, p := range distributionAt {
		m.Distribution = append(m.Distribution, Percentile{Percentile: p, MS: millis(r.all, p)})
	}
	return m
}

// glance is what a progress line shows.
type glance struct {
	done, failed uint64
	p99          float64 // of everything so far, ms
	longest      time.Duration
}

func (r *Recorder) glance(now time.Time) glance {
	r.mu.Lock()
	defer r.mu.Unlock()
	g := glance{done: uint64(r.all.TotalCount()), failed: r.failed, longest: r.longest}
	if !r.start.IsZero() {
		g.longest = max(g.longest, now.Sub(r.last)) // a stall shows while it lasts
	}
	if g.done > 0 {
		g.p99 = millis(r.all, 99)
	}
	return g
}
