package bench

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

// The brokers that can be measured with.
const (
	NATS      = "nats"      // embedded in devstack
	Mosquitto = "mosquitto" // the program, if it is installed
)

func (s *system) startBroker(ctx context.Context) (err error) {
	if s.parts[partBroker], err = s.broker(); err != nil {
		delete(s.parts, partBroker)
		return err
	}
	return s.parts[partBroker].Start(ctx)
}

func (s *system) broker() (*process.Process, error) {
	if s.run.Broker == NATS {
		return s.server(partBroker, stack.PartMQTT, "--mqtt-port"), nil
	}
	program, err := process.FindMosquitto()
	if err != nil {
		return nil, err
	}
	config := filepath.Join(s.dir, "mosquitto.conf")
	if err := os.WriteFile(config, []byte(s.mosquittoConfig()), 0o600); err != nil {
		return nil, fmt.Errorf("write the configuration of mosquitto: %w", err)
	}
	return process.New(s.dir, partBroker, s.listens, func() *exec.Cmd { return exec.Command(program, "-c", config) }), nil
}

// mosquittoConfig keeps sessions on disk as Debian's does, every half hour and at
// the end, and drops nothing because a queue is full.
func (s *system) mosquittoConfig() string {
	text := "listener " + s.ports[partBroker] + " " + process.Host + `
allow_anonymous true
persistence true
persistence_location ` + s.data + `/
max_inflight_messages 0
max_queued_messages 0
log_dest stderr
log_type error
log_type warning
`
	if os.Geteuid() == 0 {
		text += "user root\n" // else it becomes a user who may not write here
	}
	return text
}

// listens reports whether the broker takes connections.
func (s *system) listens(ctx context.Context, _ *process.Process) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", s.address(partBroker))
	if err != nil {
		return err
	}
	return conn.Close()
}
