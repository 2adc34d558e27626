package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"devicetwin/deploy/devstack/stack"
	"devicetwin/internal/cli"
	"devicetwin/internal/cli/simulate"
	"devicetwin/service"
)

// demoCommand is "devstack demo".
type demoCommand struct {
	simulate.FleetConfig
	systemFlags
	freePorts
	DataDir  string `help:"Folder for the data of all servers. Default: a temporary folder." placeholder:"DIR"`
	LogLevel string `help:"Minimum log level, to standard error: ${enum}." enum:"debug,info,warn,error" default:"warn"`
}

// Run starts everything, plays the fleet, and reports.
func (c *demoCommand) Run(ctx context.Context, streams cli.Streams) (err error) {
	logging := service.LogConfig{Level: c.LogLevel, Format: "text"}
	log := logging.Logger(os.Stderr)
	// Read once before anything is started, for the faults of the files.
	if _, err := c.FleetConfig.Load(service.Config{Model: c.Model, MQTT: service.MQTTConfig{URL: []string{"tcp://127.0.0.1"}}}); err != nil {
		return err
	}
	o := stack.Options{Ports: c.ports(), Logger: log, RemoveData: c.DataDir == ""}
	if o.DataDir, err = c.dataDir(); err != nil {
		return err
	}
	fmt.Fprintln(streams.Out, "Starting an MQTT broker, Temporal, InfluxDB, the bridge and the worker …")
	s, err := startSystem(ctx, o, c.systemFlags, logging, "127.0.0.1:0", nil)
	if err != nil {
		if o.RemoveData {
			err = errors.Join(err, os.RemoveAll(o.DataDir))
		}
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	s.printAddresses(streams.Out)
	fmt.Fprintln(streams.Out)
	return c.play(ctx, s, streams, log)
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
func (c *demoCommand) play(ctx context.Context, s *system, streams cli.Streams, log *slog.Logger) error {
	fleet, err := c.FleetConfig.Load(s.config)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case err := <-s.service.Failed():
			cancel(err)
		case <-ctx.Done():
		}
	}()
	err = fleet.Play(ctx, streams.Out, log)
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return errors.Join(cause, err)
	}
	return err
}
