package cli

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"devicetwin/auth"
	"devicetwin/deploy/devstack/stack"
	"devicetwin/devicefsm"
	"devicetwin/internal/cli/simulate"
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
type servers struct {
	mqtt, temporal, influx, dataDir string
	kafka                           string // "": none
}

func serversOf(s *stack.Stack) servers {
	at := servers{mqtt: s.MQTT.URL(), temporal: s.Temporal.Addr(), influx: s.InfluxDB.URL(), dataDir: s.DataDir()}
	if s.Kafka != nil {
		at.kafka = s.Kafka.Addr()
	}
	return at
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
	if at.kafka != "" {
		c.Sink.Brokers = []string{at.kafka}
	}
	return c
}

// plan is what the parts on a stack are started with.
func (s settings) plan(at servers) (service.Plan, error) {
	return service.NewPlan(s.on(at), service.Bridge|service.Worker|service.API)
}

// entitiesPlan is plan for a fleet of entities, whose messages come from Kafka alone.
func (s settings) entitiesPlan(at servers) (service.Plan, error) {
	return service.NewPlan(s.on(at), service.Worker|service.API)
}

// kafkaPlan is what the bridge from Kafka of a fleet of entities is started with, as a
// service of its own.
func (s settings) kafkaPlan(at servers, e *simulate.Entities) (service.Plan, error) {
	c := s.on(at)
	c.HTTP.Listen = "127.0.0.1:0"
	c.Kafka.Brokers, c.Kafka.Dialect, c.Kafka.DeadLetters = []string{at.kafka}, []string{e.Dialect}, e.DeadLetters
	c.Kafka.SessionTimeout = demoSession
	return service.NewPlan(c, service.Kafka)
}

// demoSession is short: the broker is in this process.
const demoSession = 10 * time.Second

// forEntities are the settings for a fleet of entities.
func (s settings) forEntities(e *simulate.Entities) settings {
	s.Model.Kinds, s.Model.Model = e.Kinds, ""
	s.Model.Models = append(slices.Clone(s.Model.Models), e.Model)
	s.Worker.Notify = maps.Clone(s.Worker.Notify)
	if s.Worker.Notify == nil {
		s.Worker.Notify = map[string]string{}
	}
	for name, topic := range e.Receivers {
		if _, set := s.Worker.Notify[name]; !set {
			s.Worker.Notify[name] = devicefsm.KafkaTopic + topic
		}
	}
	return s
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
	entities *simulate.Entities // nil: there are devices, and no Kafka
}

// servers are the options of the stack, but for certificates.
func (p systemPlan) servers() (o stack.Options, err error) {
	o = p.stack
	o.Access, err = p.settings.access(p.settings.Topics)
	if p.entities != nil {
		o.Parts, o.KafkaTopics = append(stack.DefaultParts(), stack.PartKafka), p.entities.Topics
	}
	return o, err
}

// services are what is started on a stack.
func (p systemPlan) services(at servers) ([]service.Plan, error) {
	if p.entities == nil {
		parts, err := p.settings.plan(at)
		return []service.Plan{parts}, err
	}
	s := p.settings.forEntities(p.entities)
	parts, err := s.entitiesPlan(at)
	bridge, fault := s.kafkaPlan(at, p.entities)
	return []service.Plan{parts, bridge}, errors.Join(err, fault)
}

// started is the plan as tests look at it: with the servers at one place.
func (p systemPlan) started() (any, error) {
	parts, err := p.services(servers{mqtt: "mqtt://127.0.0.1:1", temporal: "127.0.0.1:2", influx: "http://127.0.0.1:3", dataDir: "data", kafka: p.kafkaAt()})
	o, fault := p.servers()
	if err == nil { // which reports the dialects, too
		err = fault
	}
	return struct {
		stack stack.Options
		tls   *tlsFlags
		parts []service.Plan
	}{o, p.tls, parts}, err
}

// kafkaAt is where started has Kafka, if there is one.
func (p systemPlan) kafkaAt() string {
	if p.entities == nil {
		return ""
	}
	return "127.0.0.1:4"
}
