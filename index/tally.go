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
	values, err := v.pairs(key(spaceValue, q))
	if err != nil {
		return nil, err
	}
	buckets, err := v.pairs(key(spaceBucket, q))
	if err != nil {
		return nil, err
	}
	if len(values) != len(buckets) {
		return nil, v.db.explain(fmt.Errorf("%w: %d values and %d buckets for one question", ErrCorrupt, len(values), len(buckets)))
	}
	for i := range buckets {
		if !bytes.Equal(values[i].suffix, buckets[i].suffix) {
			return nil, v.db.explain(fmt.Errorf("%w: a bucket without its value", ErrCorrupt))
		}
		object, err := assertion.DecodeObject(values[i].value)
		if err != nil {
			return nil, v.db.explain(fmt.Errorf("%w: %w", ErrCorrupt, err))
		}
		b, err := decodeBucket(buckets[i].value)
		if err != nil {
			return nil, v.db.explain(err)
		}
		if err := v.takeRetracted(q, buckets[i].suffix, b, gone); err != nil {
			return nil, err
		}
		if b.empty() {
			continue
		}
		support, err := v.support(q, buckets[i].suffix, b, at, gone)
		if err != nil {
			return nil, err
		}
		support.Object = object
		tally.Values = append(tally.Values, support)
	}
	slices.SortFunc(tally.Values, func(a, b assertion.ValueTally) int {
		return bytes.Compare(a.Object.Canonical(), b.Object.Canonical())
	})
	return tally, nil
}

type pair struct{ suffix, value []byte }

func (v *View) pairs(prefix []byte) (pairs []pair, err error) {
	it, err := v.snapshot.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: upperBound(prefix)})
	if err != nil {
		return nil, v.db.explain(err)
	}
	for ok := it.First(); ok; ok = it.Next() {
		pairs = append(pairs, pair{bytes.Clone(it.Key()[len(prefix):]), bytes.Clone(it.Value())})
	}
	return pairs, v.db.explain(errors.Join(it.Error(), it.Close()))
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
