// Package backup is the format of backups, and what can be done with backups
// without a node: write, receive, verify, list, prune, and plan a restore.
//
// # What it owns
//
//   - The format. A backup is a set of files: segments, then MetadataName, the
//     manifest. A segment begins with the magic bytes STEM and holds up to
//     SegmentBytes of the content, in compressed frames that each carry a
//     checksum. The manifest names every file with its size and BLAKE3, says what
//     the content is, and seals itself. docs/backup.md gives the bytes.
//   - The kinds. A full backup holds the state at exactly one log index, as the
//     state machine streams it. A log backup holds the entries of the log after
//     the end of the backup before it.
//   - Stores of backups, folders and buckets that speak S3: which backups there
//     are, which follow each other without a gap, which nothing needs any more.
//   - Encryption of segments, by age, between the format and a store.
//
// # Invariants
//
//   - A backup counts when its manifest is in place under the final name of its
//     folder. Whatever ended before that left a hidden folder, objects without a
//     manifest, or an open stream, and none is ever read as a backup.
//   - Of a backup in a bucket, the manifest is put last, once all that was put
//     before it is seen to be there, and removed first.
//   - Verify accepts exactly what Write has written: one changed bit, a missing,
//     additional, shortened or exchanged file is an error. A format version that is
//     not known is an error of its own, never guessed at.
//   - A file of a backup is in memory as a whole and is handed to a Sink as a
//     whole, so that a Sink can be a folder, a stream, or a store of objects.
//   - Reading checks each byte again, also of a backup that Verify has accepted.
//
// # What it must never do
//
// Know what a segment's content means beyond the frame of a log entry, or remove
// a backup that a kept one builds on.
package backup
