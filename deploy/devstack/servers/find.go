package servers

import (
	"fmt"
	"os"
	"path/filepath"
)

// NotInstalledError says that a server is not installed, and how to install it.
type NotInstalledError struct{ Name string }

func (e *NotInstalledError) Error() string {
	return fmt.Sprintf("%s is not installed: run make servers ONLY=%s", e.Name, e.Name)
}

// Find is the path of a file of a server in .servers: of the nearest folder with that
// name above the working directory, or else above this program. The error is a
// *NotInstalledError if there is no such file.
func Find(name, file string) (string, error) {
	working, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find %s: %w", name, err)
	}
	program, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find %s: %w", name, err)
	}
	for _, from := range []string{working, filepath.Dir(program)} {
		if path, ok := above(from, filepath.Join(".servers", name, file)); ok {
			return path, nil
		}
	}
	return "", &NotInstalledError{Name: name}
}

func above(dir, file string) (path string, ok bool) {
	for {
		path = filepath.Join(dir, file)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path, true
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", false
		}
		dir = parent
	}
}
