//go:build !stemedb_unsafe_nofsync

package main

// noFsync is false in every build that is meant to keep data.
const noFsync = false
