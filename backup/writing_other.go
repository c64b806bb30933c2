//go:build !linux

package backup

import "os"

// startWriting does nothing: the sync at the end does it all.
func startWriting(*os.File, int64, int64) error { return nil }
