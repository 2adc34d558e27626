package cli

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"devicetwin/deploy/devstack/process"
)

// programs finds the two programs: this one, and devicetwin, by default beside it.
func programs(devicetwin string) (process.Program, error) {
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
