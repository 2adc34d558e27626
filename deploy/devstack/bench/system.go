package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"go.temporal.io/sdk/client"

	"devicetwin/deploy/devstack/process"
	"devicetwin/deploy/devstack/stack"
	"devicetwin/devicefsm"
	"devicetwin/workflows"
)

// The processes, as columns of the table name them.
const (
	partLoad     = "load" // this process
	partBroker   = "broker"
	partBridge   = "bridge"
	partTemporal = "temporal"
	partWorker   = "worker"
	partInfluxDB = "influxdb"
)

// setting is what a case needs of the system.
type setting struct {
	model  string   // file in testdata
	influx bool     // with InfluxDB
	bridge []string // more flags
	worker []string
}

// system is the processes of one case.
type system struct {
	run     *run
	dir     string
	data    string
	setting setting
	model   *devicefsm.Model
	ports   map[string]string
	parts   map[string]*process.Process
	client  client.Client
	twins   *workflows.Client
	count   func() uint64 // of a case that counts messages by itself; nil: none does
}

func (r *run) newSystem(name string, set setting) *system {
	dir := filepath.Join(r.dir, name)
	return &system{run: r, dir: dir, data: filepath.Join(dir, "data"), setting: set, parts: map[string]*process.Process{}}
}

// startBrokerOnly starts nothing but a broker. What was started is ended by
// close, also after an error.
func (r *run) startBrokerOnly(ctx context.Context, name string) (*system, error) {
	s := r.newSystem(name, setting{model: "threshold.yaml"})
	if err := s.prepare(); err != nil {
		return s, err
	}
	return s, s.startBroker(ctx)
}

// startSystem starts what a case needs. What was started is ended by close, also
// after an error.
func (r *run) startSystem(ctx context.Context, name string, set setting) (*system, error) {
	s := r.newSystem(name, set)
	if err := s.prepare(); err != nil {
		return s, err
	}
	if err := s.startBroker(ctx); err != nil {
		return s, err
	}
	s.parts[partTemporal] = s.server(partTemporal, stack.PartTemporal, "--temporal-port")
	order := []string{partTemporal}
	if set.influx {
		s.parts[partInfluxDB] = s.server(partInfluxDB, stack.PartInfluxDB, "--influx-port")
		order = append(order, partInfluxDB)
	}
	s.parts[partBridge] = s.service(partBridge, set.bridge...)
	s.parts[partWorker] = s.service(partWorker, append([]string{
		"--worker-credentials", filepath.Join(s.data, "credentials"), "--worker-id", "bench",
	}, set.worker...)...)
	for _, part := range append(order, partWorker, partBridge) {
		if err := s.parts[part].Start(ctx); err != nil {
			return s, err
		}
	}
	return s, s.connect(ctx)
}

// prepare makes the folders, writes the model, and finds the ports.
func (s *system) prepare() error {
	if err := os.MkdirAll(s.data, 0o755); err != nil {
		return fmt.Errorf("make a folder for the case: %w", err)
	}
	raw, err := files.ReadFile("testdata/" + s.setting.model)
	if err == nil {
		err = os.WriteFile(s.modelFile(), raw, 0o644)
	}
	if err == nil {
		s.model, err = devicefsm.Load(s.setting.model, raw)
	}
	if err != nil {
		return fmt.Errorf("prepare the model: %w", err)
	}
	s.ports, err = portsFor(partBroker, partTemporal, partInfluxDB, partBridge, partWorker)
	return err
}

func portsFor(parts ...string) (map[string]string, error) {
	free, err := process.FreePorts(len(parts))
	if err != nil {
		return nil, err
	}
	ports := map[string]string{}
	for i, part := range parts {
		ports[part] = free[i]
	}
	return ports, nil
}

func (s *system) modelFile() string { return filepath.Join(s.dir, s.setting.model) }

func (s *system) connect(ctx context.Context) (err error) {
	s.client, err = client.DialContext(ctx, client.Options{
		HostPort: s.address(partTemporal), Namespace: stack.Namespace, Logger: quiet{},
	})
	if err != nil {
		return fmt.Errorf("connect to Temporal: %w", err)
	}
	s.twins = workflows.NewClient(s.client, stack.Namespace, taskQueue, s.model.Hash())
	return nil
}

const taskQueue = "devices" // the default of devicetwin

// quiet is a logger for the SDK.
type quiet struct{}

func (quiet) Debug(string, ...any) {}
func (quiet) Info(string, ...any)  {}
func (quiet) Warn(string, ...any)  {}
func (quiet) Error(string, ...any) {}

// close ends everything at once and removes the data: nothing of it is needed
// any more.
func (s *system) close() {
	if s.client != nil {
		s.client.Close()
	}
	for _, p := range s.parts {
		p.Kill()
	}
	_ = os.RemoveAll(s.data) // temporary
}

// crashed tells which processes have ended by themselves.
func (s *system) crashed() error {
	var all []error
	for _, p := range s.parts {
		all = append(all, p.Crashed())
	}
	return errors.Join(all...)
}

func (s *system) address(part string) string { return net.JoinHostPort(process.Host, s.ports[part]) }

// server is devstack with one server in it.
func (s *system) server(part string, only stack.Part, portFlag string) *process.Process {
	return process.New(s.dir, part, process.SaidReady, func() *exec.Cmd {
		return s.run.Program("devstack", "serve", "--only", string(only), "--data-dir", s.data,
			portFlag, s.ports[part], "--log-level", "warn")
	})
}

// service is the bridge or the worker.
func (s *system) service(part string, more ...string) *process.Process {
	influx := ""
	if s.setting.influx {
		influx = "http://" + s.address(partInfluxDB)
	}
	args := append([]string{
		part, "--http-listen", s.address(part), "--http-profile", "--model", s.modelFile(), "--log-level", "warn",
		"--mqtt-url", "tcp://" + s.address(partBroker), "--temporal-address", s.address(partTemporal),
		"--influx-url=" + influx,
	}, more...)
	ready := func(ctx context.Context, _ *process.Process) error {
		_, err := s.get(ctx, part, "/readyz")
		return err
	}
	return process.New(s.dir, part, ready, func() *exec.Cmd { return s.run.Program("devicetwin", args...) })
}

// get asks the HTTP listener of the bridge or the worker.
func (s *system) get(ctx context.Context, part, path string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	return process.Get(ctx, "http://"+s.address(part)+path)
}

// metrics are the sums of each metric of the bridge or the worker over its labels.
func (s *system) metrics(ctx context.Context, part string) (map[string]float64, error) {
	body, err := s.get(ctx, part, "/metrics")
	if err != nil {
		return nil, err
	}
	return process.Metrics(body), nil
}
