package service

import (
	"errors"
	"fmt"

	"devicetwin/auth"
	"devicetwin/dialects"
	"devicetwin/mqtt"
	"devicetwin/points"
	"devicetwin/wire"
	wiredialect "devicetwin/wire/dialect"
)

// MQTTConfig is how to reach the broker, and the topics there.
type MQTTConfig struct {
	BrokerConfig
	TopicConfig
}

// BrokerConfig is how to reach the broker.
type BrokerConfig struct {
	URL          []string `help:"Broker addresses, tried in turn: mqtt://host:1883, mqtts://host:8883, ws://host/mqtt." placeholder:"URL"`
	Username     string   `help:"User name for the broker."`
	Password     string   `help:"Password for the broker; prefer the environment or a file."`
	PasswordFile string   `help:"File with the password." placeholder:"FILE"`
	CAFile       string   `name:"ca-file" help:"PEM file of the certificate authorities to trust for the broker." placeholder:"FILE"`
	CertFile     string   `help:"PEM file of the client certificate." placeholder:"FILE"`
	KeyFile      string   `help:"PEM file of the client key." placeholder:"FILE"`
}

// Client is the configuration of an MQTT client, without a client id.
func (c BrokerConfig) Client() mqtt.Config {
	cfg := mqtt.DefaultConfig()
	cfg.Brokers, cfg.Username, cfg.Password = c.URL, c.Username, c.Password
	cfg.CAFile, cfg.CertFile, cfg.KeyFile = c.CAFile, c.CertFile, c.KeyFile
	return cfg
}

// TopicConfig is which topics devices use.
type TopicConfig struct {
	TopicPrefix string   `help:"First level, or levels, of all device topics: PREFIX/{device}/telemetry." placeholder:"PREFIX"`
	TwinTopics  []string `help:"Topics of the shadow protocol: {id} is the device; the part in brackets is for named shadows." placeholder:"TEMPLATE"`
	Dialect     []string `help:"What other devices speak, in addition: names of dialects that come with devicetwin, or files (docs/dialects.md). Bridges and workers need the same." placeholder:"NAME|FILE"`
}

func (c TopicConfig) wire() wire.Config {
	cfg := wire.DefaultConfig()
	cfg.Prefix, cfg.ShadowTopics = c.TopicPrefix, c.TwinTopics
	return cfg
}

// validate reports what is wrong with the service's own topics.
func (c TopicConfig) validate() error {
	if err := c.wire().Validate(); err != nil {
		return fmt.Errorf("topics (--mqtt-topic-prefix, --mqtt-twin-topics): %w", err)
	}
	return nil
}

// dialects are those that are named. The error reports every fault of all of their files, and
// what keeps them from being used together.
func (c TopicConfig) dialects() (all []*wiredialect.Dialect, err error) {
	var faults []error
	for _, name := range c.Dialect {
		d, err := dialects.Load(name)
		if err != nil {
			faults = append(faults, fmt.Errorf("dialect (--mqtt-dialect) %w", err))
			continue
		}
		all = append(all, d)
	}
	if len(faults) == 0 && c.wire().Validate() == nil {
		if _, err := wiredialect.NewSet(c.wire(), all...); err != nil {
			faults = append(faults, fmt.Errorf("dialects (--mqtt-dialect): %w", err))
		}
	}
	return all, errors.Join(faults...)
}

// Access is what package auth has to know of the topics, those of dialects included, as far as they
// have a device's name. It is for a broker in the same process, and all that speaks with it has these
// settings; "devicetwin auth" has rules of the operator instead.
func (c TopicConfig) Access() (auth.Config, error) {
	access := auth.DefaultConfig()
	access.Prefix, access.ShadowTopics = c.TopicPrefix, c.TwinTopics
	all, err := c.dialects()
	if err != nil {
		return auth.Config{}, err
	}
	for _, d := range all {
		published, read := d.DeviceTopics()
		for _, filter := range published {
			access.Allow = append(access.Allow, "publish "+filter)
		}
		for _, filter := range read {
			access.Allow = append(access.Allow, "subscribe "+filter)
		}
	}
	return access, nil
}

// TemporalConfig is how to reach Temporal, and the workflows there.
type TemporalConfig struct {
	TemporalServer
	TaskQueue string `help:"Task queue of the device workflows." placeholder:"NAME"`
}

// TemporalServer is how to reach Temporal.
type TemporalServer struct {
	Address   string `help:"Address of Temporal's frontend." placeholder:"HOST:PORT"`
	Namespace string `help:"Namespace of the device workflows." placeholder:"NAME"`
	APIKey    string `name:"api-key" help:"API key (Temporal Cloud); enables TLS. Prefer the environment or a file."`

	APIKeyFile string `name:"api-key-file" help:"File with the API key." placeholder:"FILE"`
	TLS        bool   `name:"tls" help:"Connect with TLS; each of the following enables it too."`
	CAFile     string `name:"ca-file" help:"PEM file of the certificate authorities to trust for Temporal." placeholder:"FILE"`
	CertFile   string `help:"PEM file of the client certificate." placeholder:"FILE"`
	KeyFile    string `help:"PEM file of the client key." placeholder:"FILE"`
	ServerName string `help:"Expected name in Temporal's certificate, if it differs from the address." placeholder:"NAME"`

	Keys string `help:"File of keys that encrypt payloads before they are sent to Temporal; the first one encrypts, all decrypt." placeholder:"FILE"`
}

// InfluxConfig is where points are written, and where they wait. An empty URL
// writes none.
type InfluxConfig struct {
	InfluxServer
	// Spool is the log of the process, if it is given no other: until there was a log,
	// points waited there.
	Spool    string `hidden:"" help:"Earlier name of --bridge-log, or --worker-log." placeholder:"DIR"`
	SpoolMax int64  `hidden:"" help:"Earlier name of --bridge-log-max, or --worker-log-max." placeholder:"BYTES"`
}

// InfluxServer is how to reach InfluxDB.
type InfluxServer struct {
	URL       string `help:"Address of InfluxDB; empty to write no points." placeholder:"URL"`
	Token     string `help:"Token, or user:password for InfluxDB 1.8; prefer the environment or a file."`
	TokenFile string `help:"File with the token." placeholder:"FILE"`
	Org       string `help:"Organization; empty for InfluxDB 1.8."`
	Bucket    string `help:"Bucket, or database/retention-policy for InfluxDB 1.8."`
	CAFile    string `name:"ca-file" help:"PEM file of the certificate authorities to trust for InfluxDB." placeholder:"FILE"`
	CertFile  string `help:"PEM file of the client certificate." placeholder:"FILE"`
	KeyFile   string `help:"PEM file of the client key." placeholder:"FILE"`
}

// Points is the configuration of a writer.
func (c InfluxServer) Points() points.Config {
	cfg := points.DefaultConfig()
	cfg.URL, cfg.Token, cfg.Org, cfg.Bucket = c.URL, c.Token, c.Org, c.Bucket
	cfg.CAFile, cfg.CertFile, cfg.KeyFile = c.CAFile, c.CertFile, c.KeyFile
	return cfg
}
