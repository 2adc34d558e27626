package process

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"
)

// Part names a process of a System: its log, its port, and its column in a table.
type Part string

// The parts that every System may have. There can be more bridges than one.
const (
	Broker   Part = "broker"
	Temporal Part = "temporal"
	InfluxDB Part = "influxdb"
	Bridge   Part = "bridge"
	Worker   Part = "worker"
)

// BrokerKind is an MQTT broker that a System can run with.
type BrokerKind string

// The brokers.
const (
	NATS      BrokerKind = "nats"      // embedded in devstack
	Mosquitto BrokerKind = "mosquitto" // the program, if it is installed

	// Of those that make servers installs: see package servers.
	RabbitMQ    BrokerKind = "rabbitmq"
	HiveMQ      BrokerKind = "hivemq"
	Moquette    BrokerKind = "moquette"
	NATSCluster BrokerKind = "nats-cluster" // three servers

	// Kafka is not a broker of MQTT: entities have their messages there.
	Kafka BrokerKind = "kafka"
)

// System is the processes of one case. Its parts are added first and started then.
// Get, Metrics and Crashed may be called from any goroutine once all are added.
type System struct {
	Program  Program
	Dir      string            // logs and configurations
	Patience time.Duration     // of Get
	Ports    map[Part]string   // where each part listens on Host
	Parts    map[Part]*Process // those that were added
	Nodes    []Part            // of a broker that is a cluster; nil: it is Broker alone

	routes map[route]string
}

// route is the way from one part to another.
type route struct{ from, to Part }

// NewSystem returns a system without parts.
func NewSystem(program Program, dir string, patience time.Duration) *System {
	return &System{
		Program: program, Dir: dir, Patience: patience,
		Ports: map[Part]string{}, Parts: map[Part]*Process{}, routes: map[route]string{},
	}
}

// Data is the folder for what servers and worker keep.
func (s *System) Data() string { return filepath.Join(s.Dir, "data") }

// Prepare makes the folders and takes a port for each part.
func (s *System) Prepare(pool *PortPool, parts ...Part) error {
	if err := os.MkdirAll(s.Data(), 0o755); err != nil {
		return fmt.Errorf("make data directory: %w", err)
	}
	ports, err := pool.Take(len(parts))
	if err != nil {
		return err
	}
	for i, part := range parts {
		s.Ports[part] = ports[i]
	}
	return nil
}

// Close kills all processes and gives the ports back.
func (s *System) Close(pool *PortPool) {
	for _, p := range s.Parts {
		p.Kill()
	}
	for _, port := range s.Ports {
		pool.Give(port)
	}
}

// At is where a part listens.
func (s *System) At(part Part) string { return net.JoinHostPort(Host, s.Ports[part]) }

// Address is where one part finds another: At, unless Reroute says otherwise.
func (s *System) Address(from, to Part) string {
	if address, ok := s.routes[route{from, to}]; ok {
		return address
	}
	return s.At(to)
}

// Reroute leads the way from one part to another through a proxy. It holds for
// parts that are added afterwards.
func (s *System) Reroute(from, to Part, proxy string) { s.routes[route{from, to}] = proxy }

// BrokerURLs are the addresses of the broker for a part: one for each node, unless Reroute
// leads it to a single one.
func (s *System) BrokerURLs(from Part) []string {
	if _, rerouted := s.routes[route{from, Broker}]; rerouted || len(s.Nodes) == 0 {
		return []string{"tcp://" + s.Address(from, Broker)}
	}
	var urls []string
	for _, node := range s.Nodes {
		urls = append(urls, "tcp://"+s.At(node))
	}
	return urls
}

// BrokerURL is the same as a flag has it.
func (s *System) BrokerURL(from Part) string { return strings.Join(s.BrokerURLs(from), ",") }

// AddBroker adds the broker, NATS or Mosquitto; mosquitto are further lines of Mosquitto's
// configuration.
func (s *System) AddBroker(kind BrokerKind, mosquitto ...string) error {
	if kind == NATS {
		s.addServer(Broker, "mqtt", "--mqtt-port")
		return nil
	}
	p, err := NewMosquitto(s.Dir, string(Broker), s.Data(), s.Ports[Broker], mosquitto...)
	if err == nil {
		s.Parts[Broker] = p
	}
	return err
}

// AddTemporal adds the Temporal server.
func (s *System) AddTemporal() { s.addServer(Temporal, "temporal", "--temporal-port") }

// AddInfluxDB adds InfluxDB.
func (s *System) AddInfluxDB() { s.addServer(InfluxDB, "influxdb", "--influx-port") }

// addServer adds a devstack with one server in it, by its name there.
func (s *System) addServer(part Part, only, portFlag string) {
	s.Parts[part] = New(s.Dir, string(part), SaidReady, func() *exec.Cmd {
		return s.Program("devstack", "serve", "--only", only, "--data-dir", s.Data(),
			portFlag, s.Ports[part], "--log-level", "warn")
	})
}

// Service is a bridge or the worker.
type Service struct {
	Part     Part
	Command  string // of devicetwin; "kafka" has no broker of MQTT
	Model    string // file
	InfluxDB bool   // write points
	Flags    []string
	Program  Program                   // nil: that of the system
	Wrap     func(*exec.Cmd) *exec.Cmd // nil: run the program as it is
}

// AddService adds a bridge or the worker, or replaces the one that there was, which has
// ended. It is ready when /readyz says so.
func (s *System) AddService(o Service) {
	influx := ""
	if o.InfluxDB {
		influx = "http://" + s.Address(o.Part, InfluxDB)
	}
	args := []string{o.Command, "--http-listen", s.At(o.Part), "--model", o.Model}
	if o.Command != "kafka" {
		args = append(args, "--mqtt-url", s.BrokerURL(o.Part))
	}
	args = append(args, "--temporal-address", s.Address(o.Part, Temporal), "--influx-url="+influx, "--model-copies", filepath.Join(s.Data(), "model-copies"))
	args = append(args, o.Flags...)
	ready := func(ctx context.Context, _ *Process) error {
		_, err := s.Get(ctx, o.Part, "/readyz")
		return err
	}
	program := s.Program
	if o.Program != nil {
		program = o.Program
	}
	s.Parts[o.Part] = New(s.Dir, string(o.Part), ready, func() *exec.Cmd {
		cmd := program("devicetwin", args...)
		if o.Wrap != nil {
			cmd = o.Wrap(cmd)
		}
		return cmd
	})
}

// WorkerFlags are the flags of a worker that has this id.
func (s *System) WorkerFlags(id string) []string {
	return []string{"--worker-credentials", filepath.Join(s.Data(), "credentials"), "--worker-id", id}
}

// Start starts parts one after the other, each when the one before is ready.
func (s *System) Start(ctx context.Context, parts ...Part) error {
	for _, part := range parts {
		if err := s.Parts[part].Start(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Crashed reports the processes that have ended unexpectedly.
func (s *System) Crashed() error {
	var all []error
	for _, p := range s.Parts {
		all = append(all, p.Crashed())
	}
	return errors.Join(all...)
}

// Get asks the HTTP listener of a part for a path that begins with a slash, directly:
// not over a proxy.
func (s *System) Get(ctx context.Context, part Part, path string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, s.Patience)
	defer cancel()
	return Get(ctx, "http://"+s.At(part)+path)
}

// Metrics are those of the present life of a part, each as the sum over its labels.
// An error says that one of the names is missing.
func (s *System) Metrics(ctx context.Context, part Part, names ...string) (map[string]float64, error) {
	body, err := s.Get(ctx, part, "/metrics")
	if err != nil {
		return nil, err
	}
	found := Metrics(body)
	for _, name := range names {
		if _, ok := found[name]; !ok {
			return nil, fmt.Errorf("%s has no metric %s", part, name)
		}
	}
	return found, nil
}

// DialTemporal connects to Temporal directly, with a client that logs nothing.
func (s *System) DialTemporal(ctx context.Context, namespace string) (client.Client, error) {
	c, err := client.DialContext(ctx, client.Options{
		HostPort: s.At(Temporal), Namespace: namespace,
		Logger: sdklog.NewStructuredLogger(slog.New(slog.DiscardHandler)),
	})
	if err != nil {
		return nil, fmt.Errorf("connect to Temporal: %w", err)
	}
	return c, nil
}
