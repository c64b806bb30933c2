package index

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/stemedb/stemedb/assertion"
)

// voice is who speaks on a question: a signer on a source.
type voice struct {
	question []byte
	source   assertion.Hash
	agent    assertion.AgentID
}

func voiceOf(c *assertion.Claim, agent assertion.AgentID) voice {
	return voice{question(c.Subject, c.Predicate), c.SourceHash, agent}
}

// key names the voice in a space. The source comes before the signer so that the
// voices of a retracted one are found together.
func (v *voice) key(space byte, more ...byte) []byte {
	return key(space, v.question, v.source[:], v.agent[:], more)
}

// current is what a voice's newest visible claim says: the value of spaceCurrent.
type current struct {
	order order
	value assertion.Hash // key of the object
	class assertion.SourceClass
	part  contribution
}

const currentLen = orderLen + len(assertion.Hash{}) + 1 + contributionLen

func currentOf(s *storedClaim) current {
	c := &s.claim
	return current{s.order(), c.Object.Key(), c.SourceClass, newContribution(c.SourceClass, c.Confidence, c.Timestamp)}
}

func (c *current) encode() []byte {
	b := make([]byte, 0, currentLen)
	b = append(append(append(b, c.order[:]...), c.value[:]...), byte(c.class))
	return c.part.append(b)
}

// decodeCurrent reads a voice's current claim. load serves values of layout 1,
// which hold the order alone.
func decodeCurrent(b []byte, load func(seq) (*storedClaim, error)) (c current, err error) {
	switch len(b) {
	case orderLen:
		s, err := load(order(b).seq())
		if err != nil {
			return c, err
		}
		return currentOf(s), nil
	case currentLen:
		c.order, b = order(b[:orderLen]), b[orderLen:]
		c.value, b = assertion.Hash(b[:len(c.value)]), b[len(c.value):]
		c.class = assertion.SourceClass(b[0])
		if c.part, err = decodeContribution(b[1:]); err == nil && c.class < assertion.NumTiers {
			return c, nil
		}
	}
	return c, fmt.Errorf("%w: a voice's current claim has no known form", ErrCorrupt)
}

// addVoice lets a visible claim speak for one of its signers: it becomes the
// voice's current claim if it is the newest.
func (b *Batch) addVoice(s *storedClaim, agent assertion.AgentID) error {
	o, v := s.order(), voiceOf(&s.claim, agent)
	was, found, err := b.current(&v)
	if err != nil {
		return err
	}
	if found {
		if string(was.order[:]) < string(o[:]) { // the voice has said something newer
			return b.recall.Set(v.key(spaceVoice, o[:]...), nil, nil)
		}
		if err := b.leaveBucket(&v, &was); err != nil {
			return err
		}
		if err := b.recall.Set(v.key(spaceVoice, was.order[:]...), nil, nil); err != nil {
			return err
		}
	}
	return b.speak(&v, s)
}

// removeVoice silences a claim for one of its signers. If it was the voice's
// current claim, the newest of the others takes its place.
func (b *Batch) removeVoice(s *storedClaim, agent assertion.AgentID) error {
	o, v := s.order(), voiceOf(&s.claim, agent)
	if err := b.recall.Delete(v.key(spaceVoice, o[:]...), nil); err != nil {
		return err
	}
	was, found, err := b.current(&v)
	if err != nil {
		return err
	}
	if !found || was.order != o {
		return nil
	}
	if err := b.leaveBucket(&v, &was); err != nil {
		return err
	}
	next, found, err := b.first(v.key(spaceVoice))
	if err != nil {
		return err
	}
	if !found {
		return b.recall.Delete(v.key(spaceCurrent), nil)
	}
	successor, err := b.load(next.seq())
	if err != nil {
		return err
	}
	return b.speak(&v, successor)
}

// speak makes a claim the voice's current one.
func (b *Batch) speak(v *voice, s *storedClaim) error {
	now := currentOf(s)
	if err := b.recall.Set(v.key(spaceCurrent), now.encode(), nil); err != nil {
		return err
	}
	return b.joinBucket(v, &now, &s.claim.Object)
}

func (b *Batch) current(v *voice) (c current, found bool, err error) {
	raw, err := b.seek(v.key(spaceCurrent))
	if errors.Is(err, pebble.ErrNotFound) {
		return c, false, nil
	}
	if err == nil {
		c, err = decodeCurrent(raw, b.load)
	}
	return c, true, b.db.explain(err)
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
func memberPrefix(question []byte, value assertion.Hash, class assertion.SourceClass) []byte {
	return key(spaceMember, question, value[:], []byte{byte(class)})
}

func memberKey(v *voice, c *current) []byte {
	return key(spaceMember, v.question, c.value[:], []byte{byte(c.class)}, c.order[:], v.agent[:], v.source[:])
}

// bucket returns the support of a value of a question; a new one if there is none
// and fresh, its object, is given.
func (b *Batch) bucket(question []byte, value assertion.Hash, fresh *assertion.ObjectValue) (*bucket, error) {
	k := key(spaceBucket, question, value[:])
	if known := b.buckets[string(k)]; known != nil {
		return known, nil
	}
	raw, err := b.db.get(b.recall, k)
	var read *bucket
	switch {
	case errors.Is(err, pebble.ErrNotFound) && fresh != nil:
		read = &bucket{fresh: true}
		if err := b.blind.Set(key(spaceValue, question, value[:]), fresh.Canonical(), nil); err != nil {
			return nil, err
		}
	case errors.Is(err, pebble.ErrNotFound):
		return nil, b.db.explain(fmt.Errorf("%w: a voice speaks for value %s, which has no bucket", ErrCorrupt, value))
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

func (b *Batch) joinBucket(v *voice, c *current, object *assertion.ObjectValue) error {
	bucket, err := b.bucket(v.question, c.value, object)
	if err != nil {
		return err
	}
	tier := &bucket.tiers[c.class]
	if at := c.order.timestamp(); tier.voices == 0 || at > tier.newest {
		tier.newest = at
	}
	tier.voices++
	tier.sum.add(c.part)
	return b.recall.Set(memberKey(v, c), c.part.append(nil), nil)
}

func (b *Batch) leaveBucket(v *voice, c *current) error {
	bucket, err := b.bucket(v.question, c.value, nil)
	if err != nil {
		return err
	}
	if err := b.recall.Delete(memberKey(v, c), nil); err != nil {
		return err
	}
	tier := &bucket.tiers[c.class]
	if tier.voices == 0 {
		return b.db.explain(fmt.Errorf("%w: a voice leaves an empty bucket of value %s", ErrCorrupt, c.value))
	}
	tier.voices--
	if err := tier.sum.remove(c.part); err != nil {
		return b.db.explain(err)
	}
	if tier.voices > 0 && tier.newest == c.order.timestamp() {
		newest, found, err := b.first(memberPrefix(v.question, c.value, c.class))
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
