package localcluster

import "syscall"

// dieWithParent makes the kernel end a child when this process is gone, however
// it went. The child gets a group of its own, so that Ctrl-C reaches it through
// this process only.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
