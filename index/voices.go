package index

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/stemedb/stemedb/assertion"
)

// voiceKey names a voice on a question: the source and the signer. The source
// comes first so that the voices of a retracted one are found together.
func voiceKey(space byte, c *assertion.Claim, agent assertion.AgentID) []byte {
	return key(space, question(c.Subject, c.Predicate), c.SourceHash[:], agent[:])
}

// addVoice lets a visible claim speak for one of its signers: it becomes the
// voice's current claim if it is the newest.
func (b *Batch) addVoice(s *storedClaim, agent assertion.AgentID) error {
	o := s.order()
	if err := b.recall.Set(append(voiceKey(spaceVoice, &s.claim, agent), o[:]...), nil, nil); err != nil {
		return err
	}
	current, found, err := b.current(&s.claim, agent)
	if err != nil {
		return err
	}
	if found {
		if string(current[:]) < string(o[:]) {
			return nil // the voice has said something newer
		}
		replaced, err := b.load(current.seq())
		if err != nil {
			return err
		}
		if err := b.leaveBucket(replaced, agent); err != nil {
			return err
		}
	}
	if err := b.recall.Set(voiceKey(spaceCurrent, &s.claim, agent), o[:], nil); err != nil {
		return err
	}
	return b.joinBucket(s, agent)
}

// removeVoice silences a claim for one of its signers. If it was the voice's
// current claim, the newest of the others takes its place.
func (b *Batch) removeVoice(s *storedClaim, agent assertion.AgentID) error {
	o := s.order()
	prefix := voiceKey(spaceVoice, &s.claim, agent)
	if err := b.recall.Delete(append(prefix, o[:]...), nil); err != nil {
		return err
	}
	current, found, err := b.current(&s.claim, agent)
	if err != nil {
		return err
	}
	if !found || current != o {
		return nil
	}
	if err := b.leaveBucket(s, agent); err != nil {
		return err
	}
	next, found, err := b.first(prefix)
	if err != nil {
		return err
	}
	if !found {
		return b.recall.Delete(voiceKey(spaceCurrent, &s.claim, agent), nil)
	}
	if err := b.recall.Set(voiceKey(spaceCurrent, &s.claim, agent), next[:], nil); err != nil {
		return err
	}
	successor, err := b.load(next.seq())
	if err != nil {
		return err
	}
	return b.joinBucket(successor, agent)
}

func (b *Batch) current(c *assertion.Claim, agent assertion.AgentID) (o order, found bool, err error) {
	raw, err := b.db.get(b.recall, voiceKey(spaceCurrent, c, agent))
	if errors.Is(err, pebble.ErrNotFound) {
		return o, false, nil
	}
	if err != nil {
		return o, false, err
	}
	if len(raw) != orderLen {
		return o, false, b.db.explain(fmt.Errorf("%w: a voice's current claim has %d bytes", ErrCorrupt, len(raw)))
	}
	return order(raw), true, nil
}

// first returns the first order after a prefix.
func (b *Batch) first(prefix []byte) (o order, found bool, err error) {
	it, err := b.recall.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: upperBound(prefix)})
	if err != nil {
		return o, false, b.db.explain(err)
	}
	if it.First() {
		if k := it.Key(); len(k) >= len(prefix)+orderLen {
			o, found = order(k[len(prefix):len(prefix)+orderLen]), true
		}
	}
	return o, found, b.db.explain(errors.Join(it.Error(), it.Close()))
}

// memberPrefix is the key of a bucket's members of one tier, newest first.
func memberPrefix(c *assertion.Claim, value assertion.Hash, class assertion.SourceClass) []byte {
	return key(spaceMember, question(c.Subject, c.Predicate), value[:], []byte{byte(class)})
}

func (b *Batch) bucket(c *assertion.Claim, value assertion.Hash) (*bucket, error) {
	k := key(spaceBucket, question(c.Subject, c.Predicate), value[:])
	if known := b.buckets[string(k)]; known != nil {
		return known, nil
	}
	raw, err := b.db.get(b.recall, k)
	var read *bucket
	switch {
	case errors.Is(err, pebble.ErrNotFound):
		read = &bucket{fresh: true}
		object := c.Object.Canonical()
		if err := b.blind.Set(key(spaceValue, question(c.Subject, c.Predicate), value[:]), object, nil); err != nil {
			return nil, err
		}
	case err != nil:
		return nil, err
	default:
		if read, err = decodeBucket(raw); err != nil {
			return nil, b.db.explain(err)
		}
	}
	b.buckets[string(k)] = read
	return read, nil
}

// writeBucket stores a touched bucket, or removes it together with its value
// when its last voice is gone.
func (b *Batch) writeBucket(k []byte, bucket *bucket) error {
	if err := b.noteDispute(k[1:len(k)-len(assertion.Hash{})], bucket); err != nil {
		return err
	}
	if !bucket.empty() {
		return b.blind.Set(k, bucket.encode(), nil)
	}
	if err := b.blind.Delete(k, nil); err != nil {
		return err
	}
	k[0] = spaceValue
	return b.blind.Delete(k, nil)
}

func (b *Batch) joinBucket(s *storedClaim, agent assertion.AgentID) error {
	c := &s.claim
	value := c.Object.Key()
	bucket, err := b.bucket(c, value)
	if err != nil {
		return err
	}
	part := newContribution(c.SourceClass, c.Confidence, c.Timestamp)
	tier := &bucket.tiers[c.SourceClass]
	if tier.voices == 0 || c.Timestamp > tier.newest {
		tier.newest = c.Timestamp
	}
	tier.voices++
	tier.sum.add(part)
	o := s.order()
	k := append(memberPrefix(c, value, c.SourceClass), o[:]...)
	return b.recall.Set(append(append(k, agent[:]...), c.SourceHash[:]...), part.append(nil), nil)
}

func (b *Batch) leaveBucket(s *storedClaim, agent assertion.AgentID) error {
	c := &s.claim
	value := c.Object.Key()
	bucket, err := b.bucket(c, value)
	if err != nil {
		return err
	}
	prefix := memberPrefix(c, value, c.SourceClass)
	o := s.order()
	k := append(append(append(prefix[:len(prefix):len(prefix)], o[:]...), agent[:]...), c.SourceHash[:]...)
	raw, err := b.db.get(b.recall, k)
	if err != nil {
		return b.db.explain(fmt.Errorf("%w: a voice of claim %s is in no bucket (%w)", ErrCorrupt, c.Hash, err))
	}
	part, err := decodeContribution(raw)
	if err != nil {
		return b.db.explain(err)
	}
	if err := b.recall.Delete(k, nil); err != nil {
		return err
	}
	tier := &bucket.tiers[c.SourceClass]
	if tier.voices == 0 {
		return b.db.explain(fmt.Errorf("%w: a voice leaves an empty bucket of claim %s", ErrCorrupt, c.Hash))
	}
	tier.voices--
	if err := tier.sum.remove(part); err != nil {
		return b.db.explain(err)
	}
	if tier.voices > 0 && tier.newest == c.Timestamp {
		newest, found, err := b.first(prefix)
		if err != nil {
			return err
		}
		if !found {
			return b.db.explain(fmt.Errorf("%w: a bucket of %d voices has no member", ErrCorrupt, tier.voices))
		}
		tier.newest = newest.timestamp()
	}
	return nil
}
