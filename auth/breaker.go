package auth

import (
	"cmp"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// breakerFailures within breakerWindow open a breaker for breakerOpen.
	breakerFailures = 5
	breakerWindow   = time.Minute
	breakerOpen     = 30 * time.Second
	// breakerIdle is how long a breaker that nobody tries is half-open. Then it
	// is closed.
	breakerIdle = 10 * time.Minute
	// breakerMemory is how long a failure counts: as long as it can keep a breaker
	// from being closed, and a failure that follows on it open. What is older is
	// kept maxAhead longer, since it counts still for a node whose clock is behind.
	breakerMemory = breakerWindow + breakerOpen + breakerIdle + breakerOpen
	// trialTimeout is when a trial that said nothing is given up, trialWait how
	// long others are asked to wait meanwhile.
	trialTimeout = time.Minute
	trialWait    = time.Second

	// breakerShards × shardBreakers principals with failures are remembered.
	breakerShards = 16
	shardBreakers = 1024
	// maxFailures bounds the failures of one principal that are remembered: the
	// newest ones.
	maxFailures = 32
	// evictionTries is how many breakers are looked at for one that may be
	// forgotten.
	evictionTries = 64
)

// Reason is why a request failed. The numbers are part of the form in which
// nodes tell each other.
type Reason uint8

// The failures that open a breaker.
const (
	InvalidSignature Reason = 1 + iota
	InvalidInput
	BadWork
	OverQuota
)

// String is the reason's name: invalid_signature, invalid_input, bad_work,
// quota.
func (r Reason) String() string {
	switch r {
	case InvalidSignature:
		return "invalid_signature"
	case InvalidInput:
		return "invalid_input"
	case BadWork:
		return "bad_work"
	case OverQuota:
		return "quota"
	}
	return fmt.Sprintf("reason %d", uint8(r))
}

// MarshalText implements encoding.TextMarshaler.
func (r Reason) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// BreakerState is what a breaker does with requests.
type BreakerState uint8

// The states.
const (
	Closed   BreakerState = iota // lets all through
	Open                         // lets none through
	HalfOpen                     // lets one at a time through on each node
)

// String is the state's name: closed, open, half_open.
func (s BreakerState) String() string {
	switch s {
	case Closed:
		return "closed"
	case Open:
		return "open"
	case HalfOpen:
		return "half_open"
	}
	return fmt.Sprintf("state %d", uint8(s))
}

// MarshalText implements encoding.TextMarshaler.
func (s BreakerState) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Breaker is the breaker of one principal at one time.
type Breaker struct {
	Principal Principal
	State     BreakerState
	// Failures of the last 60 s since the breaker was last closed, by reason.
	Failures map[Reason]int
	// OpenedAt and Until bound the time in which the breaker is, or if half-open
	// was, open. Zero if it is closed.
	OpenedAt, Until time.Time
}

// Breakers keeps out for a while who keeps failing: five failures within 60 s
// open a principal's breaker for 30 s. Then it is half-open: the next success
// closes it, the next failure opens it for another 30 s. Half-open for ten
// minutes, it is closed.
//
// What is told is when a principal failed and when its breaker was last closed;
// the state follows from these alone. Sets of failures are united, of the
// closings the latest counts, so that nodes that know the same agree, however
// they came to know it: also that of five failures on several nodes the last
// opens. A failure at the very time of a closing is cleared by it.
//
// 16,384 principals are remembered. Beyond that one whose breaker is closed
// makes room for another; if none is found, the newcomer's failures do not
// count. An open breaker is never forgotten.
//
// A nil *Breakers knows of nobody and keeps out nobody; it cannot be told from
// or listed.
type Breakers struct {
	origin uint64 // this life of the node, at random: tells its failures from others'
	seed   maphash.Seed
	known  atomic.Int64 // principals remembered
	shards [breakerShards]breakerShard

	tellMu sync.Mutex // one Changes at a time
	next   int        // the shard that Changes begins with
}

type breakerShard struct {
	mu      sync.RWMutex
	records map[Principal]*record
	changed map[Principal]struct{} // to be told, all in records
	_       [64]byte               // keeps the locks of neighbours apart
}

// failure is one failure of a principal.
type failure struct {
	at     int64  // unix nanoseconds
	origin uint64 // the node that saw it
	reason Reason
	trial  bool // seen when the breaker was half-open: opens it again
}

func (f failure) compare(g failure) int {
	return cmp.Or(cmp.Compare(f.at, g.at), cmp.Compare(f.origin, g.origin))
}

// record is what is known of one principal. Its failures are ordered, all after
// closedAt.
type record struct {
	closedAt int64 // unix nanoseconds, 0 if never
	failures []failure
	trialAt  int64 // when this node let a trial through, unix nanoseconds
	trialOf  int64 // the opening that it was for
}

// over reports whether nothing that is known counts any more, on any node.
func (r *record) over(now int64) bool {
	return r.newest() <= now-int64(breakerMemory+maxAhead)
}

// newest is the time of the last event.
func (r *record) newest() int64 {
	if n := len(r.failures); n > 0 {
		return r.failures[n-1].at
	}
	return r.closedAt
}

// merge takes in events of the same principal.
func (r *record) merge(closedAt int64, failures []failure) {
	r.closedAt = max(r.closedAt, closedAt)
	all := append(r.failures, failures...)
	slices.SortFunc(all, failure.compare)
	all = slices.CompactFunc(all, func(f, g failure) bool { return f.compare(g) == 0 })
	all = slices.DeleteFunc(all, func(f failure) bool { return f.at <= r.closedAt })
	r.failures = slices.Delete(all, 0, max(len(all)-maxFailures, 0))
}

// status is the state at a time and, unless it is closed, when the breaker
// opened and until when it is open, unix nanoseconds. It depends on nothing but
// the failures of the last breakerMemory.
func (r *record) status(now int64) (state BreakerState, opened, until int64) {
	first := 0 // the first failure that counts
	for i, f := range r.failures {
		if f.at <= now-int64(breakerMemory) {
			first = i + 1
			continue
		}
		if opened != 0 && f.at >= until+int64(breakerIdle) {
			opened, first = 0, i
		}
		if opened != 0 && f.at < until && !f.trial {
			continue
		}
		enough := i-first+1 >= breakerFailures && f.at-r.failures[i-breakerFailures+1].at < int64(breakerWindow)
		if opened != 0 || f.trial || enough {
			opened, until = f.at, f.at+int64(breakerOpen)
		}
	}
	switch {
	case opened == 0 || now >= until+int64(breakerIdle):
		return Closed, 0, 0
	case now < until:
		return Open, opened, until
	}
	return HalfOpen, opened, until
}

// recent counts the failures within breakerWindow before a time, by reason.
func (r *record) recent(now int64) map[Reason]int {
	counts := map[Reason]int{}
	for _, f := range r.failures {
		if f.at > now-int64(breakerWindow) {
			counts[f.reason]++
		}
	}
	return counts
}

// NewBreakers makes the breakers of one life of a node, all closed.
func NewBreakers() *Breakers {
	b := &Breakers{origin: rand.Uint64(), seed: maphash.MakeSeed()}
	for i := range b.shards {
		b.shards[i].records, b.shards[i].changed = map[Principal]*record{}, map[Principal]struct{}{}
	}
	return b
}

func (b *Breakers) shard(p Principal) *breakerShard {
	return &b.shards[maphash.Comparable(b.seed, p)%breakerShards]
}

// Closed reports, without waiting for anybody who changes one, whether a
// principal's breaker is closed.
func (b *Breakers) Closed(p Principal, now time.Time) bool {
	if b == nil || b.known.Load() == 0 {
		return true
	}
	s := b.shard(p)
	s.mu.RLock()
	defer s.mu.RUnlock()
	r := s.records[p]
	if r == nil {
		return true
	}
	state, _, _ := r.status(now.UnixNano())
	return state == Closed
}

// Allow reports whether a principal's request may be served, else how long it
// should wait. Half-open, it lets one through on this node; the next not until
// Success or Failure told of it, or a minute passed.
func (b *Breakers) Allow(p Principal, now time.Time) (wait time.Duration, ok bool) {
	if b.Closed(p, now) {
		return 0, true
	}
	s := b.shard(p)
	s.mu.Lock()
	defer s.mu.Unlock()
	r, at := s.records[p], now.UnixNano()
	if r == nil {
		return 0, true
	}
	switch state, opened, until := r.status(at); {
	case state == Open:
		return time.Duration(until - at), false
	case state == HalfOpen && r.trying(opened, at):
		return trialWait, false
	case state == HalfOpen:
		r.trialAt, r.trialOf = at, opened
	}
	return 0, true
}

// Of is the state of a principal's breaker.
func (b *Breakers) Of(p Principal, now time.Time) (state BreakerState, wait time.Duration) {
	if b.Closed(p, now) {
		return Closed, 0
	}
	s := b.shard(p)
	s.mu.RLock()
	defer s.mu.RUnlock()
	r, at := s.records[p], now.UnixNano()
	if r == nil {
		return Closed, 0
	}
	state, _, until := r.status(at)
	return state, time.Duration(max(until-at, 0))
}

// Release ends a trial that Allow let through on this node and that was neither
// good nor bad: the next request is one.
func (b *Breakers) Release(p Principal) {
	if b == nil || b.known.Load() == 0 {
		return
	}
	s := b.shard(p)
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.records[p]; r != nil {
		r.trialAt = 0
	}
}

// trying reports whether a trial of an opening is under way on this node.
func (r *record) trying(opened, now int64) bool {
	return r.trialAt != 0 && r.trialOf == opened && now-r.trialAt < int64(trialTimeout)
}

// Success tells that a principal's request was good. It closes a half-open
// breaker that let a trial through on this node.
func (b *Breakers) Success(p Principal, now time.Time) {
	if b.Closed(p, now) {
		return
	}
	s := b.shard(p)
	s.mu.Lock()
	defer s.mu.Unlock()
	r, at := s.records[p], now.UnixNano()
	if r == nil {
		return
	}
	if state, opened, _ := r.status(at); state == HalfOpen && r.trying(opened, at) {
		s.close(p, r, at)
	}
}

// close closes a breaker, after everything that is known of it.
func (s *breakerShard) close(p Principal, r *record, now int64) {
	r.merge(max(now, r.newest()), nil)
	r.trialAt = 0
	s.changed[p] = struct{}{}
}

// Failure tells that a principal's request was bad. While the breaker is open
// that changes nothing: such requests were let through before.
func (b *Breakers) Failure(p Principal, reason Reason, now time.Time) {
	if b == nil {
		return
	}
	s, at := b.shard(p), now.UnixNano()
	s.mu.Lock()
	defer s.mu.Unlock()
	r := b.remember(s, p, at)
	if r == nil {
		return
	}
	state, _, _ := r.status(at)
	if state == Open {
		return
	}
	f := failure{at: max(at, r.newest()+1, r.closedAt+1), origin: b.origin, reason: reason, trial: state == HalfOpen}
	r.merge(0, []failure{f})
	r.trialAt = 0
	s.changed[p] = struct{}{}
}

// remember returns a principal's record, made if need be; nil if there is no
// room. The shard is locked.
func (b *Breakers) remember(s *breakerShard, p Principal, now int64) *record {
	if r := s.records[p]; r != nil {
		return r
	}
	if len(s.records) >= shardBreakers && !b.evict(s, now) {
		return nil
	}
	r := &record{}
	s.records[p] = r
	b.known.Add(1)
	return r
}

// evict forgets, of some breakers, the closed one of which nothing was heard
// for longest.
func (b *Breakers) evict(s *breakerShard, now int64) bool {
	var oldest Principal
	var since int64
	tries := 0
	for p, r := range s.records {
		if state, _, _ := r.status(now); state == Closed && (oldest.IsZero() || r.newest() < since) {
			oldest, since = p, r.newest()
		}
		if tries++; tries == evictionTries {
			break
		}
	}
	if oldest.IsZero() {
		return false
	}
	b.forget(s, oldest)
	return true
}

func (b *Breakers) forget(s *breakerShard, p Principal) {
	delete(s.records, p)
	delete(s.changed, p)
	b.known.Add(-1)
}

// Reset closes a principal's breaker on all nodes and clears its failures. It
// reports whether there was anything to clear.
func (b *Breakers) Reset(p Principal, now time.Time) bool {
	s, at := b.shard(p), now.UnixNano()
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.records[p]
	if r == nil || !r.notable(at) {
		return false
	}
	s.close(p, r, at)
	return true
}

// notable reports whether the breaker is not closed or has recent failures.
func (r *record) notable(now int64) bool {
	state, _, _ := r.status(now)
	return state != Closed || len(r.recent(now)) > 0
}

// List returns the breakers that are open, half-open, or closed with failures
// in the last 60 s, ordered by principal.
func (b *Breakers) List(now time.Time) []Breaker {
	list, at := []Breaker{}, now.UnixNano()
	for i := range b.shards {
		s := &b.shards[i]
		s.mu.RLock()
		for p, r := range s.records {
			if r.notable(at) {
				list = append(list, r.breaker(p, at))
			}
		}
		s.mu.RUnlock()
	}
	slices.SortFunc(list, func(x, y Breaker) int { return strings.Compare(x.Principal.String(), y.Principal.String()) })
	return list
}

func (r *record) breaker(p Principal, now int64) Breaker {
	state, opened, until := r.status(now)
	breaker := Breaker{Principal: p, State: state, Failures: r.recent(now)}
	if state != Closed {
		breaker.OpenedAt, breaker.Until = time.Unix(0, opened), time.Unix(0, until)
	}
	return breaker
}

// Open is the number of breakers that are open; half-open ones are not.
func (b *Breakers) Open(now time.Time) int {
	if b == nil {
		return 0
	}
	n := 0
	for i := range b.shards {
		s := &b.shards[i]
		s.mu.RLock()
		for _, r := range s.records {
			if state, _, _ := r.status(now.UnixNano()); state == Open {
				n++
			}
		}
		s.mu.RUnlock()
	}
	return n
}
