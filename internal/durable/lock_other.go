//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package durable

import (
	"errors"
	"io"
	"os"
)

// LockDir does nothing where folders cannot be locked: there it is left to the
// operator to give each process a folder of its own.
func LockDir(string) (io.Closer, error) { return io.NopCloser(nil), nil }

// LockFile does nothing where files cannot be locked.
func LockFile(string) (io.Closer, error) { return io.NopCloser(nil), nil }

// TryLock returns errors.ErrUnsupported where files cannot be locked.
func TryLock(*os.File) (bool, error) { return false, errors.ErrUnsupported }
