package auth

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"time"
)

// Changes is the next message of what changed on this node since it was last
// told, at most limit bytes; nil if nothing did.
func (b *Breakers) Changes(now time.Time, limit int) []byte {
	b.tellMu.Lock()
	defer b.tellMu.Unlock()
	message := []byte{breakerForm}
	for range b.shards {
		var full bool
		if message, full = b.appendChanges(&b.shards[b.next], message, now.UnixNano(), limit); full {
			break
		}
		b.next = (b.next + 1) % breakerShards
	}
	if len(message) == 1 {
		return nil
	}
	return message
}

// appendChanges adds what a shard has to tell, and forgets what no longer
// matters; full if there is more than fits.
func (b *Breakers) appendChanges(s *breakerShard, message []byte, now int64, limit int) (longer []byte, full bool) {
	s.mu.RLock()
	idle := len(s.records) == 0
	s.mu.RUnlock()
	if idle {
		return message, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for p := range s.changed {
		before := len(message)
		if message = s.records[p].append(message, p); len(message) > limit {
			return message[:before], true
		}
		delete(s.changed, p)
	}
	for p, r := range s.records {
		if r.over(now) {
			b.forget(s, p)
		}
	}
	return message, false
}

// A message: its form, then records up to the end: the principal, when its
// breaker was last closed (8 bytes), the number of failures (1 byte), and of
// each its time and origin (8 bytes each) and its reason, plus 128 if it was
// seen when the breaker was half-open.
func (r *record) append(b []byte, p Principal) []byte {
	b = binary.BigEndian.AppendUint64(p.append(b), uint64(r.closedAt))
	b = append(b, byte(len(r.failures)))
	for _, f := range r.failures {
		b = binary.BigEndian.AppendUint64(b, uint64(f.at))
		b = binary.BigEndian.AppendUint64(b, f.origin)
		reason := byte(f.reason)
		if f.trial {
			reason |= trialBit
		}
		b = append(b, reason)
	}
	return b
}

const trialBit = 0x80

// State is a message of everything that this node knows; of the newest events,
// if limit bytes do not hold all.
func (b *Breakers) State(now time.Time, limit int) []byte {
	var told []line
	for i := range b.shards {
		s := &b.shards[i]
		s.mu.RLock()
		for p, r := range s.records {
			if !r.over(now.UnixNano()) {
				told = append(told, line{uint64(r.newest()), r.append(nil, p)})
			}
		}
		s.mu.RUnlock()
	}
	return appendLines([]byte{breakerForm}, told, limit)
}

// Merge takes in what another node tells. The error says that a message is not
// well-formed, what comes before the fault is taken in; or that it tells of
// times more than a minute ahead, all others are taken in.
func (b *Breakers) Merge(now time.Time, message []byte) error {
	var ahead error
	r := begin(message, breakerForm)
	for r.more() {
		switch p, told := r.record(); {
		case r.err != nil:
		case told.newest() > now.Add(maxAhead).UnixNano():
			ahead = errAhead
		default:
			b.mergeRecord(p, told, now.UnixNano())
		}
	}
	if err := cmp.Or(r.err, ahead); err != nil {
		return fmt.Errorf("failures from another node: %w", err)
	}
	return nil
}

func (b *Breakers) mergeRecord(p Principal, told record, now int64) {
	if told.over(now) {
		return
	}
	s := b.shard(p)
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := b.remember(s, p, now); r != nil {
		r.merge(told.closedAt, told.failures)
	}
}

// record reads a record.
func (r *reader) record() (p Principal, told record) {
	p = r.principal()
	told.closedAt = r.time()
	told.failures = make([]failure, r.uvarint(maxFailures)) // one byte, as the number is small
	last := failure{at: told.closedAt, origin: ^uint64(0)}
	for i := range told.failures {
		f := failure{at: r.time(), origin: r.uint64()}
		reason := r.byte()
		f.reason, f.trial = Reason(reason&^trialBit), reason&trialBit != 0
		if r.err == nil && (f.compare(last) <= 0 || f.reason < InvalidSignature || f.reason > OverQuota) {
			r.fail(errShort)
		}
		told.failures[i], last = f, f
	}
	if r.err == nil && told.newest() == 0 {
		r.fail(errShort)
	}
	return p, told
}

// time reads unix nanoseconds.
func (r *reader) time() int64 {
	at := r.uint64()
	if at > math.MaxInt64 {
		r.fail(errShort)
	}
	return int64(at)
}
