//go:build linux || darwin

package node

import "golang.org/x/sys/unix"

// diskSpace is what an unprivileged user may still write to the file system of
// a folder, and its size.
func diskSpace(dir string) (free, size uint64, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, 0, err
	}
	block := uint64(s.Bsize)
	return s.Bavail * block, s.Blocks * block, nil
}
