// Package e2e tests the servers of the stack, and devstack as a program. It is
// one package because each test binary with these servers in it takes a while to
// link.
package e2e

import (
	"bufio"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"devicetwin/deploy/devstack/cli"
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
	os.Exit(m.Run())
}

// process is a running devstack.
type process struct {
	t        *testing.T
	command  *exec.Cmd
	settings map[string]string // what it printed: DEVICETWIN_MQTT_URL and so on
	read     chan struct{}
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
	command.Dir = root
	return command
}

// serve starts devstack serve and waits until it is ready.
func serve(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{t: t, command: program(t, "devstack", append([]string{"serve"}, args...)...), settings: map[string]string{}, read: make(chan struct{})}
	p.command.Stderr = os.Stderr
	stdout, err := p.command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.kill() })
	ready := make(chan struct{})
	go p.readOutput(stdout, ready)
	select {
	case <-ready:
	case <-p.read:
		t.Fatalf("devstack %v ended: %v", args, p.command.Wait())
	case <-time.After(time.Minute):
		t.Fatalf("devstack %v was not ready within a minute", args)
	}
	return p
}

func (p *process) readOutput(stdout io.Reader, ready chan struct{}) {
	defer close(p.read)
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if lines.Text() == "# ready" {
			close(ready)
		} else if name, value, ok := strings.Cut(lines.Text(), "="); ok {
			p.settings[name] = value
		}
	}
}

// kill is kill -9.
func (p *process) kill() {
	_ = p.command.Process.Kill()
	<-p.read
	_ = p.command.Wait()
}

// stop is Ctrl-C; it returns the exit status.
func (p *process) stop() int {
	p.t.Helper()
	if err := p.command.Process.Signal(syscall.SIGINT); err != nil {
		p.t.Fatal(err)
	}
	<-p.read
	_ = p.command.Wait()
	return p.command.ProcessState.ExitCode()
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}
