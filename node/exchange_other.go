//go:build !linux

package node

import "errors"

// exchangeDirs is not there: no portable call swaps two folders in one step.
func exchangeDirs(_, _ string) error { return errors.ErrUnsupported }
