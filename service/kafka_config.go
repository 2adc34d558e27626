package service

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"devicetwin/bridge/kafka"
	"devicetwin/devicefsm"
	"devicetwin/dialects"
	"devicetwin/internal/faults"
	"devicetwin/internal/recordlog"
	"devicetwin/internal/tlsfiles"
	"devicetwin/wire"
	wiredialect "devicetwin/wire/dialect"
	deviceworkflow "devicetwin/workflows/device"
	"devicetwin/workflows/migration"
)

// KafkaServers is how the brokers of Kafka are reached.
type KafkaServers struct {
	Brokers []string `help:"Addresses of some of the brokers." placeholder:"HOST:PORT"`

	TLS      bool   `name:"tls" help:"Connect with TLS."`
	CAFile   string `name:"ca-file" help:"PEM file of the certificate authorities to trust for Kafka." placeholder:"FILE"`
	CertFile string `help:"PEM file of the client certificate." placeholder:"FILE"`
	KeyFile  string `help:"PEM file of the client key." placeholder:"FILE"`

	SASL         string `name:"sasl" help:"Mechanism of SASL: ${enum}." enum:"none,PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER" default:"${from_config}"`
	Username     string `help:"User name for the brokers."`
	Password     string `help:"Password for the brokers; prefer the environment or a file."`
	PasswordFile string `help:"File with the password." placeholder:"FILE"`
	TokenFile    string `help:"File with the token of OAUTHBEARER, which is read for each connection." placeholder:"FILE"`
}

// AfterApply implements kong's hook.
func (c *KafkaServers) AfterApply() error { return c.readSecrets() }

func (c *KafkaServers) readSecrets() error {
	return readSecret(&c.Password, &c.PasswordFile, "--kafka-password")
}

// Options are those of a client that reaches the brokers. The error reports every fault.
func (c KafkaServers) Options() ([]kgo.Opt, error) { return c.client().Options() }

func (c KafkaServers) client() kafka.ClientConfig {
	client := kafka.ClientConfig{
		Brokers: c.Brokers, TLS: c.TLS, Files: tlsfiles.Files{CA: c.CAFile, Cert: c.CertFile, Key: c.KeyFile},
		SASL: kafka.SASL{User: c.Username, Password: c.Password, TokenFile: c.TokenFile},
	}
	if c.SASL != saslNone {
		client.SASL.Mechanism = c.SASL
	}
	return client
}

// SinkConfig is what a worker writes to Kafka; nothing without a broker.
type SinkConfig struct {
	KafkaServers
	Transitions string   `help:"Topic of Kafka for changes of state; empty to write none." placeholder:"TOPIC"`
	Commands    string   `help:"Topic of Kafka for commands that have ended; empty to write none." placeholder:"TOPIC"`
	Topics      []string `help:"Topics of Kafka that models may publish to, as kafka:TOPIC." placeholder:"TOPIC"`
}

// SinkPlan is what a worker writes to Kafka.
type SinkPlan struct {
	Client kafka.ClientConfig // without a broker, nothing is written
	Topics deviceworkflow.RecordTopics
}

// plan checks the configuration. The error reports every fault. Receivers are those of notifications.
func (c SinkConfig) plan(receivers map[string]string) (p SinkPlan, err error) {
	p = SinkPlan{c.client(), deviceworkflow.RecordTopics{Transitions: c.Transitions, Commands: c.Commands, Published: c.Topics}}
	var f faults.List
	named := slices.Clone(c.Topics)
	for _, topic := range []string{c.Transitions, c.Commands} {
		if topic != "" {
			named = append(named, topic)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(receivers)) {
		if topic, ok := strings.CutPrefix(receivers[name], devicefsm.KafkaTopic); ok {
			named = append(named, topic)
		}
	}
	for _, topic := range named {
		f.Add(kafka.CheckTopic(topic))
	}
	if len(c.Brokers) > 0 {
		f.Add(p.Client.Validate())
	} else {
		f.Check(len(named) == 0, "topics of Kafka %v, and no broker: expected --kafka-brokers", named)
		f.Check(reflect.DeepEqual(p.Client, kafka.ClientConfig{Brokers: c.Brokers}), "settings of Kafka, and no broker: expected --kafka-brokers")
	}
	return p, f.Err()
}

// KafkaConfig is what only a bridge from Kafka needs.
type KafkaConfig struct {
	ID string `help:"Name of this bridge, a static member of its group; must be unique, and stay the same across restarts." placeholder:"NAME"`

	KafkaServers

	Group   string   `help:"Consumer group; bridges with the same one share the partitions." placeholder:"NAME"`
	Dialect []string `help:"What records mean: files of dialects (docs/kafka.md), which also name the topics." placeholder:"FILE"`

	FromEnd     bool   `name:"from-end" help:"Begin at the end of topics of which the group has read nothing, instead of at their beginning."`
	Lost        string `help:"What to do when records are gone before they were read, because the topic keeps them no longer or was deleted and made again: stop the partition, or continue with what is there." enum:"stop,continue" default:"${from_config}"`
	DeadLetters string `help:"Topic of records that were refused; empty to count and log them only." placeholder:"TOPIC"`

	Log    string        `help:"Folder of the log in which the bridge keeps what it receives, for InfluxDB and for whoever reads it; of this bridge alone. Empty to keep none." placeholder:"DIR"`
	LogMax int64         `help:"Maximum size of the log, in bytes." placeholder:"BYTES"`
	LogAge time.Duration `help:"How long the log keeps what Temporal and InfluxDB have; 0s for as long as there is room." placeholder:"DURATION"`

	ModelRule       []string      `help:"Model for the entities whose ids match a pattern, by name or hash; must be in --model or --models. The first match wins." placeholder:"PATTERN=MODEL"`
	MaxValue        int           `help:"Maximum size of the value of a record, in bytes." placeholder:"BYTES"`
	Window          int           `help:"Maximum number of records of a partition that wait for Temporal." placeholder:"N"`
	BatchMessages   int           `help:"Maximum number of messages in one signal." placeholder:"N"`
	SignalsInFlight int           `help:"Maximum number of signals in flight to Temporal; each entity has at most one." placeholder:"N"`
	Linger          time.Duration `help:"Maximum pause between an entity's signals while Temporal is busy; 0s for none." placeholder:"DURATION"`
	StartRate       int           `help:"Maximum number of workflows that are started a second, for a topic with many entities that are new; 0 for no limit." placeholder:"N"`
	StuckAfter      time.Duration `help:"How long one entity's signals may fail while they block all others, before its records become dead letters; 0s for no limit." placeholder:"DURATION"`
	ClockAhead      time.Duration `help:"How far the time of a record may be ahead of its arrival to be believed; beyond it, the arrival counts." placeholder:"DURATION"`
	ClockBehind     time.Duration `help:"How far the time of a record may be behind its arrival to be believed; beyond it, the arrival counts." placeholder:"DURATION"`

	SessionTimeout time.Duration `help:"How long after the last sign of a bridge its partitions go to others; a restart within it moves none." placeholder:"DURATION"`
	StillAfter     time.Duration `help:"How long a partition with records may not move before /readyz says so." placeholder:"DURATION"`
}

// Values of KafkaConfig.Lost and KafkaConfig.SASL.
const (
	lostStop     = "stop"
	lostContinue = "continue"
	saslNone     = "none"
)

// KafkaPlan is what a bridge from Kafka is started with.
type KafkaPlan struct {
	kafka.Config
	Wire     wire.Config
	Dialects []*wiredialect.Dialect
}

func defaultKafka(k kafka.Config, w wire.Config) KafkaConfig {
	return KafkaConfig{
		ID: k.ID, KafkaServers: KafkaServers{Brokers: k.Client.Brokers, SASL: saslNone}, Group: k.Group, Lost: lostStop, LogMax: defaultLogMax, LogAge: defaultLogAge,
		MaxValue: w.MaxPayload, Window: k.Window, BatchMessages: k.BatchMessages, SignalsInFlight: k.SignalsInFlight, Linger: k.LingerMax,
		StuckAfter: k.StuckAfter, ClockAhead: w.MaxClockAhead, ClockBehind: w.MaxClockBehind,
		StartRate: k.StartRate, SessionTimeout: k.SessionTimeout, StillAfter: k.StillAfter,
	}
}

// plan checks the configuration. The error reports every fault.
func (c KafkaConfig) plan() (p KafkaPlan, err error) {
	k := kafka.DefaultConfig()
	k.ID, k.Group, k.FromEnd, k.GoOn, k.DeadLetters = c.ID, c.Group, c.FromEnd, c.Lost == lostContinue, c.DeadLetters
	k.Client = c.client()
	k.ModelRules, k.Window, k.BatchMessages, k.SignalsInFlight, k.LingerMax, k.StuckAfter = c.ModelRule, c.Window, c.BatchMessages, c.SignalsInFlight, c.Linger, c.StuckAfter
	k.MovesFor = migration.KnownFor
	k.SessionTimeout, k.StillAfter, k.StartRate = c.SessionTimeout, c.StillAfter, c.StartRate
	p = KafkaPlan{Config: k, Wire: wire.DefaultConfig()}
	p.Wire.MaxPayload, p.Wire.MaxClockAhead, p.Wire.MaxClockBehind, p.Wire.Lazy = c.MaxValue, c.ClockAhead, c.ClockBehind, true
	faults := []error{k.Validate(), p.Wire.Validate()}
	for _, name := range c.Dialect {
		d, err := dialects.Load(name)
		if err != nil {
			faults = append(faults, fmt.Errorf("dialect (--kafka-dialect) %w", err))
			continue
		}
		p.Dialects = append(p.Dialects, d)
	}
	if err := errors.Join(faults...); err != nil {
		return p, err
	}
	records, err := p.records()
	if err == nil {
		err = k.CheckTopics(records.Topics())
	}
	if err != nil {
		return p, fmt.Errorf("dialects (--kafka-dialect): %w", err)
	}
	return p, nil
}

func (p KafkaPlan) records() (*wiredialect.Records, error) {
	return wiredialect.NewRecords(p.Wire, p.Dialects...)
}

// journal is the log of a process with a bridge from Kafka.
func (c KafkaConfig) journal() (p JournalPlan, err error) {
	if c.Log == "" {
		return p, nil
	}
	p.Config = recordlog.Config{Dir: c.Log, MaxBytes: c.LogMax, MaxAge: c.LogAge}
	if err := p.Config.Validate(); err != nil {
		return p, fmt.Errorf("log (--kafka-log): %w", err)
	}
	return p, nil
}
