//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package durable

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// LockDir keeps other processes from using a folder until it is closed,
// or the process ends, in whatever way.
func LockDir(dir string) (io.Closer, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.New("another process uses it; give each process a folder of its own")
		}
		return nil, fmt.Errorf("lock: %w", err)
	}
	return f, nil
}
