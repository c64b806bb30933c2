// Package version says which build this is. The values are set by the linker
// (see the Makefile).
package version

import "runtime"

var (
	number = "0.1.0-dev"
	commit = "unknown"
)

// Number is the software's version.
func Number() string { return number }

// Commit is the commit that was built.
func Commit() string { return commit }

// Go is the version of the Go toolchain.
func Go() string { return runtime.Version() }
