//go:build !linux && !darwin

package node

import "errors"

func diskSpace(string) (free, size uint64, err error) { return 0, 0, errors.ErrUnsupported }

func keepOwner(string, string) error { return nil }
