//go:build !unix

package process

import (
	"os/exec"
	"time"
)

func setApart(*exec.Cmd) {}

func cpuOf(int) (time.Duration, bool) { return 0, false }
