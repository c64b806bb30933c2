package assertion

import (
	"crypto/ed25519"
	"fmt"
)

// PrivateKey is an Ed25519 private key of the standard library.
type PrivateKey = ed25519.PrivateKey

// AgentOf returns the identity that signs with key.
func AgentOf(key PrivateKey) AgentID {
	return AgentID(key[ed25519.PrivateKeySize-ed25519.PublicKeySize:])
}

// Sign appends a version 2 signature, made at the unix second at, over the
// content hash. The assertion must be normalised: a later Normalize that
// changes the content breaks the signature. It panics on a key of the wrong
// size.
func (a *Assertion) Sign(key PrivateKey, at uint64) {
	a.appendSignature(key, at, SignatureV2)
}

// SignV1 appends a legacy signature over "subject:predicate". It does not
// protect the object: use it only to reproduce data of systems that know
// nothing better.
func (a *Assertion) SignV1(key PrivateKey, at uint64) {
	a.appendSignature(key, at, SignatureV1)
}

func (a *Assertion) appendSignature(key PrivateKey, at uint64, version uint8) {
	signature := ed25519.Sign(key, a.messageOf(version))
	a.Signatures = append(a.Signatures, Signature{
		AgentID: AgentOf(key), Signature: SignatureBytes(signature), Timestamp: at, Version: version})
}

// messageOf returns the bytes that a signature of the version covers.
func (a *Assertion) messageOf(version uint8) []byte {
	if version == SignatureV1 {
		return []byte(a.Subject + ":" + a.Predicate)
	}
	hash := a.ContentHash()
	return hash[:]
}

// VerifyOptions are the choices of the operator in verification.
type VerifyOptions struct {
	// AcceptV1 admits signatures of version 1. Default off, because they do not
	// cover the object.
	AcceptV1 bool
}

// checkSignatures applies the rules that need no cryptography: 1 to
// MaxSignatures, known and admitted versions, one version for all, no signer
// twice.
func (a *Assertion) checkSignatures(o VerifyOptions) error {
	if len(a.Signatures) == 0 {
		return &Error{Code: CodeUnsigned, Field: "signatures",
			Detail: "no signature", Fix: "sign the content hash (docs/signing.md)"}
	}
	if len(a.Signatures) > MaxSignatures {
		return tooManySignatures(len(a.Signatures))
	}
	for i := range a.Signatures {
		s := &a.Signatures[i]
		field := func(name string) string { return fmt.Sprintf("signatures[%d].%s", i, name) }
		switch {
		case s.Version != SignatureV1 && s.Version != SignatureV2:
			return &Error{Code: CodeSignatureVersionUnsupported, Field: field("version"),
				Detail: fmt.Sprintf("signature version %d", s.Version), Fix: "sign with version 2"}
		case s.Version == SignatureV1 && !o.AcceptV1:
			return &Error{Code: CodeSignatureV1Disabled, Field: field("version"),
				Detail: "signatures of version 1 are off, because they do not cover the object",
				Fix:    "sign with version 2, or let the operator set STEMEDB_ACCEPT_V1_SIGNATURES=true"}
		case s.Version != a.Signatures[0].Version:
			return &Error{Code: CodeSignatureVersionsMixed, Field: field("version"),
				Detail: fmt.Sprintf("version %d beside version %d", s.Version, a.Signatures[0].Version),
				Fix:    "sign with version 2 only"}
		}
		for j := range i {
			if a.Signatures[j].AgentID == s.AgentID {
				return &Error{Code: CodeDuplicateSigner, Field: field("agent_id"),
					Detail: fmt.Sprintf("the same agent as signatures[%d]", j), Fix: "send one signature per agent"}
			}
		}
	}
	return nil
}

func tooManySignatures(n int) *Error {
	return &Error{Code: CodeTooManySignatures, Field: "signatures",
		Detail: fmt.Sprintf("%d signatures, more than %d", n, MaxSignatures), Fix: "send fewer co-signers"}
}

func badSignature(i int) *Error {
	return &Error{Code: CodeSignatureInvalid, Field: fmt.Sprintf("signatures[%d].signature", i),
		Detail: "not a signature of this agent over this content",
		Fix:    "compare the bytes that you sign with POST /v1/assert/prepare"}
}
