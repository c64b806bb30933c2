//go:build !linux

package localcluster

import "syscall"

// dieWithParent has no equivalent outside Linux: children outlive a parent that
// is killed, but not one that is stopped. The child gets a group of its own, so
// that Ctrl-C reaches it through this process only.
func dieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
