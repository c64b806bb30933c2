package receipt

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/assertion"
	"github.com/stemedb/stemedb/lens"
	"github.com/stemedb/stemedb/lens/trust"
	"github.com/stemedb/stemedb/lens/truth"
)

// ErrInvalid means that a receipt does not hold; the error says what is wrong.
var ErrInvalid = errors.New("the receipt does not hold")

// Report is what Verify found.
type Report struct {
	// Claims and Signatures were checked, Votes too.
	Claims, Signatures, Votes int
	// Legacy counts signatures of version 1, which do not cover the object.
	Legacy int
	// Resolution is the answer that was computed again.
	Resolution *lens.Resolution
}

// Verify checks a receipt by itself. Whether the key is a node's is for the
// caller to check, against the cluster's list. The error wraps ErrInvalid.
func Verify(r *v1.Receipt) (*Report, error) {
	s := &r.Statement
	if s.Version != Version {
		return nil, invalid("version %d is not known here: a newer stemectl may know it", s.Version)
	}
	message, err := digest(statementContext, s)
	if err != nil {
		return nil, invalid("the statement: %v", err)
	}
	if !r.NodeKey.Owned() || !ed25519.Verify(r.NodeKey[:], message[:], r.Signature[:]) {
		return nil, invalid("the signature is not that of the node key %s over the statement", r.NodeKey)
	}
	if evidence, err := digest(evidenceContext, r.Evidence); err != nil || evidence != s.EvidenceHash {
		return nil, invalid("the evidence is not what the statement names")
	}
	in, report, err := input(r)
	if err != nil {
		return nil, err
	}
	l, err := lens.Parse(s.Lens)
	if err != nil {
		return nil, invalid("%v", err)
	}
	if report.Resolution, err = l.Resolve(in); err != nil {
		return nil, invalid("the lens %s: %v", s.Lens, err)
	}
	return report, compare(s.Answer, answerOf(report.Resolution))
}

func invalid(format string, values ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, values...))
}

// input rebuilds what the lens was given, and checks every part that can be
// checked.
func input(r *v1.Receipt) (in lens.Input, report *Report, err error) {
	s := &r.Statement
	report = &Report{Claims: len(s.Claims)}
	claims, err := claimsOf(r, report)
	if err != nil {
		return in, nil, err
	}
	grouping := lens.Grouping{Hierarchy: s.Hierarchy, Path: func(text string) string { return r.Evidence.Paths[text] }}
	if s.Tolerance != "" {
		if grouping.Tolerance, err = lens.ParseTolerance(s.Tolerance); err != nil {
			return in, nil, invalid("%v", err)
		}
	}
	in = lens.FromClaims(s.Subject, s.Predicate, claims, s.At, grouping)
	in.Index, in.Parameters, in.Aliases = s.Index, s.Parameters, s.Names
	if in.Votes, err = votesOf(r, report); err != nil {
		return in, nil, err
	}
	in.SupersededEpochs = map[assertion.Hash]assertion.Hash{}
	for text, by := range r.Evidence.SupersededEpochs {
		epoch, err := assertion.ParseHash(text)
		if err != nil {
			return in, nil, invalid("a superseded epoch: %v", err)
		}
		in.SupersededEpochs[epoch] = by
	}
	return in, report, scoresOf(r, &in)
}

// claimsOf checks each claim's hash, signatures and place.
func claimsOf(r *v1.Receipt, report *Report) ([]*assertion.Claim, error) {
	s := &r.Statement
	if len(r.Evidence.Claims) != len(s.Claims) || len(s.Claims) > MaxClaims {
		return nil, invalid("%d claims are listed, %d are there", len(s.Claims), len(r.Evidence.Claims))
	}
	names := s.Names
	if len(names) == 0 {
		names = []string{s.Subject}
	}
	claims := make([]*assertion.Claim, len(s.Claims))
	for i := range r.Evidence.Claims {
		a := &r.Evidence.Claims[i]
		signed := a.Signed()
		hash := s.Claims[i]
		if signed.ContentHash() != hash || a.Hash != hash {
			return nil, invalid("claim %d is not the one with hash %s", i+1, hash)
		}
		if slices.Contains(s.Claims[:i], hash) {
			return nil, invalid("claim %s is listed twice", hash)
		}
		if err := signed.Verify(assertion.VerifyOptions{AcceptV1: true}); err != nil {
			return nil, invalid("claim %s: %v", hash, err)
		}
		if why := beyond(s, a); why != "" {
			return nil, invalid("claim %s is not one that the question selects: %s", hash, why)
		}
		if a.Predicate != s.Predicate || !slices.Contains(names, a.Subject) {
			return nil, invalid("claim %s is on another question: %s %s", hash, a.Subject, a.Predicate)
		}
		report.Signatures += len(a.Signatures)
		// Claims come newest first; where two have one timestamp and one log index, it
		// is their order in the entry, which nothing else tells.
		claims[i] = &assertion.Claim{Assertion: *signed, Hash: hash, Stage: a.Lifecycle, Superseded: a.Superseded, SourceRetracted: a.SourceRetracted,
			Commit:           assertion.Commit{Position: assertion.Position{Index: a.LogIndex, Offset: uint16(len(s.Claims) - i)}, At: a.CommittedAt},
			SignatureCommits: make([]assertion.Commit, len(a.Signatures))}
		if i > 0 && !assertion.NewerClaim(claims[i-1], claims[i]) {
			return nil, invalid("claim %s is not in its place: claims come newest first", hash)
		}
		for j, sig := range a.Signatures {
			if sig.Version == assertion.SignatureV1 {
				report.Legacy++
			}
			claims[i].SignatureCommits[j] = assertion.Commit{Position: assertion.Position{Index: sig.LogIndex}, At: sig.CommittedAt}
		}
	}
	return claims, nil
}

// votesOf checks each vote and sorts them by claim.
func votesOf(r *v1.Receipt, report *Report) (map[assertion.Hash][]assertion.Vote, error) {
	type ballot struct {
		claim assertion.Hash
		agent assertion.AgentID
	}
	votes, cast := map[assertion.Hash][]assertion.Vote{}, map[ballot]bool{}
	for i := range r.Evidence.Votes {
		v := &r.Evidence.Votes[i]
		if err := v.Verify(); err != nil {
			return nil, invalid("a vote of %s: %v", v.AgentID, err)
		}
		b := ballot{v.AssertionHash, v.AgentID}
		if cast[b] || !slices.Contains(r.Statement.Claims, v.AssertionHash) || v.Timestamp > r.Statement.At {
			return nil, invalid("a vote of %s on %s does not count: it is there twice, on another question, or later than the answer", v.AgentID, v.AssertionHash)
		}
		cast[b] = true
		votes[v.AssertionHash] = append(votes[v.AssertionHash], *v)
		report.Votes++
	}
	return votes, nil
}

// scoresOf reads the trust and truth scores that the node attests.
func scoresOf(r *v1.Receipt, in *lens.Input) error {
	scores, model := (*trust.Scores)(nil), (*truth.Model)(nil)
	var err error
	for name, scores := range map[string]struct {
		hash     *assertion.Hash
		evidence []byte
	}{"trust": {r.Statement.TrustHash, r.Evidence.Trust}, "truth": {r.Statement.TruthHash, r.Evidence.Truth}} {
		if named := scores.hash != nil && *scores.hash != (assertion.Hash{}); named != (scores.evidence != nil) {
			return invalid("the statement names a computation of %s and the evidence lacks it, or the other way round", name)
		}
	}
	if r.Evidence.Trust != nil {
		if scores, err = trust.Decode(r.Evidence.Trust); err != nil {
			return invalid("%v", err)
		}
	}
	if r.Evidence.Truth != nil {
		if model, err = truth.Decode(r.Evidence.Truth); err != nil {
			return invalid("%v", err)
		}
	}
	in.Trust, in.Truth = scores, model
	return nil
}

// compare holds the answer stated against the one computed. Figures are equal
// up to a rounding of 1e-9, for another processor may round otherwise.
func compare(stated, computed v1.ReceiptAnswer) error {
	for name, pair := range map[string][2]float64{
		"confidence": {stated.Confidence, computed.Confidence}, "conflict_score": {stated.ConflictScore, computed.ConflictScore},
		"disagreement": {stated.Disagreement, computed.Disagreement},
	} {
		if !(math.Abs(pair[0]-pair[1]) <= 1e-9) {
			return invalid("the %s follows as %v from the claims, not %v", name, pair[1], pair[0])
		}
	}
	switch {
	case (stated.Object == nil) != (computed.Object == nil), stated.Object != nil && *stated.Object != *computed.Object:
		return invalid("another answer follows from the claims: %s", text(computed.Object))
	case stated.Status != computed.Status, stated.Values != computed.Values, stated.Voices != computed.Voices:
		return invalid("from the claims follow %s, %d values, %d voices; stated are %s, %d, %d",
			computed.Status, computed.Values, computed.Voices, stated.Status, stated.Values, stated.Voices)
	}
	return nil
}

func text(o *assertion.ObjectValue) string {
	if o == nil {
		return "none"
	}
	return o.String()
}

// beyond says why a claim cannot have answered a question with the statement's
// parameters; "" if it can.
func beyond(s *v1.ReceiptStatement, a *v1.Assertion) string {
	for name, value := range s.Parameters {
		given, held := fmt.Sprint(value), ""
		switch name {
		case "agent_id":
			if slices.ContainsFunc(a.Signatures, func(sig v1.Signature) bool { return sig.AgentID.String() == given }) {
				continue
			}
			held = "other signers"
		case "source_class":
			held = a.SourceClass.String()
		case "source_hash":
			held = a.SourceHash.String()
		case "epoch":
			if a.Epoch != nil {
				held = a.Epoch.String()
			}
		case "min_confidence":
			if least, ok := value.(float64); ok && a.Confidence >= least {
				continue
			}
			held = fmt.Sprint(a.Confidence)
		case "as_of":
			if latest, ok := value.(float64); ok && float64(a.Timestamp) <= latest && float64(s.At) == latest {
				continue
			}
			held = fmt.Sprintf("made at %d, decayed to %d", a.Timestamp, s.At)
		case "tolerance":
			held = s.Tolerance
		default: // what the state decides, or what needs no look at a claim
			continue
		}
		if held != given {
			return fmt.Sprintf("%s is %s, the claim has %s", name, given, held)
		}
	}
	return ""
}
