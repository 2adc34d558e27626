package simulate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"time"

	"devicetwin/device"
	"devicetwin/devicefsm"
	"devicetwin/dialects"
	"devicetwin/internal/cli"
	"devicetwin/simulator"
	"devicetwin/wire"
	"devicetwin/wire/dialect"
)

// loadEntities is load of a scenario of entities, whose messages are records of Kafka.
func (p plan) loadEntities(model *devicefsm.Model, src []byte) (*Fleet, error) {
	scenario, err := simulator.ReadEntityScenario(p.scenario, src)
	if err != nil {
		return nil, cli.Usage(err)
	}
	var faults []error
	if model.Kind() == device.KindDevice {
		faults = append(faults, fmt.Errorf("model %s is for devices, and scenario %s has records of Kafka: expected a model with a kind", p.model, p.scenario))
	}
	if p.ledger != "" {
		faults = append(faults, errors.New("--ledger: expected none, because the scenario has records of Kafka"))
	}
	if len(p.kafka.Brokers) == 0 {
		faults = append(faults, errors.New("no broker of Kafka: expected --kafka-brokers"))
	}
	o := simulator.EntityOptions{
		Scenario: scenario, Kind: model.Kind(), Model: model, Twins: fleetTwins{}, // only to be validated
		Entities: p.options.Devices, Rate: p.options.Rate, Duration: p.options.Duration, Seed: p.options.Seed,
		Prefix: p.options.Prefix, StartRate: p.options.ConnectRate, Drain: p.options.Drain,
	}
	if o.Kafka, err = p.kafka.Options(); err != nil && len(p.kafka.Brokers) > 0 {
		faults = append(faults, fmt.Errorf("kafka: %w", err))
	}
	if o.Meaning, err = meaning(p.nextTo(scenario.Kafka.Dialect)); err != nil {
		faults = append(faults, err)
	}
	if len(faults) == 0 {
		faults = append(faults, o.Validate())
	}
	if err := errors.Join(faults...); err != nil {
		return nil, cli.Usage(err)
	}
	return &Fleet{plan: p, model: model, entities: &o}, nil
}

// meaning reads records by the dialect of a file, as bridges do.
func meaning(file string) (func(topic string, key, value []byte) ([]wire.Received, error), error) {
	d, err := dialects.Load(file)
	if err != nil {
		return nil, fmt.Errorf("dialect of the scenario: %w", err)
	}
	records, err := dialect.NewRecords(wire.DefaultConfig(), d)
	if err != nil {
		return nil, fmt.Errorf("dialect of the scenario: %w", err)
	}
	return func(topic string, key, value []byte) ([]wire.Received, error) {
		return records.Decode(records.Name(topic, key), value, false, time.Now().UTC())
	}, nil
}

// nextTo is a file that the scenario names, from its folder.
func (p plan) nextTo(file string) string {
	if filepath.IsAbs(file) {
		return file
	}
	return filepath.Join(filepath.Dir(p.scenario), file)
}

// Entities is what a service needs for a fleet of entities.
type Entities struct {
	Model, Kinds, Dialect string // files
	DeadLetters           string
	Receivers             map[string]string // topics of the worker's notifications, by the names of receivers
	Topics                map[string]int    // all that are needed, with their partitions
}

// Entities is what a service needs; nil if the fleet is one of devices.
func (f *Fleet) Entities() *Entities {
	if f.entities == nil {
		return nil
	}
	s := f.entities.Scenario
	return &Entities{
		Model: f.plan.model, Kinds: f.plan.nextTo(s.Kafka.Kinds), Dialect: f.plan.nextTo(s.Kafka.Dialect), DeadLetters: s.Kafka.DeadLetters,
		Receivers: s.Kafka.Receivers, Topics: s.Topics(),
	}
}

func (f *Fleet) playEntities(ctx context.Context, out io.Writer, twins fleetTwins, figures *fleetFigures, progress *simulator.Renderer, notes <-chan string, log *slog.Logger) error {
	o := *f.entities
	o.Twins, o.Log = twins, log
	o.Progress = func(p simulator.EntityProgress) {
		figures.show(simulator.Progress{Sent: p.Sent, Devices: p.Entities, Waiting: p.Waiting, DeadLetters: uint64(p.DeadLetters)})
		progress.ShowEntities(p)
	}
	stopNotes := showNotes(progress, notes)
	report, err := simulator.RunEntities(ctx, o)
	stopNotes()
	progress.Done()
	if err != nil {
		return fmt.Errorf("simulate entities: %w", err)
	}
	return f.conclude(out, report, report.Clean)
}

// Context implements simulator.EntityTwins.
func (t fleetTwins) Context(ctx context.Context, id string) (map[string]any, error) {
	view, err := t.client.Snapshot(ctx, device.ID(id))
	if errors.Is(err, device.ErrUnknown) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return view.Snapshot.Context(), nil
}
