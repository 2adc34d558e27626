package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"devicetwin/deploy/devstack/stack"
	"devicetwin/internal/cli"
	"devicetwin/internal/cli/simulate"
	"devicetwin/service"
)

// demoCommand is "devstack demo".
type demoCommand struct {
	simulate.FleetConfig
	settings
	freePorts
	DataDir string `help:"Folder for the data of all servers. Default: a temporary folder." placeholder:"DIR"`
}

// Validate is called by the parser.
func (c *demoCommand) Validate() error {
	c.speak()
	return c.validate()
}

// speak lets bridge and worker speak what the fleet does, with the usual model of its devices
// in the place of that of pumps.
func (c *demoCommand) speak() {
	for _, dialect := range c.FleetConfig.Dialects() {
		if !slices.Contains(c.Topics.Dialect, dialect) {
			c.Topics.Dialect = append(slices.Clone(c.Topics.Dialect), dialect)
		}
	}
	if usual := c.FleetConfig.UsualModel(); usual != "" && c.Model.Model == pumpModel {
		c.Model.Model = usual
	}
}

func (c *demoCommand) plan() systemPlan {
	return systemPlan{
		stack:    stack.Options{DataDir: c.DataDir, Ports: c.ports(), RemoveData: c.DataDir == ""},
		settings: c.settings,
	}
}

// Plan implements cli.Planner.
func (c *demoCommand) Plan() (any, error) {
	started, err := c.plan().started()
	servers := simulate.ServersOf(c.on(servers{mqtt: "mqtt://127.0.0.1:1"}))
	return []any{started, c.FleetConfig.Plan(servers, c.Model.Model)}, err
}

// Run starts everything, plays the fleet, and reports.
func (c *demoCommand) Run(ctx context.Context, streams cli.Streams) (err error) {
	// Read once before anything is started, for the faults of the files.
	fleet, err := c.fleet(c.on(servers{mqtt: "mqtt://127.0.0.1", kafka: "127.0.0.1:1"}))
	if err != nil {
		return err
	}
	p := c.plan()
	fleet.Configure(&p.settings.Model, &p.settings.Bridge)
	p.entities = fleet.Entities()
	told, err := newTold(&p.settings.Worker, fleet.Receivers())
	if err != nil {
		return err
	}
	defer told.Close()
	if p.stack.DataDir, err = c.dataDir(); err != nil {
		return err
	}
	started := "Starting an MQTT broker, Temporal, InfluxDB, the bridge and the worker …"
	if p.entities != nil {
		started = "Starting a broker of Kafka, Temporal, InfluxDB, the bridge from Kafka and the worker …"
	}
	fmt.Fprintln(streams.Out, started)
	s, err := startSystem(ctx, p)
	if err != nil {
		if p.stack.RemoveData {
			err = errors.Join(err, os.RemoveAll(p.stack.DataDir))
		}
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	s.printAddresses(streams.Out)
	fmt.Fprintln(streams.Out)
	return c.play(ctx, s, streams, told.notes, c.Log.Logger(os.Stderr))
}

func (c *demoCommand) fleet(on service.Config) (*simulate.Fleet, error) {
	return c.FleetConfig.Load(simulate.ServersOf(on), c.Model.Model)
}

// dataDir makes a temporary folder, unless one was named.
func (c *demoCommand) dataDir() (string, error) {
	if c.DataDir != "" {
		return filepath.Abs(c.DataDir)
	}
	path, err := os.MkdirTemp("", "devicetwin-demo-")
	if err != nil {
		return "", fmt.Errorf("make a temporary data directory: %w", err)
	}
	return path, nil
}

// play runs the fleet; it ends early if the bridge or the worker fails.
func (c *demoCommand) play(ctx context.Context, s *system, streams cli.Streams, notes <-chan string, log *slog.Logger) error {
	fleet, err := c.fleet(s.config)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	for _, part := range s.services() {
		go func() {
			select {
			case err := <-part.Failed():
				cancel(err)
			case <-ctx.Done():
			}
		}()
	}
	err = fleet.Play(ctx, streams.Out, notes, log)
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return errors.Join(cause, err)
	}
	return err
}
