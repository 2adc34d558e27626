// Package testserver has what tests of real servers share: where these are installed, addresses that
// nobody else has, programs that end with the test, and a Mosquitto.
package testserver

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// Required is the environment variable that makes it a failure if a server is not installed: in
// continuous integration no test may be left out.
const Required = "CI_SERVERS"

// Missing ends a test for want of something that is not installed: the test is skipped, or fails
// where servers are Required. The reason says how to install it.
func Missing(t testing.TB, reason string) {
	t.Helper()
	if os.Getenv(Required) == "" {
		t.Skip(reason)
	} else {
		t.Fatal(reason)
	}
}

// Installed is the path of a program of a server that "make servers" has installed. Without it, the test
// ends as Missing says.
func Installed(t testing.TB, server, program string) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatalf("find %s: %v", server, err)
	}
	path := find(dir, filepath.Join(".servers", server, program))
	if path == "" {
		Missing(t, server+" is not installed: run make servers ONLY="+server)
	}
	return path
}

// find is the path of a file in a folder, or in the nearest one above that has it; "" if none has.
func find(dir, file string) string {
	for {
		path := filepath.Join(dir, file)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path
		}
		above := filepath.Dir(dir)
		if above == dir {
			return ""
		}
		dir = above
	}
}

// Run starts a program that ends with the test, with its group of processes if it has one of its own.
// What it says goes to the test's output. The channel is closed when it has ended.
func Run(t testing.TB, command *exec.Cmd) (ended <-chan struct{}) {
	t.Helper()
	command.Stdout, command.Stderr = t.Output(), t.Output()
	if err := command.Start(); err != nil {
		t.Fatalf("start %s: %v", command.Path, err)
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

// Await waits until somebody listens at an address. The test fails if ended is closed before, or it
// takes too long.
func Await(t testing.TB, address string, within time.Duration, ended <-chan struct{}) {
	t.Helper()
	for deadline := time.Now().Add(within); ; {
		if conn, err := net.Dial("tcp", address); err == nil {
			conn.Close()
			return
		}
		select {
		case <-ended:
			t.Fatalf("the server ended, and does not listen at %s", address)
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("nobody listens at %s after %v", address, within)
		}
	}
}
