// Package tutorial runs the tutorials of docs/tutorials: every command of a page
// is run against a node of its own, and what it prints is compared with what the
// page says. go test ./internal/tutorial -update writes the pages anew.
package tutorial
