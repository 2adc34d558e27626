package service

import (
	"log/slog"
	"os"
	"time"

	"devicetwin/devicefsm"
	"devicetwin/internal/modelfile"
	"devicetwin/points"
)

// Config is every setting of every part, in groups. Each can be given as a
// flag (--mqtt-url), in the environment (DEVICETWIN_MQTT_URL) or in the file
// that --config names (mqtt: {url: …}), in that order of preference.
type Config struct {
	Log      LogConfig      `embed:"" prefix:"log-" group:"Logging"`
	MQTT     MQTTConfig     `embed:"" prefix:"mqtt-" group:"MQTT broker"`
	Temporal TemporalConfig `embed:"" prefix:"temporal-" group:"Temporal"`
	Influx   InfluxConfig   `embed:"" prefix:"influx-" group:"InfluxDB"`
	Model    ModelConfig    `embed:"" group:"Models"`
	HTTP     HTTPConfig     `embed:"" prefix:"http-" group:"HTTP"`

	// API is set by the commands that may serve one.
	API *APIConfig `kong:"-"`
}

// LogConfig says what is logged, to standard error.
type LogConfig struct {
	Level  string `help:"Least level that is logged: ${enum}." enum:"debug,info,warn,error" default:"info"`
	Format string `help:"Form of a log line: ${enum}." enum:"text,json" default:"text"`
}

// Logger makes the logger of a process.
func (c LogConfig) Logger(w *os.File) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.Level)) // kong has checked the word
	options := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// MQTTConfig is how to reach the broker.
type MQTTConfig struct {
	URL          []string `help:"Broker addresses, tried in turn: tcp://host:1883, ssl://host:8883, ws://host/mqtt." default:"tcp://127.0.0.1:1883" placeholder:"URL"`
	Username     string   `help:"User name at the broker."`
	Password     string   `help:"Password at the broker; better given in the environment."`
	PasswordFile string   `help:"File that holds the password." placeholder:"FILE"`
	CAFile       string   `name:"ca-file" help:"PEM file of authorities that the broker's certificate is checked against." placeholder:"FILE"`
	CertFile     string   `help:"PEM file of this client's certificate." placeholder:"FILE"`
	KeyFile      string   `help:"PEM file of this client's key." placeholder:"FILE"`
	TopicPrefix  string   `help:"First part of all device topics: PREFIX/{device}/telemetry." default:"devices"`
	TwinTopics   []string `help:"Topics of the shadow protocol: {id} is the device, the part in brackets is for named shadows." default:"$aws/things/{id}/shadow[/name/{shadow}],{prefix}/{id}/twin[/{shadow}]" placeholder:"TEMPLATE"`
}

// TemporalConfig is how to reach Temporal.
type TemporalConfig struct {
	Address   string `help:"Address of Temporal's frontend." default:"127.0.0.1:7233" placeholder:"HOST:PORT"`
	Namespace string `help:"Namespace." default:"default"`
	TaskQueue string `help:"Task queue of the device workflows." default:"devices"`
	APIKey    string `name:"api-key" help:"API key (Temporal Cloud); turns TLS on. Better given in the environment."`

	APIKeyFile string `name:"api-key-file" help:"File that holds the API key." placeholder:"FILE"`
	TLS        bool   `name:"tls" help:"Connect with TLS; each of the following turns it on too."`
	CAFile     string `name:"ca-file" help:"PEM file of authorities that Temporal's certificate is checked against." placeholder:"FILE"`
	CertFile   string `help:"PEM file of this client's certificate." placeholder:"FILE"`
	KeyFile    string `help:"PEM file of this client's key." placeholder:"FILE"`
	ServerName string `help:"Name that Temporal's certificate has to have, if it is not that of the address." placeholder:"NAME"`

	Keys string `help:"File of keys with which payloads are encrypted before Temporal gets them; the first encrypts, all decrypt." placeholder:"FILE"`
}

// InfluxConfig is where points are written. An empty URL writes none.
type InfluxConfig struct {
	URL       string `help:"InfluxDB's address; empty to write no points." default:"http://127.0.0.1:8086"`
	Token     string `help:"Token, or user:password for InfluxDB 1.8."`
	TokenFile string `help:"File that holds the token." placeholder:"FILE"`
	Org       string `help:"Organisation; empty for InfluxDB 1.8."`
	Bucket    string `help:"Bucket; database/retention-policy for InfluxDB 1.8." default:"devicetwin/autogen"`
	CAFile    string `name:"ca-file" help:"PEM file of authorities that InfluxDB's certificate is checked against." placeholder:"FILE"`
	CertFile  string `help:"PEM file of this client's certificate." placeholder:"FILE"`
	KeyFile   string `help:"PEM file of this client's key." placeholder:"FILE"`

	Spool    string `help:"Folder where points wait until InfluxDB has taken them, of this process alone; empty to let them wait in memory." placeholder:"DIR"`
	SpoolMax int64  `help:"Bytes that points may take in the spool; beyond that the oldest are dropped." default:"1073741824" placeholder:"BYTES"`
}

// Points is what the writer of points is started with.
func (c InfluxConfig) Points() points.Config {
	cfg := points.DefaultConfig()
	cfg.URL, cfg.Token, cfg.Org, cfg.Bucket = c.URL, c.Token, c.Org, c.Bucket
	cfg.CAFile, cfg.CertFile, cfg.KeyFile = c.CAFile, c.CertFile, c.KeyFile
	cfg.Spool = c.Spool
	if c.SpoolMax != 0 { // of a configuration that was not made by the parser
		cfg.SpoolMax = c.SpoolMax
	}
	return cfg
}

// ModelConfig names the models.
type ModelConfig struct {
	Model  string   `help:"Model file that new devices start with." default:"models/pump.yaml" placeholder:"FILE"`
	Models []string `help:"More model files, or folders of them, that the worker can run: models that devices started with earlier." placeholder:"PATH"`
}

// LoadModels reads the model files that the configuration names; the first is
// the one that new devices start with. Errors of all files are reported together,
// as a ConfigError.
func (c ModelConfig) LoadModels() ([]*devicefsm.Model, error) {
	files, err := modelfile.List(c.Models)
	if err != nil {
		return nil, &ConfigError{err}
	}
	models, err := modelfile.Each(append([]string{c.Model}, files...), modelfile.Load)
	if err != nil {
		return nil, &ConfigError{err}
	}
	return models, nil
}

// HTTPConfig is the process's own listener, for metrics and health.
type HTTPConfig struct {
	Listen  string `help:"Address for /metrics, /healthz and /readyz; empty for none." default:"${http_listen=127.0.0.1:8090}" placeholder:"HOST:PORT"`
	Profile bool   `help:"Serve /debug/pprof as well, for go tool pprof; whoever reaches it can slow this process down."`
}

// ShutdownTimeout bounds a graceful end; after it, what is unacknowledged is
// left to the broker, which delivers it again.
const ShutdownTimeout = 15 * time.Second
