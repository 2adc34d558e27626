package service

import (
	"errors"
	"fmt"
	"os"
	"time"

	"devicetwin/bridge"
	devicejournal "devicetwin/internal/journal"
	"devicetwin/internal/kinds"
	"devicetwin/mqtt"
	"devicetwin/points"
	"devicetwin/wire"
	wiredialect "devicetwin/wire/dialect"
	deviceworkflow "devicetwin/workflows/device"
)

// Parts says which parts a service has: Bridge|Worker.
type Parts uint8

// The parts.
const (
	Bridge Parts = 1 << iota // MQTT messages to points and workflow signals
	Worker                   // device workflows and their activities
	API                      // the operator's HTTP API, unless its Listen is empty
	Kafka                    // records of Kafka to workflow signals: alone in its process
)

func (p Parts) has(part Parts) bool { return p&part != 0 }

// Plan is what the parts are started with, worked out from a Config: the settings
// of parts that do not run are not in it. Start uses nothing else, so a setting
// that does not change the plan has no effect.
type Plan struct {
	Parts   Parts
	Process string // names the process in its figures
	Log     LogConfig
	HTTP    HTTPConfig

	Temporal  TemporalServer
	TaskQueue string // of bridge and worker

	Models    ModelConfig   // of bridge and worker
	Points    points.Config // of bridge and worker; an empty URL: none are written
	Journal   JournalPlan   // of bridge and worker
	Publisher mqtt.Config   // of bridge and worker: the connection for commands and dead letters

	// Kinds are those of entities; nil: there are devices only.
	Kinds *kinds.Set
	// Dialects are those of bridge and worker, next to the standard one.
	Dialects []*wiredialect.Dialect

	Bridge       bridge.Config
	DeletedEvery time.Duration // the bridge looks for deleted devices; 0: never
	Worker       WorkerPlan
	Kafka        KafkaPlan

	API APIConfig
}

// WorkerPlan is what a worker is started with.
type WorkerPlan struct {
	Credentials string        // a folder, or a URL, which has a password
	CountEvery  time.Duration // 0: never
	RunEvents   int
	// MaxDeliveries is how often a command is sent that does not say so itself.
	MaxDeliveries int
	// RecentMessages are how many of its last messages a device's workflow keeps.
	RecentMessages int
	Twin           deviceworkflow.TwinSettings

	Wire      wire.Config       // topics and payloads
	Topics    []string          // that models may publish to
	Receivers map[string]string // URLs by name, or topics of Kafka
	Sink      SinkPlan
	// Journal is what keeps the inputs of state machines; without a Dir, nothing does.
	Journal devicejournal.Config
}

// NewPlan checks a configuration and works out the plan. It reads the files with
// secrets. An error reports every fault, as a ConfigError.
func NewPlan(c Config, parts Parts) (Plan, error) {
	faults := []error{c.Temporal.readSecrets()}
	p := Plan{Parts: parts, Process: processName(c, parts), Log: c.Log, HTTP: c.HTTP}
	var err error
	p.Kinds, err = c.Model.readKinds()
	faults = append(faults, err)
	if parts.has(Bridge | Worker) {
		faults = append(faults, c.MQTT.readSecrets())
		faults = append(faults, p.planEntities(c)...)
		p.Publisher = c.MQTT.Client().Named(publisherID(c, parts))
		p.Journal, err = c.journal(parts)
		faults = append(faults, err)
		p.Dialects, err = c.MQTT.dialects()
		faults = append(faults, err, checkDialectKinds(p.Kinds, p.Dialects, kinds.MQTT))
	}
	if parts.has(Kafka) {
		faults = append(faults, c.Kafka.readSecrets())
		faults = append(faults, p.planEntities(c)...)
		faults = append(faults, p.planKafka(c)...)
	}
	if parts.has(Bridge) {
		p.Bridge, p.DeletedEvery = c.Bridge.config(c.MQTT), c.Bridge.DeletedEvery
		setKinds(&p.Bridge.Wire, p.Kinds, p.Dialects)
		faults = append(faults, p.Bridge.Validate(), c.Bridge.validate())
	}
	if parts.has(Worker) {
		faults = append(faults, c.Worker.readSecrets(), c.Sink.readSecrets())
		p.Worker, err = c.workerPlan()
		var sink error
		p.Worker.Sink, sink = c.Sink.plan(c.Worker.Notify)
		faults = append(faults, sink)
		if parts.has(Bridge) { // which has reported the faults of MQTT
			_, journal := c.Worker.journal("")
			err = errors.Join(journal, c.Worker.validate())
		} else {
			faults = append(faults, p.Publisher.Validate())
		}
		setKinds(&p.Worker.Wire, p.Kinds, p.Dialects)
		faults = append(faults, err)
	}
	if parts.has(API) && c.API.Listen != "" {
		p.API = c.API
		p.TaskQueue = c.Temporal.TaskQueue // of migrations and entities that the API starts
		faults = append(faults, c.API.Validate())
	}
	p.Temporal = c.Temporal.TemporalServer
	if err := errors.Join(faults...); err != nil {
		return Plan{}, &ConfigError{err}
	}
	return p, nil
}

// planEntities adds what each part needs through which messages of entities go: their
// workflows, models and points.
func (p *Plan) planEntities(c Config) []error {
	p.TaskQueue, p.Models = c.Temporal.TaskQueue, c.Model
	faults := []error{c.Influx.readSecrets(), c.checkModels(p.Parts)}
	if c.Influx.URL != "" {
		p.Points = c.Influx.Points()
		faults = append(faults, p.Points.Validate())
	}
	return faults
}

func (c Config) workerPlan() (WorkerPlan, error) {
	w := c.Worker
	journal, err := w.journal(processName(c, Worker))
	return WorkerPlan{
		Journal:     journal,
		Credentials: w.Credentials, CountEvery: w.CountEvery, RunEvents: w.RunEvents, MaxDeliveries: w.MaxDeliveries,
		RecentMessages: w.RecentMessages, Twin: w.twins(),
		Wire: c.MQTT.wire(), Topics: w.Topics, Receivers: w.Notify,
	}, errors.Join(err, w.validate(), c.MQTT.validate())
}

// checkModels reports that nothing says which models there are, or which one a
// device starts with.
func (c Config) checkModels(parts Parts) error {
	switch {
	case c.Model.Model != "", c.Model.Registry:
		return nil
	case parts.has(Kafka):
		if c.Model.Kinds == "" && (len(c.Model.Models) == 0 || len(c.Kafka.ModelRule) == 0) {
			return errors.New("no model: expected --model, or --models with --kafka-model-rule")
		}
		return nil
	case len(c.Model.Models) == 0 && parts.has(Bridge):
		return errors.New("no model: expected --model, or --models with --bridge-model-rule or --bridge-model-from-birth")
	case len(c.Model.Models) == 0:
		return errors.New("no model: expected --model, or --models")
	case c.Model.Kinds != "": // the models of its kinds are checked when they are read
		return nil
	case parts.has(Bridge) && len(c.Bridge.ModelRule) == 0 && !c.Bridge.ModelFromBirth:
		return errors.New("no model for new devices: expected --model, --bridge-model-rule or --bridge-model-from-birth")
	}
	return nil
}

// processName is that of the bridge, or else of the worker, or else of the host.
func processName(c Config, parts Parts) string {
	switch {
	case parts.has(Bridge):
		return c.Bridge.ID
	case parts.has(Kafka):
		return c.Kafka.ID
	case parts.has(Worker) && c.Worker.ID != "":
		return c.Worker.ID
	}
	host, _ := os.Hostname()
	return host
}

// publisherID is the client id of the connection for commands and dead letters.
func publisherID(c Config, parts Parts) string {
	switch {
	case parts.has(Worker) && c.Worker.ID != "":
		return "devicetwin-worker-" + c.Worker.ID
	case parts.has(Bridge):
		return "devicetwin-out-" + c.Bridge.ID
	}
	host, _ := os.Hostname()
	return fmt.Sprintf("devicetwin-worker-%s-%d", host, os.Getpid())
}
