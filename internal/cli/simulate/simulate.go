// Package simulate is the command that plays a fleet of devices.
package simulate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"devicetwin/device"
	"devicetwin/devicefsm"
	"devicetwin/internal/cli"
	"devicetwin/points"
	"devicetwin/service"
	"devicetwin/simulator"
	twinclient "devicetwin/workflows/client"
)

// FleetConfig says what fleet is played.
type FleetConfig struct {
	Devices     int           `help:"Devices, each with an MQTT connection of its own." default:"100"`
	Rate        float64       `help:"Readings per second and device." default:"1"`
	Duration    time.Duration `help:"How long the whole fleet plays; the wait for what is still open comes after." default:"60s"`
	Seed        uint64        `help:"Seed of everything that is random: the same seed plays the same fleet." default:"1"`
	Scenario    string        `help:"Scenario file; by default the one beside the model: pump.scenario.yaml for pump.yaml." placeholder:"FILE"`
	Report      string        `help:"Write the report to this file, as JSON." placeholder:"FILE"`
	Ledger      string        `help:"Write each message that the broker acknowledged to this file, as lines of JSON." placeholder:"FILE"`
	Prefix      string        `help:"First part of the devices' ids; by default new for each run."`
	ConnectRate float64       `help:"Devices that connect per second." default:"50"`
	InFlight    int           `help:"Messages that a device sends before it waits for an acknowledgement." default:"1"`
	Drain       time.Duration `help:"Longest wait at the end; by default as long as the scenario's last attempt can take, and a minute."`
}

// Command is "devicetwin simulate".
type Command struct {
	service.Config
	FleetConfig
}

// Run plays the fleet against servers that run elsewhere.
func (c *Command) Run(ctx context.Context, streams cli.Streams) error {
	log := c.Log.Logger(os.Stderr)
	fleet, err := c.FleetConfig.Load(c.Config)
	if err != nil {
		return err
	}
	metrics := service.NewRegistry()
	if c.HTTP.Listen != "" {
		server, err := service.StartHTTP(c.HTTP, metrics, nil, log)
		if err != nil {
			return err
		}
		defer server.Close(context.WithoutCancel(ctx))
	}
	return fleet.play(ctx, streams.Out, metrics, log)
}

// Fleet is a fleet whose files were read and found right.
type Fleet struct {
	config   service.Config
	settings FleetConfig
	model    *devicefsm.Model
	scenario *simulator.Scenario
}

// Load reads the model and the scenario. Its errors are usage errors.
func (f FleetConfig) Load(c service.Config) (*Fleet, error) {
	models, err := service.ModelConfig{Model: c.Model.Model}.LoadModels()
	if err != nil {
		return nil, err
	}
	file := f.Scenario
	if file == "" {
		file = strings.TrimSuffix(c.Model.Model, filepath.Ext(c.Model.Model)) + ".scenario.yaml"
	}
	src, err := os.ReadFile(file)
	if err != nil {
		return nil, cli.Usage(fmt.Errorf("read scenario: %w", err))
	}
	scenario, err := simulator.ReadScenario(file, src)
	if err != nil {
		return nil, cli.Usage(err)
	}
	fleet := &Fleet{config: c, settings: f, model: models[0], scenario: scenario}
	if err := fleet.options(nil, nil).Validate(); err != nil {
		return nil, cli.Usage(err)
	}
	return fleet, nil
}

// Play runs the fleet, shows its progress, prints the report, and writes it if
// asked to. A report that is not clean is an error of its own kind.
func (f *Fleet) Play(ctx context.Context, out io.Writer, log *slog.Logger) error {
	return f.play(ctx, out, prometheus.NewRegistry(), log)
}

func (f *Fleet) play(ctx context.Context, out io.Writer, metrics prometheus.Registerer, log *slog.Logger) error {
	temporal, err := f.config.Temporal.Dial(metrics, log)
	if err != nil {
		return err
	}
	defer temporal.Close()
	figures := newFleetFigures(metrics)
	twins := fleetTwins{f.config.Temporal.Twins(temporal, f.model), f.model.States()}
	file, isFile := out.(*os.File)
	progress := simulator.NewRenderer(out, isFile && simulator.IsTerminal(file))
	points, flush, err := f.startPoints(log)
	if err != nil {
		return err
	}
	defer flush()
	ledger, err := createLedger(f.settings.Ledger)
	if err != nil {
		return err
	}
	o := f.options(twins, log)
	o.Points = points
	o.Acknowledged = ledger.add
	o.Progress = func(p simulator.Progress) {
		figures.show(p)
		progress.Show(p)
	}
	report, err := simulator.Run(ctx, o)
	progress.Done()
	if err != nil {
		err = fmt.Errorf("simulate fleet: %w", err)
	}
	if err := errors.Join(err, ledger.close()); err != nil {
		return err
	}
	if err := report.WriteText(out); err != nil {
		return err
	}
	if f.settings.Report != "" {
		if err := writeReport(f.settings.Report, report); err != nil {
			return err
		}
	}
	if !report.Clean {
		return cli.ErrNotClean
	}
	return nil
}

func writeReport(file string, report simulator.Report) error {
	raw, err := report.JSON()
	if err == nil {
		err = os.WriteFile(file, raw, 0o644)
	}
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

func (f *Fleet) options(twins simulator.Twins, log *slog.Logger) simulator.Options {
	if twins == nil {
		twins = fleetTwins{} // only to be validated
	}
	return simulator.Options{
		Broker:   f.config.MQTT.URL[0],
		Username: f.config.MQTT.Username, Password: f.config.MQTT.Password,
		Scenario: f.scenario, Model: f.model, Twins: twins,
		Devices: f.settings.Devices, Rate: f.settings.Rate, Duration: f.settings.Duration, Seed: f.settings.Seed,
		Prefix: f.settings.Prefix, ConnectRate: f.settings.ConnectRate, InFlight: f.settings.InFlight, Drain: f.settings.Drain,
		Log: log,
	}
}

// startPoints writes a fleet's ledger to InfluxDB, if there is one; flush writes
// the rest. It has no spool: that of the settings belongs to another process.
func (f *Fleet) startPoints(log *slog.Logger) (to simulator.PointWriter, flush func(), err error) {
	if f.config.Influx.URL == "" {
		return nil, func() {}, nil
	}
	config := f.config.Influx.Points()
	config.Spool = ""
	writer, err := points.NewWriter(config, nil, log)
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
		log.Entries = append(log.Entries, simulator.Applied{Epoch: e.Epoch, Seq: e.Seq, Durable: e.Durable, Signal: e.Task})
	}
	return log, nil
}

func (t fleetTwins) States(ctx context.Context) (map[string]int, error) {
	return t.client.CountStates(ctx, t.states)
}
