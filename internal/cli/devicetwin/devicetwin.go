// Package devicetwin is the command line of the program devicetwin.
package devicetwin

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"devicetwin/internal/cli"
	"devicetwin/internal/cli/admin"
	"devicetwin/internal/cli/credentials"
	"devicetwin/internal/cli/dialect"
	"devicetwin/internal/cli/logs"
	"devicetwin/internal/cli/model"
	"devicetwin/internal/cli/operator"
	"devicetwin/internal/cli/simulate"
	"devicetwin/internal/cli/tap"
	"devicetwin/service"
)

// newCommandLine is the grammar with the defaults of all commands.
func newCommandLine() *commandLine {
	c := service.DefaultConfig()
	api := apiCommand{API: c.API, Temporal: c.Temporal, Kinds: c.Model.KindConfig, HTTP: c.HTTP, Log: c.Log}
	return &commandLine{
		Run: runCommand{c}, Bridge: bridgeCommand{sharedOf(c), c.Bridge}, Worker: workerCommand{sharedOf(c), c.Worker, c.Sink}, API: api, Auth: authCommand{service.DefaultAuth()},
		Kafka:    newKafkaCommand(c),
		Simulate: simulate.New(c), Tap: tap.New(c), Admin: admin.New(c), Credentials: credentials.New(c),
	}
}

// commandLine is the grammar of the command.
type commandLine struct {
	Config kong.ConfigFlag `help:"YAML file with settings; flags and environment override it." placeholder:"FILE"`

	Run      runCommand       `cmd:"" help:"Run the bridge, the worker and the API in one process."`
	Bridge   bridgeCommand    `cmd:"" help:"Run the bridge: turn MQTT messages into InfluxDB points and workflow signals."`
	Kafka    kafkaCommand     `cmd:"" help:"Run a bridge from Kafka: turn records into workflow signals, and telemetry in them into InfluxDB points."`
	Worker   workerCommand    `cmd:"" help:"Run the worker: device workflows and their activities."`
	Simulate simulate.Command `cmd:"" help:"Simulate a fleet of devices and verify that nothing was lost, duplicated or reordered."`
	Model    modelCommand     `cmd:"" help:"Check, test and draw model files, and push versions of models to the registry."`
	Dialect  dialect.Command  `cmd:"" help:"Check, test and try what other devices speak."`
	Tap      tap.Command      `cmd:"" help:"Show what arrives at the broker now, and what the service makes of it."`
	API      apiCommand       `cmd:"" name:"api" help:"Run the operator's HTTP API."`
	Auth     authCommand      `cmd:"" help:"Answer EMQX, NATS, RabbitMQ and VerneMQ who may connect, and which topics a client may use."`
	Journal  logs.Command     `cmd:"" help:"Read a journal of state machines, or the log of a bridge or a worker."`
	Log      logs.Command     `cmd:"" hidden:"" help:"Another name of journal."`

	Devices  devicesCommand         `cmd:"" help:"Show and watch devices, through the API; record one as a test."`
	Operator operator.OtherCommands `embed:""`
	Admin    admin.Commands         `embed:""`

	Credentials credentials.Command `cmd:"" help:"Issue, import, list and revoke credentials of devices."`

	Version    cli.VersionCommand    `cmd:"" help:"Print version, commit and Go version; --version does the same."`
	Completion cli.CompletionCommand `cmd:"" help:"Print a shell completion script."`
	Complete   cli.CompleteCommand   `cmd:"" hidden:"" passthrough:""`
}

// modelCommand is "devicetwin model": what works on files, and what asks the registry.
type modelCommand struct {
	model.Command
	operator.ModelCommands
}

// devicesCommand is "devicetwin devices": what asks the API, and what reads a journal.
type devicesCommand struct {
	operator.DevicesCommands
	Record model.RecordCommand `cmd:"" help:"Write a script for model test of what a device did, from a journal: an incident becomes a test."`
}

const description = `A durable twin for every device on your MQTT broker: a state machine and event
patterns for each device, in a Temporal workflow of its own.

Settings can be given as flags, in the environment (DEVICETWIN_MQTT_URL for
--mqtt-url) or in a YAML file (--config).`

// Main runs the command and returns its exit status. It stops early, and
// gracefully, on SIGINT and SIGTERM.
func Main(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A second signal ends the process at once.
	context.AfterFunc(ctx, stop)
	return cli.Execute(ctx, newCommandLine(), "devicetwin", description, args, stdout, stderr)
}
