package auth

import (
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// What requests cost, in units.
const (
	CostAssert = 10 // each assertion
	CostVote   = 1  // each vote
	costQuery  = 5  // a query by one lens or none
	costLens   = 1  // each further lens of it
	bodyUnit   = 1024
)

// QueryCost is what a query by some lenses costs.
func QueryCost(lenses int) uint64 { return costQuery + costLens*uint64(max(lenses-1, 0)) }

// BodyCost is what the body of a request costs, whatever it asks for: one unit
// for each 1,024 bytes that it begins.
func BodyCost(bytes int64) uint64 { return (uint64(max(bytes, 0)) + bodyUnit - 1) / bodyUnit }

// BaseQuota is how many units may be used in an hour at a multiplier of 1.
const BaseQuota = 10_000

const (
	// windowSeconds is the length of a window. Windows begin at whole hours of
	// unix time.
	windowSeconds = 3600
	// meterShards × shardEntries principals are told apart in a window.
	meterShards  = 32
	shardEntries = 3125
	// lightUse is how many units a principal may have used and still be
	// forgotten to make room.
	lightUse = 100
	// maxOrigins bounds the lives of nodes that tell of their usage in one window.
	maxOrigins = 256
	// maxUse bounds the units of one principal, node and window.
	maxUse = 1 << 40
)

// Quota is how much a principal may use in the present window.
type Quota struct {
	Limit     uint64 // units
	Remaining uint64 // units
	Reset     uint64 // when the next window begins, unix seconds
}

// Meter counts what each principal uses in windows of one hour, on this node
// and, as far as they have told, on the others. It holds 100,000 principals in
// a window. Beyond that a newcomer takes the place of one that used at most 100
// units, who begins anew; where there is none, the newcomers of a window share
// one account, and one limit. Whoever used more is never forgotten before the
// window ends.
//
// Usage is told as sums over the life of this meter, so that a message may be
// lost, repeated or overtaken: what is told next, or the State, makes up for it.
type Meter struct {
	origin uint64 // this life of the node, at random
	seed   maphash.Seed
	shards [meterShards]meterShard

	originMu     sync.Mutex
	originWindow uint64
	origins      []uint64 // who told of usage in originWindow

	tellMu sync.Mutex // one Changes at a time
	next   int        // the shard that Changes begins with
}

type meterShard struct {
	mu      sync.Mutex
	window  uint64 // hours of unix time
	slots   map[Principal]uint32
	entries []meterEntry
	light   int      // entries that may be forgotten
	hand    int      // where the search for one of them goes on
	rest    use      // of those that found no place
	changed []uint32 // slots whose own usage is to be told
	_       [64]byte // keeps the locks of neighbours apart
}

// use is two sums that only grow.
type use struct{ charged, refunded uint64 }

func (u use) total() uint64 { return u.charged - u.refunded }

// refund takes back what was charged, at most all of it.
func (u *use) refund(units uint64) { u.refunded += min(units, u.total()) }

func (u *use) charge(units uint64) { u.charged = min(u.charged+min(units, maxUse), maxUse) }

type meterEntry struct {
	who     Principal
	own     use
	others  uint64 // sum of told
	told    []told
	waiting bool // the slot is in changed
}

// told is what another life of a node used. Its number counts in the meter's
// list of them for the window.
type told struct {
	origin int
	use    use
}

func (e *meterEntry) total() uint64 { return e.own.total() + e.others }

// NewMeter makes a meter of one life of a node.
func NewMeter() *Meter {
	m := &Meter{origin: rand.Uint64(), seed: maphash.MakeSeed()}
	for i := range m.shards {
		m.shards[i].slots = map[Principal]uint32{}
	}
	return m
}

func windowOf(now time.Time) uint64 { return uint64(max(now.Unix(), 0)) / windowSeconds }

// lock returns a principal's shard, locked.
func (m *Meter) lock(p Principal) *meterShard {
	s := &m.shards[maphash.Comparable(m.seed, p)%meterShards]
	s.mu.Lock()
	return s
}

// lockAt returns a principal's shard, locked, in the window of a time.
func (m *Meter) lockAt(p Principal, now time.Time) *meterShard {
	s := m.lock(p)
	s.enter(windowOf(now))
	return s
}

// stale reports whether a window is the one before another: the time was taken
// before the hour, or the clock was put back a little. It counts in the later
// one.
func stale(window, current uint64) bool { return window+1 == current }

// enter begins a window, and forgets any other.
func (s *meterShard) enter(window uint64) {
	if window == s.window || stale(window, s.window) {
		return
	}
	s.window = window
	s.slots = map[Principal]uint32{}
	clear(s.entries)
	s.entries, s.changed = s.entries[:0], s.changed[:0]
	s.light, s.hand, s.rest = 0, 0, use{}
}

// find returns a principal's entry, nil if there is none.
func (s *meterShard) find(p Principal) *meterEntry {
	if i, ok := s.slots[p]; ok {
		return &s.entries[i]
	}
	return nil
}

// full reports whether every place is taken by one that is not to be forgotten.
func (s *meterShard) full() bool { return len(s.entries) == shardEntries && s.light == 0 }

// place returns a principal's entry, made if need be; nil if it is not there and
// the shard is full.
func (s *meterShard) place(p Principal) *meterEntry {
	if e := s.find(p); e != nil {
		return e
	}
	if s.full() {
		return nil
	}
	if len(s.entries) < shardEntries {
		s.slots[p] = uint32(len(s.entries))
		s.entries = append(s.entries, meterEntry{who: p})
		s.light++
		return &s.entries[len(s.entries)-1]
	}
	for s.entries[s.hand].total() > lightUse {
		s.hand = (s.hand + 1) % len(s.entries)
	}
	e := &s.entries[s.hand]
	delete(s.slots, e.who)
	s.slots[p] = uint32(s.hand)
	*e = meterEntry{who: p, waiting: e.waiting}
	s.hand = (s.hand + 1) % len(s.entries)
	return e
}

// change changes an entry and keeps the count of those that may be forgotten.
func (s *meterShard) change(e *meterEntry, f func(*meterEntry)) {
	before := e.total() <= lightUse
	f(e)
	switch after := e.total() <= lightUse; {
	case before && !after:
		s.light--
	case after && !before:
		s.light++
	}
}

// changeOwn changes what this node counted and sees to it that it is told.
func (s *meterShard) changeOwn(e *meterEntry, f func(*use)) {
	s.change(e, func(e *meterEntry) { f(&e.own) })
	if !e.waiting {
		e.waiting = true
		s.changed = append(s.changed, s.slots[e.who])
	}
}

// quota is what the principal of an entry, or one without, has left.
func (s *meterShard) quota(e *meterEntry, limit uint64) Quota {
	used := uint64(0)
	switch {
	case e != nil:
		used = e.total()
	case s.full():
		used = s.rest.total()
	}
	return Quota{Limit: limit, Remaining: limit - min(used, limit), Reset: (s.window + 1) * windowSeconds}
}

// Charge takes units from what a principal may use in the window of a time. If
// they are more than remain, nothing is charged and ok is false.
func (m *Meter) Charge(p Principal, units, limit uint64, now time.Time) (q Quota, ok bool) {
	s := m.lockAt(p, now)
	defer s.mu.Unlock()
	e := s.find(p)
	q = s.quota(e, limit)
	if units > q.Remaining {
		return q, false
	}
	if e == nil {
		e = s.place(p)
	}
	s.charge(e, units)
	q.Remaining -= units
	return q, true
}

// charge adds units to an entry, to the common account if there is none.
func (s *meterShard) charge(e *meterEntry, units uint64) {
	if e == nil {
		s.rest.charge(units)
		return
	}
	s.changeOwn(e, func(u *use) { u.charge(units) })
}

// Quota is what a principal may still use in the window of a time.
func (m *Meter) Quota(p Principal, limit uint64, now time.Time) Quota {
	s := m.lockAt(p, now)
	defer s.mu.Unlock()
	return s.quota(s.find(p), limit)
}

// Refund takes back units that this node charged at a time. Nothing is given
// back of a window that is over, nor more than this node charged in this one.
func (m *Meter) Refund(p Principal, units uint64, chargedAt time.Time) {
	s := m.lock(p)
	defer s.mu.Unlock()
	switch e := s.find(p); {
	case windowOf(chargedAt) != s.window:
	case e != nil:
		s.changeOwn(e, func(u *use) { u.refund(units) })
	default:
		s.rest.refund(units)
	}
}

// Move takes back units that this node charged at a time and charges them to
// another principal, also if it has fewer left: the request has been served.
func (m *Meter) Move(from, to Principal, units uint64, chargedAt time.Time) {
	m.Refund(from, units, chargedAt)
	s := m.lock(to)
	defer s.mu.Unlock()
	if windowOf(chargedAt) == s.window {
		s.charge(s.place(to), units)
	}
}

// Changes is the next message of what changed on this node since it was last
// told, at most limit bytes; nil if nothing did.
func (m *Meter) Changes(now time.Time, limit int) []byte {
	m.tellMu.Lock()
	defer m.tellMu.Unlock()
	window := windowOf(now)
	message := appendMeterHead(nil, window, m.origin)
	head := len(message)
	for range m.shards {
		s := &m.shards[m.next]
		var full bool
		if message, full = s.appendChanges(message, window, limit); full {
			break
		}
		m.next = (m.next + 1) % meterShards
	}
	if len(message) == head {
		return nil
	}
	return message
}

// appendChanges adds what a shard has to tell of a window, and forgets it; full
// if there is more than fits.
func (s *meterShard) appendChanges(message []byte, window uint64, limit int) (longer []byte, full bool) {
	const most = maxPrincipal + 2 + 2*binary.MaxVarintLen64
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.window != window {
		return message, false
	}
	for len(s.changed) > 0 {
		if len(message)+most > limit {
			return message, true
		}
		last := len(s.changed) - 1
		e := &s.entries[s.changed[last]]
		s.changed, e.waiting = s.changed[:last], false
		if e.own.charged > 0 { // not so if the place was given to one of whom others told
			message = appendUse(binary.AppendUvarint(e.who.append(message), 1), 0, e.own)
		}
	}
	return message, false
}

// A message: its form, the window, the number of origins, each 8 bytes; then
// entries up to the end: the principal, how many origins tell of it, and for
// each its place in the list and its two sums.
func appendMeterHead(b []byte, window uint64, origins ...uint64) []byte {
	b = binary.AppendUvarint(append(b, meterForm), window)
	b = binary.AppendUvarint(b, uint64(len(origins)))
	for _, o := range origins {
		b = binary.BigEndian.AppendUint64(b, o)
	}
	return b
}

func appendUse(b []byte, origin int, u use) []byte {
	b = binary.AppendUvarint(b, uint64(origin))
	b = binary.AppendUvarint(b, u.charged)
	return binary.AppendUvarint(b, u.refunded)
}

// State is a message of all usage that this node knows of in the window of a
// time; of the heaviest users only, if limit bytes do not hold all.
func (m *Meter) State(now time.Time, limit int) []byte {
	window := windowOf(now)
	var told []line
	for i := range m.shards {
		s := &m.shards[i]
		s.mu.Lock()
		for j := range s.entries {
			e := &s.entries[j]
			n := len(e.told)
			if e.own.charged > 0 {
				n++
			}
			if s.window != window || n == 0 {
				continue
			}
			text := binary.AppendUvarint(e.who.append(nil), uint64(n))
			if e.own.charged > 0 {
				text = appendUse(text, 0, e.own)
			}
			for _, t := range e.told {
				text = appendUse(text, t.origin+1, t.use)
			}
			told = append(told, line{e.total(), text})
		}
		s.mu.Unlock()
	}
	// The list only grows in a window: taken last, it has all who told.
	origins := append([]uint64{m.origin}, m.originsOf(window)...)
	return appendLines(appendMeterHead(nil, window, origins...), told, limit)
}

// originsOf lists who told of usage in a window.
func (m *Meter) originsOf(window uint64) []uint64 {
	m.originMu.Lock()
	defer m.originMu.Unlock()
	if m.originWindow != window {
		return nil
	}
	return slices.Clone(m.origins)
}

// number returns the numbers of origins in a window: -1 of this meter itself,
// and of those for whom there is no room.
func (m *Meter) number(window uint64, origins []uint64) []int {
	m.originMu.Lock()
	defer m.originMu.Unlock()
	if window != m.originWindow && !stale(window, m.originWindow) {
		m.originWindow, m.origins = window, nil
	}
	numbers := make([]int, len(origins))
	for i, o := range origins {
		n := slices.Index(m.origins, o)
		switch {
		case o == m.origin || n < 0 && (len(m.origins) == maxOrigins || window != m.originWindow):
			n = -1
		case n < 0:
			n = len(m.origins)
			m.origins = append(m.origins, o)
		}
		numbers[i] = n
	}
	return numbers
}

// Merge takes in what another node tells. Of a window just over or about to
// begin nothing is taken in, nor of more than 256 starts of nodes in one window.
// The error says that a message is not well-formed or of another hour; what
// comes before the fault is taken in.
func (m *Meter) Merge(now time.Time, message []byte) error {
	r := begin(message, meterForm)
	window := r.uvarint(1 << 40)
	origins := make([]uint64, r.uvarint(maxOrigins+1))
	for i := range origins {
		origins[i] = r.uint64()
	}
	if r.err != nil {
		return fmt.Errorf("usage of another node: %w", r.err)
	}
	if current := windowOf(now); window != current {
		if window+1 == current || current+1 == window {
			return nil
		}
		return fmt.Errorf("usage of another node is of the window %d, this one's is %d: set the clocks", window, current)
	}
	numbers := m.number(window, origins)
	for r.more() {
		m.mergeEntry(r, now, numbers)
	}
	if r.err != nil {
		return fmt.Errorf("usage of another node: %w", r.err)
	}
	return nil
}

func (m *Meter) mergeEntry(r *reader, now time.Time, numbers []int) {
	p := r.principal()
	list := make([]told, r.uvarint(uint64(len(numbers))))
	sum := uint64(0)
	for i := range list {
		n := r.uvarint(uint64(max(len(numbers)-1, 0)))
		charged := r.uvarint(maxUse)
		list[i].use = use{charged, r.uvarint(charged)}
		if r.err != nil {
			return
		}
		list[i].origin = numbers[n]
		sum += list[i].use.total()
	}
	if r.err != nil {
		return
	}
	s := m.lockAt(p, now)
	defer s.mu.Unlock()
	if s.window != windowOf(now) {
		return
	}
	e := s.find(p)
	if e == nil && (len(s.entries) < shardEntries || sum > lightUse) {
		e = s.place(p)
	}
	if e != nil {
		s.change(e, func(e *meterEntry) { e.merge(list) })
	}
}

// merge takes in the sums that are larger than the known ones.
func (e *meterEntry) merge(list []told) {
	for _, t := range list {
		if t.origin < 0 {
			continue
		}
		i := slices.IndexFunc(e.told, func(known told) bool { return known.origin == t.origin })
		if i < 0 {
			i = len(e.told)
			e.told = append(e.told, told{origin: t.origin})
		}
		known := &e.told[i].use
		e.others -= known.total()
		known.charged, known.refunded = max(known.charged, t.use.charged), max(known.refunded, t.use.refunded)
		e.others += known.total()
	}
}
