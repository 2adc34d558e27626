package testserver

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"devicetwin/internal/testfile"
)

// Mosquitto is a broker of a test's own, on the loopback interface, that can be ended and started
// again. Its methods belong to one goroutine.
type Mosquitto struct {
	Address string // host and port
	Port    string

	t       testing.TB
	program string
	config  string // file
	running *exec.Cmd
	ended   <-chan struct{}
}

// MosquittoProgram is the path of Mosquitto. Without it, the test ends as Missing says.
func MosquittoProgram(t testing.TB) string {
	t.Helper()
	// Debian puts it where not every user's PATH leads.
	for _, name := range []string{"mosquitto", "/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	Missing(t, "mosquitto is not installed (Debian package mosquitto)")
	return ""
}

// MosquittoUser is a line of a configuration that keeps a Mosquitto which root starts from becoming a
// user who may not write to the folders of a test; "" for other users.
func MosquittoUser() string {
	if os.Geteuid() == 0 {
		return "user root\n"
	}
	return ""
}

// StartMosquitto starts a Mosquitto at a free port, with further lines of its configuration. It ends
// with the test.
func StartMosquitto(t testing.TB, lines ...string) *Mosquitto {
	t.Helper()
	address, port := FreeAddress(t)
	return StartMosquittoAt(t, address, port, "listener "+port+" "+host+"\n"+strings.Join(lines, "\n"))
}

// StartMosquittoAt starts a Mosquitto whose whole configuration has it listen at an address of
// FreeAddress.
func StartMosquittoAt(t testing.TB, address, port, config string) *Mosquitto {
	t.Helper()
	m := &Mosquitto{
		Address: address, Port: port, t: t, program: MosquittoProgram(t),
		config: testfile.Write(t, "mosquitto.conf", config+"\n"+MosquittoUser()),
	}
	m.Start()
	return m
}

// URL is its address for clients.
func (m *Mosquitto) URL() string { return "tcp://" + m.Address }

// Start starts it after Stop, at the same address, with what it has kept. It returns when it listens.
func (m *Mosquitto) Start() {
	m.t.Helper()
	m.running = exec.Command(m.program, "-c", m.config)
	m.ended = Run(m.t, m.running)
	Await(m.t, m.Address, 20*time.Second, m.ended)
}

// Stop ends it by a signal: SIGTERM, at which it keeps what it has, or SIGKILL.
func (m *Mosquitto) Stop(how syscall.Signal) {
	_ = m.running.Process.Signal(how)
	<-m.ended
}
