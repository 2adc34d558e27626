package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"devicetwin/deploy/devstack/stack"
	"devicetwin/internal/cli"
	"devicetwin/service"
)

// devCommand is "devstack dev".
type devCommand struct {
	systemFlags
	fixedPorts
	Log        service.LogConfig  `embed:"" prefix:"log-" group:"Logging"`
	HTTP       service.HTTPConfig `embed:"" prefix:"http-" group:"HTTP"`
	TLS        tlsFlags           `embed:"" group:"Devices with certificates"`
	API        service.APIConfig  `embed:"" prefix:"api-" group:"API"`
	DataDir    string             `help:"Folder for the data of all servers; the data is kept." default:".devstack" placeholder:"DIR"`
	Grafana    bool               `help:"Also start Grafana, if it is installed, with data source and dashboards."`
	GrafanaDir string             `help:"Folder with Grafana's provisioning and dashboards." default:"deploy/grafana" placeholder:"DIR"`
}

// Validate is called by the parser.
func (c *devCommand) Validate() error {
	if c.HTTP.Listen == "" {
		return errors.New("--http-listen: expected an address, such as 127.0.0.1:8090")
	}
	return nil
}

// Run starts everything and waits for the end.
func (c *devCommand) Run(ctx context.Context, streams cli.Streams) (err error) {
	log := c.Log.Logger(os.Stderr)
	dataDir, err := filepath.Abs(c.DataDir)
	if err != nil {
		return fmt.Errorf("data directory %s: %w", c.DataDir, err)
	}
	o := stack.Options{DataDir: dataDir, Ports: c.ports(), GrafanaDir: c.GrafanaDir, Logger: log, Parts: append(stack.DefaultParts(), stack.PartMQTTS)}
	if o.TLS, err = c.TLS.options(dataDir); err != nil {
		return err
	}
	if c.Grafana {
		o.Parts = append(o.Parts, stack.PartGrafana)
	}
	flags := c.systemFlags
	kept, err := keepModel(flags.Model, dataDir)
	if err != nil {
		return err
	}
	flags.Model.Models = append(flags.Model.Models, kept...)
	s, err := startSystem(ctx, o, flags, c.Log, c.HTTP.Listen, &c.API)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
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
	fmt.Fprintf(w, "devicetwin is up, with model %s. Ctrl-C stops it; its data stays in %s.\n\n", c.Model.Model, c.DataDir)
	s.printAddresses(w)
	fmt.Fprintf(w, `
Be a device (one with a certificate: bin/devstack cert pump-1):
  mosquitto_pub -h 127.0.0.1 -p %d -q 1 -t devices/pump-1/telemetry -m '{"temperature": 95.5}'
and see its workflow: %s/namespaces/%s/workflows/device%%2Fpump-1
`, s.stack.MQTT.Port(), s.stack.UI.URL(), stack.Namespace)
	if url := s.service.APIURL(); url != "" {
		fmt.Fprintf(w, "or what it knows: bin/devicetwin devices get pump-1 --api-url %s\n", url)
	}
}
