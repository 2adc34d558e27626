package service

import (
	"log/slog"
	"os"
	"time"

	"devicetwin/api"
	"devicetwin/bridge"
	"devicetwin/bridge/kafka"
	"devicetwin/points"
	"devicetwin/twin"
	"devicetwin/twin/command"
	"devicetwin/wire"
	deviceworkflow "devicetwin/workflows/device"
)

// Config is every setting of every part, in groups. Begin with DefaultConfig.
//
// The tags make command lines of it (package internal/cli): each setting is a flag
// (--mqtt-url), an environment variable (DEVICETWIN_MQTT_URL) and a key of the
// configuration file (mqtt: {url: …}). Defaults are not in the tags: a command
// line takes them from the value that it is given, which is DefaultConfig.
type Config struct {
	Log      LogConfig      `embed:"" prefix:"log-" group:"Logging"`
	MQTT     MQTTConfig     `embed:"" prefix:"mqtt-" group:"MQTT broker"`
	Temporal TemporalConfig `embed:"" prefix:"temporal-" group:"Temporal"`
	Influx   InfluxConfig   `embed:"" prefix:"influx-" group:"InfluxDB"`
	Model    ModelConfig    `embed:"" group:"Models"`
	HTTP     HTTPConfig     `embed:"" prefix:"http-" group:"HTTP"`
	Bridge   BridgeConfig   `embed:"" prefix:"bridge-" group:"Bridge"`
	Worker   WorkerConfig   `embed:"" prefix:"worker-" group:"Worker"`
	API      APIConfig      `embed:"" prefix:"api-" group:"API"`
	Sink     SinkConfig     `embed:"" prefix:"kafka-" group:"Kafka"`
	// Kafka is not among the flags of a process with all other parts: a bridge from Kafka is
	// one of its own.
	Kafka KafkaConfig `kong:"-"`
}

// Defaults of a log: of a day, in a GiB.
const (
	defaultLogMax = 1 << 30
	defaultLogAge = 24 * time.Hour
	// defaultJournalAge is that of a worker's journal.
	defaultJournalAge = 7 * 24 * time.Hour
)

// DefaultConfig is for servers on this host. It names no model.
func DefaultConfig() Config {
	b, p := bridge.DefaultConfig(), points.DefaultConfig()
	return Config{
		Log:  LogConfig{Level: "info", Format: "text"},
		MQTT: MQTTConfig{BrokerConfig{URL: b.MQTT.Brokers}, TopicConfig{TopicPrefix: b.Wire.Prefix, TwinTopics: b.Wire.ShadowTopics}},
		Temporal: TemporalConfig{
			TemporalServer: TemporalServer{Address: "127.0.0.1:7233", Namespace: "default"},
			TaskQueue:      "devices",
		},
		Influx: InfluxConfig{InfluxServer: InfluxServer{URL: p.URL, Bucket: p.Bucket}},
		Model:  ModelConfig{Copies: "model-copies"},
		HTTP:   HTTPConfig{Listen: "127.0.0.1:8090"},
		Bridge: defaultBridge(b),
		Worker: WorkerConfig{CredentialsConfig: CredentialsConfig{Credentials: "credentials"}, LogMax: defaultLogMax, LogAge: defaultLogAge, WorkerSettings: defaultWorker(twin.DefaultLimits())},
		API:    defaultAPI(api.DefaultOptions()),
		Sink:   SinkConfig{KafkaServers: KafkaServers{SASL: saslNone}},
		Kafka:  defaultKafka(kafka.DefaultConfig(), wire.DefaultConfig()),
	}
}

func defaultBridge(b bridge.Config) BridgeConfig {
	startOn := startOnRelevant
	if b.StartOnAny {
		startOn = startOnAny
	}
	return BridgeConfig{
		ID: b.ID, Log: "", LogMax: defaultLogMax, LogAge: defaultLogAge, Ack: ackAuto, Subscribe: b.Subscribe, Partition: b.Partition,
		MaxPayload: b.Wire.MaxPayload, Window: b.Window, BatchMessages: b.BatchMessages, SignalsInFlight: b.SignalsInFlight,
		QuotaRate: b.QuotaRate, QuotaBurst: b.QuotaBurst, QuotaWaiting: b.QuotaWaiting, QuotaCatchUp: b.QuotaCatchUp,
		Recognized: b.Recognized, RecognizedFor: b.RecognizedFor,
		SettledFor: b.SettledFor, DeletedEvery: 10 * time.Second, FaultInterval: b.FaultInterval, StuckAfter: b.StuckAfter, Linger: b.LingerMax,
		ClockAhead: b.Wire.MaxClockAhead, ClockBehind: b.Wire.MaxClockBehind,
		OnlineWords: b.Wire.StatusWords.Online, OfflineWords: b.Wire.StatusWords.Offline,
		ModelRule: b.ModelRules, ModelFromBirth: b.ModelFromBirth, RetainedBirths: b.RetainedBirths, StartOn: startOn, Naive: b.Naive,
	}
}

func defaultWorker(limits twin.Limits) WorkerSettings {
	return WorkerSettings{
		RunEvents: deviceworkflow.DefaultRunEvents, MaxDeliveries: command.DefaultLimits().Deliveries, CountEvery: 15 * time.Second, JournalMax: defaultLogMax, JournalAge: defaultJournalAge,
		TwinDocument: limits.Document, TwinDepth: limits.Depth, TwinTombstone: limits.Tombstone,
		TwinShadows: deviceworkflow.DefaultShadows,
	}
}

func defaultAPI(o api.Options) APIConfig {
	return APIConfig{
		Listen: "127.0.0.1:8080", OIDCClaim: "scope", Timeout: o.Timeout, Streams: o.Stream.Most,
	}
}

// LogConfig says what is logged, to standard error.
type LogConfig struct {
	Level  string `help:"Lowest level to log: ${enum}." enum:"debug,info,warn,error" default:"${from_config}"`
	Format string `help:"Format of log lines: ${enum}." enum:"text,json" default:"${from_config}"`
}

// Logger makes the logger of a process. An unknown level is info.
func (c LogConfig) Logger(w *os.File) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.Level)) // a command line has checked it
	options := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// HTTPConfig is the process's own listener, for metrics and health.
type HTTPConfig struct {
	Listen  string `help:"Address for /metrics, /healthz and /readyz; empty to serve none." placeholder:"HOST:PORT"`
	Profile bool   `help:"Also serve /debug/pprof, for go tool pprof. Anyone who can reach it can slow this process down."`
}
