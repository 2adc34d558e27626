package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"devicetwin/deploy/devstack/bench"
	"devicetwin/deploy/devstack/process"
	"devicetwin/internal/cli"
)

// benchCommand is "devstack bench".
type benchCommand struct {
	Only       []string `help:"Cases to measure, by name; * matches any part of it: *-memory. Default: all." placeholder:"NAME"`
	List       bool     `help:"List the cases, without measuring."`
	Broker     string   `help:"Broker for the measurements: ${enum}; auto is mosquitto if it is installed, else nats." enum:"auto,nats,mosquitto" default:"auto"`
	Ack        string   `help:"When bridges with a log acknowledge: ${enum}; none measures without logs." enum:"logged,accepted,none" default:"logged"`
	Seconds    float64  `help:"How long each case is measured, after its warm-up." default:"30"`
	Long       bool     `help:"Run the stream case for ten minutes."`
	Devices    int      `help:"Devices of the largest fleet." default:"10000"`
	Known      int      `help:"Number of idle devices for the measurement of the bridge's memory." default:"100000"`
	Report     string   `help:"Write the results to this file, as JSON." placeholder:"FILE"`
	Profile    string   `help:"Write CPU profiles of bridge and worker to this folder, one per case." placeholder:"DIR"`
	LogDir     string   `help:"Folder for data and logs. Default: the system's temporary folder." placeholder:"DIR"`
	Devicetwin string   `help:"The program devicetwin. Default: the one in the folder of this program." placeholder:"FILE"`
}

// Validate is called by the parser.
func (c *benchCommand) Validate() error {
	switch {
	case !(c.Seconds >= 1 && c.Seconds <= 3600):
		return fmt.Errorf("--seconds: expected 1 to 3600, found %g", c.Seconds)
	case c.Devices < 10 || c.Devices > 1_000_000:
		return fmt.Errorf("--devices: expected 10 to 1000000, found %d", c.Devices)
	case c.Known < 1000 || c.Known > 10_000_000:
		return fmt.Errorf("--known: expected 1000 to 10000000, found %d", c.Known)
	}
	return bench.CheckOnly(c.Only)
}

// Run measures and prints the table.
func (c *benchCommand) Run(ctx context.Context, streams cli.Streams) error {
	if c.List {
		_, err := fmt.Fprintln(streams.Out, strings.Join(bench.Cases(), "\n"))
		return err
	}
	program, err := process.Programs(c.Devicetwin)
	if err != nil {
		return err
	}
	broker, err := c.broker()
	if err != nil {
		return err
	}
	if c.Profile != "" {
		if err := os.MkdirAll(c.Profile, 0o755); err != nil {
			return fmt.Errorf("make the folder for profiles: %w", err)
		}
	}
	report, err := bench.Run(ctx, bench.Options{
		Program: program, Only: c.Only, Broker: broker, Ack: process.Ack(c.Ack), Lasts: time.Duration(c.Seconds * float64(time.Second)),
		Long: c.Long, Devices: c.Devices, Known: c.Known, Dir: c.LogDir, Profile: c.Profile, Out: streams.Err,
	})
	if len(report.Rows) > 0 {
		err = errors.Join(err, process.Publish(report, streams.Out, c.Report))
	}
	if err == nil && !report.Clean {
		return cli.ErrNotClean
	}
	return err
}

func (c *benchCommand) broker() (process.BrokerKind, error) {
	_, err := process.FindMosquitto()
	switch {
	case c.Broker == string(process.NATS), c.Broker == "auto" && err != nil:
		return process.NATS, nil
	}
	return process.Mosquitto, err
}
