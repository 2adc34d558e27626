package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"devicetwin/deploy/devstack/stack"
	"devicetwin/internal/cli"
	"devicetwin/service"
)

// serveCommand is "devstack serve".
type serveCommand struct {
	fixedPorts
	grafanaPort
	kafkaPort
	Log    service.LogConfig   `embed:"" prefix:"log-" group:"Logging"`
	Topics service.TopicConfig `embed:"" prefix:"mqtt-" group:"MQTT broker"`
	allowFlag
	Only       partNames `help:"Parts to run, separated by commas: mqtt, mqtts, temporal, ui, influxdb, grafana, kafka. Default: all except mqtts (devices with certificates), grafana and kafka." placeholder:"PARTS"`
	TLS        tlsFlags  `embed:"" group:"Devices with certificates"`
	DataDir    string    `help:"Folder for the data of all servers; the data is kept." default:".devstack" placeholder:"DIR"`
	SyncAlways bool      `help:"Let broker and Temporal wait for the disk before they acknowledge, to survive a power failure."`
	GrafanaDir string    `help:"Folder with Grafana's provisioning and dashboards." default:"deploy/grafana" placeholder:"DIR"`
}

// partNames is a list of parts on the command line.
type partNames []stack.Part

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *partNames) UnmarshalText(text []byte) error {
	parts, err := stack.ParseParts(string(text))
	*p = parts
	return err
}

// options are those of the servers, but for certificates.
func (c *serveCommand) options() (o stack.Options, err error) {
	o = stack.Options{DataDir: c.DataDir, Parts: c.Only, Ports: c.ports(), SyncAlways: c.SyncAlways, GrafanaDir: c.GrafanaDir}
	o.Ports.Grafana, o.Ports.Kafka = c.GrafanaPort, c.KafkaPort
	o.Access, err = c.access(c.Topics)
	return o, err
}

// Plan implements cli.Planner.
func (c *serveCommand) Plan() (any, error) {
	tls := tlsFlags{}
	if slices.Contains(c.Only, stack.PartMQTTS) {
		tls = c.TLS
	}
	o, err := c.options()
	return struct {
		stack stack.Options
		tls   tlsFlags
		log   service.LogConfig
	}{o, tls, c.Log}, err
}

// Run starts the servers and waits for the end.
func (c *serveCommand) Run(ctx context.Context, streams cli.Streams) (err error) {
	dataDir, err := filepath.Abs(c.DataDir)
	if err != nil {
		return fmt.Errorf("data directory %s: %w", c.DataDir, err)
	}
	o, err := c.options()
	if err != nil {
		return err
	}
	o.DataDir, o.Logger = dataDir, c.Log.Logger(os.Stderr)
	if slices.Contains(o.Parts, stack.PartMQTTS) {
		if o.TLS, err = c.TLS.options(dataDir); err != nil {
			return err
		}
	}
	s, err := startStack(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	printSettings(streams.Out, s)
	<-ctx.Done()
	return nil
}

// printSettings writes the addresses as settings of devicetwin, for a shell or
// for a program that started this one; "# ready" is the last line.
func printSettings(w io.Writer, s *stack.Stack) {
	set := func(name, value string) { fmt.Fprintf(w, "DEVICETWIN_%s=%s\n", name, value) }
	if s.MQTT != nil {
		set("MQTT_URL", s.MQTT.URL())
		set("WORKER_CREDENTIALS", credentialsDir(s.DataDir()))
		set("MODEL_COPIES", copiesDir(s.DataDir()))
	}
	if s.MQTTS != nil {
		fmt.Fprintf(w, "# MQTT with certificates: %s\n", s.MQTTS.URL())
	}
	if s.Temporal != nil {
		set("TEMPORAL_ADDRESS", s.Temporal.Addr())
		set("TEMPORAL_NAMESPACE", stack.Namespace)
	}
	if s.InfluxDB != nil {
		set("INFLUX_URL", s.InfluxDB.URL())
		set("INFLUX_BUCKET", stack.BucketName)
	}
	if s.Kafka != nil {
		set("KAFKA_BROKERS", s.Kafka.Addr())
	}
	if s.UI != nil {
		fmt.Fprintf(w, "# Temporal UI: %s\n", s.UI.URL())
	}
	if s.Grafana != nil {
		fmt.Fprintf(w, "# Grafana: %s\n", s.Grafana.URL())
	}
	fmt.Fprintln(w, "# ready")
}
