package v1

import (
	"encoding/json"

	"github.com/stemedb/stemedb/assertion"
)

// Assertion is a claim in an answer: its content, who signed it, and what the
// cluster knows of it.
type Assertion struct {
	// Hash is the content hash, the claim's identity.
	Hash           assertion.Hash        `json:"hash"`
	Subject        string                `json:"subject"`
	Predicate      string                `json:"predicate"`
	Object         assertion.ObjectValue `json:"object"`
	Confidence     float64               `json:"confidence"`
	SourceClass    assertion.SourceClass `json:"source_class"`
	SourceHash     assertion.Hash        `json:"source_hash"`
	SourceMetadata json.RawMessage       `json:"source_metadata,omitempty"`
	// Lifecycle is the current stage: that of the newest transition.
	Lifecycle assertion.Lifecycle `json:"lifecycle"`
	// StatedLifecycle is the stage in the signed content, which never changes.
	StatedLifecycle assertion.Lifecycle   `json:"stated_lifecycle"`
	ParentHash      *assertion.Hash       `json:"parent_hash,omitempty"`
	Epoch           *assertion.Hash       `json:"epoch,omitempty"`
	VisualHash      *assertion.VisualHash `json:"visual_hash,omitempty"`
	Vector          []float32             `json:"vector,omitempty"`
	DerivedFrom     []assertion.Hash      `json:"derived_from,omitempty"`
	Timestamp       uint64                `json:"timestamp"`
	// Signatures are in the order in which they were committed.
	Signatures []Signature `json:"signatures"`
	// SignatureVersion is the lowest version among the signatures. 1 means that
	// no signature protects the object.
	SignatureVersion uint8 `json:"signature_version"`
	// LogIndex is the log index at which the claim was first committed.
	LogIndex uint64 `json:"log_index"`
	// CommittedAt is the leader's time of that commit, unix seconds.
	CommittedAt uint64 `json:"committed_at"`
	// Superseded says that a later decision replaces or retracts the claim;
	// SourceRetracted that its source is retracted. Such claims are in answers
	// only if include= asks for them.
	Superseded      bool `json:"superseded,omitempty"`
	SourceRetracted bool `json:"source_retracted,omitempty"`
	// Findings are what the content defence found in the claim, such as
	// prompt_injection: text that tries to instruct whoever reads it.
	Findings []assertion.Finding `json:"findings,omitempty"`
	// Review is pending, approved or rejected if the content defence quarantined
	// the claim. Answers leave it out unless it is approved or include= asks for
	// it.
	Review string `json:"review,omitempty"`
	// Authority is the id of the admin API key by which the claim, a transition,
	// decided on a claim that its signers do not own.
	Authority string `json:"authority,omitempty"`
	// EffectiveConfidence is the confidence after decay to the answer's time;
	// present in answers that a lens resolved.
	EffectiveConfidence *float64 `json:"effective_confidence,omitempty"`
}

// Signature is one signer of a claim in an answer.
type Signature struct {
	AgentID   assertion.AgentID        `json:"agent_id"`
	Signature assertion.SignatureBytes `json:"signature"`
	// Timestamp is when the signer says it signed; nothing covers it.
	Timestamp uint64 `json:"timestamp"`
	// Version is 1 or 2; version 1 does not cover the object.
	Version uint8 `json:"version"`
	// LogIndex and CommittedAt are those of this signature's commit.
	LogIndex    uint64 `json:"log_index"`
	CommittedAt uint64 `json:"committed_at"`
}

// FromClaim makes the answer's form of a claim.
func FromClaim(c *assertion.Claim) Assertion {
	a := Assertion{
		Hash: c.Hash, Subject: c.Subject, Predicate: c.Predicate, Object: c.Object, Confidence: c.Confidence,
		SourceClass: c.SourceClass, SourceHash: c.SourceHash, SourceMetadata: c.SourceMetadata,
		Lifecycle: c.Stage, StatedLifecycle: c.Lifecycle, ParentHash: c.ParentHash, Epoch: c.Epoch,
		VisualHash: c.VisualHash, Vector: c.Vector, DerivedFrom: c.DerivedFrom, Timestamp: c.Timestamp,
		Signatures: make([]Signature, len(c.Signatures)), SignatureVersion: assertion.SignatureV2,
		LogIndex: c.Commit.Index, CommittedAt: c.Commit.At,
		Superseded: c.Superseded, SourceRetracted: c.SourceRetracted,
		Findings: c.Findings, Review: c.Review.String(), Authority: c.Authority,
	}
	for i, s := range c.Signatures {
		commit := c.SignatureCommits[i]
		a.Signatures[i] = Signature{AgentID: s.AgentID, Signature: s.Signature, Timestamp: s.Timestamp,
			Version: s.Version, LogIndex: commit.Index, CommittedAt: commit.At}
		a.SignatureVersion = min(a.SignatureVersion, s.Version)
	}
	return a
}

// Signed returns the assertion as its signers signed it, so that a reader who
// trusts no node can hash and verify it.
func (a *Assertion) Signed() *assertion.Assertion {
	signed := &assertion.Assertion{
		Subject: a.Subject, Predicate: a.Predicate, Object: a.Object, Confidence: a.Confidence,
		SourceClass: a.SourceClass, SourceHash: a.SourceHash, SourceMetadata: a.SourceMetadata,
		Lifecycle: a.StatedLifecycle, ParentHash: a.ParentHash, Epoch: a.Epoch, VisualHash: a.VisualHash,
		Vector: a.Vector, DerivedFrom: a.DerivedFrom, Timestamp: a.Timestamp,
		Signatures: make([]assertion.Signature, len(a.Signatures)),
	}
	for i, s := range a.Signatures {
		signed.Signatures[i] = assertion.Signature{
			AgentID: s.AgentID, Signature: s.Signature, Timestamp: s.Timestamp, Version: s.Version}
	}
	return signed
}
