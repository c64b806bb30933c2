//go:build !stemedb_unsafe_reads

package main

// noReadIndex is false in every build that keeps its word on reads.
const noReadIndex = false
