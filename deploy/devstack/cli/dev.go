package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"path/filepath"
	"syscall"

	"devicetwin/deploy/devstack/stack"
	"devicetwin/internal/cli"
)

// devCommand is "devstack dev".
type devCommand struct {
	settings
	fixedPorts
	grafanaPort
	TLS        tlsFlags `embed:"" group:"Devices with certificates"`
	DataDir    string   `help:"Folder for the data of all servers; the data is kept." default:".devstack" placeholder:"DIR"`
	Grafana    bool     `help:"Also start an installed Grafana, with data source and dashboards."`
	GrafanaDir string   `help:"Folder with Grafana's provisioning and dashboards." default:"deploy/grafana" placeholder:"DIR"`
}

// Validate is called by the parser.
func (c *devCommand) Validate() error { return c.validate() }

func (c *devCommand) plan() systemPlan {
	p := systemPlan{
		stack:    stack.Options{DataDir: c.DataDir, Ports: c.ports(), Parts: append(stack.DefaultParts(), stack.PartMQTTS)},
		tls:      &c.TLS,
		settings: c.settings,
	}
	if c.Grafana {
		p.stack.Parts = append(p.stack.Parts, stack.PartGrafana)
		p.stack.Ports.Grafana, p.stack.GrafanaDir = c.GrafanaPort, c.GrafanaDir
	}
	return p
}

// Plan implements cli.Planner.
func (c *devCommand) Plan() (any, error) { return c.plan().started() }

// Run starts everything and waits for the end.
func (c *devCommand) Run(ctx context.Context, streams cli.Streams) (err error) {
	dataDir, err := filepath.Abs(c.DataDir)
	if err != nil {
		return fmt.Errorf("data directory %s: %w", c.DataDir, err)
	}
	p := c.plan()
	p.stack.DataDir = dataDir
	s, err := startSystem(ctx, p)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	// Ctrl-C also ends what reads the output, such as tee: it is to stop in order nevertheless.
	signal.Ignore(syscall.SIGPIPE)
	c.welcome(streams.Out, s)
	select {
	case <-ctx.Done():
		fmt.Fprintln(streams.Out, "Stopping …")
		return nil
	case err := <-s.service.Failed():
		return err
	}
}

func (c *devCommand) welcome(w io.Writer, s *system) {
	fmt.Fprintf(w, "devicetwin is up, with %s. Ctrl-C stops it; its data stays in %s.\n\n", c.Model.Model, c.DataDir)
	s.printAddresses(w)
	fmt.Fprintf(w, `
Be a device (one with a certificate: bin/devstack cert pump-1):
  mosquitto_pub -h 127.0.0.1 -p %d -q 1 -t %s/pump-1/telemetry -m '{"temperature": 95.5}'
and see its workflow: %s/namespaces/%s/workflows/device%%2Fpump-1
`, s.stack.MQTT.Port(), c.Topics.TopicPrefix, s.stack.UI.URL(), stack.Namespace)
	if url := s.service.APIURL(); url != "" {
		fmt.Fprintf(w, "or what it knows: bin/devicetwin devices get pump-1 --api-url %s\n", url)
	}
}
