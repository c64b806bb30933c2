// Package claimimport turns the rows of a table (CSV, TSV or NDJSON) into
// signed claims, by a mapping from columns to the parts of a claim, and sends
// them to a cluster.
//
// Invariants
//   - It is idempotent: a row always gives the same claims, so that importing a
//     file again adds nothing.
//   - It is resumable: a state file keeps how many rows were answered without a
//     gap, and what they were; rows are skipped only if they are those.
//   - A fault of one row or claim is reported with its line and does not stop the
//     others; a fault of the input, the keyring or the cluster stops the whole.
//
// It never makes up a part of a claim that neither the row nor the mapping
// gives.
package claimimport
