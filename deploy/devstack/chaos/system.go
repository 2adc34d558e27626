package chaos

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"devicetwin/deploy/devstack/process"
	"devicetwin/deploy/devstack/stack"
)

const host = process.Host

// runEvents is after how many messages a workflow is continued as new.
const runEvents = 50

// system is the processes of one case, but for the fleet.
type system struct {
	program   process.Program
	dir       string // logs and files of the case
	data      string
	model     string
	pool      *portPool
	ports     map[Part]string // where each part listens; bridges and worker with their metrics
	bridges   []Part
	proxied   *proxiedLink // nil: the fault is about no link
	disk      *smallDisk   // of the first bridge's spool; nil: the fault is about no disk
	processes map[Part]*process.Process
}

// startSystem starts everything. What was started is ended by close, also after
// an error.
func startSystem(ctx context.Context, program process.Program, pool *portPool, dir, model string, c Case) (*system, error) {
	s := &system{
		program: program, dir: dir, data: filepath.Join(dir, "data"), model: model, pool: pool,
		ports: map[Part]string{}, bridges: c.Fault.bridges(), processes: map[Part]*process.Process{},
	}
	if err := os.MkdirAll(s.data, 0o755); err != nil {
		return s, fmt.Errorf("make data directory: %w", err)
	}
	parts := append([]Part{Broker, Temporal, InfluxDB, Worker}, s.bridges...)
	if err := s.findPorts(parts, c.Fault.Link); err != nil {
		return s, err
	}
	if c.Fault.Kind == Fill {
		s.disk = &smallDisk{s.spool(c.Fault.Part)}
		if err := os.MkdirAll(s.disk.dir, 0o700); err != nil {
			return s, fmt.Errorf("make spool folder: %w", err)
		}
	}
	if err := s.makeProcesses(c.Broker); err != nil {
		return s, err
	}
	for _, part := range parts {
		if err := s.processes[part].Start(ctx); err != nil {
			return s, err
		}
	}
	return s, nil
}

// findPorts finds a port for each part, and opens the link in question.
func (s *system) findPorts(parts []Part, link Link) error {
	ports, err := s.pool.take(len(parts) + 1)
	if err != nil {
		return err
	}
	for i, part := range parts {
		s.ports[part] = ports[i]
	}
	proxy := ports[len(parts)]
	s.ports[linkPort] = proxy
	if link == (Link{}) {
		return nil
	}
	s.proxied, err = openLink(link, net.JoinHostPort(host, proxy), net.JoinHostPort(host, s.ports[link.To]))
	return err
}

// linkPort stands for the proxy among the ports.
const linkPort Part = "link"

func (s *system) makeProcesses(broker BrokerKind) (err error) {
	if s.processes[Broker], err = s.broker(broker); err != nil {
		return err
	}
	s.processes[Temporal] = s.server(Temporal, stack.PartTemporal, "--temporal-port")
	s.processes[InfluxDB] = s.server(InfluxDB, stack.PartInfluxDB, "--influx-port")
	s.processes[Worker] = s.service("worker", Worker, "--worker-credentials", filepath.Join(s.data, "credentials"),
		"--worker-id", "chaos", "--worker-run-events", strconv.Itoa(runEvents))
	for i, part := range s.bridges {
		// On the debug level the bridge notes each message that it receives: see trace.
		more := []string{"--log-level", "debug", "--bridge-id", string(part)}
		if len(s.bridges) > 1 {
			more = append(more, "--bridge-partition", fmt.Sprintf("%d/%d", i+1, len(s.bridges)))
		}
		s.processes[part] = s.service("bridge", part, more...)
	}
	return nil
}

// close ends everything at once: nothing of it is needed any more.
func (s *system) close() {
	for _, p := range s.processes {
		p.Kill()
	}
	if s.proxied != nil {
		s.proxied.close()
	}
	for _, port := range s.ports {
		s.pool.give(port)
	}
}

// crashed tells which processes have ended by themselves.
func (s *system) crashed() error {
	var all []error
	for _, p := range s.processes {
		all = append(all, p.Crashed())
	}
	return errors.Join(all...)
}

// address is where one part finds another.
func (s *system) address(from, to Part) string {
	if s.proxied != nil && s.proxied.link == (Link{from, to}) {
		return s.proxied.addr()
	}
	return net.JoinHostPort(host, s.ports[to])
}

func (s *system) mqttURL(from Part) string { return "tcp://" + s.address(from, Broker) }

// spool is the folder of a part's points that are not written yet.
func (s *system) spool(part Part) string { return filepath.Join(s.data, "spool-"+string(part)) }

// server is devstack with one server in it.
func (s *system) server(part Part, only stack.Part, portFlag string) *process.Process {
	return process.New(s.dir, string(part), process.SaidReady, func() *exec.Cmd {
		return s.program("devstack", "serve", "--only", string(only), "--data-dir", s.data,
			portFlag, s.ports[part], "--log-level", "warn")
	})
}

// service is a bridge or the worker.
func (s *system) service(command string, part Part, more ...string) *process.Process {
	args := append([]string{
		command, "--http-listen", net.JoinHostPort(host, s.ports[part]), "--model", s.model,
		"--mqtt-url", s.mqttURL(part), "--temporal-address", s.address(part, Temporal),
		"--influx-url", "http://" + s.address(part, InfluxDB), "--influx-spool", s.spool(part),
	}, more...)
	ready := func(ctx context.Context, _ *process.Process) error {
		_, err := s.get(ctx, part, "/readyz")
		return err
	}
	return process.New(s.dir, string(part), ready, func() *exec.Cmd {
		cmd := s.program("devicetwin", args...)
		if s.disk != nil && s.disk.dir == s.spool(part) {
			cmd = s.disk.wrap(cmd)
		}
		return cmd
	})
}
