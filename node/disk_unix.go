//go:build linux || darwin

package node

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

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

// keepOwner gives a file the owner and the mode of another one: a copy that an
// administrator makes must stay readable by the node's own user.
func keepOwner(from, to string) error {
	var s unix.Stat_t
	if err := unix.Stat(from, &s); err != nil {
		return fmt.Errorf("look at the owner of %s: %w", from, err)
	}
	if err := os.Chown(to, int(s.Uid), int(s.Gid)); err != nil {
		return fmt.Errorf("give the copy to the owner of %s (run it as that user): %w", from, err)
	}
	return os.Chmod(to, os.FileMode(s.Mode).Perm())
}
