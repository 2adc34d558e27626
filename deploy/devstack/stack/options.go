package stack

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/influxdata/influxdb/services/meta"

	"devicetwin/auth"
)

// Part names one of the servers of the stack.
type Part string

// The parts. PartMQTTS needs PartMQTT, PartUI needs PartTemporal, and PartGrafana
// needs PartInfluxDB.
const (
	PartKafka    Part = "kafka" // a broker that speaks Kafka's protocol, for development
	PartMQTT     Part = "mqtt"
	PartMQTTS    Part = "mqtts" // the broker's listener for devices with certificates
	PartTemporal Part = "temporal"
	PartUI       Part = "ui"
	PartInfluxDB Part = "influxdb"
	PartGrafana  Part = "grafana"
)

// DefaultParts are the parts that run if Options.Parts is empty: all but the TLS
// listener, which needs certificates, Grafana, which has to be installed, and Kafka, which only entities
// need.
func DefaultParts() []Part { return []Part{PartMQTT, PartTemporal, PartUI, PartInfluxDB} }

// ParseParts reads names separated by commas, for example "mqtt,temporal". An
// empty string gives nil, which means DefaultParts.
func ParseParts(names string) ([]Part, error) {
	var parts []Part
	for name := range strings.SplitSeq(names, ",") {
		part := Part(strings.TrimSpace(name))
		switch part {
		case "":
		case PartMQTT, PartMQTTS, PartTemporal, PartUI, PartInfluxDB, PartGrafana, PartKafka:
			if !slices.Contains(parts, part) {
				parts = append(parts, part)
			}
		default:
			return nil, fmt.Errorf("unknown part %q: expected %s", part, "mqtt, mqtts, temporal, ui, influxdb, grafana or kafka")
		}
	}
	return parts, nil
}

// Ports of the listeners; 0 takes any free port.
type Ports struct {
	MQTT     int
	MQTTS    int
	Temporal int // gRPC frontend
	UI       int // Temporal web UI
	InfluxDB int
	Grafana  int
	Kafka    int
}

// DefaultPorts are the ports that each server uses by default.
func DefaultPorts() Ports {
	return Ports{MQTT: 1883, MQTTS: 8883, Temporal: 7233, UI: 8233, InfluxDB: 8086, Grafana: 3000, Kafka: 9092}
}

// Options of a stack. The zero value is usable: all of DefaultParts on free
// loopback ports, with temporary data and no log.
type Options struct {
	// DataDir keeps the data of all parts between runs. It is made if it does
	// not exist. Empty: a temporary directory, removed by Close.
	DataDir string
	// RemoveData lets Close remove DataDir, and stop without waiting until
	// everything is written to it.
	RemoveData bool
	// Parts to run; empty means DefaultParts.
	Parts []Part
	// Host is the IP address of all listeners but that of PartMQTTS; empty means
	// 127.0.0.1. Anonymous clients are accepted, so keep it on loopback.
	Host  string
	Ports Ports
	// Credentials are the passwords of devices, for MQTT clients that give a user name, and
	// which devices were revoked; clients of the same host that name nobody are always
	// accepted. It is asked by many goroutines, once or twice for each CONNECT. If it can
	// Watch, as a credentials.Store can, the sessions of a device that is revoked end. nil
	// accepts every user name of a client of the same host, which may do everything then: for
	// a broker that cannot see the store of the worker.
	Credentials auth.Devices
	// Access says what the topics of devices are, and what else they may use: those with a
	// password, and those with a certificate. Anonymous is of no account. Without a Prefix, prefix
	// and shadow topics are those of auth.DefaultConfig.
	Access auth.Config
	// TLS is for PartMQTTS.
	TLS *TLS
	// SyncAlways makes the broker fsync every message before its PUBACK, and
	// Temporal every signal before it is accepted.
	SyncAlways bool
	// KeepPoints is how long InfluxDB keeps points; 0 keeps them forever.
	KeepPoints time.Duration
	// GrafanaDir is the deploy/grafana folder; only for PartGrafana.
	GrafanaDir string
	// KafkaTopics are made by PartKafka, with their partitions. Others are made when they are first used.
	KafkaTopics map[string]int
	// Logger receives what the servers log, with their own chatter one or two
	// levels lower than they would have it. nil logs nothing.
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	if len(o.Parts) == 0 {
		o.Parts = DefaultParts()
	}
	if o.Host == "" {
		o.Host = "127.0.0.1"
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// Validate reports every fault of the options at once.
func (o Options) Validate() error {
	o = o.withDefaults()
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if net.ParseIP(o.Host) == nil {
		fault("host %q: expected an IP address such as 127.0.0.1", o.Host)
	}
	if o.has(PartMQTTS) {
		if !o.has(PartMQTT) {
			fault("part mqtts needs part mqtt")
		}
		if err := o.TLS.validate(); err != nil {
			faults = append(faults, err)
		}
	}
	if _, err := o.decider(); o.has(PartMQTT) && err != nil {
		faults = append(faults, err)
	}
	if o.has(PartUI) && !o.has(PartTemporal) {
		fault("part ui needs part temporal")
	}
	if o.has(PartGrafana) && !o.has(PartInfluxDB) {
		fault("part grafana needs part influxdb")
	}
	if o.has(PartGrafana) && o.GrafanaDir == "" {
		fault("part grafana needs the folder with its provisioning (deploy/grafana)")
	}
	if o.KeepPoints != 0 && o.KeepPoints < meta.MinRetentionPolicyDuration {
		fault("points kept for %v: expected 0 (forever), or at least %v", o.KeepPoints, meta.MinRetentionPolicyDuration)
	}
	users := map[int]Part{}
	for _, part := range o.Parts {
		port := o.port(part)
		if port < 0 || port > 65535 {
			fault("port %d of %s: expected 0 (any free port) to 65535", port, part)
			continue
		}
		if other, taken := users[port]; taken && port != 0 {
			fault("port %d is given to both %s and %s", port, other, part)
		}
		users[port] = part
	}
	return errors.Join(faults...)
}

func (o Options) has(part Part) bool { return slices.Contains(o.Parts, part) }

func (o Options) port(part Part) int {
	switch part {
	case PartMQTT:
		return o.Ports.MQTT
	case PartMQTTS:
		return o.Ports.MQTTS
	case PartTemporal:
		return o.Ports.Temporal
	case PartUI:
		return o.Ports.UI
	case PartInfluxDB:
		return o.Ports.InfluxDB
	case PartGrafana:
		return o.Ports.Grafana
	case PartKafka:
		return o.Ports.Kafka
	}
	return 0
}

// hostOf is the IP address that a part listens on.
func (o Options) hostOf(part Part) string {
	if part == PartMQTTS {
		return o.TLS.host(o)
	}
	return o.Host
}
