package assertion

import (
	"crypto"

	"github.com/oasisprotocol/curve25519-voi/primitives/ed25519"
	"github.com/oasisprotocol/curve25519-voi/primitives/ed25519/extra/cache"
)

// zip215 are the verification rules of ZIP 215: any encoding of A and R that
// decodes to a point, S below the group order, and the equation with the
// cofactor. Under them a batch accepts exactly what its signatures accept one
// by one, which RFC 8032's choices do not guarantee; every node must come to
// the same verdict, whichever path it took.
func zip215() *ed25519.Options {
	return &ed25519.Options{Hash: crypto.Hash(0), Verify: ed25519.VerifyOptionsZIP_215}
}

// agentKeys keeps the points of the newest public keys, about 1.5 kB each: to
// decompress one and make its table is a third of a verification. The verdict is
// the same with and without.
var agentKeys = cache.NewVerifier(cache.NewLRUCache(4096))

func verifySignature(agent *AgentID, message []byte, signature *SignatureBytes) bool {
	return agentKeys.VerifyWithOptions(agent[:], message, signature[:], zip215())
}

// Verify reports whether every signature is good under ZIP 215 rules: 1 to
// MaxSignatures, no signer twice, no version 1 beside version 2, no version 1
// unless o admits it. The first fault is returned as an *Error; one bad
// signature condemns the whole. The assertion must be normalised.
func (a *Assertion) Verify(o VerifyOptions) error {
	return VerifyBatch([]*Assertion{a}, o)[0]
}

// batchedSignature says where a signature in a batch came from.
type batchedSignature struct{ assertion, signature int }

// VerifyBatch verifies many assertions at once, at about half the cost of one
// by one, with exactly the verdicts of Verify. The result holds one error, nil
// if good, per assertion in order.
func VerifyBatch(as []*Assertion, o VerifyOptions) []error {
	verdicts := make([]error, len(as))
	origins := make([]batchedSignature, 0, len(as))
	for i, a := range as {
		if verdicts[i] = a.checkSignatures(o); verdicts[i] != nil {
			continue
		}
		for j := range a.Signatures {
			origins = append(origins, batchedSignature{i, j})
		}
	}
	valid := verifyAll(as, origins)
	for n, origin := range origins {
		if !valid[n] && verdicts[origin.assertion] == nil {
			verdicts[origin.assertion] = badSignature(origin.signature)
		}
	}
	return verdicts
}

// verifyAll returns the verdict on each signature.
func verifyAll(as []*Assertion, origins []batchedSignature) []bool {
	if len(origins) == 0 {
		return nil
	}
	if len(origins) == 1 {
		a := as[origins[0].assertion]
		s := &a.Signatures[origins[0].signature]
		return []bool{verifySignature(&s.AgentID, a.messageOf(s.Version), &s.Signature)}
	}
	options := zip215()
	batch := ed25519.NewBatchVerifierWithCapacity(len(origins))
	var message []byte
	for _, origin := range origins {
		a := as[origin.assertion]
		s := &a.Signatures[origin.signature]
		if origin.signature == 0 { // one version, so one message, per assertion
			message = a.messageOf(s.Version)
		}
		agentKeys.AddWithOptions(batch, s.AgentID[:], message, s.Signature[:], options)
	}
	_, valid := batch.Verify(nil)
	return valid
}
