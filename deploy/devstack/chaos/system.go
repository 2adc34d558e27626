package chaos

import (
	"context"
	"fmt"
	"os"
	"slices"
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
	model     string
	pool      *process.PortPool
	ack       process.Ack
	bridges   []Part // that share the fleet now
	all       []Part // that ever did
	workers   []Part
	proxied   *proxiedLink      // nil: the fault is not about a link
	disk      *smallDisk        // of the first bridge's log; nil: the fault is not about a disk
	influx2   *servers.InfluxDB // nil: InfluxDB is the embedded one
	earlier   process.Program   // of bridges and workers, until they are replaced; nil: all are of this version
	replaced  []Part
	kafka     *kafkaSystem // nil: devices are played, not entities
	accounts  bool         // services have accounts at the broker
	brokerDir string       // folder of a broker that runs as another user; "" if there is none
}

// startSystem starts everything. What was started is ended by close, also after
// an error.
func startSystem(ctx context.Context, o Options, pool *process.PortPool, dir, model string, c Case) (*system, error) {
	s := &system{
		System: process.NewSystem(o.Program, dir, getPatience),
		model:  model, pool: pool, ack: c.Ack, bridges: c.Fault.bridges(), all: c.Fault.bridges(), workers: c.Fault.workers(),
	}
	parts := slices.Concat([]Part{Broker, Temporal, InfluxDB, linkPort}, s.workers, s.bridges, brokerParts(c.Broker))
	if err := s.Prepare(pool, parts...); err != nil {
		return s, err
	}
	if err := s.openLink(c.Fault.Link); err != nil {
		return s, err
	}
	switch c.Fault.Kind {
	case Fill:
		s.disk = &smallDisk{s.LogDir(c.Fault.Part)}
		if err := os.MkdirAll(s.disk.dir, 0o700); err != nil {
			return s, fmt.Errorf("make the folder of the log: %w", err)
		}
	case Upgrade:
		s.earlier = o.Earlier
	}
	if err := s.startServers(ctx, o, c); err != nil {
		return s, err
	}
	for _, part := range s.workers {
		s.addWorker(part)
	}
	s.addBridges(s.bridges)
	return s, s.Start(ctx, slices.Concat(s.workers, s.bridges)...)
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

// startServers adds and starts what bridge and worker need.
func (s *system) startServers(ctx context.Context, o Options, c Case) error {
	if err := s.addBroker(c.Broker, o); err != nil {
		return err
	}
	s.AddTemporal()
	if c.Influx == Influx2 {
		if err := s.addInflux2(); err != nil {
			return err
		}
	} else {
		s.AddInfluxDB()
	}
	if err := s.launch(ctx, s.brokerProcesses()); err != nil {
		return err
	}
	if err := s.Start(ctx, Temporal, InfluxDB); err != nil || c.Influx != Influx2 {
		return err
	}
	return s.influx2.Setup(ctx, c.Fault.keeps())
}

// addWorker adds a worker, or another version of it.
func (s *system) addWorker(part Part) {
	flags := append(s.WorkerFlags("chaos-"+string(part)), "--worker-run-events", strconv.Itoa(runEvents))
	s.addService("worker", part, flags, s.WorkerLogFlags(part, s.ack))
}

// addBridges adds bridges that share the fleet.
func (s *system) addBridges(parts []Part) {
	s.bridges = parts
	for i := range parts {
		s.addBridge(i)
	}
}

// addBridge adds one of the bridges that share the fleet, or another version of it.
func (s *system) addBridge(i int) {
	part := s.bridges[i]
	// On the debug level the bridge logs each message that it receives: see trace.
	flags := []string{"--log-level", "debug", "--bridge-id", string(part)}
	if len(s.bridges) > 1 {
		flags = append(flags, "--bridge-partition", fmt.Sprintf("%d/%d", i+1, len(s.bridges)))
	}
	s.addService("bridge", part, flags, s.BridgeLogFlags(part, s.ack))
}

// addService adds a bridge or a worker, with the flags of its log.
func (s *system) addService(command string, part Part, flags, log []string) {
	o := process.Service{Part: part, Command: command, Model: s.model, InfluxDB: true}
	if s.isEarlier(part) {
		o.Program = s.earlier
	}
	account := bridgeAccount
	if command == "worker" {
		account = workerAccount
	}
	o.Flags = slices.Concat(flags, s.logFlags(part, log), s.influx2Flags(), s.loginFlags(account))
	if s.disk != nil && s.disk.dir == s.LogDir(part) {
		o.Wrap = s.disk.wrap
	}
	s.AddService(o)
}

// close ends everything at once: nothing of it is needed any more.
func (s *system) close() {
	s.Close(s.pool)
	if s.proxied != nil {
		s.proxied.close()
	}
	if s.kafka != nil && s.kafka.client != nil {
		s.kafka.client.Close()
	}
	if s.brokerDir != "" {
		_ = os.RemoveAll(s.brokerDir) // temporary
	}
}

// received is how many messages the present lives of the bridges have received;
// of several, the one that has received least. Every bridge receives every message.
func (s *system) received(ctx context.Context) (least float64, err error) {
	if s.kafka != nil {
		return s.receivedRecords(ctx)
	}
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
