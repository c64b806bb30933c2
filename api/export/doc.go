// Package export is the file of signed claims: one JSON object a line, from
// which anyone can verify every signature without a node, and which another
// cluster can take in.
//
// It owns
//   - the format: a header, records in an order in which they can be stored, a
//     trailer that counts them and hashes every byte before it;
//   - the content digest: a set hash of what was exported, the same for two
//     clusters that hold the same, whatever their logs;
//   - the Writer, on the node's side, and Read, which checks all of it.
//
// Invariants
//   - What a Writer wrote, Read accepts. A byte that is changed, a line that is
//     missing, moved, added or twice there is a fault, and so is an end that is
//     missing.
//   - Read holds a bounded part of the file, whatever its size.
//   - A record whose hash or signature is wrong is never handed on.
//
// It never talks to a node, decides what is exported, or changes a record.
// docs/export.md describes the format for other languages.
package export
