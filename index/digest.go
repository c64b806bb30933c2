package index

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/zeebo/blake3"

	"github.com/stemedb/stemedb/assertion"
)

// digestBytes is the state of LtHash16 with 1024 lanes.
const digestBytes = 2048

// digest is a set hash: LtHash (Bellare and Micciancio 1997; Lewi, Kim, Maykov
// and Weis, "Securing Update Propagation with Homomorphic Hashing", 2019). The
// digest of a set is the lane-wise sum of its elements' expansions modulo
// 2^16, so that elements can be added and removed in any order.
type digest [digestBytes]byte

// element is the expansion of one record.
type element [digestBytes]byte

// expander makes the elements of one kind of record. It is kept from record to
// record because its hashing memory costs more than the hashing.
type expander struct {
	hasher  *blake3.Hasher
	record  []byte
	element element
}

func newExpander(context string) *expander { return &expander{hasher: blake3.NewDeriveKey(context)} }

// expand returns the element of x.record; it holds until the next call.
func (x *expander) expand() *element {
	x.hasher.Reset()
	_, _ = x.hasher.Write(x.record) // a hash never fails
	_, _ = x.hasher.Digest().Read(x.element[:])
	return &x.element
}

func (d *digest) add(e *element) {
	for i := 0; i < digestBytes; i += 2 {
		binary.LittleEndian.PutUint16(d[i:], binary.LittleEndian.Uint16(d[i:])+binary.LittleEndian.Uint16(e[i:]))
	}
}

func (d *digest) remove(e *element) {
	for i := 0; i < digestBytes; i += 2 {
		binary.LittleEndian.PutUint16(d[i:], binary.LittleEndian.Uint16(d[i:])-binary.LittleEndian.Uint16(e[i:]))
	}
}

// sum is the digest's short form: BLAKE3-256 of the state.
func (d *digest) sum() assertion.Hash { return blake3.Sum256(d[:]) }

const claimContext = "stemedb 2026 digest claim v1"

// supersededMark is added to the stage of a superseded claim in the digest,
// ruledMark to that of one that an administrator ruled on, reviewMark times its
// state to that of one that was quarantined.
const (
	supersededMark = 0x80
	ruledMark      = 0x40
	reviewMark     = 0x10
)

// claim covers what the nodes must agree on about a claim and nothing that
// depends on the log it came through: its hash, stage, review, whether it is
// superseded, its signatures, findings and authority. The signatures are sorted because co-signers
// may come in another order there.
func (x *expander) claim(c *assertion.Claim) *element {
	signatures := c.Signatures
	byAgent := func(a, b assertion.Signature) int { return bytes.Compare(a.AgentID[:], b.AgentID[:]) }
	if !slices.IsSortedFunc(signatures, byAgent) {
		signatures = slices.Clone(signatures)
		slices.SortFunc(signatures, byAgent)
	}
	stage := byte(c.Stage)
	if c.Superseded {
		stage |= supersededMark
	}
	if c.Ruled {
		stage |= ruledMark
	}
	stage |= byte(c.Review) * reviewMark
	x.record = append(append(x.record[:0], c.Hash[:]...), stage)
	for i := range signatures {
		x.record = append(x.record, signatures[i].AgentID[:]...)
		x.record = append(x.record, signatures[i].Version)
		x.record = append(x.record, signatures[i].Signature[:]...)
	}
	if len(c.Findings) > 0 || c.Authority != "" {
		x.record = append(assertion.AppendFindings(x.record, c.Findings), c.Authority...)
	}
	return x.expand()
}

const entryContext = "stemedb 2026 digest entry v1"

// entry covers the kind, the record and the authority of an entry that is no
// claim. An entry that comes again, a source retracted a second time for
// example, counts again.
func (x *expander) entry(k assertion.Kind, record []byte, authority string) *element {
	x.record = append(append(append(x.record[:0], byte(k)), record...), authority...)
	return x.expand()
}
