package index

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/stemedb/stemedb/assertion"
)

// Tally returns the support of every value of a question at a time, from the
// aggregates: its cost grows with the distinct values and tiers, not with the
// claims. It covers the visible claims without any filter and equals
// assertion.NewTally over them within 1e-9.
//
// Voices on retracted sources are taken out as they are read, so that a
// retraction costs nothing when it is made, however many claims it touches.
func (v *View) Tally(subject, predicate string, at uint64) (*assertion.Tally, error) {
	if v.known != nil {
		return nil, errors.New("aggregates are those of the newest state: scan for an earlier one")
	}
	tally := &assertion.Tally{Subject: subject, Predicate: predicate, At: at}
	q := question(subject, predicate)
	gone, err := v.retractedVoices(q)
	if err != nil {
		return nil, err
	}
	values, err := v.db.values(v.snapshot, q)
	if err != nil {
		return nil, err
	}
	err = v.db.eachBucket(v.snapshot, q, values, func(value *valueOf, b *bucket) error {
		object, err := assertion.DecodeObject(value.object)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
		if err := v.takeRetracted(q, value.key, b, gone); err != nil || b.empty() {
			return err
		}
		support, err := v.support(q, value.key, b, at, gone)
		if err != nil {
			return err
		}
		support.Object = object
		tally.Values = append(tally.Values, support)
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(tally.Values, func(a, b assertion.ValueTally) int {
		return bytes.Compare(a.Object.Canonical(), b.Object.Canonical())
	})
	return tally, nil
}

// valueOf is a value of a question: the key of the object, and its canonical form.
type valueOf struct{ key, object []byte }

// values are those of a question, in the order of their keys.
func (d *DB) values(r pebble.Reader, q []byte) (values []valueOf, err error) {
	prefix := key(spaceValue, q)
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: upperBound(prefix)})
	if err != nil {
		return nil, d.explain(err)
	}
	for ok := it.First(); ok; ok = it.Next() {
		values = append(values, valueOf{bytes.Clone(it.Key()[len(prefix):]), bytes.Clone(it.Value())})
	}
	return values, d.explain(errors.Join(it.Error(), it.Close()))
}

// eachBucket reads the buckets of some values of a question, given in the order of
// their keys. It seeks each one: a bucket that claims keep changing has many
// versions in memory, and an iterator that goes from one bucket to the next goes
// past all of them.
func (d *DB) eachBucket(r pebble.Reader, q []byte, values []valueOf, each func(*valueOf, *bucket) error) (err error) {
	if len(values) == 0 {
		return nil
	}
	prefix := key(spaceBucket, q)
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: upperBound(prefix)})
	if err != nil {
		return d.explain(err)
	}
	defer func() { err = d.explain(errors.Join(err, it.Error(), it.Close())) }()
	at := slices.Clone(prefix)
	for i := range values {
		at = append(at[:len(prefix)], values[i].key...)
		if !it.SeekGE(at) || !bytes.Equal(it.Key(), at) {
			return errors.Join(it.Error(), fmt.Errorf("%w: value %x of a question has no bucket", ErrCorrupt, values[i].key))
		}
		b, err := decodeBucket(it.Value())
		if err != nil {
			return err
		}
		if err := each(&values[i], b); err != nil {
			return err
		}
	}
	return nil
}

// support evaluates a bucket at a time. Claims later than that time have not
// aged: their exact contributions are taken out and their plain confidence
// counts instead.
func (v *View) support(q, value []byte, b *bucket, at uint64, gone *retraction) (out assertion.ValueTally, err error) {
	for _, class := range assertion.SourceClasses() {
		t := &b.tiers[class]
		if t.voices == 0 {
			continue
		}
		young := 0.0
		if t.newest > at && class.HalfLifeSeconds() > 0 {
			if young, err = v.takeYoung(q, value, class, &t.sum, at, gone); err != nil {
				return out, err
			}
		}
		out.Tiers[class] = assertion.TierTally{Voices: t.voices, Confidence: t.sum.at(class, at) + young, Newest: t.newest}
	}
	return out, nil
}

// takeYoung removes the members later than at from a sum and returns the sum
// of their confidences.
func (v *View) takeYoung(q, value []byte, class assertion.SourceClass, s *sum, at uint64, gone *retraction) (confidence float64, err error) {
	prefix := key(spaceMember, q, value, []byte{byte(class)})
	it, err := v.snapshot.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: upperBound(prefix)})
	if err != nil {
		return 0, v.db.explain(err)
	}
	defer func() { err = v.db.explain(errors.Join(err, it.Error(), it.Close())) }()
	for ok := it.First(); ok; ok = it.Next() {
		k := it.Key()
		if len(k) < len(prefix)+orderLen {
			return 0, fmt.Errorf("%w: member key %x", ErrCorrupt, k)
		}
		o := order(k[len(prefix) : len(prefix)+orderLen])
		if o.timestamp() <= at {
			break
		}
		if gone.has(k) {
			continue
		}
		part, err := decodeContribution(it.Value())
		if err != nil {
			return 0, err
		}
		if err := s.remove(part); err != nil {
			return 0, err
		}
		var alone sum
		alone.add(part)
		confidence += alone.at(class, o.timestamp())
	}
	return confidence, nil
}
