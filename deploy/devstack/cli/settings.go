package cli

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"devicetwin/auth"
	"devicetwin/deploy/devstack/stack"
	"devicetwin/service"
)

// settings are those of "devicetwin run" that the stack does not decide: the test
// of the flags names the others.
type settings struct {
	Log    service.LogConfig      `embed:"" prefix:"log-" group:"Logging"`
	HTTP   service.HTTPConfig     `embed:"" prefix:"http-" group:"HTTP"`
	API    service.APIConfig      `embed:"" prefix:"api-" group:"API"`
	Model  service.ModelConfig    `embed:"" group:"Models"`
	Topics service.TopicConfig    `embed:"" prefix:"mqtt-" group:"MQTT broker"`
	Bridge service.BridgeConfig   `embed:"" prefix:"bridge-" group:"Bridge"`
	Worker service.WorkerSettings `embed:"" prefix:"worker-" group:"Worker"`
	Sink   service.SinkConfig     `embed:"" prefix:"kafka-" group:"Kafka"`
	allowFlag

	Keys     string `name:"temporal-keys" help:"File of keys that encrypt payloads before they are sent to Temporal; the first one encrypts, all decrypt." group:"Temporal" placeholder:"FILE"`
	SpoolMax int64  `name:"influx-spool-max" hidden:"" help:"Earlier name of --bridge-log-max." group:"InfluxDB" placeholder:"BYTES"`
}

// newSettings are those of devicetwin, but that the devices are counted more
// often: Temporal is in this process.
func newSettings() settings {
	c := service.DefaultConfig()
	c.Worker.CountEvery, c.Model.Copies = 5*time.Second, "" // in the data folder
	return settings{
		Log: c.Log, HTTP: c.HTTP, API: c.API, Model: c.Model, Topics: c.MQTT.TopicConfig,
		Bridge: c.Bridge, Worker: c.Worker.WorkerSettings, Sink: c.Sink, SpoolMax: c.Influx.SpoolMax,
	}
}

func (s settings) validate() error {
	if s.HTTP.Listen == "" {
		return errors.New("--http-listen: expected an address, such as 127.0.0.1:8090")
	}
	return s.allowFlag.Validate()
}

// servers is where a stack can be reached.
type servers struct{ mqtt, temporal, influx, dataDir string }

func serversOf(s *stack.Stack) servers {
	return servers{s.MQTT.URL(), s.Temporal.Addr(), s.InfluxDB.URL(), s.DataDir()}
}

// on is the configuration of the parts on a stack.
func (s settings) on(at servers) service.Config {
	c := service.DefaultConfig()
	c.Log, c.HTTP, c.API, c.Model, c.Bridge, c.Sink = s.Log, s.HTTP, s.API, s.Model, s.Bridge, s.Sink
	if c.Model.Copies == "" {
		c.Model.Copies = copiesDir(at.dataDir)
	}
	if c.Bridge.Log == "" {
		c.Bridge.Log = filepath.Join(at.dataDir, "log")
	}
	if s.SpoolMax > 0 {
		c.Bridge.LogMax = s.SpoolMax
	}
	c.MQTT.URL, c.MQTT.TopicConfig = []string{at.mqtt}, s.Topics
	c.Temporal.Address, c.Temporal.Namespace, c.Temporal.Keys = at.temporal, stack.Namespace, s.Keys
	c.Influx.URL, c.Influx.Bucket = at.influx, stack.BucketName
	c.Influx.Spool = filepath.Join(at.dataDir, "influx-spool") // of an earlier release
	c.Worker.Credentials, c.Worker.WorkerSettings = credentialsDir(at.dataDir), s.Worker
	return c
}

// plan is what the parts on a stack are started with.
func (s settings) plan(at servers) (service.Plan, error) {
	return service.NewPlan(s.on(at), service.Bridge|service.Worker|service.API)
}

// allowFlag is what devices may do at the broker in addition.
type allowFlag struct {
	MQTTAllow []string `name:"mqtt-allow" group:"MQTT broker" help:"What devices may do at the broker in addition, with a password or a certificate, as with --auth-allow of devicetwin auth: 'publish tele/{id}/#'. Topics of dialects that have a device's name are allowed." placeholder:"RULE"`
}

// Validate is called by the parser, and by settings.
func (f allowFlag) Validate() error {
	var faults []error
	for _, rule := range f.MQTTAllow {
		if _, err := auth.ParseRule(rule); err != nil {
			faults = append(faults, fmt.Errorf("--mqtt-allow: %w", err))
		}
	}
	return errors.Join(faults...)
}

// access is what devices may do at the broker.
func (f allowFlag) access(topics service.TopicConfig) (auth.Config, error) {
	access, err := topics.Access()
	access.Allow = append(access.Allow, f.MQTTAllow...)
	return access, err
}

// systemPlan is what a command starts: servers, and the parts on them.
type systemPlan struct {
	stack    stack.Options
	tls      *tlsFlags // nil: no listener with TLS
	settings settings
}

// servers are the options of the stack, but for certificates.
func (p systemPlan) servers() (o stack.Options, err error) {
	o = p.stack
	o.Access, err = p.settings.access(p.settings.Topics)
	return o, err
}

// started is the plan as tests look at it: with the servers at one place.
func (p systemPlan) started() (any, error) {
	parts, err := p.settings.plan(servers{"mqtt://127.0.0.1:1", "127.0.0.1:2", "http://127.0.0.1:3", "data"})
	o, fault := p.servers()
	if err == nil { // which reports the dialects, too
		err = fault
	}
	return struct {
		stack stack.Options
		tls   *tlsFlags
		parts service.Plan
	}{o, p.tls, parts}, err
}
