//go:build stemedb_unsafe_reads

package main

// noReadIndex serves linearizable and bounded reads like local ones, so that
// tests can show that their checks of freshness notice it. It is a build tag and
// no setting, like noFsync.
const noReadIndex = true
