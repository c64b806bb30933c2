// Package receipt makes and checks receipts: a node's signed statement of a
// question, its answer, and the state and claims that the answer follows from.
//
// Make is the node's side. Verify needs no node: it checks the node's signature,
// the evidence against the statement, every claim's hash and signatures, and
// resolves the question again by the same lens. What it cannot check is what
// only the cluster knows: that the claims are all that the question had at that
// index, their stages, which epochs are superseded, and the trust and truth
// scores; for these a receipt is the word of the node that signed it.
//
// The package does no I/O and reads no clock. docs/receipts.md has the format.
package receipt
