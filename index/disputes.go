package index

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/stemedb/stemedb/assertion"
)

// dispute is a question's place among the contested ones: how many values it
// has, the conflict score under which it is filed, and how often its support
// changed since that score was taken. The place is a hint that each node keeps
// for itself: support decays at every moment, and the score is that of the
// last change that was looked at. Who reads the list computes the score anew.
type dispute struct {
	values, changes uint64
	filed           uint16 // the score × 65535, rounded; 0 is not filed
	added           int64  // values that the batch adds or, below 0, removes
	touched         []*bucket
}

// recountPart bounds the work of keeping scores: one is taken anew when the
// support has changed in as many values as this part of the question's.
const recountPart = 2

func (d *dispute) encode() []byte {
	b := binary.AppendUvarint(make([]byte, 0, 8), d.values)
	b = binary.AppendUvarint(b, d.changes)
	return binary.BigEndian.AppendUint16(b, d.filed)
}

func decodeDispute(b []byte) (*dispute, error) {
	d := new(dispute)
	var n, m int
	if d.values, n = binary.Uvarint(b); n > 0 {
		d.changes, m = binary.Uvarint(b[n:])
	}
	if n <= 0 || m <= 0 || len(b) != n+m+2 {
		return nil, fmt.Errorf("%w: a contested question's place has no known form", ErrCorrupt)
	}
	d.filed = binary.BigEndian.Uint16(b[n+m:])
	return d, nil
}

func contestedKey(filed uint16, q []byte) []byte {
	return key(spaceContested, binary.BigEndian.AppendUint16(nil, ^filed), q)
}

// noteDispute counts one touched bucket of a question.
func (b *Batch) noteDispute(q []byte, bucket *bucket) error {
	d := b.disputes[string(q)]
	if d == nil {
		raw, err := b.db.get(b.db.db, key(spaceDispute, q))
		switch {
		case errors.Is(err, pebble.ErrNotFound):
			d = new(dispute)
		case err != nil:
			return err
		default:
			if d, err = decodeDispute(raw); err != nil {
				return b.db.explain(err)
			}
		}
		b.disputes[string(q)] = d
	}
	d.changes++
	d.touched = append(d.touched, bucket)
	switch empty := bucket.empty(); {
	case bucket.fresh && !empty:
		d.added++
	case !bucket.fresh && empty:
		d.added--
	}
	return nil
}

// writeDisputes files the questions whose support the batch has changed.
func (b *Batch) writeDisputes() error {
	for q, d := range b.disputes {
		was := *d
		d.values = uint64(int64(d.values) + d.added)
		if d.values < 2 || d.values != was.values && was.values < 2 || d.changes*recountPart >= d.values {
			d.changes, d.filed = 0, 0
			if d.values >= 2 {
				score, err := b.conflict([]byte(q), d.touched)
				if err != nil {
					return err
				}
				// Never 0: decay alone may make a contested question of any that has
				// several values.
				d.filed = max(1, uint16(math.Round(score*math.MaxUint16)))
			}
		}
		if d.filed != was.filed {
			if was.filed > 0 {
				if err := b.blind.Delete(contestedKey(was.filed, []byte(q)), nil); err != nil {
					return err
				}
			}
			if d.filed > 0 {
				if err := b.blind.Set(contestedKey(d.filed, []byte(q)), nil, nil); err != nil {
					return err
				}
			}
		}
		k := key(spaceDispute, []byte(q))
		var err error
		if d.values == 0 {
			err = b.blind.Delete(k, nil)
		} else {
			err = b.blind.Set(k, d.encode(), nil)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// conflict is the conflict score of a question as the batch leaves it.
func (b *Batch) conflict(q []byte, touched []*bucket) (score float64, err error) {
	at := b.head.applied.CommittedAt
	values, err := b.db.values(b.db.db, q)
	if err != nil {
		return 0, err
	}
	values = slices.DeleteFunc(values, func(v valueOf) bool { return b.buckets[string(key(spaceBucket, q, v.key))] != nil })
	var supports []float64
	err = b.db.eachBucket(b.db.db, q, values, func(_ *valueOf, held *bucket) error {
		supports = append(supports, held.support(at))
		return nil
	})
	if err != nil {
		return 0, err
	}
	for _, bucket := range touched {
		if !bucket.empty() {
			supports = append(supports, bucket.support(at))
		}
	}
	return assertion.ConflictScore(supports), nil
}

// Contested returns up to limit questions that have several values, the most
// contested first as far as is known from the last changes, and the cursor of
// the next page, "" at the end.
func (v *View) Contested(cursor string, limit int) (questions []assertion.Question, next string, err error) {
	prefix := []byte{spaceContested}
	after, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || len(after) > 0 && !bytes.HasPrefix(after, prefix) {
		return nil, "", ErrBadCursor
	}
	it, err := v.snapshot.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: upperBound(prefix)})
	if err != nil {
		return nil, "", v.db.explain(err)
	}
	defer func() { err = errors.Join(err, v.db.explain(errors.Join(it.Error(), it.Close()))) }()
	ok := it.First()
	if len(after) > 0 {
		ok = it.SeekGE(append(after, 0))
	}
	var last []byte
	for ; ok; ok = it.Next() {
		if len(questions) == limit {
			return questions, base64.RawURLEncoding.EncodeToString(last), nil
		}
		parts := bytes.SplitN(it.Key()[min(3, len(it.Key())):], zero, 3)
		if len(parts) != 3 {
			return nil, "", v.db.explain(fmt.Errorf("%w: key %x", ErrCorrupt, it.Key()))
		}
		questions = append(questions, assertion.Question{Subject: string(parts[0]), Predicate: string(parts[1])})
		last = append(last[:0], it.Key()...)
	}
	return questions, "", nil
}
