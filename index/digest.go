package index

import (
	"bytes"
	"slices"

	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/internal/lthash"
)

// expander makes the elements of one kind of record.
type expander struct {
	*lthash.Expander
	record []byte
}

func newExpander(context string) *expander { return &expander{Expander: lthash.NewExpander(context)} }

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
func (x *expander) claim(c *assertion.Claim) *lthash.Element {
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
	return x.Expand(x.record)
}

const entryContext = "stemedb 2026 digest entry v1"

// entry covers the kind, the record and the authority of an entry that is no
// claim. An entry that comes again, a source retracted a second time for
// example, counts again.
func (x *expander) entry(k assertion.Kind, record []byte, authority string) *lthash.Element {
	x.record = append(append(append(x.record[:0], byte(k)), record...), authority...)
	return x.Expand(x.record)
}
