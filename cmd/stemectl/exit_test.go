package main

import (
	"errors"
	"fmt"
	"testing"

	v1 "github.com/stemedb/stemedb/api/v1"
	"github.com/stemedb/stemedb/client"
)

func TestExitCodes(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want int
	}{
		{nil, exitOK},
		{errors.New("x"), exitError},
		{errUnhealthy, exitUnhealthy},
		{fmt.Errorf("x: %w", &usageError{errors.New("x")}), exitUsage},
		{&client.Error{Problem: v1.Problem{Status: 404}}, exitNotFound},
		{&client.Error{Problem: v1.Problem{Status: 400}}, exitRefused},
		{fmt.Errorf("gave up: %w", &client.Error{Problem: v1.Problem{Status: 503}}), exitUnavailable},
		{fmt.Errorf("x: %w", client.ErrUnreachable), exitUnavailable},
		{fmt.Errorf("%w: 3", errPartial), exitPartial},
	} {
		if got := exitCode(tc.err); got != tc.want {
			t.Errorf("%v gives %d, want %d", tc.err, got, tc.want)
		}
	}
}
