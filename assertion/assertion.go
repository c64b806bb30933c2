package assertion

import "encoding/json"

// Assertion is one signed claim about the world. Its content (every field but
// Signatures) never changes; its identity is the hash of that content.
//
// The JSON form is the wire form of the API. json.Marshal writes it;
// DecodeJSON reads it, and is stricter than json.Unmarshal, which does not
// refuse unknown or repeated fields nor normalise.
type Assertion struct {
	// Subject and Predicate name what the claim is about: the question that
	// claims may answer differently. UTF-8 in NFC, 1 to MaxNameBytes bytes, no
	// control characters.
	Subject   string `json:"subject"`
	Predicate string `json:"predicate"`
	// Object is the answer that this claim gives.
	Object ObjectValue `json:"object"`
	// Confidence is the signer's own, 0 to 1.
	Confidence float64 `json:"confidence"`
	// SourceClass is the kind of source; Anecdotal if the JSON form has none.
	SourceClass SourceClass `json:"source_class"`
	// SourceHash names the source. Signer and source together are a voice.
	SourceHash Hash `json:"source_hash"`
	// SourceMetadata is a JSON object of at most MaxMetadataBytes, in its RFC
	// 8785 form after Normalize; nil if absent.
	SourceMetadata json.RawMessage `json:"source_metadata,omitempty"`
	// Lifecycle is the stage that the claim states.
	Lifecycle Lifecycle `json:"lifecycle"`
	// ParentHash makes the claim a lifecycle transition of that claim.
	ParentHash *Hash `json:"parent_hash,omitempty"`
	// Epoch is the hash of the epoch that the claim belongs to.
	Epoch *Hash `json:"epoch,omitempty"`
	// VisualHash is the perceptual hash of a picture that shows the claim.
	VisualHash *VisualHash `json:"visual_hash,omitempty"`
	// Vector is an embedding, at most MaxVectorLen finite components.
	Vector []float32 `json:"vector,omitempty"`
	// DerivedFrom are the claims that this one was concluded from, in the
	// signer's order, without repetition, at most MaxDerivedFrom.
	DerivedFrom []Hash `json:"derived_from,omitempty"`
	// Timestamp is when the claim was made, unix seconds.
	Timestamp uint64 `json:"timestamp"`
	// Signatures are 1 to MaxSignatures, of different agents, all of one
	// version.
	Signatures []Signature `json:"signatures"`
}

// The signature versions. Version 2 signs the content hash. Version 1 signs
// only "subject:predicate": whoever sees one can put another object under it.
const (
	SignatureV1 = 1
	SignatureV2 = 2
)

// Signature is one agent's signature on an assertion.
type Signature struct {
	AgentID   AgentID        `json:"agent_id"`
	Signature SignatureBytes `json:"signature"`
	// Timestamp is when the agent says it signed, unix seconds. No signature
	// covers it; the time of commit is what counts.
	Timestamp uint64 `json:"timestamp"`
	// Version is SignatureV1 or SignatureV2; 2 if the JSON form has none.
	Version uint8 `json:"version"`
}

// HasSigner reports whether agent is among the signers.
func (a *Assertion) HasSigner(agent AgentID) bool {
	for i := range a.Signatures {
		if a.Signatures[i].AgentID == agent {
			return true
		}
	}
	return false
}
