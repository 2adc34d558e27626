//go:build !unix

package chaos

import (
	"errors"
	"os"
	"os/exec"
)

var errNoSuspend = errors.New("this system cannot stop and continue a process")

func suspend(*os.Process) error { return errNoSuspend }

func proceed(*os.Process) error { return errNoSuspend }

func setApart(*exec.Cmd) {}
