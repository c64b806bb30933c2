// Package clustertest starts clusters of real processes for tests: it builds
// the program once, finds free ports, keeps the nodes' output and shows its end
// when a test fails. It fails the test where package localcluster returns an
// error.
//
// The tests beside it run whole clusters through kills, stops, pauses and
// partitions in time. Environment variables for longer runs:
//
//	STEMEDB_TEST_CLAIMS=200000   claims in the test that kills every node at once
//	STEMEDB_TEST_RACE=1          nodes built with the race detector
//
// The test of disks that hang or are full mounts a small file system: it needs
// root, a loop device, mkfs.ext4 and fsfreeze. Without them it is skipped, but for
// CI, where it fails.
//
// # What it must never do
//
// Sleep in the hope that something has happened: every wait asks for a
// condition and has a deadline.
package clustertest
