// Package corpus is the demonstration corpus of pharma-ingest: published
// figures about drugs for diabetes and obesity, and figures that contradict
// them.
//
// # What it owns
//
// The sources (sources.json), the claims (base.json), the claims that disagree
// with them (conflicts.json), and how a row becomes a claim.
//
// # Invariants
//
//   - A claim depends on its row and its source alone: the same row has the same
//     content hash at every run and on every machine.
//   - A claim says where it comes from: its metadata hold the citation, its
//     source_hash is BLAKE3 of the citation's identifier.
//   - What is made up says so: its source is synthetic, and no source of the
//     class Community or Anecdotal is anything else.
//   - Of one organisation, no two claims on one question share an identifier:
//     they would be one voice, of which only the newest claim counts.
//
// # What it must never do
//
// Read a clock, or give a figure without a source. It is no medical reference:
// nobody has checked it.
package corpus
