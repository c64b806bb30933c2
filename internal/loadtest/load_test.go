package loadtest

import (
	"context"
	"errors"
	"math"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// stalling is a server that answers at once, but for the time in which it
// answers nothing.
func stalling(from, to time.Duration) func(context.Context, int, uint64) error {
	start := time.Now()
	return func(context.Context, int, uint64) error {
		if now := time.Since(start); now >= from && now < to {
			time.Sleep(to - now)
		}
		return nil
	}
}

func TestOpenLoopBeginsOperationsWhenTheyAreDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		const rate, n = 100, 250
		begun := make([]time.Duration, n)
		l := Load{Workers: 7, Rate: rate, Count: n, Do: func(_ context.Context, _ int, k uint64) error {
			begun[k] = time.Since(start)
			time.Sleep(3 * time.Millisecond)
			return nil
		}}
		r := NewRecorder(time.Second)
		l.Run(t.Context(), r)
		for k, at := range begun {
			if want := time.Duration(k) * time.Second / rate; at != want {
				t.Fatalf("operation %d began after %v, want %v", k, at, want)
			}
		}
		m := r.Measured(KindWrite, l, 4)
		if m.Operations != n || m.Unsent != 0 || m.Failed != 0 || m.AskedPerSecond != 4*rate || m.Loop != LoopOpen {
			t.Errorf("measured %+v", m)
		}
		if math.Round(m.P50) != 3 || math.Round(m.Max) != 3 {
			t.Errorf("p50 %v ms, max %v ms, want 3", m.P50, m.Max)
		}
	})
}

// However few workers there are, a stall of two seconds shows in the latencies
// of all that were due meanwhile: 200 of 1,000, evenly spread over 0 to 2 s.
func TestOpenLoopCorrectsForCoordinatedOmission(t *testing.T) {
	for _, workers := range []int{1, 10, 1000} {
		synctest.Test(t, func(t *testing.T) {
			l := Load{Workers: workers, Rate: 100, Duration: 10 * time.Second, Do: stalling(2*time.Second, 4*time.Second)}
			r := NewRecorder(time.Second)
			l.Run(t.Context(), r)
			m := r.Measured(KindWrite, l, 1)
			if m.Operations != 1000 || m.Unsent != 0 {
				t.Errorf("%d workers: %d operations, %d unsent", workers, m.Operations, m.Unsent)
			}
			// The histogram is exact to a thousandth.
			for _, c := range []struct {
				name      string
				got, want float64
			}{
				{"p50", m.P50, 0.001}, {"p90", m.P90, 1000}, {"p99", m.P99, 1900}, {"max", m.Max, 2000},
				{"longest gap", m.LongestGapMS, 2010}, {"begin of the gap", m.LongestGapAtSeconds, 1.99},
			} {
				if c.got < c.want*0.985 || c.got > c.want*1.015 {
					t.Errorf("%d workers: %s %v, want about %v", workers, c.name, c.got, c.want)
				}
			}
			if n := m.Series[3].PerSecond; n != 0 {
				t.Errorf("%d workers: %v operations ended in the fourth second", workers, n)
			}
		})
	}
}

// A closed loop sends nothing while the server stalls: that is what it cannot
// see, and why the longest gap is measured too.
func TestClosedLoopSeesOnlyTheGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stall := stalling(2*time.Second, 4*time.Second)
		l := Load{Workers: 1, Duration: 10 * time.Second, Do: func(ctx context.Context, w int, k uint64) error {
			time.Sleep(time.Millisecond)
			return stall(ctx, w, k)
		}}
		r := NewRecorder(time.Second)
		l.Run(t.Context(), r)
		m := r.Measured(KindWrite, l, 1)
		if m.P999 > 2 || m.LongestGapMS < 1999 || m.Loop != LoopClosed || m.AskedPerSecond != 0 {
			t.Errorf("p99.9 %v ms, longest gap %v ms, %s loop", m.P999, m.LongestGapMS, m.Loop)
		}
	})
}

func TestOperationsThatAreNeverSentCountAsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const hang = time.Minute
		l := Load{Workers: 2, Rate: 10, Duration: 5 * time.Second, Do: func(context.Context, int, uint64) error {
			time.Sleep(hang)
			return nil
		}}
		r := NewRecorder(time.Second)
		l.Run(t.Context(), r)
		m := r.Measured(KindWrite, l, 1)
		if m.Operations != 2 || m.Unsent != 48 {
			t.Errorf("%d operations, %d unsent, want 2 and 48", m.Operations, m.Unsent)
		}
		if m.P50 < 50_000 {
			t.Errorf("p50 is %v ms: what was never sent is left out", m.P50)
		}
	})
}

func TestClosedLoopEndsAfterItsCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var inFlight, most, done atomic.Int64
		l := Load{Workers: 5, Count: 101, Do: func(context.Context, int, uint64) error {
			if n := inFlight.Add(1); n > most.Load() {
				most.Store(n)
			}
			time.Sleep(time.Second)
			inFlight.Add(-1)
			done.Add(1)
			return nil
		}}
		l.Run(t.Context(), NewRecorder(time.Second))
		if done.Load() != 101 || most.Load() != 5 {
			t.Errorf("%d operations, %d at the same time; want 101 and 5", done.Load(), most.Load())
		}
	})
}

func TestALoadEndsWhenTheClusterIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gone := errors.New("gone")
		l := Load{Workers: 4, Duration: time.Hour, Do: func(_ context.Context, _ int, k uint64) error {
			time.Sleep(time.Millisecond)
			if k < 500 && k%2 == 0 {
				return nil // between successes failures are no reason to end
			}
			return gone
		}}
		r := NewRecorder(time.Second)
		l.Run(t.Context(), r)
		m := r.Measured(KindWrite, l, 1)
		if m.Operations != 250 || m.Failed < 250+tooManyFailures-4 || m.Failed > 250+tooManyFailures+4 || m.FirstFailure != "gone" {
			t.Errorf("%d operations, %d failed, first %q", m.Operations, m.Failed, m.FirstFailure)
		}
	})
}

func TestOperationsGoToTheirRecorder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := Load{Workers: 1, Count: 10, Of: func(k uint64) int { return min(int(k%mixOf), 1) }, Do: func(context.Context, int, uint64) error { return nil }}
		writes, reads := NewRecorder(time.Second), NewRecorder(time.Second)
		l.Run(t.Context(), writes, reads)
		w, r := writes.Measured(KindWrite, l, 1), reads.Measured(KindRead, l, 1)
		if w.Operations != 2 || r.Operations != 8 {
			t.Errorf("%d writes, %d reads", w.Operations, r.Operations)
		}
	})
}

func TestSeriesHasNoHoles(t *testing.T) {
	r := NewRecorder(time.Second)
	start := time.Unix(0, 0)
	r.begin(start)
	r.success(start.Add(100*time.Millisecond), 5*time.Millisecond)
	r.success(start.Add(3200*time.Millisecond), 7*time.Millisecond)
	r.success(start.Add(3300*time.Millisecond), 7*time.Millisecond)
	r.finish(start.Add(3500 * time.Millisecond))
	m := r.Measured(KindRead, Load{Workers: 1}, 1)
	want := []Window{{0, 1, 5, 5, 5}, {1, 0, 0, 0, 0}, {2, 0, 0, 0, 0}, {3, 4, 7, 7, 7}}
	if len(m.Series) != len(want) {
		t.Fatalf("series %+v, want %+v", m.Series, want)
	}
	for i, w := range want {
		got := m.Series[i]
		got.P50, got.P99, got.Max = float64(int(got.P50)), float64(int(got.P99)), float64(int(got.Max))
		if got != w {
			t.Errorf("window %d: %+v, want %+v", i, got, w)
		}
	}
	if m.LongestGapMS != 3100 || m.LongestGapAtSeconds != 0.1 {
		t.Errorf("longest gap %v ms at %v s", m.LongestGapMS, m.LongestGapAtSeconds)
	}
}

// A moment at the end is no window: one slow operation would be its p99.
func TestAShortRestIsPartOfTheLastWindow(t *testing.T) {
	r := NewRecorder(time.Second)
	start := time.Unix(0, 0)
	r.begin(start)
	for i := range 200 {
		r.success(start.Add(time.Duration(i)*10*time.Millisecond), 4*time.Millisecond)
	}
	r.success(start.Add(2100*time.Millisecond), 500*time.Millisecond)
	r.finish(start.Add(2100 * time.Millisecond))
	m := r.Measured(KindWrite, Load{Workers: 1}, 1)
	if len(m.Series) != 2 || math.Round(m.Series[1].P50) != 4 || math.Round(m.Series[1].Max) != 500 || math.Round(m.Series[1].PerSecond) != 92 || m.Series[1].AtSeconds != 1 {
		t.Errorf("series %+v", m.Series)
	}
}

func TestALoadThatIsBrokenOffBlamesNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		l := Load{Workers: 1, Rate: 10, Duration: time.Hour, Do: func(ctx context.Context, _ int, k uint64) error {
			if k < 5 {
				return nil
			}
			<-ctx.Done()
			return ctx.Err()
		}}
		r := NewRecorder(time.Second)
		l.Run(ctx, r)
		m := r.Measured(KindRead, l, 1)
		if m.Operations != 5 || m.Failed != 0 || m.Unsent != 0 {
			t.Errorf("%d operations, %d failed, %d unsent; want 5, 0, 0", m.Operations, m.Failed, m.Unsent)
		}
	})
}
