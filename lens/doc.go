// Package lens resolves the disagreement between claims: given the claims on
// one question, a (subject, predicate), what is the answer, and how contested
// is it.
//
// It owns
//   - the lenses, one file each behind one interface, and the registry that
//     finds them by name;
//   - the tie rule that every lens ends in: larger support, then newest claim,
//     then smallest canonical bytes of the value;
//   - skeptic, layered and constraints, whose full answers say more than a winner;
//   - filters, which leave claims out before another lens resolves, and the
//     grouping of values that count as one;
//   - the reduction of claims to what counts: of a voice (signer, source) only
//     the newest claim.
//
// Invariants
//   - A lens is a pure function of its Input. The order of claims does not
//     change an answer, and neither does where a tally came from, aggregates or
//     a scan, beyond rounding.
//   - The order of candidates is total: two different values never tie.
//   - Shares are 0..1 and sum to 1; conflict scores are 0..1, and 0 for a
//     single value.
//   - An answer explains itself: rule, decision, voices, state, and whether
//     anything was left out.
//
// The package never does I/O, reads no clock (Input.At is the time), keeps no
// state, and knows nothing of HTTP. docs/lenses.md has the formulas with worked
// examples.
package lens
