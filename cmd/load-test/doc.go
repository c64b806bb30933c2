// Command load-test puts a StemeDB cluster under a known load, measures it,
// reads every acknowledged claim back, and holds the figures to targets.
//
// # What it owns
//
// The command line, the exit codes, and where the report goes. What is measured,
// and how, is internal/loadtest.
//
// # Invariants
//
//   - It ends with 0 only if every target of every scenario was met.
//   - A report is written also when a target was missed.
//   - A cluster that it started is gone when it ends.
//
// # What it must never do
//
// Stop or kill a node of a cluster that it was given.
package main
