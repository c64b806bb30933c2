// Package costs holds what operations may cost: allocations, bytes, keys read and
// written, entries and syncs of the log, batches. None of it depends on how fast or
// how busy the machine is, so that a test can hold it where a clock could not.
//
// The budgets stand in one table, budgets.go. What is measured against them
// stands in the cost_test.go of each room: a test brings the operation about,
// counts, and calls Hold or HoldMemory with the name of its row.
//
// A cost above its budget fails the test; one that is more than a quarter below it
// does too, so that the table is lowered and the gain is kept.
//
// # What it must never do
//
// Measure time, or import a room: their tests use it.
package costs
