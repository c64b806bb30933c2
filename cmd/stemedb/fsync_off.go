//go:build stemedb_unsafe_nofsync

package main

// noFsync switches off the fsync of the raft log, so that tests can show that
// their checks of durability notice it. It is a build tag and no setting: no
// one can lose data by setting it.
const noFsync = true
