//go:build unix && !linux

package chaos

import (
	"os/exec"
	"syscall"
)

// setApart puts a process in a group of its own, so that Ctrl-C reaches only the
// one that started it.
func setApart(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
