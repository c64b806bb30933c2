// Package transport carries everything that the nodes of a cluster say to each
// other except gossip: the raft stream and the node-to-node calls (hello,
// forwarded writes, read index, term, join, bootstrap promise), over one TCP port.
//
// # What it owns
//
//   - The port. A connection begins with an eight-byte preface whose first byte
//     says what it is (0x01 raft, 0x02 calls) and whose fourth is the version of
//     the protocol; the listener answers with eight bytes: accepted, or why not.
//     With certificates the preface travels inside TLS 1.3 and both sides are
//     verified; the first raw byte then only tells TLS from plain text, so that
//     a node without certificates is told what it lacks. A connection that
//     speaks HTTP gets a short HTTP 400 that names the HTTP port, unless
//     certificates are demanded. Both texts of the preface end in two line
//     ends, so that an HTTP server that is dialled by mistake answers at once
//     and is recognised.
//   - The calls. One connection per peer address carries many calls at once.
//     A frame is a 20-byte header (length, kind, method or status, remaining
//     time in milliseconds, call id; big endian) and a CBOR body of at most
//     16 MiB. Structs are CBOR maps with small integer keys; a reader ignores
//     keys that it does not know and takes absent ones as zero, so that nodes
//     of neighbouring versions understand each other.
//   - raft's transport: RaftTransport embeds *raft.NetworkTransport, which
//     keeps the optional interfaces by which raft finds abilities such as
//     pre-vote.
//
// # Invariants
//
//   - A call that fails says what is certain: ErrUnreachable means that the
//     handler has not seen the request; ErrOutcomeUnknown that it may have.
//     Only the first may be repeated blindly.
//   - A request is sent at most once. The only repetition is the one redial
//     when a pooled connection turns out to be dead before a single byte of the
//     request was handed to it.
//   - Errors cross the wire as stable codes; errors.Is gives the same answer on
//     both sides for every Err… of this package.
//   - Every read and write has a deadline. A peer that stops reading is dropped
//     after writeTimeout without progress, one that goes silent after
//     silenceLimit (the dialling side sends a ping every pingInterval). What
//     one connection can occupy is bounded: maxInFlight calls, maxInFlightBytes
//     of requests being handled, maxPending bytes of unsent frames and one
//     frame more.
//   - Close waits for every goroutine that the package started, handlers
//     included; a handler's context ends first.
//
// # What it must never do
//
// Decide anything: who leads, who belongs to the cluster and what a request
// means is the Handler's. Retry a request that may have been sent. Send in
// plain text once it has certificates, or take an unverified peer.
package transport
