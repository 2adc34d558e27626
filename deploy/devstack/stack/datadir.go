package stack

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// dataDir is the folder that holds the data of all parts.
type dataDir struct {
	path      string
	temporary bool // removed at the end
}

func openDataDir(path string, remove bool) (*dataDir, error) {
	d := &dataDir{path: path, temporary: remove || path == ""}
	if path == "" {
		made, err := os.MkdirTemp("", "devstack-")
		if err != nil {
			return nil, fmt.Errorf("make a temporary data directory: %w", err)
		}
		d.path = made
		return d, nil
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("data directory %s: %w", path, err)
	}
	d.path = absolute
	if err := os.MkdirAll(absolute, 0o755); err != nil {
		return nil, fmt.Errorf("make data directory: %w", err)
	}
	return d, nil
}

// claim locks one part's folder for this process and returns its path. Separate
// processes may run different parts on the same data directory.
func (d *dataDir) claim(part Part) (string, func(), error) {
	path := filepath.Join(d.path, string(part))
	if err := os.MkdirAll(path, 0o755); err != nil {
		return "", nil, fmt.Errorf("make data directory: %w", err)
	}
	release, err := Lock(path + ".lock")
	if err != nil {
		return "", nil, fmt.Errorf("data directory %s: %w", path, err)
	}
	return path, release, nil
}

// Lock locks a file, which it makes if necessary, for this process, however it
// ends.
func Lock(path string) (release func(), err error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	if err := lockFile(file); err != nil {
		file.Close()
		if errors.Is(err, errLocked) {
			return nil, fmt.Errorf("in use by another process (%s is locked)", path)
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return func() { file.Close() }, nil
}

// close removes temporary data. A server that was not waited for may still add
// files while others are being removed, hence the patience.
func (d *dataDir) close() error {
	if !d.temporary {
		return nil
	}
	var err error
	for range 50 {
		if err = os.RemoveAll(d.path); err == nil {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return fmt.Errorf("remove temporary data directory: %w", err)
}
