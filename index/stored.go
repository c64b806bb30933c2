package index

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/stemedb/stemedb/assertion"
)

// storedVersion begins every stored claim.
const storedVersion = 1

// storedClaim is a claim with its sequence, as spaceClaim keeps it: version,
// stage, flags, committed_at of the claim, number of signatures, per signature
// its sequence and committed_at; the findings, the authority with its
// length in one byte, and releasedBy in one byte, if the flags say so; then the assertion's record.
type storedClaim struct {
	claim assertion.Claim
	seq   seq
	// moved says that a transition named the claim once, so that its earlier
	// stages have to be looked up.
	moved bool
	// releasedBy is the number of the signature, from 0, that ended the quarantine;
	// 0, which is that of the first signer, if none did.
	releasedBy int
}

// The flags of a stored claim.
const (
	flagSuperseded = 1 << iota
	flagMoved
	flagFindings
	flagAuthority
	flagReview   // and the bit above it: the state of the review
	flagRuled    = flagReview << 2
	flagReleased = flagRuled << 1
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
	if len(s.claim.Findings) > 0 {
		f |= flagFindings
	}
	if s.claim.Authority != "" {
		f |= flagAuthority
	}
	if s.claim.Ruled {
		f |= flagRuled
	}
	if s.releasedBy > 0 {
		f |= flagReleased
	}
	return f | byte(s.claim.Review)*flagReview
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
	if len(s.claim.Findings) > 0 {
		b = assertion.AppendFindings(b, s.claim.Findings)
	}
	if s.claim.Authority != "" {
		b = append(append(b, byte(len(s.claim.Authority))), s.claim.Authority...)
	}
	if s.releasedBy > 0 {
		b = append(b, byte(s.releasedBy))
	}
	return append(b, record...), nil
}

// place reads the value of a claim's hash.
func (d *DB) place(h assertion.Hash, raw []byte) (at seq, err error) {
	if len(raw) != seqLen {
		return at, d.explain(fmt.Errorf("%w: claim %s has a sequence of %d bytes", ErrCorrupt, h, len(raw)))
	}
	return seq(raw), nil
}

// load reads a stored claim that must exist.
func (d *DB) load(r pebble.Reader, s seq) (*storedClaim, error) {
	raw, closer, err := r.Get(claimKey(s))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, d.explain(fmt.Errorf("%w: claim %x is missing", ErrCorrupt, s))
	}
	if err != nil {
		return nil, d.explain(err)
	}
	defer closer.Close()
	stored, err := decodeStored(s, raw)
	return stored, d.explain(err)
}

func decodeStored(q seq, b []byte) (*storedClaim, error) {
	if len(b) < storedHead || b[0] != storedVersion {
		return nil, fmt.Errorf("%w: stored claim %x has no known form", ErrCorrupt, q)
	}
	flags := b[2]
	s := &storedClaim{seq: q, moved: flags&flagMoved != 0}
	s.claim.Stage = assertion.Lifecycle(b[1])
	s.claim.Superseded = flags&flagSuperseded != 0
	s.claim.Review = assertion.Review(flags / flagReview & 3)
	s.claim.Ruled = flags&flagRuled != 0
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
	b, err := s.decodeAdmission(flags, b)
	if err != nil {
		return nil, fmt.Errorf("%w: stored claim %x: %w", ErrCorrupt, q, err)
	}
	a, h, err := assertion.DecodeRecord(b)
	if err != nil {
		return nil, fmt.Errorf("%w: stored claim %x: %w", ErrCorrupt, q, err)
	}
	if len(a.Signatures) != n {
		return nil, fmt.Errorf("%w: stored claim %x has %d signatures and %d commits", ErrCorrupt, q, len(a.Signatures), n)
	}
	s.claim.Assertion, s.claim.Hash = *a, h
	return s, nil
}

// decodeAdmission reads what the flags say that there is of findings and
// authority, and returns the rest.
func (s *storedClaim) decodeAdmission(flags byte, b []byte) (rest []byte, err error) {
	if flags&flagFindings != 0 {
		if s.claim.Findings, b, err = assertion.DecodeFindings(b); err != nil {
			return nil, err
		}
	}
	if flags&flagAuthority != 0 {
		if len(b) == 0 || len(b) <= int(b[0]) {
			return nil, errors.New("the authority ends early")
		}
		s.claim.Authority, b = string(b[1:1+b[0]]), b[1+b[0]:]
	}
	if flags&flagReleased != 0 {
		if len(b) == 0 {
			return nil, errors.New("the release ends early")
		}
		s.releasedBy, b = int(b[0]), b[1:]
	}
	return b, nil
}

// hides reports whether a stored claim is left out of answers for its review,
// without decoding it.
func hides(raw []byte) bool {
	return len(raw) >= storedHead && assertion.Review(raw[2]/flagReview&3).Hides()
}
