// Package loadtest puts a cluster under a known load, measures it, and checks
// that nothing which the cluster has acknowledged is lost. cmd/load-test is its
// command line.
//
// # What it owns
//
// The load (open and closed loops), the claims that are sent, the recording of
// latencies, the scenarios with their targets, and the report in its four forms:
// a table, Markdown, JSON and an HTML page.
//
// # Invariants
//
//   - In an open loop a latency counts from when the operation was due by the
//     schedule, not from when it was sent: a server that stalls cannot hide the
//     requests that would have been sent meanwhile (coordinated omission).
//     Operations that were due and never sent count too, with the time for which
//     they have waited.
//   - Every acknowledged claim is read back and compared after the load. What
//     that takes is one bit for each claim, since a claim's content follows from
//     its number.
//   - A claim that is lost fails the run whatever its latencies.
//   - All forms of the report are made of the same Report.
//   - Only nodes that this package has started are ever killed.
//
// # What it must never do
//
// Leave out of a measurement what was slow, or judge what was not measured as
// if the target were met.
package loadtest
