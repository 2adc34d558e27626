package testserver

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"devicetwin/internal/durable"
	"devicetwin/internal/testfile"
)

// recorder keeps how a test would end, and goes on.
type recorder struct {
	testing.TB
	said []string
}

func (r *recorder) Helper()          {}
func (r *recorder) Skip(why ...any)  { r.said = append(r.said, "skip: "+fmt.Sprint(why...)) }
func (r *recorder) Fatal(why ...any) { r.said = append(r.said, "fatal: "+fmt.Sprint(why...)) }

// A server that is not installed skips a test, with the line that installs it, but never where servers
// are required.
func TestAMissingServer(t *testing.T) {
	t.Chdir(t.TempDir())
	for required, want := range map[string]string{
		"":  "skip: nats is not installed: run make servers ONLY=nats",
		"1": "fatal: nats is not installed: run make servers ONLY=nats",
	} {
		t.Setenv(Required, required)
		r := &recorder{TB: t}
		Installed(r, "nats", "nats-server")
		if got := strings.Join(r.said, ", "); got != want {
			t.Errorf("required %q: %q, want %q", required, got, want)
		}
	}
}

// The folder of servers is that of the nearest folder above which has the program.
func TestInstalledServers(t *testing.T) {
	root := t.TempDir()
	below := filepath.Join(root, "deploy", "nats")
	program := filepath.Join(root, ".servers", "nats", "nats-server")
	for _, dir := range []string{below, filepath.Dir(program), filepath.Join(below, ".servers", "nats", "nats-server")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	testfile.WriteTo(t, program, "")
	t.Chdir(below)
	if got := Installed(t, "nats", "nats-server"); !strings.HasSuffix(got, strings.TrimPrefix(program, root)) || strings.Contains(got, "deploy") {
		t.Errorf("found %s, want %s", got, program)
	}
}

// Whoever asks is given a port that nobody else has, in this process or another one, and that is free
// again when its test has ended.
func TestAddressesAreTakenOnce(t *testing.T) {
	dir := t.TempDir()
	here, there := newPool(dir), newPool(dir)
	var mutex sync.Mutex
	taken := map[int]bool{}
	var asking sync.WaitGroup
	for _, p := range []*pool{here, there} {
		for range 40 {
			asking.Go(func() {
				port, err := p.take()
				mutex.Lock()
				defer mutex.Unlock()
				if err != nil || taken[port] || port < firstPort || port > lastPort {
					t.Errorf("port %d is given, which is taken: %v; error %v", port, taken[port], err)
				}
				taken[port] = true
			})
		}
	}
	asking.Wait()
	for port := range here.taken {
		here.give(port)
		lock, err := durable.LockDir(filepath.Join(dir, fmt.Sprint(port)))
		if err != nil {
			t.Errorf("port %d was given back: %v", port, err)
			continue
		}
		lock.Close()
	}
}

func TestAnAddressWhereSomebodyListensIsPassedOver(t *testing.T) {
	address, _ := FreeAddress(t) // which other tests are not given
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	p := newPool(t.TempDir())
	p.next = port
	if got, err := p.take(); got == port || err != nil {
		t.Errorf("port %d is given, error %v", got, err)
	}
}

// A Mosquitto can be ended and started again, at the same address, and is gone with its test.
func TestMosquitto(t *testing.T) {
	var address string
	t.Run("runs", func(t *testing.T) {
		m := StartMosquitto(t, "allow_anonymous true")
		address = m.Address
		for _, how := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
			m.Stop(how)
			if conn, err := net.Dial("tcp", address); err == nil {
				conn.Close()
				t.Errorf("somebody listens after %v", how)
			}
			m.Start()
		}
	})
	if address == "" {
		t.Skip("mosquitto is not installed")
	}
	if conn, err := net.Dial("tcp", address); err == nil {
		conn.Close()
		t.Error("somebody listens after the test")
	}
}

// A server that ends instead of listening fails its test at once.
func TestAServerThatEnds(t *testing.T) {
	ended := Run(t, exec.Command("true"))
	address, _ := FreeAddress(t)
	r := &failing{recorder{TB: t}}
	began := time.Now()
	func() {
		defer func() { _ = recover() }()
		Await(r, address, time.Minute, ended)
	}()
	if len(r.said) != 1 || !strings.Contains(r.said[0], "the server ended") || time.Since(began) > 30*time.Second {
		t.Errorf("%q after %v", r.said, time.Since(began))
	}
}

// failing is a recorder whose tests end when they fail.
type failing struct{ recorder }

func (f *failing) Fatalf(format string, why ...any) {
	f.said = append(f.said, fmt.Sprintf(format, why...))
	panic("the test has failed")
}
