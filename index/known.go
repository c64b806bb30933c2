package index

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/stemedb/stemedb/assertion"
)

// boundary is the sequence of the first claim that was committed after a time.
type boundary struct {
	at    uint64
	first seq
}

// knewClaim reports, from its sequence alone, whether a claim had been
// committed.
func (v *View) knewClaim(s seq) (bool, error) {
	if v.known == nil {
		return true, nil
	}
	if v.unknown == nil || v.unknown.at != *v.known {
		first, err := v.firstUnknown(*v.known)
		if err != nil {
			return false, v.db.explain(err)
		}
		v.unknown = &boundary{*v.known, first}
	}
	return bytes.Compare(s[:], v.unknown.first[:]) < 0, nil
}

// firstUnknown is the sequence of the first claim that was committed after a
// time, or one past every claim. Since committed_at never decreases in log
// order, it is found by bisection.
func (v *View) firstUnknown(at uint64) (first seq, err error) {
	it, err := v.snapshot.NewIter(&pebble.IterOptions{LowerBound: []byte{spaceClaim}, UpperBound: []byte{spaceClaim + 1}})
	if err != nil {
		return first, err
	}
	defer func() { err = errors.Join(err, it.Error(), it.Close()) }()
	first = pastEveryClaim()
	// The first unknown claim is the first at or behind some index in [low, high].
	low, high := uint64(0), v.head.applied.Index+1
	for low < high {
		middle := low + (high-low)/2
		if !it.SeekGE(claimKey(newSeq(assertion.Position{Index: middle}))) {
			if err := it.Error(); err != nil {
				return first, err
			}
			high = middle
			continue
		}
		s, committed, err := committedAt(it)
		if err != nil {
			return first, err
		}
		if committed > at {
			first, high = s, middle
		} else {
			low = s.position().Index + 1 // an entry's claims are committed together
		}
	}
	return first, nil
}

func pastEveryClaim() (s seq) {
	for i := range s {
		s[i] = 0xff
	}
	return s
}

// committedAt reads the sequence and the commit time of the claim that an
// iterator of spaceClaim stands at.
func committedAt(it *pebble.Iterator) (s seq, at uint64, err error) {
	k, raw := it.Key(), it.Value()
	if len(k) != 1+seqLen || len(raw) < storedHead || raw[0] != storedVersion {
		return s, 0, fmt.Errorf("%w: stored claim %x has no known form", ErrCorrupt, k)
	}
	return seq(k[1:]), binary.BigEndian.Uint64(raw[3:]), nil
}
