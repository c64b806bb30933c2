package client

import (
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"time"

	"github.com/stemedb/stemedb/assertion"
)

// ClaimBuilder puts a claim together. Errors are kept until Build or Sign.
type ClaimBuilder struct {
	claim assertion.Assertion
	err   error
}

// NewClaim begins a claim with confidence 1, made now, of the class Anecdotal.
func NewClaim(subject, predicate string, object assertion.ObjectValue) *ClaimBuilder {
	return &ClaimBuilder{claim: assertion.Assertion{
		Subject: subject, Predicate: predicate, Object: object, Confidence: 1,
		SourceClass: assertion.Anecdotal, Timestamp: uint64(time.Now().Unix()),
	}}
}

// Source names the source and its class; the source_hash is that of the name.
func (b *ClaimBuilder) Source(name string, class assertion.SourceClass) *ClaimBuilder {
	return b.SourceHash(SourceHash(name), class)
}

// SourceHash gives the source by its hash.
func (b *ClaimBuilder) SourceHash(h assertion.Hash, class assertion.SourceClass) *ClaimBuilder {
	b.claim.SourceHash, b.claim.SourceClass = h, class
	return b
}

// Confidence is the author's own, 0 to 1.
func (b *ClaimBuilder) Confidence(c float64) *ClaimBuilder {
	b.claim.Confidence = c
	return b
}

// At is when the claim was made, unix seconds: its confidence decays from then
// on.
func (b *ClaimBuilder) At(timestamp uint64) *ClaimBuilder {
	b.claim.Timestamp = timestamp
	return b
}

// Metadata describes the source: anything that encodes to a JSON object.
func (b *ClaimBuilder) Metadata(v any) *ClaimBuilder {
	raw, err := json.Marshal(v)
	if err != nil && b.err == nil {
		b.err = fmt.Errorf("encode the source metadata: %w", err)
	}
	b.claim.SourceMetadata = raw
	return b
}

// Lifecycle is the stage in which the claim begins.
func (b *ClaimBuilder) Lifecycle(l assertion.Lifecycle) *ClaimBuilder {
	b.claim.Lifecycle = l
	return b
}

// Parent makes the claim a lifecycle transition of another: that one takes over
// this one's stage. One of its signers must sign.
func (b *ClaimBuilder) Parent(h assertion.Hash) *ClaimBuilder {
	b.claim.ParentHash = &h
	return b
}

// DerivedFrom names the claims that this one was concluded from.
func (b *ClaimBuilder) DerivedFrom(hashes ...assertion.Hash) *ClaimBuilder {
	b.claim.DerivedFrom = append(b.claim.DerivedFrom, hashes...)
	return b
}

// Epoch puts the claim into an epoch.
func (b *ClaimBuilder) Epoch(h assertion.Hash) *ClaimBuilder {
	b.claim.Epoch = &h
	return b
}

// Vector is an embedding of the claim, at most assertion.MaxVectorLen numbers.
func (b *ClaimBuilder) Vector(v []float32) *ClaimBuilder {
	b.claim.Vector = v
	return b
}

// VisualHash is the perceptual hash of a picture that shows the claim.
func (b *ClaimBuilder) VisualHash(h assertion.VisualHash) *ClaimBuilder {
	b.claim.VisualHash = &h
	return b
}

// Build returns the normalised, valid claim without signatures.
func (b *ClaimBuilder) Build() (*assertion.Assertion, error) {
	if b.err != nil {
		return nil, b.err
	}
	a := b.claim
	if err := a.Normalize(); err != nil {
		return nil, err
	}
	if err := a.Validate(); err != nil {
		return nil, err
	}
	return &a, nil
}

// Sign returns the claim signed by every key.
func (b *ClaimBuilder) Sign(keys ...ed25519.PrivateKey) (*assertion.Assertion, error) {
	a, err := b.Build()
	if err != nil {
		return nil, err
	}
	now := uint64(time.Now().Unix())
	for _, key := range keys {
		a.Sign(key, now)
	}
	return a, nil
}
