package bench

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"go.temporal.io/sdk/client"

	"devicetwin/deploy/devstack/process"
	"devicetwin/deploy/devstack/stack"
	"devicetwin/devicefsm"
	"devicetwin/service"
	twinclient "devicetwin/workflows/client"
)

// loader is this process, which generates the load, among the parts of a table.
const loader process.Part = "load"

// setting is what a case needs of the system.
type setting struct {
	model  string      // file in testdata
	influx bool        // with InfluxDB
	ack    process.Ack // of a bridge with a log, the worker has one as well; "": neither has one
	bridge []string    // more flags
	worker []string
	kafka  bool // a bridge from Kafka, in the place of that from MQTT
}

// system is the processes of one case.
type system struct {
	*process.System
	run       *run
	setting   setting
	model     *devicefsm.Model
	modelFile string
	client    client.Client
	twins     *twinclient.Client
	brokers   []string      // of Kafka; nil: there is none
	lost      int           // points, by the cases so far
	received  uint64        // messages, by bridges that were replaced
	count     func() uint64 // of a case that counts messages on its own; nil: none does
}

// getPatience is enough for a heap profile after a collection.
const getPatience = 30 * time.Second

func (r *run) newSystem(name string, set setting) *system {
	return &system{
		System: process.NewSystem(r.Program, filepath.Join(r.dir, name), getPatience),
		run:    r, setting: set,
	}
}

// startBrokerOnly starts nothing but a broker. What was started is ended by
// close, also after an error.
func (r *run) startBrokerOnly(ctx context.Context, name string) (*system, error) {
	s := r.newSystem(name, setting{model: "threshold.yaml"})
	if err := s.prepare(); err != nil {
		return s, err
	}
	return s, s.Start(ctx, process.Broker)
}

// startSystem starts what a case needs. What was started is ended by close, also
// after an error.
func (r *run) startSystem(ctx context.Context, name string, set setting) (*system, error) {
	s := r.newSystem(name, set)
	if err := s.prepare(); err != nil {
		return s, err
	}
	return s, s.startPrepared(ctx)
}

// startPrepared starts what the setting asks for.
func (s *system) startPrepared(ctx context.Context) error {
	set, parts := s.setting, []process.Part{process.Broker, process.Temporal}
	s.AddTemporal()
	if set.influx {
		s.AddInfluxDB()
		parts = append(parts, process.InfluxDB)
	}
	if set.kafka {
		if err := s.startKafka(ctx); err != nil {
			return err
		}
		s.addKafkaBridge()
	} else {
		s.addBridge(s.ack())
	}
	s.addService(process.Worker, slices.Concat(s.WorkerFlags("bench"), set.worker, s.WorkerLogFlags(process.Worker, s.ack())))
	if err := s.Start(ctx, append(parts, process.Worker, process.Bridge)...); err != nil {
		return err
	}
	return s.connect(ctx)
}

// prepare makes the folders, finds the ports, writes the model, and adds the broker.
func (s *system) prepare() (err error) {
	if err := s.Prepare(s.run.pool, process.Broker, process.Temporal, process.InfluxDB, process.Bridge, process.Worker, kafkaBroker, kafkaQuorum); err != nil {
		return err
	}
	s.modelFile = filepath.Join(s.Dir, s.setting.model)
	raw, err := files.ReadFile("testdata/" + s.setting.model)
	if err == nil {
		err = os.WriteFile(s.modelFile, raw, 0o644)
	}
	if err == nil {
		s.model, err = devicefsm.Load(s.setting.model, raw)
	}
	if err != nil {
		return fmt.Errorf("prepare the model: %w", err)
	}
	if s.setting.kafka {
		if err := s.addKafka(); err != nil {
			return err
		}
	}
	return s.AddBroker(s.run.Broker)
}

// ack is how the setting's bridge acknowledges.
func (s *system) ack() process.Ack { return cmp.Or(s.setting.ack, process.NoLog) }

// addBridge adds a bridge that acknowledges in this way, or replaces the one that there was.
func (s *system) addBridge(ack process.Ack) {
	s.addService(process.Bridge, slices.Concat(s.setting.bridge, s.BridgeLogFlags(process.Bridge, ack)))
}

// replaceBridge replaces the bridge, once it has taken all messages of some devices, by one
// that acknowledges in another way.
func (s *system) replaceBridge(ctx context.Context, devices []*account, ack process.Ack) error {
	if err := s.Parts[process.Bridge].Stop(); err != nil {
		return err
	}
	s.received = sentBy(devices)
	s.addBridge(ack)
	return s.Start(ctx, process.Bridge)
}

// addService adds the bridge or the worker.
func (s *system) addService(part process.Part, more []string) {
	s.AddService(process.Service{
		Part: part, Command: string(part), Model: s.modelFile, InfluxDB: s.setting.influx,
		Flags: append([]string{"--http-profile", "--log-level", "warn"}, more...),
	})
}

func (s *system) connect(ctx context.Context) (err error) {
	if s.client, err = s.DialTemporal(ctx, stack.Namespace); err != nil {
		return err
	}
	s.twins = twinclient.New(s.client, stack.Namespace, service.DefaultConfig().Temporal.TaskQueue, s.model.Hash())
	return nil
}

// close ends everything at once and removes the data: nothing of it is needed
// any more.
func (s *system) close() {
	if s.client != nil {
		s.client.Close()
	}
	s.Close(s.run.pool)
	_ = os.RemoveAll(s.Data()) // temporary
}
