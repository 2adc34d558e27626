package process

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// ErrNoMosquitto says that Mosquitto is not installed.
var ErrNoMosquitto = errors.New("mosquitto is not on the PATH: install it (on Debian: apt-get install mosquitto), or leave it out with --broker nats")

// MosquittoPlugin is the name of the file of the plugin that decides who may connect.
const MosquittoPlugin = "devicetwin-auth.so"

// ErrNoMosquittoPlugin says that the plugin was not built.
var ErrNoMosquittoPlugin = errors.New("the plugin for mosquitto was not built: make bin/" + MosquittoPlugin +
	" does that with a C compiler and the headers of mosquitto (on Debian: apt-get install mosquitto-dev libmosquitto-dev); or leave mosquitto out with --broker nats")

// FindMosquittoPlugin is the absolute path of a file that has to be there: Mosquitto changes its folder.
func FindMosquittoPlugin(file string) (string, error) {
	if _, err := os.Stat(file); err != nil {
		return "", fmt.Errorf("%w (%w)", ErrNoMosquittoPlugin, err)
	}
	path, err := filepath.Abs(file)
	if err != nil {
		return "", fmt.Errorf("find the plugin for mosquitto: %w", err)
	}
	return path, nil
}

// MosquittoLogin lets the plugin decide who may connect to a Mosquitto, and what a client may do.
type MosquittoLogin struct {
	Plugin      string   // file
	Credentials string   // folder of the devices' passwords
	Services    string   // file of the accounts
	Allow       []string // rules, as of devicetwin auth
}

// Lines are those of the configuration.
func (l MosquittoLogin) Lines() []string {
	lines := []string{allowAnonymous + "false", "plugin " + l.Plugin, "plugin_opt_credentials " + l.Credentials, "plugin_opt_services " + l.Services}
	for _, rule := range l.Allow {
		lines = append(lines, "plugin_opt_allow "+rule)
	}
	return lines
}

const allowAnonymous = "allow_anonymous "

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
// end, and logs errors and warnings; more are further lines of its configuration. Without
// those of a MosquittoLogin, it asks nobody who they are.
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
	if !slices.ContainsFunc(more, func(line string) bool { return strings.HasPrefix(line, allowAnonymous) }) {
		more = append([]string{allowAnonymous + "true"}, more...)
	}
	text := "listener " + port + " " + Host + `
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
