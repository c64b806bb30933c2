package index

import (
	"encoding/binary"
	"fmt"

	"github.com/stemedb/stemedb/assertion"
)

// storedVersion begins every stored claim.
const storedVersion = 1

// storedClaim is a claim with its sequence, as spaceClaim keeps it: version,
// stage, committed_at of the claim, number of signatures, per signature its
// sequence and committed_at, then the assertion's record.
type storedClaim struct {
	claim assertion.Claim
	seq   seq
}

func (s *storedClaim) order() order { return newOrder(s.claim.Timestamp, s.seq) }

func (s *storedClaim) encode() ([]byte, error) {
	record, err := s.claim.Assertion.MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("encode claim %s: %w", s.claim.Hash, err)
	}
	b := make([]byte, 0, 11+18*len(s.claim.SignatureCommits)+len(record))
	b = append(b, storedVersion, byte(s.claim.Stage))
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
	if len(b) < 11 || b[0] != storedVersion {
		return nil, fmt.Errorf("%w: stored claim %x has no known form", ErrCorrupt, q)
	}
	s := &storedClaim{seq: q}
	s.claim.Stage = assertion.Lifecycle(b[1])
	s.claim.Commit = assertion.Commit{Position: q.position(), At: binary.BigEndian.Uint64(b[2:])}
	n := int(b[10])
	b = b[11:]
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
