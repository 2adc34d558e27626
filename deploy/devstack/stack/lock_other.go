//go:build !unix

package stack

import (
	"errors"
	"os"
	"syscall"
)

var errLocked = errors.New("locked by another process")

// lockFile does nothing where there is no flock: the ports still collide.
func lockFile(*os.File) error { return nil }

// ownGroup changes nothing where there are no process groups.
func ownGroup() *syscall.SysProcAttr { return nil }
