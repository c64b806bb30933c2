// Package exitcode carries the exit code of a command with the error that ends
// it, from where the error is understood to the main.
package exitcode

import "errors"

// Error is an error with an exit code.
type Error struct {
	Code int
	Err  error
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// Of is the exit code that err, or the first in its tree that has one, carries;
// otherwise the given one.
func Of(err error, otherwise int) int {
	var coded *Error
	if errors.As(err, &coded) {
		return coded.Code
	}
	return otherwise
}
