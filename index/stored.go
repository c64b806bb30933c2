package index

import (
	"encoding/binary"
	"fmt"

	"github.com/stemedb/stemedb/assertion"
)

// storedVersion begins every stored claim.
const storedVersion = 1

// storedClaim is a claim with its sequence, as spaceClaim keeps it: version,
// stage, flags, committed_at of the claim, number of signatures, per signature
// its sequence and committed_at, then the assertion's record.
type storedClaim struct {
	claim assertion.Claim
	seq   seq
	// moved says that a transition named the claim once, so that its earlier
	// stages have to be looked up.
	moved bool
}

// The flags of a stored claim.
const (
	flagSuperseded = 1 << iota
	flagMoved
	flagsEnd
)

// storedHead is the length of a stored claim before its signatures' commits.
const storedHead = 12

func (s *storedClaim) flags() (f byte) {
	if s.claim.Superseded {
		f |= flagSuperseded
	}
	if s.moved {
		f |= flagMoved
	}
	return f
}

func (s *storedClaim) order() order { return newOrder(s.claim.Timestamp, s.seq) }

func (s *storedClaim) encode() ([]byte, error) {
	record, err := s.claim.Assertion.MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("encode claim %s: %w", s.claim.Hash, err)
	}
	b := make([]byte, 0, storedHead+18*len(s.claim.SignatureCommits)+len(record))
	b = append(b, storedVersion, byte(s.claim.Stage), s.flags())
	b = binary.BigEndian.AppendUint64(b, s.claim.Commit.At)
	b = append(b, byte(len(s.claim.SignatureCommits)))
	for _, c := range s.claim.SignatureCommits {
		q := newSeq(c.Position)
		b = append(b, q[:]...)
		b = binary.BigEndian.AppendUint64(b, c.At)
	}
	return append(b, record...), nil
}

func decodeStored(decoder *assertion.RecordDecoder, q seq, b []byte) (*storedClaim, error) {
	if len(b) < storedHead || b[0] != storedVersion || b[2] >= flagsEnd {
		return nil, fmt.Errorf("%w: stored claim %x has no known form", ErrCorrupt, q)
	}
	s := &storedClaim{seq: q, moved: b[2]&flagMoved != 0}
	s.claim.Stage = assertion.Lifecycle(b[1])
	s.claim.Superseded = b[2]&flagSuperseded != 0
	s.claim.Commit = assertion.Commit{Position: q.position(), At: binary.BigEndian.Uint64(b[3:])}
	n := int(b[11])
	b = b[storedHead:]
	if len(b) < 18*n {
		return nil, fmt.Errorf("%w: stored claim %x ends early", ErrCorrupt, q)
	}
	for range n {
		c := assertion.Commit{Position: seq(b[:seqLen]).position(), At: binary.BigEndian.Uint64(b[seqLen:])}
		s.claim.SignatureCommits = append(s.claim.SignatureCommits, c)
		b = b[18:]
	}
	a, h, err := decoder.Decode(b)
	if err != nil {
		return nil, fmt.Errorf("%w: stored claim %x: %w", ErrCorrupt, q, err)
	}
	if len(a.Signatures) != n {
		return nil, fmt.Errorf("%w: stored claim %x has %d signatures and %d commits", ErrCorrupt, q, len(a.Signatures), n)
	}
	s.claim.Assertion, s.claim.Hash = *a, h
	return s, nil
}
