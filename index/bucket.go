package index

import (
	"encoding/binary"
	"fmt"

	"github.com/stemedb/stemedb/assertion"
)

// bucket is the support of one value of one question, by tier.
type bucket struct {
	tiers [assertion.NumTiers]tierBucket
	// fresh says that the bucket was not in the index when the batch began.
	fresh bool
}

// support is the sum over the tiers of effective confidence × weight at a
// time, with claims later than it taken as made then.
func (b *bucket) support(at uint64) (support float64) {
	for _, class := range assertion.SourceClasses() {
		if t := &b.tiers[class]; t.voices > 0 {
			support += t.sum.at(class, max(at, t.newest)) * class.Weight()
		}
	}
	return support
}

type tierBucket struct {
	voices uint64
	newest uint64 // timestamp of the newest claim, meaningless without voices
	sum    sum
}

func (b *bucket) empty() bool {
	for i := range b.tiers {
		if b.tiers[i].voices > 0 {
			return false
		}
	}
	return true
}

// encode writes a tier mask, then per tier with voices: voices, newest, shift,
// length of the magnitude, magnitude.
func (b *bucket) encode() []byte {
	out := make([]byte, 1, 64)
	for i := range b.tiers {
		t := &b.tiers[i]
		if t.voices == 0 {
			continue
		}
		out[0] |= 1 << i
		out = binary.AppendUvarint(out, t.voices)
		out = binary.AppendUvarint(out, t.newest)
		out = binary.AppendVarint(out, int64(t.sum.shift))
		length := (t.sum.magnitude.BitLen() + 7) / 8
		out = binary.AppendUvarint(out, uint64(length))
		out = append(out, make([]byte, length)...)
		t.sum.magnitude.FillBytes(out[len(out)-length:])
	}
	return out
}

func decodeBucket(b []byte) (*bucket, error) {
	bad := func() (*bucket, error) {
		return nil, fmt.Errorf("%w: a bucket of %d bytes has no known form", ErrCorrupt, len(b))
	}
	if len(b) == 0 || b[0] >= 1<<assertion.NumTiers {
		return bad()
	}
	out := new(bucket)
	rest := b[1:]
	uvarint := func() (uint64, bool) {
		v, n := binary.Uvarint(rest)
		if n <= 0 {
			return 0, false
		}
		rest = rest[n:]
		return v, true
	}
	for i := range out.tiers {
		if b[0]&(1<<i) == 0 {
			continue
		}
		t := &out.tiers[i]
		var ok bool
		if t.voices, ok = uvarint(); !ok {
			return bad()
		}
		if t.newest, ok = uvarint(); !ok {
			return bad()
		}
		shift, n := binary.Varint(rest)
		if n <= 0 {
			return bad()
		}
		rest = rest[n:]
		t.sum.shift = int32(shift)
		length, ok := uvarint()
		if !ok || length > uint64(len(rest)) {
			return bad()
		}
		t.sum.magnitude.SetBytes(rest[:length])
		rest = rest[length:]
	}
	if len(rest) != 0 {
		return bad()
	}
	return out, nil
}
