package chaos

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"devicetwin/deploy/devstack/process"
	"devicetwin/deploy/devstack/servers"
)

// runEvents is after how many messages a workflow is continued as new.
const runEvents = 50

// getPatience is short: a part that is paused does not answer.
const getPatience = 5 * time.Second

// system is the processes of one case, except the fleet.
type system struct {
	*process.System
	model   string
	pool    *process.PortPool
	bridges []Part
	proxied *proxiedLink      // nil: the fault is not about a link
	disk    *smallDisk        // of the first bridge's spool; nil: the fault is not about a disk
	influx2 *servers.InfluxDB // nil: InfluxDB is the embedded one
}

// startSystem starts everything. What was started is ended by close, also after
// an error.
func startSystem(ctx context.Context, program process.Program, pool *process.PortPool, dir, model string, c Case) (*system, error) {
	s := &system{
		System: process.NewSystem(program, dir, getPatience),
		model:  model, pool: pool, bridges: c.Fault.bridges(),
	}
	parts := append([]Part{Broker, Temporal, InfluxDB, Worker}, s.bridges...)
	if err := s.Prepare(pool, append(parts, linkPort)...); err != nil {
		return s, err
	}
	if err := s.openLink(c.Fault.Link); err != nil {
		return s, err
	}
	if c.Fault.Kind == Fill {
		s.disk = &smallDisk{s.spool(c.Fault.Part)}
		if err := os.MkdirAll(s.disk.dir, 0o700); err != nil {
			return s, fmt.Errorf("make spool folder: %w", err)
		}
	}
	if err := s.startServers(ctx, c); err != nil {
		return s, err
	}
	s.addServices()
	return s, s.Start(ctx, append([]Part{Worker}, s.bridges...)...)
}

// linkPort stands for the proxy among the ports.
const linkPort Part = "link"

// openLink leads the link in question through a proxy.
func (s *system) openLink(link Link) (err error) {
	if link == (Link{}) {
		return nil
	}
	if s.proxied, err = openLink(link, s.At(linkPort), s.At(link.To)); err != nil {
		return err
	}
	s.Reroute(link.From, link.To, s.proxied.addr())
	return nil
}

// startServers adds and starts what bridge and worker need. Mosquitto saves after every change, which is the
// least that it can lose: what it has acknowledged, and neither saved nor sent on,
// is lost with kill -9.
func (s *system) startServers(ctx context.Context, c Case) error {
	if err := s.AddBroker(c.Broker, "autosave_on_changes true", "autosave_interval 1", "log_type notice"); err != nil {
		return err
	}
	s.AddTemporal()
	if c.Influx != Influx2 {
		s.AddInfluxDB()
		return s.Start(ctx, Broker, Temporal, InfluxDB)
	}
	if err := s.addInflux2(); err != nil {
		return err
	}
	if err := s.Start(ctx, Broker, Temporal, InfluxDB); err != nil {
		return err
	}
	return s.influx2.Setup(ctx, c.Fault.keeps())
}

// addServices adds the worker and the bridges.
func (s *system) addServices() {
	s.addService("worker", Worker, append(s.WorkerFlags("chaos"), "--worker-run-events", strconv.Itoa(runEvents)))
	for i, part := range s.bridges {
		// On the debug level the bridge logs each message that it receives: see trace.
		more := []string{"--log-level", "debug", "--bridge-id", string(part)}
		if len(s.bridges) > 1 {
			more = append(more, "--bridge-partition", fmt.Sprintf("%d/%d", i+1, len(s.bridges)))
		}
		s.addService("bridge", part, more)
	}
}

// addService adds a bridge or the worker.
func (s *system) addService(command string, part Part, more []string) {
	more = append(more, s.influx2Flags()...)
	s.AddService(process.Service{
		Part: part, Command: command, Model: s.model, InfluxDB: true,
		Flags: append([]string{"--influx-spool", s.spool(part)}, more...),
		Wrap: func(cmd *exec.Cmd) *exec.Cmd {
			if s.disk != nil && s.disk.dir == s.spool(part) {
				return s.disk.wrap(cmd)
			}
			return cmd
		},
	})
}

// close ends everything at once: nothing of it is needed any more.
func (s *system) close() {
	s.Close(s.pool)
	if s.proxied != nil {
		s.proxied.close()
	}
}

// spool is the folder of a part's points that are not written yet.
func (s *system) spool(part Part) string { return filepath.Join(s.Data(), "spool-"+string(part)) }

// received is how many messages the present lives of the bridges have received;
// of several, the one that has received least. Every bridge receives every message.
func (s *system) received(ctx context.Context) (least float64, err error) {
	for i, part := range s.bridges {
		m, err := s.Metrics(ctx, part, process.MetricReceived)
		if err != nil {
			return 0, err
		}
		if i == 0 || m[process.MetricReceived] < least {
			least = m[process.MetricReceived]
		}
	}
	return least, nil
}
