package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"devicetwin/deploy/devstack/stack"
)

const host = "127.0.0.1"

// runEvents is after how many messages a workflow is continued as new.
const runEvents = 50

// system is the processes of one case, but for the fleet.
type system struct {
	program   Program
	dir       string // logs and files of the case
	data      string
	model     string
	ports     map[Part]string // where each part listens; bridge and worker with their metrics
	proxied   *proxiedLink    // nil: the fault is about no link
	processes map[Part]*process
}

// startSystem starts everything. What was started is ended by close, also after
// an error.
func startSystem(ctx context.Context, program Program, dir, model string, c Case) (*system, error) {
	s := &system{program: program, dir: dir, data: filepath.Join(dir, "data"), model: model, processes: map[Part]*process{}}
	if err := os.MkdirAll(s.data, 0o755); err != nil {
		return s, fmt.Errorf("make data directory: %w", err)
	}
	parts := []Part{Broker, Temporal, InfluxDB, Bridge, Worker}
	var err error
	if s.ports, err = freePorts(parts); err != nil {
		return s, err
	}
	if l := c.Fault.Link; l != (Link{}) {
		if s.proxied, err = openLink(l, net.JoinHostPort(host, s.ports[l.To])); err != nil {
			return s, err
		}
	}
	if s.processes[Broker], err = s.broker(c.Broker); err != nil {
		return s, err
	}
	s.processes[Temporal] = s.server(Temporal, stack.PartTemporal, "--temporal-port")
	s.processes[InfluxDB] = s.server(InfluxDB, stack.PartInfluxDB, "--influx-port")
	// On the debug level the bridge notes each message that it receives: see trace.
	s.processes[Bridge] = s.service(Bridge, "--log-level", "debug")
	s.processes[Worker] = s.service(Worker, "--worker-credentials", filepath.Join(s.data, "credentials"),
		"--worker-id", "chaos", "--worker-run-events", strconv.Itoa(runEvents))
	for _, part := range parts {
		if err := s.processes[part].start(ctx); err != nil {
			return s, err
		}
	}
	return s, nil
}

// close ends everything at once: nothing of it is needed any more.
func (s *system) close() {
	for _, p := range s.processes {
		p.kill()
	}
	if s.proxied != nil {
		s.proxied.close()
	}
}

// crashed tells which processes have ended by themselves.
func (s *system) crashed() error {
	var all []error
	for _, p := range s.processes {
		all = append(all, p.crashed())
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

// server is devstack with one server in it.
func (s *system) server(part Part, only stack.Part, portFlag string) *process {
	return newProcess(s.dir, string(part), saidReady, func() *exec.Cmd {
		return s.program("devstack", "serve", "--only", string(only), "--data-dir", s.data,
			portFlag, s.ports[part], "--log-level", "warn")
	})
}

func saidReady(_ context.Context, p *process) error {
	if !slices.Contains(strings.Split(p.said(), "\n"), "# ready") {
		return errors.New("it has not said so")
	}
	return nil
}

// service is the bridge or the worker.
func (s *system) service(part Part, more ...string) *process {
	args := append([]string{
		string(part), "--http-listen", net.JoinHostPort(host, s.ports[part]), "--model", s.model,
		"--mqtt-url", s.mqttURL(part), "--temporal-address", s.address(part, Temporal),
		"--influx-url", "http://" + s.address(part, InfluxDB),
	}, more...)
	ready := func(ctx context.Context, _ *process) error {
		_, err := s.get(ctx, part, "/readyz")
		return err
	}
	return newProcess(s.dir, string(part), ready, func() *exec.Cmd { return s.program("devicetwin", args...) })
}

// get asks the HTTP listener of the bridge or the worker.
func (s *system) get(ctx context.Context, part Part, path string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, s.ports[part])+path, nil)
	if err != nil {
		return "", fmt.Errorf("ask %s: %w", part, err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", fmt.Errorf("ask %s: %w", part, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err == nil && response.StatusCode != http.StatusOK {
		err = errors.New(strings.TrimSpace(string(body)))
	}
	return string(body), err
}

// received is how many messages the present life of the bridge has received.
func (s *system) received(ctx context.Context) (float64, error) {
	const name = "devicetwin_bridge_received_total "
	body, err := s.get(ctx, Bridge, "/metrics")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(body) {
		if value, ok := strings.CutPrefix(line, name); ok {
			return strconv.ParseFloat(strings.TrimSpace(value), 64)
		}
	}
	return 0, fmt.Errorf("the bridge has no metric %s", name)
}

// freePorts finds a port for each part, free at this moment. All are held until
// the last is found, so that they differ.
func freePorts(parts []Part) (map[Part]string, error) {
	ports := map[Part]string{}
	for _, part := range parts {
		l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		defer l.Close()
		ports[part] = strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}
