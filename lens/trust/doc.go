// Package trust computes how far agents can be trusted: TrustRank and smoothed
// accuracy from gold labels, EigenTrust from what agents say of each other.
//
// The leader of a cluster computes Scores in the background from the state at
// one log index and replicates them as one entry; every node reads the same
// ones, and answers cite their hash. Everything here is a pure function: no
// clock, no map order, no I/O. docs/trust.md has the formulas with worked
// examples.
package trust
