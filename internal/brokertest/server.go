package brokertest

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Installed is a program of a server that make servers has installed, seen from a folder
// of deploy. Where it is not, the test is skipped, and fails in continuous integration.
func Installed(t *testing.T, server, program string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("../../.servers", server, program))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if os.Getenv("CI_SERVERS") == "" {
			t.Skipf("%s is not installed: run make servers ONLY=%s", server, server)
		}
		t.Fatalf("%s is not installed: run make servers ONLY=%s", server, server)
	}
	return path
}

// FreeAddress is one on the loopback interface that nobody listens at.
func FreeAddress(t *testing.T) (address, port string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	address = listener.Addr().String()
	_, port, _ = net.SplitHostPort(address)
	return address, port
}

// Await waits until somebody listens, or ended is closed.
func Await(t *testing.T, address string, within time.Duration, ended <-chan struct{}) {
	t.Helper()
	for deadline := time.Now().Add(within); ; {
		if conn, err := net.Dial("tcp", address); err == nil {
			conn.Close()
			return
		}
		select {
		case <-ended:
			t.Fatal("the broker ended")
		case <-time.After(100 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatal("the broker does not listen")
		}
	}
}

// Run starts a program that ends with the test, with its group of processes if it has one
// of its own.
func Run(t *testing.T, command *exec.Cmd) (ended <-chan struct{}) {
	t.Helper()
	command.Stdout, command.Stderr = t.Output(), t.Output()
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	go func() {
		_ = command.Wait()
		close(over)
	}()
	t.Cleanup(func() {
		if a := command.SysProcAttr; a != nil && a.Setpgid {
			_ = syscall.Kill(-command.Process.Pid, syscall.SIGKILL)
		}
		_ = command.Process.Kill()
		<-over
	})
	return over
}

// File is the content of a file after changes: each is a string that has to be in it, and
// what takes its place.
func File(t *testing.T, file string, changes ...[2]string) string {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	content := string(raw)
	for _, change := range changes {
		if !strings.Contains(content, change[0]) {
			t.Fatalf("%s does not contain %q", file, change[0])
		}
		content = strings.ReplaceAll(content, change[0], change[1])
	}
	return content
}

// Documented are the lines that docs/brokers.md, seen from a folder of deploy, says to
// paste for a broker.
func Documented(t *testing.T, broker string) (lines []string) {
	t.Helper()
	_, section, found := strings.Cut(File(t, "../../docs/brokers.md"), "\n## "+broker+"\n")
	_, block, fenced := strings.Cut(section, "\n```\n")
	block, _, closed := strings.Cut(block, "\n```\n")
	if !found || !fenced || !closed {
		t.Fatalf("docs/brokers.md has no settings of %s", broker)
	}
	if lines = strings.Split(block, "\n"); len(lines) < 5 {
		t.Errorf("only %q", lines)
	}
	return lines
}
