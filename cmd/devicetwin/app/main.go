package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"devicetwin/source"
)

// Exit statuses of the command.
const (
	ExitOK       = 0
	ExitFailed   = 1 // the run failed
	ExitUsage    = 2 // wrong flags, configuration, model or scenario; nothing was started
	ExitNotClean = 3 // the simulator's ledger found a fault
	ExitNotFound = 4 // the API knows no such device or command
)

// ErrNotClean ends a simulation whose report is not clean.
var ErrNotClean = errors.New("the report is not clean")

// usageError is a fault of the input, found before anything was started.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// commandLine is the grammar of the command.
type commandLine struct {
	Config kong.ConfigFlag `help:"YAML file with settings; flags and environment go before it." placeholder:"FILE"`

	Run      runCommand      `cmd:"" help:"Run the bridge and the worker in one process."`
	Bridge   bridgeCommand   `cmd:"" help:"Run the bridge: MQTT messages to InfluxDB points and workflow signals."`
	Worker   workerCommand   `cmd:"" help:"Run the worker: device workflows and their activities."`
	Simulate simulateCommand `cmd:"" set:"http_listen=" help:"Play a fleet of devices and prove that nothing was lost, doubled or reordered."`
	Model    modelCommand    `cmd:"" help:"Work with model files."`
	API      apiCommand      `cmd:"" name:"api" help:"Run the operator's HTTP API."`

	Devices devicesCommand `cmd:"" help:"See devices, by the API."`
	Desired desiredCommand `cmd:"" help:"Change what is desired of devices, by the API."`
	Command commandCommand `cmd:"" help:"Send commands to devices, by the API."`
	Events  eventsCommand  `cmd:"" help:"Give events to devices' statecharts, by the API."`

	Setup       setupCommand       `cmd:"" help:"Make what Temporal needs: the namespace and its search attributes."`
	Credentials credentialsCommand `cmd:"" help:"Work with the credentials of devices."`
	Token       tokenCommand       `cmd:"" help:"Make tokens for the API."`
	Codec       codecCommand       `cmd:"" help:"Work with the encryption of what Temporal keeps."`
	Health      healthCommand      `cmd:"" help:"Ask a running process whether it is ready; for healthchecks."`

	Completion completionCommand `cmd:"" help:"Print what a shell needs to complete this command."`
	Complete   completeCommand   `cmd:"" hidden:"" passthrough:""`
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
	var cli commandLine
	return Execute(ctx, &cli, "devicetwin", description, args, stdout, stderr)
}

// exitRequest carries kong's wish to exit (--help) out of the parser.
type exitRequest int

// Execute parses args into a kong grammar, runs the command chosen, and
// translates its error into an exit status. The command's Run method may take a
// context.Context and a Streams.
func Execute(ctx context.Context, grammar any, name, description string, args []string, stdout, stderr io.Writer) (status int) {
	defer func() {
		if r := recover(); r != nil {
			code, ok := r.(exitRequest)
			if !ok {
				panic(r)
			}
			status = int(code)
		}
	}()
	parser, err := newParser(grammar, name, description, stdout, stderr)
	if err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", name, err)
		return ExitFailed
	}
	command, err := parser.Parse(args)
	if err != nil {
		complain(stderr, name, err)
		fmt.Fprintf(stderr, "%s: run \"%s --help\" for usage\n", name, name)
		return ExitUsage
	}
	command.BindTo(ctx, (*context.Context)(nil))
	command.Bind(Streams{Out: stdout, Err: stderr})
	err = command.Run()
	var usage usageError
	switch {
	case err == nil:
		return ExitOK
	case errors.Is(err, ErrNotClean):
		return ExitNotClean
	case notFound(err):
		complain(stderr, name, err)
		return ExitNotFound
	case errors.As(err, &usage):
		complain(stderr, name, err)
		return ExitUsage
	}
	complain(stderr, name, err)
	return ExitFailed
}

func newParser(grammar any, name, description string, stdout, stderr io.Writer) (parser *kong.Kong, err error) {
	return kong.New(grammar,
		kong.Name(name), kong.Description(description), kong.UsageOnError(),
		kong.DefaultEnvars("DEVICETWIN"),
		kong.Configuration(func(r io.Reader) (kong.Resolver, error) { return loadConfigFile(r, parser.Model) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true}),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { panic(exitRequest(code)) }),
	)
}

// Streams is where a command writes.
type Streams struct{ Out, Err io.Writer }

// complain prints an error; the faults of files with the lines at fault.
func complain(w io.Writer, name string, err error) {
	var faults source.Faults
	if errors.As(err, &faults) {
		fmt.Fprint(w, faults.Pretty())
		return
	}
	fmt.Fprintf(w, "%s: %v\n", name, err)
}
