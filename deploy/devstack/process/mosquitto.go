package process

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
)

// ErrNoMosquitto says that Mosquitto is not installed.
var ErrNoMosquitto = errors.New("mosquitto is not on the PATH: install it (on Debian: apt-get install mosquitto), or leave it out with --broker nats")

// FindMosquitto is the path of the program.
func FindMosquitto() (string, error) {
	// Debian puts it where not every user's PATH leads.
	for _, name := range []string{"mosquitto", "/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", ErrNoMosquitto
}

// NewMosquitto prepares Mosquitto, listening at a port of Host: its log and its
// configuration are in the folder dir, its sessions in data. It drops nothing
// because a queue is full, saves as Debian's does, every half hour and at the
// end, and logs errors and warnings; more are further lines of its configuration.
func NewMosquitto(dir, name, data, port string, more ...string) (*Process, error) {
	program, err := FindMosquitto()
	if err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "mosquitto.conf")
	if err := os.WriteFile(config, []byte(mosquittoConfig(data, port, more)), 0o600); err != nil {
		return nil, fmt.Errorf("write the configuration of mosquitto: %w", err)
	}
	return New(dir, name, Listens(port), func() *exec.Cmd { return exec.Command(program, "-c", config) }), nil
}

func mosquittoConfig(data, port string, more []string) string {
	text := "listener " + port + " " + Host + `
allow_anonymous true
persistence true
persistence_location ` + data + `/
max_inflight_messages 0
max_queued_messages 0
log_dest stderr
log_type error
log_type warning
`
	for _, line := range more {
		text += line + "\n"
	}
	if os.Geteuid() == 0 {
		text += "user root\n" // else it becomes a user who may not write here
	}
	return text
}

// Listens is for processes that are ready when they take connections at a port of Host.
func Listens(port string) func(context.Context, *Process) error {
	return func(ctx context.Context, _ *Process) error {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(Host, port))
		if err != nil {
			return err
		}
		return conn.Close()
	}
}
