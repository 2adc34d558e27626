package cli

import (
	"context"
	"errors"
	"fmt"
	"text/tabwriter"

	"devicetwin/deploy/devstack/chaos"
	"devicetwin/deploy/devstack/process"
	"devicetwin/internal/cli"
)

// chaosCommand is "devstack chaos".
type chaosCommand struct {
	Only          []string `help:"Faults to inject, by name; * matches any part of it: kill-*. Default: all." placeholder:"NAME"`
	Broker        string   `help:"Broker for the tests: ${enum}. Those after both are what make servers installs. Without --only they have the faults that are about brokers. With kafka, customers are played instead of devices." enum:"nats,mosquitto,both,rabbitmq,hivemq,moquette,nats-cluster,kafka" default:"both"`
	Influx        int      `help:"InfluxDB for the tests: 1 for the embedded 1.8, 2 for the 2.7 that make servers installs." enum:"1,2" default:"1"`
	Ack           string   `help:"When bridges acknowledge: ${enum}." enum:"logged,accepted" default:"logged"`
	Short         bool     `help:"Use shorter faults, and without --only just a few of them, each with one broker."`
	List          bool     `help:"List the faults, without injecting them."`
	Report        string   `help:"Write the results to this file, as JSON." placeholder:"FILE"`
	Devices       int      `help:"Devices of each fleet." default:"20"`
	Rate          float64  `help:"Readings per second and device." default:"4"`
	Jobs          int      `help:"Cases that run in parallel, each with its own servers." default:"2"`
	Seed          uint64   `help:"Seed of the fleets." default:"1"`
	BrokerMayLose bool     `help:"Exit with 0 although messages were lost, if each of them was acknowledged by a broker that was killed and not seen after that."`
	KeepLogs      bool     `help:"Keep the logs of all cases, not only of those that failed."`
	LogDir        string   `help:"Folder for the logs. Default: the system's temporary folder." placeholder:"DIR"`
	Devicetwin    string   `help:"The program devicetwin. Default: the one in the folder of this program." placeholder:"FILE"`
	Plugin        string   `name:"mosquitto-plugin" help:"The plugin for Mosquitto. Default: devicetwin-auth.so in the folder of this program." placeholder:"FILE"`
	Earlier       string   `help:"An earlier version of the program devicetwin. It adds the fault upgrade." placeholder:"FILE"`
}

// Validate is called by the parser.
func (c *chaosCommand) Validate() error {
	if c.Devices < 1 || c.Devices > 1000 {
		return fmt.Errorf("--devices: expected 1 to 1000, found %d", c.Devices)
	}
	if !(c.Rate > 0 && c.Rate <= 100) {
		return fmt.Errorf("--rate: expected more than 0 and at most 100, found %g", c.Rate)
	}
	if c.Jobs < 1 || c.Jobs > 64 {
		return fmt.Errorf("--jobs: expected 1 to 64, found %d", c.Jobs)
	}
	_, err := c.cases()
	return err
}

func (c *chaosCommand) cases() ([]chaos.Case, error) { return c.choice().Cases() }

func (c *chaosCommand) choice() chaos.Choice {
	brokers := []process.BrokerKind{process.BrokerKind(c.Broker)}
	if c.Broker == "both" {
		brokers = []process.BrokerKind{process.NATS, process.Mosquitto}
	}
	return chaos.Choice{
		Only: c.Only, Brokers: brokers, Influx: chaos.Influx(c.Influx), Ack: process.Ack(c.Ack), Short: c.Short, Upgrade: c.Earlier != "",
	}
}

// Run tries the faults and prints the table.
func (c *chaosCommand) Run(ctx context.Context, streams cli.Streams) error {
	if c.List {
		return c.list(streams)
	}
	cases, err := c.cases()
	if err != nil {
		return err
	}
	program, err := process.Programs(c.Devicetwin)
	if err != nil {
		return err
	}
	var earlier process.Program
	if c.Earlier != "" {
		if earlier, err = process.Programs(c.Earlier); err != nil {
			return err
		}
	}
	plugin := c.Plugin
	if plugin == "" {
		if plugin, err = process.OfThisFolder(process.MosquittoPlugin); err != nil {
			return err
		}
	}
	report, err := chaos.Run(ctx, chaos.Options{
		Program: program, Earlier: earlier, MosquittoPlugin: plugin, Cases: cases, Devices: c.Devices, Rate: c.Rate, Jobs: c.Jobs, Seed: c.Seed,
		Dir: c.LogDir, Keep: c.KeepLogs, Out: streams.Out,
	})
	if len(report.Outcomes) > 0 {
		fmt.Fprintln(streams.Out)
		err = errors.Join(err, process.Publish(report, streams.Out, c.Report))
	}
	if err == nil && !report.Clean && !(c.BrokerMayLose && report.Excused()) {
		return cli.ErrNotClean
	}
	return err
}

func (c *chaosCommand) list(streams cli.Streams) error {
	t := tabwriter.NewWriter(streams.Out, 0, 0, 2, ' ', 0)
	for _, f := range c.choice().Faults() {
		fmt.Fprintf(t, "%s\t%s\n", f.Name, f)
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("list the faults: %w", err)
	}
	return nil
}
