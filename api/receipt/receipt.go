package receipt

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/gowebpki/jcs"
	"github.com/zeebo/blake3"

	"github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/lens"
	"github.com/stemedb/stemedb/lens/trust"
	"github.com/stemedb/stemedb/lens/truth"
)

// Version is that of the format.
const Version = 1

// MaxClaims bounds the claims of a receipt.
const MaxClaims = 1000

// The BLAKE3 derive-key contexts of what is hashed and signed.
const (
	statementContext = "stemedb 2026 answer receipt v1"
	evidenceContext  = "stemedb 2026 receipt evidence v1"
)

// ErrTooManyClaims means that an answer rests on more claims than a receipt
// holds.
var ErrTooManyClaims = errors.New("too many claims for a receipt")

// State is the state that answered.
type State struct {
	ClusterID          string
	Index, CommittedAt uint64
	Digest             assertion.Hash
}

// Votes returns the newest vote of each agent on a claim.
type Votes func(claim assertion.Hash) ([]assertion.Vote, error)

// Sign signs a message with the node's key and names the key.
type Sign func(message []byte) (key assertion.AgentID, signature assertion.SignatureBytes)

// Make makes the receipt of an answer r that a lens gave to in. The input must
// hold all its claims. The error wraps ErrTooManyClaims if there are more than
// MaxClaims, or if some were not read.
func Make(in lens.Input, l lens.Lens, r *lens.Resolution, s State, votes Votes, sign Sign) (*v1.Receipt, error) {
	if len(in.Stated) > MaxClaims || in.Truncated {
		return nil, fmt.Errorf("%w: %d, at most %d", ErrTooManyClaims, len(in.Stated), MaxClaims)
	}
	out := &v1.Receipt{Statement: v1.ReceiptStatement{
		Version: Version, ClusterID: s.ClusterID, Subject: in.Subject, Predicate: in.Predicate, Lens: l.Name(), Parameters: in.Parameters,
		Hierarchy: in.Grouping.Hierarchy, Names: in.Aliases, At: in.At, Index: s.Index, CommittedAt: s.CommittedAt, Digest: s.Digest,
		Answer: answerOf(r), TrustHash: r.Explanation.TrustHash, TruthHash: r.Explanation.TruthHash, Claims: []assertion.Hash{},
	}, Evidence: v1.ReceiptEvidence{Claims: []v1.Assertion{}}}
	if (in.Grouping.Tolerance != lens.Tolerance{}) {
		out.Statement.Tolerance = in.Grouping.Tolerance.String()
	}
	if err := gather(out, in, l.Needs(), votes); err != nil {
		return nil, err
	}
	var err error
	if out.Statement.EvidenceHash, err = digest(evidenceContext, out.Evidence); err != nil {
		return nil, err
	}
	message, err := digest(statementContext, out.Statement)
	if err != nil {
		return nil, err
	}
	out.NodeKey, out.Signature = sign(message[:])
	return out, nil
}

func answerOf(r *lens.Resolution) v1.ReceiptAnswer {
	a := v1.ReceiptAnswer{Confidence: r.Confidence, ConflictScore: r.Conflict.Score, Disagreement: r.Conflict.Disagreement,
		Status: string(r.Conflict.Status), Values: r.Explanation.Values, Voices: r.Explanation.Voices}
	if r.Winner != nil {
		a.Object = &r.Winner.Object
	}
	return a
}

// gather collects the evidence.
func gather(out *v1.Receipt, in lens.Input, needs lens.Needs, votes Votes) error {
	e := &out.Evidence
	agents := map[assertion.AgentID]bool{}
	for _, c := range slices.SortedFunc(slices.Values(in.Stated), assertion.NewestFirst) {
		out.Statement.Claims = append(out.Statement.Claims, c.Hash)
		e.Claims = append(e.Claims, v1.FromClaim(c))
		for i := range c.Signatures {
			agents[c.Signatures[i].AgentID] = true
		}
		if needs&lens.NeedsVotes != 0 {
			cast, err := votes(c.Hash)
			if err != nil {
				return err
			}
			e.Votes = append(e.Votes, cast...)
		}
		if needs&lens.NeedsEpochs != 0 && c.Epoch != nil {
			if by, superseded := in.SupersededEpochs[*c.Epoch]; superseded {
				if e.SupersededEpochs == nil {
					e.SupersededEpochs = map[string]assertion.Hash{}
				}
				e.SupersededEpochs[c.Epoch.String()] = by
			}
		}
		if in.Grouping.Hierarchy && in.Grouping.Path != nil {
			text, ok := c.Object.Text()
			if !ok {
				text, ok = c.Object.Reference()
			}
			if path := in.Grouping.Path(text); ok && path != "" {
				if e.Paths == nil {
					e.Paths = map[string]string{}
				}
				e.Paths[text] = path
			}
		}
	}
	return gatherScores(e, in, needs, func(a assertion.AgentID) bool { return agents[a] })
}

// gatherScores takes in the parts of the computations that the voices need.
func gatherScores(e *v1.ReceiptEvidence, in lens.Input, needs lens.Needs, of func(assertion.AgentID) bool) (err error) {
	if scores, ok := in.Trust.(*trust.Scores); ok && scores != nil && needs&lens.NeedsTrust != 0 {
		if e.Trust, err = scores.Only(of, in.Predicate).Encode(); err != nil {
			return err
		}
	}
	if model, ok := in.Truth.(*truth.Model); ok && model != nil && needs&lens.NeedsTruth != 0 {
		e.Truth, err = model.Only(of, in.Predicate).Encode()
	}
	return err
}

// digest is the BLAKE3 in derive-key mode over the RFC 8785 form of v.
func digest(context string, v any) (h assertion.Hash, err error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return h, err
	}
	canonical, err := jcs.Transform(raw)
	if err != nil {
		return h, err
	}
	hasher := blake3.NewDeriveKey(context)
	_, _ = hasher.Write(canonical)
	hasher.Sum(h[:0])
	return h, nil
}
