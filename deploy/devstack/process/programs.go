package process

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Program prepares one of the two programs, "devstack" or "devicetwin".
type Program func(name string, args ...string) *exec.Cmd

// OfThisFolder is a file in the folder of this program.
func OfThisFolder(name string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find this program: %w", err)
	}
	return filepath.Join(filepath.Dir(self), name), nil
}

// Programs finds the two programs: devstack is the running one, and devicetwin the
// named file; without a name, the file devicetwin in the same folder.
func Programs(devicetwin string) (Program, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	if devicetwin == "" {
		devicetwin = filepath.Join(filepath.Dir(self), "devicetwin")
	}
	if devicetwin, err = exec.LookPath(devicetwin); err != nil {
		return nil, fmt.Errorf("%w\nbuild it (make build), or name it with --devicetwin", err)
	}
	if devicetwin, err = filepath.Abs(devicetwin); err != nil {
		return nil, fmt.Errorf("find devicetwin: %w", err)
	}
	return func(name string, args ...string) *exec.Cmd {
		if name == "devstack" {
			return exec.Command(self, args...)
		}
		return exec.Command(devicetwin, args...)
	}, nil
}
