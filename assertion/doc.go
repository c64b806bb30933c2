// Package assertion is the domain of StemeDB: signed claims about the world,
// and the votes, epochs and supersessions that refer to them.
//
// It owns
//   - the types, their JSON form and their limits;
//   - normalisation: the one form of a claim that is hashed and signed;
//   - the canonical encoding (deterministic CBOR, RFC 8949 §4.2.1), the content
//     hash (BLAKE3 in derive-key mode, one context per kind of content) and the
//     signatures (Ed25519 under the rules of ZIP 215), as docs/signing.md
//     describes them for other languages;
//   - the binary records that the log and the index keep;
//   - what a voice is and how voices are counted (NewTally, the definition that
//     faster ways of counting are tested against).
//
// Invariants
//   - Equal content has equal bytes and one hash; different content has
//     different bytes. What is not in canonical form does not decode.
//   - Decoding a record and encoding it again gives the same bytes.
//   - Single and batch verification accept exactly the same signatures.
//   - A signature of one kind of content is never one of another kind.
//   - No input makes a decoder panic, recurse without bound, or allocate more
//     than a small multiple of its length.
//   - Every refusal of an input is an *Error with a stable code.
//
// The order of a write is DecodeJSON (which normalises), Validate,
// CheckTimestamp, Verify or VerifyBatch, MarshalBinary. Records come from that
// path only: DecodeRecord checks their form again, not their meaning.
//
// The package never does I/O, never reads a clock or randomness that changes a
// result, holds no state, and never alters content after it was signed. A
// change to the bytes of any canonical form or record is a new version of it,
// never an edit.
package assertion
