// Package readiness runs the production-readiness checklist: each row is a
// command that an operator can copy, judged by what it did rather than by what it
// printed last. A run leaves a dated report, and the page of the checklist is made
// anew of all reports. SelfTest puts a fault into a copy of the tree for each row
// and sees the row's own command notice it.
package readiness
