package main

import (
	"errors"
	"net/http"

	"github.com/stemedb/stemedb/client"
)

// The exit codes, documented in docs/cli.md.
const (
	exitOK          = 0
	exitError       = 1 // anything without a code of its own
	exitUsage       = 2 // the command line is wrong
	exitNotFound    = 3 // there is no such claim
	exitRefused     = 4 // the server refused the request (4xx)
	exitUnavailable = 5 // no node could answer: no connection, no leader, outcome unknown
	exitPartial     = 6 // an import went through, but some rows were refused
	exitUnhealthy   = 7 // doctor found something that fails
)

// usageError marks a fault of the command line.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// errPartial means that some rows of an import, or records of a restore, were refused.
var errPartial = errors.New("some of it was refused")

func exitCode(err error) int {
	var usage *usageError
	var refusal *client.Error
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &usage):
		return exitUsage
	case errors.Is(err, errPartial):
		return exitPartial
	case errors.Is(err, errUnhealthy):
		return exitUnhealthy
	case errors.As(err, &refusal):
		switch {
		case refusal.Status == http.StatusNotFound:
			return exitNotFound
		case refusal.Status/100 == 4:
			return exitRefused
		default:
			return exitUnavailable
		}
	case errors.Is(err, client.ErrUnreachable):
		return exitUnavailable
	default:
		return exitError
	}
}
