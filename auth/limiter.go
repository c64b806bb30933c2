package auth

import (
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/stemedb/stemedb/assertion"
)

// Limiter holds each key to its rate over the whole cluster: every node grants
// rate ÷ live members, by a token bucket (golang.org/x/time/rate) that holds one
// second's share, at least one request. A client that uses one node of n gets an
// nth; one that uses all of them gets the rate, and while a member's death is
// not yet known, or members see each other only in parts, at most n times the
// share of the fewest members that a node sees. The zero value is ready for use.
type Limiter struct {
	mu      sync.Mutex
	buckets map[string]*rate.Limiter
}

// Allow takes one request of a key at a time. If it is one too many, it returns
// how long to wait.
func (l *Limiter) Allow(k *assertion.APIKey, members int, now time.Time) (wait time.Duration, ok bool) {
	if k.RatePerSecond == 0 {
		return 0, true
	}
	share := rate.Limit(float64(k.RatePerSecond) / float64(max(members, 1)))
	burst := max(1, int(share))
	l.mu.Lock()
	defer l.mu.Unlock()
	bucket := l.buckets[k.ID]
	if bucket == nil {
		if l.buckets == nil {
			l.buckets = map[string]*rate.Limiter{}
		}
		bucket = rate.NewLimiter(share, burst)
		l.buckets[k.ID] = bucket
	}
	if bucket.Limit() != share {
		bucket.SetLimitAt(now, share)
		bucket.SetBurstAt(now, burst)
	}
	reservation := bucket.ReserveN(now, 1)
	if wait = reservation.DelayFrom(now); wait > 0 {
		reservation.CancelAt(now)
		return wait, false
	}
	return 0, true
}
