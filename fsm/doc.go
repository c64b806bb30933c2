// Package fsm is the replicated state machine: it turns committed raft entries
// into writes of the local index and takes and restores snapshots.
//
// # What it owns
//
//   - The commands: type byte, version byte, the proposer's clock, body. They
//     are the format of the log and of every later upgrade. What users write is
//     one command of many entries, each with its kind (assertion.Kind).
//   - The command format of the cluster: a number in the log that says which
//     commands, versions and kinds of entries may be written. It rises by a
//     command and never falls; a build that does not know it stops.
//   - ApplyBatch: however many entries raft hands over become one index batch,
//     data and applied (index, term, committed_at) together.
//   - The database folder of the index and its replacement by a snapshot.
//   - The snapshot store.
//
// # Invariants
//
//   - Applying is deterministic: no clock, no random number, no map order. Time
//     is the entry's: committed_at is the proposer's clock, but never less than
//     that of the entry before.
//
//   - An entry at or below the stored applied index is skipped: its effect is
//     there. So every entry takes effect exactly once, however often raft hands
//     it over after a restart.
//
//   - The raft log is the write-ahead log. The index is not synced per entry; a
//     crash takes it back to a consistent earlier index, and raft hands over the
//     rest again. What is reported to raft as snapshotted, however, was flushed
//     and synced before, since raft may truncate the log up to there.
//
//   - A snapshot is a hard-linked checkpoint at exactly one index: its cost does
//     not depend on the size of the database. It is turned into a stream, with
//     a checksum per file and one over everything, only for a follower that
//     needs it.
//
//   - A copy for a backup is a checkpoint too, taken between two batches, with the
//     index, digest and count of exactly that state. It is none of raft's
//     snapshots and lets no log be truncated.
//
//   - A restore builds the new database beside the old one and swaps them by
//     renaming one small file. A crash at any point leaves the one or the other.
//
//   - The first error in applying is final: the FSM refuses reads and further
//     entries. Diverging from the other nodes is worse than stopping.
//
//   - Every folder and file that CURRENT or a snapshot's description stands for
//     is synced before it, and its parents too. A state folder without CURRENT
//     is refused once it has held state: beginning anew would forget it.
//
//   - A snapshot counts once its description is in place under its final name;
//     the description carries its own checksum and the names and sizes of the
//     files. A stream is refused for any changed, missing or additional bit, and
//     the state stays as it was. A snapshot that is being read is not removed.
//
//   - Damage that a read or background work meets in the live database is as
//     final as a failed apply. Damage in a snapshot that is being restored only
//     fails the restore.
//
// # Cost
//
// On two cores of a shared EPYC, real disk: applying takes 45-60 µs a claim,
// decoding and hashing included, whether entries hold 1 claim or 100 (BenchmarkApplyBatch);
// a snapshot takes 8-12 ms at 1,000, 10,000 and 100,000 claims alike
// (BenchmarkSnapshot).
//
// # What it must never do
//
// Guess at an entry that it does not know, verify signatures (the node that
// proposed did), or answer a reader with state that may be damaged.
package fsm
