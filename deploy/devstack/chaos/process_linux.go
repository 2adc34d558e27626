package chaos

import (
	"os/exec"
	"syscall"
)

// setApart puts a process in a group of its own, so that Ctrl-C reaches only the
// one that started it, and lets it end with that one, even after kill -9.
func setApart(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
