// Package postgrestest starts a PostgreSQL for tests.
package postgrestest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"devicetwin/internal/testfile"
	"devicetwin/internal/testserver"
)

// owner owns all databases, and needs no password.
const owner = "devicetwin"

// Server is a PostgreSQL on this host, which ends with its test.
type Server struct {
	t       testing.TB
	program string
	data    string
	port    string
	running *exec.Cmd
}

// Start starts a PostgreSQL. Where it is not installed, the test is skipped, with the
// line that installs it.
func Start(t testing.TB) *Server {
	t.Helper()
	initdb, program := testserver.Installed(t, "postgresql", "initdb"), testserver.Installed(t, "postgresql", "postgres")
	_, port := testserver.FreeAddress(t)
	s := &Server{t: t, program: program, port: port}
	// Not in a folder of the test, which only this user can enter: PostgreSQL does not
	// run as root.
	var err error
	if s.data, err = os.MkdirTemp("", "postgresql-"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(s.data) })
	testfile.GiveTo(t, s.data, "postgres")
	made := exec.Command(initdb, "-D", s.db(), "-U", owner, "-A", "trust", "-E", "UTF8", "--no-sync", "--locale=C.UTF-8")
	made.Dir = s.data
	if said, err := made.CombinedOutput(); err != nil {
		t.Fatalf("make the folder of PostgreSQL: %v: %s", err, said)
	}
	t.Cleanup(s.Stop)
	s.Start()
	return s
}

func (s *Server) db() string { return filepath.Join(s.data, "db") }

// Addr is its host and port.
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", s.port) }

// URL is that of a database; "postgres" is there from the start.
func (s *Server) URL(database string) string {
	return fmt.Sprintf("postgres://%s@%s/%s?sslmode=disable", owner, s.Addr(), database)
}

// Start starts it after Stop, at the same address, and waits until it answers.
func (s *Server) Start() {
	s.t.Helper()
	s.running = exec.Command(s.program, "-D", s.db(), "-h", "127.0.0.1", "-p", s.port, "-k", s.data, "-c", "fsync=off")
	s.running.Dir = s.data
	if err := s.running.Start(); err != nil {
		s.t.Fatalf("start PostgreSQL: %v", err)
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if s.accepts() {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatal("PostgreSQL does not listen after 30 s")
		}
	}
}

// accepts reports whether it would let a client in: it says no while it starts.
func (s *Server) accepts() bool {
	conn, err := net.Dial("tcp", s.Addr())
	if err != nil {
		return false
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	// A start-up message of protocol 3.0 for the user and the database.
	body := "\x00\x03\x00\x00user\x00" + owner + "\x00database\x00postgres\x00\x00"
	if _, err := conn.Write(append([]byte{0, 0, 0, byte(len(body) + 4)}, body...)); err != nil {
		return false
	}
	said := make([]byte, 1)
	_, err = conn.Read(said)
	return err == nil && said[0] == 'R' // of authentication; an error begins with E
}

// Stop ends it at once, with all connections, as a crash does.
func (s *Server) Stop() {
	if s.running == nil {
		return
	}
	_ = s.running.Process.Signal(syscall.SIGQUIT)
	_ = s.running.Wait()
	s.running = nil
}
