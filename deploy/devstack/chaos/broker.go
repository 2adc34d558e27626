package chaos

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"

	"devicetwin/deploy/devstack/process"
	"devicetwin/deploy/devstack/stack"
)

func (s *system) broker(kind BrokerKind) (*process.Process, error) {
	if kind == NATS {
		return s.server(Broker, stack.PartMQTT, "--mqtt-port"), nil
	}
	program, err := process.FindMosquitto()
	if err != nil {
		return nil, err
	}
	config := filepath.Join(s.dir, "mosquitto.conf")
	if err := os.WriteFile(config, []byte(s.mosquittoConfig()), 0o600); err != nil {
		return nil, fmt.Errorf("write the configuration of mosquitto: %w", err)
	}
	return process.New(s.dir, string(Broker), s.listens, func() *exec.Cmd { return exec.Command(program, "-c", config) }), nil
}

// mosquittoConfig saves after every change, which is the least that Mosquitto can
// lose: what it has acknowledged, neither saved nor sent on, is gone with kill -9.
// Nothing is dropped because a queue is full.
func (s *system) mosquittoConfig() string {
	text := "listener " + s.ports[Broker] + " " + host + `
allow_anonymous true
persistence true
persistence_location ` + s.data + `/
autosave_on_changes true
autosave_interval 1
max_inflight_messages 0
max_queued_messages 0
log_dest stderr
log_type error
log_type warning
log_type notice
`
	if os.Geteuid() == 0 {
		text += "user root\n" // else it becomes a user who may not write here
	}
	return text
}

// listens reports whether the broker takes connections.
func (s *system) listens(ctx context.Context, _ *process.Process) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(host, s.ports[Broker]))
	if err != nil {
		return err
	}
	return conn.Close()
}
