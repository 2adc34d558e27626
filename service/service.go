// Package service starts the bridge, the worker and the operator's API, or some of
// them, in one process, with what they need: connections, points, metrics and
// health. The program devicetwin, devstack and tests start it.
//
//	config := service.DefaultConfig()
//	config.Model.Model = "pump.yaml"
//	running, err := service.Start(config, service.Bridge|service.Worker, log)
package service

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.temporal.io/sdk/client"

	"devicetwin/bridge"
	"devicetwin/bridge/ingest"
	"devicetwin/device"
	"devicetwin/devicefsm"
	devicejournal "devicetwin/internal/journal"
	"devicetwin/internal/recordlog"
	"devicetwin/mqtt"
	"devicetwin/points"
	wiredialect "devicetwin/wire/dialect"
	twinclient "devicetwin/workflows/client"
	deviceworkflow "devicetwin/workflows/device"
	"devicetwin/workflows/registry"
)

// Service is parts that run in this process.
type Service struct {
	log    *slog.Logger
	failed chan error
	http   *HTTPServer
	apiURL string                              // "" if there is none
	url    string                              // of the server for brokers; "" if there is none
	forget func(context.Context, ...device.ID) // what the bridge remembers of devices; nil without one
	// stoppers end the parts, closers what they use, in the order of opening.
	stoppers, closers []closer
}

// Start starts parts. See Plan.Start.
func Start(c Config, parts Parts, log *slog.Logger) (*Service, error) {
	plan, err := NewPlan(c, parts)
	if err != nil {
		return nil, err
	}
	return plan.Start(log)
}

// Start starts the parts. It does not wait for the servers: while one is unavailable, the
// service reports that on /readyz, and works as soon as it is reachable. Faults of
// models and other files are a ConfigError.
func (p Plan) Start(log *slog.Logger) (*Service, error) {
	models, err := p.loadModels(log)
	if err != nil {
		return nil, err
	}
	s := &Service{log: log, failed: make(chan error, 1)}
	if err := s.start(p, models); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Service) start(p Plan, models models) error {
	// First of all: a process that cannot listen must not have taken the broker's
	// session of one that runs.
	listening, err := s.listen(p)
	if err != nil {
		return err
	}
	metrics := NewRegistry()
	temporal, err := p.Temporal.Dial(metrics, s.log)
	if err != nil {
		return err
	}
	s.onClose("connection to Temporal", func(context.Context) error { temporal.Close(); return nil })

	checks := []Check{{"temporal", func(ctx context.Context) error {
		_, err := temporal.CheckHealth(ctx, &client.CheckHealthRequest{})
		return err
	}, nil}}
	if p.Parts.has(Bridge | Worker | Kafka) {
		parts, err := s.startParts(p, temporal, models, metrics)
		if err != nil {
			return err
		}
		checks = append(checks, parts...)
	}
	if p.API.Listen != "" {
		twins := p.Temporal.Twins(temporal, p.TaskQueue, "")
		s.onClose("requests to device workflows", func(context.Context) error { twins.Close(); return nil })
		if err := s.startAPI(p, listening.api, apiBackend{twins, p.Kinds}, apiModels{twins, p.Kinds}, metrics); err != nil {
			return err
		}
	}
	return s.serveHTTP(p.HTTP, listening.http, metrics, checks)
}

// listeners are those of a plan; nil where there is none.
type listeners struct{ api, http net.Listener }

func (s *Service) listen(p Plan) (l listeners, err error) {
	s.onClose("listeners", func(context.Context) error { return l.close() })
	if p.API.Listen != "" {
		if l.api, err = p.API.listener(); err != nil {
			return l, err
		}
	}
	if p.HTTP.Listen != "" {
		l.http, err = p.HTTP.listener()
	}
	return l, err
}

// close closes those that no server has closed.
func (l listeners) close() error {
	var faults []error
	for _, listener := range []net.Listener{l.api, l.http} {
		if listener == nil {
			continue
		}
		if err := listener.Close(); !errors.Is(err, net.ErrClosed) {
			faults = append(faults, err)
		}
	}
	return errors.Join(faults...)
}

// startParts starts the bridge and the worker, or the bridge from Kafka, with what they need.
func (s *Service) startParts(p Plan, temporal client.Client, models models, metrics *prometheus.Registry) ([]Check, error) {
	journal, err := s.startJournal(p)
	if err != nil {
		return nil, err
	}
	points, err := s.startPoints(p, journal, metrics)
	if err != nil {
		return nil, err
	}
	known := newModelRegistry(models, s.log)
	watch, err := s.startRegistry(p, p.Temporal.Twins(temporal, p.TaskQueue, ""), models, known, metrics)
	if err != nil {
		return nil, err
	}
	if p.Parts.has(Kafka) {
		checks, err := s.startKafka(p, temporal, models, known, watch, metrics, points, journal)
		if err != nil {
			return nil, err
		}
		checks = append(checks, watch.checks()...)
		s.startFigures(p, metrics, points)
		return checks, s.startEraser(p, temporal, journal, nil)
	}
	var inputs *devicejournal.Writer
	publisher, err := s.startPublisher(p.Publisher)
	if err != nil {
		return nil, err
	}
	checks := []Check{{"publisher", func(context.Context) error {
		if !publisher.Connected() {
			return errors.New("not connected to the MQTT broker")
		}
		return nil
	}, nil}}
	if p.Parts.has(Worker) {
		counts := deviceworkflow.NewCounts()
		if err := counts.Register(metrics); err != nil {
			return nil, err
		}
		missing := &missingModels{registry: known, counts: counts, log: s.log}
		store, err := s.openCredentials(p.Worker.Credentials, metrics, false)
		if err != nil {
			return nil, err
		}
		sink, err := s.startSink(p, metrics)
		if err != nil {
			return nil, err
		}
		if sink != nil {
			checks = append(checks, Check{"kafka", func(context.Context) error { return sink.producer.Ready() }, nil})
		}
		if inputs, err = s.startInputs(p, models, known, metrics); err != nil {
			return nil, err
		}
		ready, err := s.startWorker(p, temporal, models, known, watch, counts, store, publisher, points, sink, inputs)
		if err != nil {
			return nil, err
		}
		checks = append(checks, Check{"worker", ready, missing.remark})
		s.startCensus(p, temporal, known.all, watch.number, points)
		s.startMissing(p, temporal, missing)
	}
	if p.Parts.has(Bridge) {
		deps := bridge.Deps{Points: points, DeadLetters: publisher, Answers: publisher, Questions: publisher, Journal: journal, Metrics: metrics, Log: s.log}
		ready, err := s.startAssigned(p, models, watch, assigned{
			name: "bridge", source: registry.SourceMQTT, rules: p.Bridge.ModelRules,
			check: func(a ingest.Assignment) error { return a.Check(p.Bridge.Config) },
			start: func(s *Service, a ingest.Assignment, unnamed string) (assignable, error) {
				twins := p.Temporal.Twins(temporal, p.TaskQueue, unnamed)
				p, deps := p, deps
				p.Bridge.ModelRules = a.Rules
				deps.Model, deps.Models, deps.Kinds, deps.Kept, deps.Defaults, deps.NameModels = a.Model, a.Models, a.Kinds, a.Kept, a.Defaults, unnamed == ""
				deps.Sink = newBirths(watch.sink(twins), points, known.name, unnamed)
				deps.Took = func(ctx context.Context, a ingest.Accepted) (bool, error) { return twins.Took(ctx, a.ID, a.Log, a.Pos) }
				return s.startBridge(p, deps, twins, points)
			},
		})
		if err != nil {
			return nil, err
		}
		checks = append(checks, Check{"bridge", ready, nil})
	}
	checks = append(checks, watch.checks()...)
	s.startFigures(p, metrics, points)
	return checks, s.startEraser(p, temporal, journal, inputs)
}

// pointWriter takes the points of all parts.
type pointWriter interface {
	deviceworkflow.PointWriter
	bridge.PointWriter
}

// discard takes the points of a service that writes none.
type discard struct{}

func (discard) WritePoint(string, map[string]string, map[string]any, time.Time) {}

func (discard) WriteReading(string, string, []byte, []string, time.Time) {}

// nowhere reports whether points are written nowhere: then nothing is counted for them.
func nowhere(points deviceworkflow.PointWriter) bool {
	_, is := points.(discard)
	return is
}

// startPoints starts the writer of points. They wait in the log, if there is one, and what
// the bridge received is read from it.
func (s *Service) startPoints(p Plan, journal *recordlog.Log, metrics prometheus.Registerer) (pointWriter, error) {
	c := p.Points
	if c.URL == "" {
		return discard{}, nil
	}
	c.CloseWithin = min(c.CloseWithin, pointsTimeout)
	writer, err := points.NewWriter(c, points.Deps{Log: journal, Readings: readings, Metrics: metrics, Logger: s.log})
	if err != nil {
		return nil, err // of the log's folder: the settings were checked before
	}
	s.runUsed("writer of points", writer.Run)
	if journal != nil && p.Journal.Spool != "" {
		s.carryOver(p.Journal.Spool, journal)
	}
	return writer, nil
}

// carryOver moves what an earlier release left in a spool into a log, while the parts
// work.
func (s *Service) carryOver(spool string, into *recordlog.Log) {
	s.runPart("points of an earlier release", func(ctx context.Context) {
		if _, err := points.CarryOver(ctx, spool, into, s.log); err != nil {
			s.log.Error("points of an earlier release stay in its spool until the next start", "error", err)
		}
	})
}

func (s *Service) startPublisher(c mqtt.Config) (*mqtt.Publisher, error) {
	publisher, err := mqtt.NewPublisher(c, s.log)
	if err != nil {
		return nil, &ConfigError{err}
	}
	s.runUsed("MQTT publisher", publisher.Run)
	return publisher, nil
}

func bridgeModels(models []*devicefsm.Model) []ingest.Model {
	all := make([]ingest.Model, len(models))
	for i, m := range models {
		all[i] = m
	}
	return all
}

func (s *Service) startBridge(p Plan, deps bridge.Deps, twins *twinclient.Client, points pointWriter) (assignable, error) {
	if len(p.Dialects) > 0 {
		set, err := wiredialect.NewSet(p.Bridge.Reading(), p.Dialects...)
		if err != nil {
			return nil, &ConfigError{err} // it was checked before
		}
		set.OnNote(func(note string) { s.log.Warn("a discovery message names what is not read", "note", note) })
		deps.Dialect = set
	}
	br, err := bridge.New(p.Bridge, deps)
	if err != nil {
		return nil, &ConfigError{err}
	}
	s.runBridge(br, bridging{
		name: "bridge", id: p.Bridge.ID, of: "devices", points: points, journal: deps.Journal, ends: twins, endsEvery: p.DeletedEvery,
		moves: twins.Moves,
	})
	return br, nil
}

func (s *Service) serveHTTP(c HTTPConfig, listener net.Listener, metrics prometheus.Gatherer, checks []Check) error {
	if listener == nil {
		return nil
	}
	s.http = serveHTTP(c, listener, metrics, checks, s.log)
	s.onStop("listener for metrics and health", s.http.Close)
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

// fail ends the service with an error; the first one counts.
func (s *Service) fail(err error) {
	select {
	case s.failed <- err:
	default:
	}
}

// Failed delivers the error that keeps the service from working on.
func (s *Service) Failed() <-chan error { return s.failed }
