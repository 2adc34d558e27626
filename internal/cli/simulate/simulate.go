// Package simulate is the command that plays a fleet of devices.
package simulate

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"devicetwin/device"
	"devicetwin/devicefsm"
	"devicetwin/internal/cli"
	"devicetwin/internal/tlsfiles"
	"devicetwin/mqtt"
	"devicetwin/points"
	"devicetwin/service"
	"devicetwin/simulator"
	"devicetwin/wire"
	twinclient "devicetwin/workflows/client"
)

// FleetConfig says what fleet is played.
type FleetConfig struct {
	Devices     int           `help:"Number of devices, each with its own MQTT connection; or of entities, if the scenario has records of Kafka." default:"100"`
	Rate        float64       `help:"Readings per second and device, or records per second and entity." default:"1"`
	Duration    time.Duration `help:"How long the whole fleet runs; the wait for open commands comes after. Default: what the scenario says, or 60s." placeholder:"DURATION"`
	Dialect     string        `help:"What the devices speak: ${enum}. Bridge and worker need --mqtt-dialect with the same." enum:"standard,tasmota" default:"standard"`
	Seed        uint64        `help:"Seed of all randomness: the same seed gives the same fleet." default:"1"`
	Scenario    string        `help:"Scenario file. Default: the one next to the model, pump.scenario.yaml for pump.yaml." placeholder:"FILE"`
	Report      string        `help:"Write the report to this file, as JSON." placeholder:"FILE"`
	Ledger      string        `help:"Write each message that the broker acknowledged to this file, as lines of JSON." placeholder:"FILE"`
	Prefix      string        `help:"Prefix of the devices' ids. Default: different in each run."`
	ConnectRate float64       `help:"Devices that connect per second, or entities that begin." default:"50"`
	InFlight    int           `help:"Messages that a device sends before it waits for an acknowledgement." default:"1"`
	Drain       time.Duration `help:"Longest wait at the end. Default: the time that the scenario's last attempt can take, plus a minute."`
}

// Command is "devicetwin simulate".
type Command struct {
	Servers
	Fleet FleetConfig        `embed:""`
	Model string             `help:"Model file of the devices, but for those whose profile in the scenario names another one; or that of the sites that they make up. Default with --dialect tasmota: models/plug.yaml." group:"Models" placeholder:"FILE"`
	HTTP  service.HTTPConfig `embed:"" prefix:"http-" group:"HTTP"`
	Log   service.LogConfig  `embed:"" prefix:"log-" group:"Logging"`
}

// Servers is where a fleet connects to, and where its twins are.
type Servers struct {
	MQTT        service.BrokerConfig   `embed:"" prefix:"mqtt-" group:"MQTT broker"`
	Kafka       service.KafkaServers   `embed:"" prefix:"kafka-" group:"Kafka"`
	TopicPrefix string                 `name:"mqtt-topic-prefix" help:"First level, or levels, of all device topics: PREFIX/{device}/telemetry." group:"MQTT broker" placeholder:"PREFIX"`
	Temporal    service.TemporalServer `embed:"" prefix:"temporal-" group:"Temporal"`
	Influx      service.InfluxServer   `embed:"" prefix:"influx-" group:"InfluxDB"`
}

// ServersOf are those of a service; the brokers of Kafka are those that its worker writes to.
func ServersOf(c service.Config) Servers {
	return Servers{MQTT: c.MQTT.BrokerConfig, Kafka: c.Sink.KafkaServers, TopicPrefix: c.MQTT.TopicPrefix, Temporal: c.Temporal.TemporalServer, Influx: c.Influx.InfluxServer}
}

// New is the command with its defaults. It serves no metrics unless it is told
// where: it mostly runs next to a bridge, which has the usual port.
func New(c service.Config) Command {
	servers := ServersOf(c)
	servers.Kafka = c.Kafka.KafkaServers
	return Command{Servers: servers, HTTP: service.HTTPConfig{}, Log: c.Log}
}

// plan is what a fleet is played with.
type plan struct {
	options  simulator.Options // without what is read from files
	tls      mqtt.Config       // its TLS files
	wire     wire.Config       // topics
	kafka    service.KafkaServers
	dialect  string
	temporal service.TemporalServer
	points   points.Config // an empty URL: none are written

	model, scenario, report, ledger string // files
}

// simulation is the plan of the command, which also has a log and a listener.
type simulation struct {
	fleet plan
	http  service.HTTPConfig
	log   service.LogConfig
}

// Plan implements cli.Planner.
func (c *Command) Plan() (any, error) { return c.plan(), nil }

func (c *Command) plan() simulation {
	return simulation{c.Fleet.plan(c.Servers, c.Model), c.HTTP, c.Log}
}

// Run plays the fleet against servers that run elsewhere.
func (c *Command) Run(ctx context.Context, streams cli.Streams) error {
	plan := c.plan()
	fleet, err := plan.fleet.load()
	if err != nil {
		return err
	}
	log := plan.log.Logger(os.Stderr)
	metrics := service.NewRegistry()
	if plan.http.Listen != "" {
		server, err := service.StartHTTP(plan.http, metrics, nil, log)
		if err != nil {
			return err
		}
		defer server.Close(context.WithoutCancel(ctx))
	}
	return fleet.play(ctx, streams.Out, nil, metrics, log)
}

// Plan is what the fleet would be played with, for a Planner.
func (f FleetConfig) Plan(s Servers, model string) any { return f.plan(s, model) }

func (f FleetConfig) plan(s Servers, model string) plan {
	if model == "" {
		model = f.UsualModel()
	}
	p := plan{
		options: simulator.Options{
			Brokers: s.MQTT.URL, Username: s.MQTT.Username, Password: s.MQTT.Password,
			Devices: f.Devices, Rate: f.Rate, Duration: f.Duration, Seed: f.Seed,
			Prefix: f.Prefix, ConnectRate: f.ConnectRate, InFlight: f.InFlight, Drain: f.Drain,
		},
		tls: s.MQTT.Client(), kafka: s.Kafka, wire: wire.DefaultConfig(), dialect: f.Dialect, temporal: s.Temporal,
		model: model, scenario: f.Scenario, report: f.Report, ledger: f.Ledger,
	}
	if s.Influx.URL != "" {
		p.points = s.Influx.Points()
	}
	if p.scenario == "" {
		p.scenario = strings.TrimSuffix(model, filepath.Ext(model)) + ".scenario.yaml"
	}
	p.wire.Prefix = s.TopicPrefix
	return p
}

// Fleet is a fleet whose files were read and checked.
type Fleet struct {
	plan     plan
	model    *devicefsm.Model
	others   []*devicefsm.Model       // of profiles that name one
	entities *simulator.EntityOptions // nil: the fleet is one of devices
}

// Load reads the model and the scenario. Its errors are usage errors.
func (f FleetConfig) Load(s Servers, model string) (*Fleet, error) {
	return f.plan(s, model).load()
}

func (p plan) load() (*Fleet, error) {
	if p.model == "" {
		return nil, cli.Usage(errors.New("no model: expected --model"))
	}
	models, err := service.ModelConfig{Model: p.model}.LoadModels()
	if err != nil {
		return nil, err
	}
	src, err := os.ReadFile(p.scenario)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w; a scenario defines what the fleet sends and what is expected of it: see models/pump.scenario.yaml and simulator/SCENARIO.md, and name another file with --scenario", err)
	}
	if err != nil {
		return nil, cli.Usage(fmt.Errorf("read scenario: %w", err))
	}
	if simulator.PlaysEntities(src) {
		return p.loadEntities(models[0], src)
	}
	if p.options.Scenario, err = simulator.ReadScenario(p.scenario, src); err != nil {
		return nil, cli.Usage(err)
	}
	var faults []error
	if p.options.Speech, err = speech(p.dialect, p.wire); err != nil {
		faults = append(faults, err)
	}
	fleet := &Fleet{model: models[0]}
	faults = append(faults, fleet.loadProfiles(&p))
	p.options.Model, p.options.Twins, p.options.Groups = models[0], fleetTwins{}, fleetGroups{} // only to be validated
	faults = append(faults, p.options.Validate(), p.tls.Validate())
	if p.options.TLS, err = tlsOf(p.tls); err != nil {
		faults = append(faults, err)
	}
	if err := errors.Join(faults...); err != nil {
		return nil, cli.Usage(err)
	}
	fleet.plan = p
	return fleet, nil
}

// tlsOf reads the files; nil without any.
func tlsOf(c mqtt.Config) (*tls.Config, error) {
	files := tlsfiles.Files{CA: c.CAFile, Cert: c.CertFile, Key: c.KeyFile}
	if files == (tlsfiles.Files{}) {
		return nil, nil
	}
	return files.Load(tlsfiles.Names{Server: "the MQTT broker", Flags: "--mqtt"})
}

// Play runs the fleet, shows its progress, prints the report, and writes it if
// asked to. A report with violations is an error of its own kind. What comes by notes is shown as a line
// while the fleet runs; nil: nothing is.
func (f *Fleet) Play(ctx context.Context, out io.Writer, notes <-chan string, log *slog.Logger) error {
	return f.play(ctx, out, notes, prometheus.NewRegistry(), log)
}

func (f *Fleet) play(ctx context.Context, out io.Writer, notes <-chan string, metrics prometheus.Registerer, log *slog.Logger) error {
	temporal, err := f.plan.temporal.Dial(metrics, log)
	if err != nil {
		return err
	}
	defer temporal.Close()
	figures := newFleetFigures(metrics)
	twins := fleetTwins{f.plan.temporal.Twins(temporal, "", f.model.Hash()), f.states()}
	progress := simulator.NewRenderer(out, cli.IsTerminal(out))
	if f.entities != nil {
		return f.playEntities(ctx, out, twins, figures, progress, notes, log)
	}
	points, flush, err := f.startPoints(log)
	if err != nil {
		return err
	}
	defer flush()
	ledger, err := createLedger(f.plan.ledger)
	if err != nil {
		return err
	}
	o := f.plan.options
	o.Twins, o.Groups, o.Log, o.Points = twins, fleetGroups{twins.client, f.model}, log, points
	o.Acknowledged = ledger.add
	o.Progress = func(p simulator.Progress) {
		figures.show(p)
		progress.Show(p)
	}
	stopNotes := showNotes(progress, notes)
	report, err := simulator.Run(ctx, o)
	stopNotes()
	progress.Done()
	if err != nil {
		err = fmt.Errorf("simulate fleet: %w", err)
	}
	if err := errors.Join(err, ledger.close()); err != nil {
		return err
	}
	return f.conclude(out, report, report.Clean)
}

// outcome is the report of a run.
type outcome interface {
	WriteText(io.Writer) error
	JSON() ([]byte, error)
}

// conclude prints the report, and writes it if asked to.
func (f *Fleet) conclude(out io.Writer, report outcome, clean bool) error {
	if err := report.WriteText(out); err != nil {
		return err
	}
	if f.plan.report != "" {
		if err := writeReport(f.plan.report, report); err != nil {
			return err
		}
	}
	if !clean {
		return cli.ErrNotClean
	}
	return nil
}

// showNotes shows what comes until it is stopped.
func showNotes(on *simulator.Renderer, notes <-chan string) (stop func()) {
	stopped, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case note := <-notes:
				on.Note(note)
			case <-stopped:
				return
			}
		}
	}()
	return func() { close(stopped); <-done }
}

func writeReport(file string, report outcome) error {
	raw, err := report.JSON()
	if err == nil {
		err = os.WriteFile(file, raw, 0o644)
	}
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// startPoints writes a fleet's ledger to InfluxDB, if there is one; flush writes
// the rest. It has no log.
func (f *Fleet) startPoints(log *slog.Logger) (to simulator.PointWriter, flush func(), err error) {
	if f.plan.points.URL == "" {
		return nil, func() {}, nil
	}
	writer, err := points.NewWriter(f.plan.points, points.Deps{Logger: log})
	if err != nil {
		return nil, nil, cli.Usage(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		writer.Run(ctx)
	}()
	return writer, func() { cancel(); <-done }, nil
}

// fleetTwins shows the device workflows to the simulator.
type fleetTwins struct {
	client *twinclient.Client
	states []string
}

func (t fleetTwins) Applied(ctx context.Context, id string) (simulator.AppliedLog, error) {
	applied, err := t.client.Applied(ctx, device.ID(id))
	if err != nil {
		return simulator.AppliedLog{}, err
	}
	log := simulator.AppliedLog{Signals: applied.Signals, State: applied.State}
	for _, e := range applied.Entries {
		log.Entries = append(log.Entries, simulator.Applied{Epoch: e.Epoch, Seq: e.Seq, Digest: e.Digest, Durable: e.Durable, Signal: e.Task})
	}
	return log, nil
}

func (t fleetTwins) States(ctx context.Context) (map[string]int, error) {
	return t.client.CountStates(ctx, t.states)
}
