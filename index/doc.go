// Package index is one node's local index of claims, on Pebble.
//
// # What it owns
//
//   - The keyspace (keys.go): claims in log order, and for each way of looking
//     them up one key a claim: by hash; by question (subject, predicate) and
//     time; by subject, and so by subject prefix; by predicate; by agent; by
//     source; by time alone; by parent.
//   - The aggregates: of every question the support of each value by source
//     class, kept current with each write, so that the skeptic, consensus and
//     layered cost as much as there are distinct values, not claims.
//   - Everything else of the log, in log order and never changed: votes, epochs,
//     supersessions, sources, aliases, labels and the rest, found through one
//     space of lookups (lookups.go). So a view can show what was known at any
//     committed_at (history.go, retraction.go), and the feed is a walk.
//   - The list of contested questions, a hint that each node keeps for itself.
//   - The running count, and a set digest (LtHash) of all records that does not
//     depend on the order or the log they came through.
//   - Batches (one writer), views (any number of readers), iterators, cursors,
//     checkpoints.
//
// # Invariants
//
//   - A batch is all or nothing, and the applied log entry is in the same
//     batch: after any crash the index is exactly that of some log entry.
//   - The write-ahead log is off. The raft log is one, and what a crash takes
//     from the memtable is applied again from there. Flush makes everything
//     applied durable.
//   - The aggregates equal assertion.NewTally over the visible claims, within
//     1e-9 relative. Sums are not floating-point sums: a claim's contribution,
//     confidence × 2^(timestamp / half-life), is a float64 once, and the sum of
//     contributions is exact integer arithmetic on their mantissas. Adding and
//     removing commute, so a replaced, hidden or shown claim costs the same as a
//     new one, a removed claim leaves nothing behind, and nothing is ever
//     rebuilt. The time of the read comes in only when a sum is evaluated:
//     × 2^(−T / half-life).
//   - A retraction of a source changes nothing but a set: its voices are taken out
//     of the aggregates as they are read.
//   - Damage on disk is an error (ErrCorrupt), told once and remembered, and
//     never a missing or wrong record.
//
// # What it must never do
//
// Read a clock, verify a signature, decide an answer, or know raft.
//
// # Sizes and costs
//
// Measured by
//
//	go test ./index -run xxx -bench 'Assert$|Read$|Tally|View' -million
//
// on 2 cores (AMD EPYC), with one signer a claim, small values and 128 MiB of
// cache. The figures of reads at a million claims include reading blocks that the
// cache does not hold.
//
//	applying a claim, batches of 1 / 16 / 100      41 / 42 / 43 µs of processor time
//	disk for each claim, compacted, at 10 k / 100 k / 1 M   319 / 383 / 267 B
//	Get by hash, random, at 10 k / 100 k / 1 M     4.6 / 5.4 / 8.2 µs
//	first page of 100 claims of a subject          0.23 / 0.24 / 0.24 ms
//	Tally of one question with 100 k / 1 M claims  16 / 25 µs
//	opening a view                                 0.6 µs
//
// By `make bench-reads`, a view, the tally and the lens, both in one run: skeptic,
// consensus and layered take 15, 14 and 26 µs on a question with 1 k claims and
// 1.10, 1.11 and 1.06 times that with 1 M.
package index
