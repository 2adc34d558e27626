//go:build unix && !linux

package process

import (
	"os/exec"
	"syscall"
	"time"
)

// setApart puts a process in a group of its own, so that Ctrl-C reaches only the
// one that started it.
func setApart(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

func cpuOf(int) (time.Duration, bool) { return 0, false }
