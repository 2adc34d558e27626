package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"

	"devicetwin/bridge"
	"devicetwin/bridge/ingest"
	"devicetwin/devicefsm"
	"devicetwin/internal/credentials"
	"devicetwin/mqtt"
	"devicetwin/points"
	twinclient "devicetwin/workflows/client"
	deviceworkflow "devicetwin/workflows/device"
)

// BridgeConfig is what only a bridge needs.
type BridgeConfig struct {
	ID              string   `help:"Name of this bridge, in its topics and as its session at the broker. Keep it over restarts; never give it twice." default:"bridge"`
	Subscribe       []string `help:"Topic filters; by default everything below the topic prefix." placeholder:"FILTER"`
	MaxPayload      int      `help:"Largest MQTT payload that is read, in bytes." default:"131072"`
	Window          int      `help:"MQTT messages received and not yet acknowledged, at most." default:"4096"`
	BatchMessages   int      `help:"Messages in one signal, at most." default:"500"`
	SignalsInFlight int      `help:"Signals on their way to Temporal, at most; each device has at most one." default:"64"`

	QuotaRate    int           `help:"Messages a second that one device may have signalled; what is beyond a quota becomes dead letters. 0 for any number." default:"100"`
	QuotaBurst   int           `help:"Messages that one device may have signalled at once, before its rate counts." default:"1000"`
	QuotaWaiting int           `help:"Messages of one device that may wait for Temporal, at most; 0 for as many as the window holds." default:"10000"`
	QuotaCatchUp time.Duration `help:"For how long each device's rate may have been used up before the start, if the broker has kept the session." default:"1h"`
	SettledFor   time.Duration `help:"Repetitions that can do nothing, such as one more reading above a threshold, are left out for this long; then one is signalled again. 0s to leave out none." default:"1h"`
	StuckAfter   time.Duration `help:"How long one device's signals may fail while everything waits behind it, before its messages become dead letters; 0s for ever." default:"30s"`

	Partition      ingest.Partition `help:"This bridge's share of the devices, by a hash of their ids; every share needs a bridge, with a name of its own." placeholder:"1/3"`
	ModelRule      []string         `help:"Model of the devices whose ids match a pattern, by its name or hash; it must be among --model and --models. The first rule that fits counts." placeholder:"PATTERN=MODEL"`
	ModelFromBirth bool             `help:"Devices without a rule name their model themselves, as model in a message on their status topic; until then everything of them is signalled."`
	StartOn        string           `help:"Message with which a device's workflow is started: its first that is relevant to the model, or any." enum:"relevant,any" default:"relevant"`

	Naive bool `help:"For comparison: every message a signal of its own, relevant or not, one at a time."`

	Linger time.Duration `help:"Longest rest of a device between its signals, while Temporal is busy; 0s for none." default:"1s"`
}

// WorkerConfig is what only a worker needs.
type WorkerConfig struct {
	ID          string `help:"Name of this worker at the broker, for the commands that it publishes; by default host and process." placeholder:"NAME"`
	Credentials string `help:"Folder of the hashes of the credentials that devices were given; share it with the broker's authentication." default:"credentials" placeholder:"DIR"`
	RunEvents   int    `help:"Messages that one run of a device's workflow applies before it is continued as new." default:"10000"`

	CountEvery time.Duration `help:"How often the devices are counted by state, for the dashboards, with a question to Temporal for each state; 0s for never." default:"15s"`

	TwinDocument   int           `help:"Bytes of JSON that desired and reported properties of one shadow may have together." default:"8192"`
	TwinDepth      int           `help:"Levels of nesting that a section of a shadow may have." default:"6"`
	TwinTombstone  time.Duration `help:"How long the version of a deleted shadow is remembered." default:"48h"`
	TwinShadows    int           `help:"Named shadows that one device may have." default:"10"`
	TwinRetain     bool          `help:"Publish each document, whole and retained, on PREFIX/{device}/twin/documents/current when it changes."`
	TwinProperties []string      `help:"Properties of the classic shadow that devices can be searched by." placeholder:"reported.PATH"`

	Topics []string          `help:"MQTT filters of the topics that models may publish to, besides commands; {id} stands for the device." placeholder:"FILTER"`
	Notify map[string]string `help:"Webhooks that models may notify, by the names that they use." placeholder:"NAME=URL"`
}

// Service is a bridge, a worker, the API, or several of them, running in this
// process.
type Service struct {
	log    *slog.Logger
	failed chan error
	http   *HTTPServer
	apiURL string // "" if there is none
	// closers end what was opened, in the order of opening.
	closers []func(context.Context) error
}

// StartService starts a bridge and a worker, and the API; a nil configuration
// leaves that part out. It does not wait for the servers: while one is away, the service
// says so on /readyz, and works as soon as it is there.
func (c Config) StartService(b *BridgeConfig, w *WorkerConfig, log *slog.Logger) (*Service, error) {
	if err := c.validate(b, w); err != nil {
		return nil, err
	}
	var models []*devicefsm.Model // the API needs none
	if b != nil || w != nil {
		var err error
		if models, err = c.Model.LoadModels(); err != nil {
			return nil, err
		}
	}
	if err := checkNames(models); err != nil {
		return nil, err
	}
	if w != nil {
		if err := checkSources(models); err != nil {
			return nil, err
		}
	}
	s := &Service{log: log, failed: make(chan error, 1)}
	if err := s.start(c, b, w, models); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// validate tells every fault of the settings before anything is started.
func (c Config) validate(b *BridgeConfig, w *WorkerConfig) error {
	var faults []error
	if c.Influx.URL != "" {
		faults = append(faults, c.Influx.Points().Validate())
	}
	if b != nil {
		faults = append(faults, c.bridgeConfig(*b).Validate())
	} else if w != nil {
		faults = append(faults, c.MQTT.clientConfig().Validate())
	}
	if w != nil && w.CountEvery != 0 && w.CountEvery < time.Second {
		faults = append(faults, fmt.Errorf("time between two counts of the devices (--worker-count-every) %v: expected 0s, or at least 1s", w.CountEvery))
	}
	if c.API != nil {
		faults = append(faults, c.API.Validate())
	}
	if w != nil && w.RunEvents < 1 {
		faults = append(faults, fmt.Errorf("messages in a run of a workflow (--worker-run-events) %d: expected at least 1", w.RunEvents))
	}
	if w != nil {
		faults = append(faults, w.twinSettings().Limits.Validate(), checkTwinProperties(w.TwinProperties))
		if _, err := c.MQTT.dialect(); err != nil && b == nil {
			faults = append(faults, err) // a bridge tells it itself
		}
	}
	if err := errors.Join(faults...); err != nil {
		return &ConfigError{err}
	}
	return nil
}

// checkSources refuses models that invoke what this worker has not: an activity
// that nobody knows would be tried again for an hour.
func checkSources(models []*devicefsm.Model) error {
	var faults []error
	for _, m := range models {
		for _, src := range m.Sources() {
			if known := deviceworkflow.Invocable(); !slices.Contains(known, src) {
				faults = append(faults, fmt.Errorf("model %s invokes %q: no such activity; there is %s", m.Name(), src, strings.Join(known, ", ")))
			}
		}
	}
	if len(faults) > 0 {
		return &ConfigError{errors.Join(faults...)}
	}
	return nil
}

func (s *Service) start(c Config, b *BridgeConfig, w *WorkerConfig, models []*devicefsm.Model) error {
	metrics := NewRegistry()
	temporal, err := c.Temporal.Dial(metrics, s.log)
	if err != nil {
		return err
	}
	s.onClose(func(context.Context) error { temporal.Close(); return nil })

	checks := []Check{{"temporal", func(ctx context.Context) error {
		_, err := temporal.CheckHealth(ctx, &client.CheckHealthRequest{})
		return err
	}}}
	if b != nil || w != nil {
		parts, err := s.startParts(c, b, w, temporal, models, metrics)
		if err != nil {
			return err
		}
		checks = append(checks, parts...)
	}
	if c.API != nil && c.API.Listen != "" {
		twins := twinclient.New(temporal, c.Temporal.Namespace, c.Temporal.TaskQueue, "")
		if err := s.startAPI(c, apiBackend{twins}, metrics); err != nil {
			return err
		}
	}
	return s.serveHTTP(c.HTTP, metrics, checks)
}

// startParts starts the bridge and the worker, with what both need.
func (s *Service) startParts(c Config, b *BridgeConfig, w *WorkerConfig, temporal client.Client, models []*devicefsm.Model,
	metrics *prometheus.Registry) ([]Check, error) {
	points, err := s.startPoints(c.Influx, metrics)
	if err != nil {
		return nil, err
	}
	publisher, err := s.startPublisher(c.MQTT, publisherID(b, w))
	if err != nil {
		return nil, err
	}
	var checks []Check
	if w != nil {
		ready, err := s.startWorker(c, *w, temporal, models, publisher, points)
		if err != nil {
			return nil, err
		}
		checks = append(checks, Check{"worker", ready})
		s.startCensus(c, w.CountEvery, temporal, models, points)
	}
	if b != nil {
		ready, err := s.startBridge(c, *b, bridge.Deps{
			Model: models[0], Models: bridgeModels(models), Sink: c.Temporal.Twins(temporal, models[0]),
			Points: points, DeadLetters: publisher, Answers: publisher, Metrics: metrics, Log: s.log,
		})
		if err != nil {
			return nil, err
		}
		checks = append(checks, Check{"bridge", ready})
	}
	s.startFigures(b, w, metrics, points)
	return checks, nil
}

func (s *Service) onClose(f func(context.Context) error) { s.closers = append(s.closers, f) }

// background runs f until the service is closed, and then waits for it.
func (s *Service) background(f func(context.Context)) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { f(ctx) })
	s.onClose(func(context.Context) error {
		cancel()
		running.Wait()
		return nil
	})
}

// fail ends the service with an error; the first one counts.
func (s *Service) fail(err error) {
	select {
	case s.failed <- err:
	default:
	}
}

// discard takes the points of a service that writes none.
type discard struct{}

func (discard) WritePoint(string, map[string]string, map[string]any, time.Time) {}

func (s *Service) startPoints(c InfluxConfig, metrics prometheus.Registerer) (deviceworkflow.PointWriter, error) {
	if c.URL == "" {
		return discard{}, nil
	}
	writer, err := points.NewWriter(c.Points(), metrics, s.log)
	if err != nil {
		return nil, err // of the spool's folder: the settings were checked before
	}
	s.background(writer.Run)
	return writer, nil
}

// publisherID is the client id of the connection for commands and dead letters.
func publisherID(b *BridgeConfig, w *WorkerConfig) string {
	switch {
	case b != nil:
		return "devicetwin-out-" + b.ID
	case w.ID != "":
		return "devicetwin-worker-" + w.ID
	}
	host, _ := os.Hostname()
	return fmt.Sprintf("devicetwin-worker-%s-%d", host, os.Getpid())
}

func (s *Service) startPublisher(c MQTTConfig, clientID string) (*mqtt.Publisher, error) {
	cfg := c.clientConfig()
	cfg.ClientID = clientID
	publisher, err := mqtt.NewPublisher(cfg, s.log)
	if err != nil {
		return nil, &ConfigError{err}
	}
	s.background(publisher.Run)
	return publisher, nil
}

func (c MQTTConfig) clientConfig() mqtt.Config {
	cfg := mqtt.DefaultConfig()
	cfg.Brokers, cfg.Username, cfg.Password = c.URL, c.Username, c.Password
	cfg.CAFile, cfg.CertFile, cfg.KeyFile = c.CAFile, c.CertFile, c.KeyFile
	return cfg
}

func (c Config) bridgeConfig(b BridgeConfig) bridge.Config {
	cfg := bridge.DefaultConfig()
	cfg.ID, cfg.MQTT, cfg.Wire, cfg.Subscribe = b.ID, c.MQTT.clientConfig(), c.MQTT.wireConfig(), b.Subscribe
	cfg.Wire.MaxPayload, cfg.Window = b.MaxPayload, b.Window
	cfg.BatchMessages, cfg.SignalsInFlight, cfg.LingerMax = b.BatchMessages, b.SignalsInFlight, b.Linger
	cfg.QuotaRate, cfg.QuotaBurst, cfg.QuotaWaiting = b.QuotaRate, b.QuotaBurst, b.QuotaWaiting
	cfg.QuotaCatchUp, cfg.StuckAfter = b.QuotaCatchUp, b.StuckAfter
	cfg.Partition, cfg.Naive, cfg.SettledFor = b.Partition, b.Naive, b.SettledFor
	cfg.ModelRules, cfg.ModelFromBirth, cfg.StartOnAny = b.ModelRule, b.ModelFromBirth, b.StartOn == "any"
	return cfg
}

func bridgeModels(models []*devicefsm.Model) []ingest.Model {
	all := make([]ingest.Model, len(models))
	for i, m := range models {
		all[i] = m
	}
	return all
}

func (s *Service) startBridge(c Config, b BridgeConfig, deps bridge.Deps) (func(context.Context) error, error) {
	br, err := bridge.New(c.bridgeConfig(b), deps)
	if err != nil {
		return nil, &ConfigError{err}
	}
	s.background(func(ctx context.Context) {
		if err := br.Run(ctx); err != nil {
			s.fail(err)
		}
	})
	return func(context.Context) error { return br.Ready() }, nil
}

func (s *Service) startWorker(c Config, w WorkerConfig, temporal client.Client, models []*devicefsm.Model,
	publisher deviceworkflow.Publisher, points deviceworkflow.PointWriter) (func(context.Context) error, error) {
	store, err := credentials.Open(w.Credentials)
	if err != nil {
		return nil, err
	}
	registry := deviceworkflow.NewRegistry(models...)
	options := workerOptions()
	options.OnFatalError = func(err error) { s.fail(fmt.Errorf("worker: %w", err)) }
	worker.SetStickyWorkflowCacheSize(stickyWorkflows)
	dialect, err := c.MQTT.dialect()
	if err != nil {
		return nil, err // it was checked before
	}
	device := &deviceworkflow.Workflow{Models: registry, RunEvents: w.RunEvents, Twin: w.twinSettings()}
	activities := &deviceworkflow.Activities{
		Dialect: dialect, Publisher: publisher, Points: points, Provisioner: store, Models: registry,
		Topics: w.Topics, Receivers: w.Notify,
	}
	run := &workerRun{log: s.log, make: func() worker.Worker {
		made := worker.New(temporal, c.Temporal.TaskQueue, options)
		deviceworkflow.Register(made, device, activities)
		return made
	}}
	s.background(run.run)
	return run.ready, nil
}

func (s *Service) serveHTTP(c HTTPConfig, metrics prometheus.Gatherer, checks []Check) error {
	if c.Listen == "" {
		return nil
	}
	server, err := StartHTTP(c, metrics, checks, s.log)
	if err != nil {
		return err
	}
	s.http = server
	s.onClose(server.Close)
	return nil
}

// HTTPAddr is the address of metrics and health, "" if there is none.
func (s *Service) HTTPAddr() string {
	if s.http == nil {
		return ""
	}
	return s.http.Addr()
}

// APIURL is where the operator's API is served, "" if it is not.
func (s *Service) APIURL() string { return s.apiURL }

// Failed delivers the error that keeps the service from working on.
func (s *Service) Failed() <-chan error { return s.failed }

// Close stops gracefully, in reverse order of opening: the bridge takes no more
// messages and acknowledges what was accepted, the worker ends its tasks, points
// are flushed.
func (s *Service) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), ShutdownTimeout)
	defer cancel()
	var failures []error
	for _, closeIt := range slices.Backward(s.closers) {
		failures = append(failures, closeIt(ctx))
	}
	s.closers = nil
	return errors.Join(failures...)
}
