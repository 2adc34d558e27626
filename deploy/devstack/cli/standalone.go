package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/alecthomas/kong"

	"devicetwin/deploy/devstack/stack"
	"devicetwin/internal/cli"
)

// StandaloneName is the name under which the program is the standalone form.
const StandaloneName = "devicetwin-standalone"

// standaloneLine is the grammar of devicetwin-standalone.
type standaloneLine struct {
	Config kong.ConfigFlag `help:"YAML file with settings; flags and environment override it." placeholder:"FILE"`

	Run     standaloneCommand     `cmd:"" default:"withargs" help:"Run everything until it is stopped. This is the default command; \"run --help\" lists its flags."`
	Cert    standaloneCertCommand `cmd:"" help:"Issue a certificate for a device."`
	Version cli.VersionCommand    `cmd:"" help:"Print version, commit and Go version; --version does the same."`
}

const standaloneDescription = `devicetwin for a small fleet on one machine, such as an edge gateway: MQTT broker,
Temporal, InfluxDB, bridge, worker and the operator's API in one process, with
everything kept in one folder.

  devicetwin-standalone --data /var/lib/devicetwin --model pump.yaml

All listeners are on loopback. Devices elsewhere connect by TLS on port 8883, with
a certificate each (cert), once --listen opens it to the network.

Settings can be given as flags, in the environment (DEVICETWIN_DATA for --data) or
in a YAML file (--config). Only errors end it before it gets SIGINT or SIGTERM; let
systemd, or whatever restarts your services, restart it.`

// Standalone runs devicetwin-standalone and returns its exit status, as Main does
// for devstack.
func Standalone(args []string, stdout, stderr io.Writer) int {
	return execute(newStandaloneLine(), StandaloneName, standaloneDescription, args, stdout, stderr)
}

func newStandaloneLine() *standaloneLine {
	return &standaloneLine{Run: standaloneCommand{settings: newSettings()}}
}

// dataFlag is the data directory of the standalone form.
type dataFlag struct {
	Data string `required:"" help:"Folder for all data; it is created on first start." placeholder:"DIR"`
}

// standaloneCommand is what devicetwin-standalone does without a command.
type standaloneCommand struct {
	dataFlag
	settings
	fixedPorts
	TLS tlsFlags `embed:"" group:"Devices with certificates"`

	SyncAlways bool          `help:"Wait for the disk before a message or a signal is acknowledged, so that a power failure loses none." default:"true" negatable:""`
	KeepPoints time.Duration `help:"How long InfluxDB keeps points; 0s for no limit." default:"2160h"`
	UI         bool          `name:"temporal-ui" help:"Run Temporal's web UI." default:"true" negatable:""`
}

// Validate is called by the parser.
func (c *standaloneCommand) Validate() error {
	if err := c.validate(); err != nil {
		return err
	}
	if c.KeepPoints != 0 && c.KeepPoints < time.Hour {
		return fmt.Errorf("--keep-points %v: expected 0s, or at least 1h", c.KeepPoints)
	}
	return nil
}

// Run starts everything and waits for the end.
func (c *standaloneCommand) Run(ctx context.Context) (err error) {
	log := c.Log.Logger(os.Stderr)
	dir, release, err := openData(c.Data)
	if err != nil {
		return err
	}
	defer release()
	p := c.plan()
	p.stack.DataDir = dir
	s, err := startSystem(ctx, p)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	c.tell(s, log)
	select {
	case <-ctx.Done():
		log.Info("stopping")
		return nil
	case err := <-s.service.Failed():
		return err
	}
}

// openData makes the folder, readable by its owner alone because of the keys in
// it, and locks it for this process.
func openData(path string) (dir string, release func(), err error) {
	if dir, err = filepath.Abs(path); err != nil {
		return "", nil, fmt.Errorf("data directory %s: %w", path, err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", nil, fmt.Errorf("make data directory: %w", err)
	}
	release, err = stack.Lock(filepath.Join(dir, "lock"))
	if err != nil {
		return "", nil, fmt.Errorf("data directory %s: %w", dir, err)
	}
	return dir, release, nil
}

func (c *standaloneCommand) plan() systemPlan {
	p := systemPlan{
		stack: stack.Options{
			DataDir: c.Data, Ports: c.ports(), SyncAlways: c.SyncAlways, KeepPoints: c.KeepPoints,
			Parts: []stack.Part{stack.PartMQTT, stack.PartMQTTS, stack.PartTemporal, stack.PartInfluxDB},
		},
		tls:      &c.TLS,
		settings: c.settings,
	}
	if c.UI {
		p.stack.Parts = append(p.stack.Parts, stack.PartUI)
	} else {
		p.stack.Ports.UI = 0
	}
	return p
}

// Plan implements cli.Planner.
func (c *standaloneCommand) Plan() (any, error) { return c.plan().started() }

func (c *standaloneCommand) tell(s *system, log *slog.Logger) {
	args := []any{
		"model", c.Model.Model, "mqtts", s.stack.MQTTS.URL(), "mqtt", s.stack.MQTT.URL(), "http", "http://" + s.service.HTTPAddr(), "api", s.service.APIURL(),
		"temporal", s.stack.Temporal.Addr(), "influxdb", s.stack.InfluxDB.URL(),
	}
	if s.stack.UI != nil {
		args = append(args, "temporal_ui", s.stack.UI.URL())
	}
	log.Info("running; press Ctrl-C to stop", args...)
}

// standaloneCertCommand is "devicetwin-standalone cert".
type standaloneCertCommand struct {
	dataFlag
	certFlags
}

// Run issues the certificate.
func (c *standaloneCertCommand) Run(streams cli.Streams) error { return c.issue(streams.Out, c.Data) }
