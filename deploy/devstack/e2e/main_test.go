// Package e2e tests the servers of the stack, and devstack as a program. It is
// one package because each test binary with these servers in it takes a while to
// link.
package e2e

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"

	"devicetwin/deploy/devstack/cli"
	"devicetwin/deploy/devstack/process"
	"devicetwin/internal/cli/devicetwin"
)

// behaveAs makes the test binary behave as one of the programs, in a process
// that a test can kill.
const behaveAs = "E2E_BEHAVE_AS"

func TestMain(m *testing.M) {
	switch os.Getenv(behaveAs) {
	case "devstack":
		os.Exit(cli.Main(os.Args[1:], os.Stdout, os.Stderr))
	case cli.StandaloneName:
		os.Exit(cli.Standalone(os.Args[1:], os.Stdout, os.Stderr))
	case "devicetwin":
		os.Exit(devicetwin.Main(os.Args[1:], os.Stdout, os.Stderr))
	}
	code := m.Run()
	if pluginDir != "" {
		_ = os.RemoveAll(pluginDir)
	}
	os.Exit(code)
}

// program prepares one of the programs, in the root of the repository.
func program(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(self, args...)
	command.Env = append(os.Environ(), behaveAs+"="+name)
	if name == "devicetwin" { // the others keep copies in their data folder
		command.Env = append(command.Env, "DEVICETWIN_MODEL_COPIES="+t.TempDir())
	}
	command.Dir = root
	return command
}

// server is a running devstack serve.
type server struct {
	*process.Process
	settings map[string]string // what it printed: DEVICETWIN_MQTT_URL and so on
}

// serve starts devstack serve and waits until it is ready.
func serve(t *testing.T, args ...string) *server {
	t.Helper()
	p := newProcess(t, process.SaidReady, "devstack", append([]string{"serve"}, args...)...)
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := &server{Process: p, settings: map[string]string{}}
	for line := range strings.Lines(p.Said()) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			s.settings[name] = value
		}
	}
	return s
}

// background starts a program that runs until the test ends or kills it.
func background(t *testing.T, name string, args ...string) *process.Process {
	t.Helper()
	p := newProcess(t, nil, name, args...)
	if err := p.Launch(); err != nil {
		t.Fatal(err)
	}
	return p
}

// newProcess prepares a program whose output goes to the test's log if the test
// fails.
func newProcess(t *testing.T, ready func(context.Context, *process.Process) error, name string, args ...string) *process.Process {
	t.Helper()
	p := process.New(t.TempDir(), name, ready, func() *exec.Cmd { return program(t, name, args...) })
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("%s %s said:\n%s", name, args[0], p.LastWords())
		}
	})
	return p
}

// ports are those of the processes of all tests.
var ports = process.NewPortPool()

func freePort(t *testing.T) string {
	t.Helper()
	port, err := ports.Take(1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ports.Give(port...) })
	return port[0]
}
