package assertion

import "github.com/oasisprotocol/curve25519-voi/curve"

// Owned reports whether only the holder of a private key can sign for an agent.
// Under the ZIP-215 rules of verification anyone can make signatures that hold
// for a public key of small order, so that what is said in its name says
// nothing: trust must not be given to it. Bytes that are no point of the curve
// are not owned either.
func (a AgentID) Owned() bool {
	var point curve.EdwardsPoint
	if _, err := point.SetCompressedY((*curve.CompressedEdwardsY)(&a)); err != nil {
		return false
	}
	return !point.IsSmallOrder()
}
