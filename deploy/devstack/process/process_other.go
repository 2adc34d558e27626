//go:build !unix

package process

import (
	"errors"
	"os"
	"os/exec"
	"time"
)

var errNoSuspend = errors.New("this system cannot stop and continue a process")

func suspend(*os.Process) error { return errNoSuspend }

func proceed(*os.Process) error { return errNoSuspend }

func setApart(*exec.Cmd) {}

func cpuOf(int) (time.Duration, bool) { return 0, false }
