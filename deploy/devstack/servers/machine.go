package servers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"devicetwin/deploy/devstack/process"
)

// ErrNotRoot says that only root can boot a Machine.
var ErrNotRoot = errors.New("boot a machine: only root can do that")

// Machine is a Debian with a booted systemd, in a container of systemd-nspawn. Files,
// users and processes are its own; the network is that of this system.
type Machine struct {
	*process.Process
	Root string // where its files are in this system

	systemd int // its first process in this system; 0: it is not booted
}

// NewMachine prepares a machine whose file system is in the new folder root; its log is
// in the folder dir. Folders of this system that it may read are mounts, such as
// "/home/x:/src". The error is a *NotInstalledError if it is not installed.
func NewMachine(dir, name, root string, mounts ...string) (*Machine, error) {
	boot, err := Find("systemd", "boot")
	if err != nil {
		return nil, err
	}
	if os.Geteuid() != 0 {
		return nil, ErrNotRoot
	}
	args := []string{root, "--machine=" + name}
	for _, mount := range mounts {
		args = append(args, "--bind-ro="+mount)
	}
	m := &Machine{Root: root}
	m.Process = process.New(dir, name, m.booted, func() *exec.Cmd { return exec.Command(boot, args...) })
	return m, nil
}

// booted asks systemd whether it has started all units, or tried to.
func (m *Machine) booted(ctx context.Context, _ *process.Process) error {
	said, err := m.Run(ctx, "systemctl is-system-running")
	if said != "running" && said != "degraded" { // then some units have failed
		return fmt.Errorf("systemd is not running: %q: %w", said, err)
	}
	m.systemd, err = m.first()
	return err
}

// Run runs a shell script as root of the machine, and returns what it prints. An error
// has that in it, and the line that failed is the last one.
func (m *Machine) Run(ctx context.Context, script string) (said string, err error) {
	first, err := m.first()
	if err != nil {
		return "", err
	}
	command := exec.CommandContext(ctx, "nsenter", "--target", strconv.Itoa(first), "--mount", "--uts", "--ipc", "--pid", "--root", "--wd",
		"--", "/bin/sh", "-ec", script)
	command.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	out, err := command.CombinedOutput()
	said = strings.TrimSpace(string(out))
	if err != nil {
		return said, fmt.Errorf("run in machine %s: %w: %s", m.Name, err, said)
	}
	return said, nil
}

// first is the number of the machine's first process, systemd, in this system: the one
// that has the number 1 in the machine, two generations below the script (proc(5)).
func (m *Machine) first() (pid int, err error) {
	if m.systemd != 0 {
		return m.systemd, nil
	}
	container, err := childOf(m.PID())
	if err == nil {
		pid, err = childOf(container)
	}
	if err != nil {
		return 0, fmt.Errorf("machine %s has no first process: %w", m.Name, err)
	}
	return pid, nil
}

// childOf is the first process of the namespace that a process has made.
func childOf(parent int) (pid int, err error) {
	files, err := filepath.Glob("/proc/[0-9]*/status")
	if err != nil {
		return 0, err
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		inside := statusOf(string(raw), "NSpid")
		if slices.Equal(statusOf(string(raw), "PPid"), []string{strconv.Itoa(parent)}) && len(inside) > 1 && inside[len(inside)-1] == "1" {
			return strconv.Atoi(filepath.Base(filepath.Dir(file)))
		}
	}
	return 0, fmt.Errorf("process %d has no child in a namespace of its own", parent)
}

// statusOf are the values of a line of /proc/PID/status.
func statusOf(status, name string) []string {
	for line := range strings.Lines(status) {
		if values, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.Fields(values)
		}
	}
	return nil
}

// killPatience is how long the processes of a machine may take to be gone.
const killPatience = 10 * time.Second

// Kill ends the machine like a loss of power, and returns when none of its processes is
// left to write to its files.
func (m *Machine) Kill() {
	m.Process.Kill()
	if m.systemd == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), killPatience)
	defer cancel()
	_ = process.Poll(ctx, 10*time.Millisecond, func(context.Context) (bool, error) {
		_, err := os.Stat("/proc/" + strconv.Itoa(m.systemd))
		return err != nil, nil
	})
	m.systemd = 0
}
