// Package cli is the command line of devstack: it wires the servers of package
// stack to the bridge, the worker and the simulator of devicetwin.
//
//	devstack demo    a whole fleet for a minute, with a report
//	devstack dev     the same without a fleet, for devices of your own
//	devstack serve   the servers alone, or some of them
//	devstack cert    a certificate for a device, from the authority of dev and serve
//	devstack chaos   run a fleet while each part and each link breaks
//	devstack bench   how much this machine can do
//
// Exit statuses and flags follow devicetwin: 0 clean, 1 failed, 2 wrong usage,
// 3 not clean; --data-dir is DEVICETWIN_DATA_DIR in the environment.
//
// Standalone is the command line of the form in which bridge, worker and servers in
// one process are supported: devicetwin-standalone, for small fleets.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"

	"devicetwin/deploy/devstack/stack"
	"devicetwin/internal/cli"
	"devicetwin/internal/credentials"
	"devicetwin/service"
)

// pumpModel is the model of devices where none is named.
const pumpModel = "models/pump.yaml"

type commandLine struct {
	Demo    demoCommand        `cmd:"" help:"Run everything with a simulated fleet, and report what was lost, duplicated or reordered."`
	Dev     devCommand         `cmd:"" help:"Run everything without a fleet, for your own devices, until Ctrl-C."`
	Serve   serveCommand       `cmd:"" help:"Run only the servers, without bridge and worker."`
	Cert    certCommand        `cmd:"" help:"Issue a certificate for a device."`
	Chaos   chaosCommand       `cmd:"" help:"Break each part and each link while a fleet runs, and report what was lost, duplicated or reordered."`
	Bench   benchCommand       `cmd:"" help:"Measure the capacity of this machine: events, devices, latencies, memory."`
	Version cli.VersionCommand `cmd:"" help:"Print version, commit and Go version; --version does the same."`
}

// newCommandLine is the grammar with the defaults of all commands.
func newCommandLine() *commandLine {
	made := &commandLine{Dev: devCommand{settings: newSettings()}, Demo: demoCommand{settings: newSettings()}}
	made.Serve.Log, made.Serve.Topics = service.DefaultConfig().Log, service.DefaultConfig().MQTT.TopicConfig
	// As the folder of Grafana's files, this is that of the repository.
	made.Dev.Model.Model, made.Demo.Model.Model = pumpModel, pumpModel
	// A demonstration prints a report, and is mostly one of several processes.
	made.Demo.Log.Level, made.Demo.HTTP.Listen, made.Demo.API.Listen = "warn", "127.0.0.1:0", ""
	return made
}

const description = `devicetwin with the servers that it needs, in one process: an MQTT broker (NATS),
Temporal with its web UI, InfluxDB, and for entities Kafka. For development, demonstrations and tests.`

// Main runs the command and returns its exit status. It stops early, and
// gracefully, on SIGINT and SIGTERM.
func Main(args []string, stdout, stderr io.Writer) int {
	return execute(newCommandLine(), "devstack", description, args, stdout, stderr)
}

func execute(grammar any, name, description string, args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A second signal ends the process at once.
	context.AfterFunc(ctx, stop)
	return cli.Execute(ctx, grammar, name, description, args, stdout, stderr)
}

// fixedPorts are the usual ports; freePorts are any that are free.
type fixedPorts struct {
	MQTTPort       int `name:"mqtt-port" group:"Ports" help:"Port of the MQTT broker; 0 for any free one." default:"1883" placeholder:"PORT"`
	MQTTTLSPort    int `name:"mqtt-tls-port" group:"Ports" help:"Port for devices with certificates; 0 for any free one." default:"8883" placeholder:"PORT"`
	TemporalPort   int `group:"Ports" help:"Port of Temporal's frontend; 0 for any free one." default:"7233" placeholder:"PORT"`
	TemporalUIPort int `name:"temporal-ui-port" group:"Ports" help:"Port of Temporal's web UI; 0 for any free one." default:"8233" placeholder:"PORT"`
	InfluxPort     int `group:"Ports" help:"Port of InfluxDB; 0 for any free one." default:"8086" placeholder:"PORT"`
}

type kafkaPort struct {
	KafkaPort int `group:"Ports" help:"Port of Kafka; 0 for any free one." default:"9092" placeholder:"PORT"`
}

type grafanaPort struct {
	GrafanaPort int `group:"Ports" help:"Port of Grafana; 0 for any free one." default:"3000" placeholder:"PORT"`
}

type freePorts struct {
	MQTTPort       int `name:"mqtt-port" group:"Ports" help:"Port of the MQTT broker; 0 for any free one." default:"0" placeholder:"PORT"`
	TemporalPort   int `group:"Ports" help:"Port of Temporal's frontend; 0 for any free one." default:"0" placeholder:"PORT"`
	TemporalUIPort int `name:"temporal-ui-port" group:"Ports" help:"Port of Temporal's web UI; 0 for any free one." default:"0" placeholder:"PORT"`
	InfluxPort     int `group:"Ports" help:"Port of InfluxDB; 0 for any free one." default:"0" placeholder:"PORT"`
}

func (p fixedPorts) ports() stack.Ports {
	return stack.Ports{MQTT: p.MQTTPort, MQTTS: p.MQTTTLSPort, Temporal: p.TemporalPort, UI: p.TemporalUIPort, InfluxDB: p.InfluxPort}
}

func (p freePorts) ports() stack.Ports {
	return stack.Ports{MQTT: p.MQTTPort, Temporal: p.TemporalPort, UI: p.TemporalUIPort, InfluxDB: p.InfluxPort}
}

var portFlags = map[stack.Part]string{
	stack.PartMQTT:     "--mqtt-port",
	stack.PartMQTTS:    "--mqtt-tls-port",
	stack.PartTemporal: "--temporal-port",
	stack.PartUI:       "--temporal-ui-port",
	stack.PartInfluxDB: "--influx-port",
	stack.PartGrafana:  "--grafana-port",
	stack.PartKafka:    "--kafka-port",
}

// startStack starts the servers. Devices that were reprovisioned have to log in
// with what the credential store in the data directory knows.
func startStack(ctx context.Context, o stack.Options) (*stack.Stack, error) {
	store, err := credentials.Open(credentialsDir(o.DataDir))
	if err != nil {
		return nil, err
	}
	o.Credentials = store
	relaxCollector()
	s, err := stack.Start(ctx, o)
	var taken *stack.PortError
	if errors.As(err, &taken) {
		flag := portFlags[taken.Part]
		variable := "DEVICETWIN_" + strings.ToUpper(strings.ReplaceAll(strings.TrimPrefix(flag, "--"), "-", "_"))
		return nil, fmt.Errorf("%w\nstop what uses it, or choose another port with %s, or %s in the environment (0 for any free one)", err, flag, variable)
	}
	return s, err
}

// collectorPercent is how far the heap may grow before it is collected. Temporal
// makes much garbage and keeps little: with Go's default of 100, an
// eighth of its time goes into collecting it.
const collectorPercent = 300

func relaxCollector() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectorPercent)
	}
}

func credentialsDir(dataDir string) string { return filepath.Join(dataDir, "credentials") }

func copiesDir(dataDir string) string { return filepath.Join(dataDir, "models") }
