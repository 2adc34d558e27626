package service

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.temporal.io/sdk/client"

	"devicetwin/bridge/ingest"
	"devicetwin/bridge/kafka"
	"devicetwin/internal/kinds"
	"devicetwin/internal/recordlog"
	"devicetwin/wire"
	"devicetwin/workflows/registry"
)

// kafkaEnds is how often a bridge from Kafka asks which entities were deleted.
const kafkaEnds = 10 * time.Second

// planKafka adds what a bridge from Kafka is started with.
func (p *Plan) planKafka(c Config) (faults []error) {
	if p.Parts != Kafka {
		return []error{errors.New("the bridge from Kafka is a process of its own: expected no other part")}
	}
	var err error
	p.Kafka, err = c.Kafka.plan()
	faults = append(faults, err)
	setKinds(&p.Kafka.Wire, p.Kinds, p.Kafka.Dialects)
	if err == nil {
		faults = append(faults, checkDialectKinds(p.Kinds, p.Kafka.Dialects, kinds.Kafka))
	}
	p.Journal, err = c.Kafka.journal()
	return append(faults, err)
}

// startKafka starts the bridge from Kafka.
func (s *Service) startKafka(p Plan, temporal client.Client, models models, known *modelRegistry, watch *registryWatch,
	metrics *prometheus.Registry, points pointWriter, journal *recordlog.Log) ([]Check, error) {
	records, err := p.Kafka.records()
	if err != nil {
		return nil, &ConfigError{err} // it was checked before
	}
	deps := kafka.Deps{
		Records: records,
		Clock:   wire.Clock{MaxAhead: p.Kafka.Wire.MaxClockAhead, MaxBehind: p.Kafka.Wire.MaxClockBehind},
		Points:  points, Journal: journal, Metrics: metrics, Log: s.log,
	}
	ready, err := s.startAssigned(p, models, watch, assigned{
		name: "bridge from Kafka", source: registry.SourceKafka, rules: p.Kafka.ModelRules,
		check: func(a ingest.Assignment) error { return a.Check(p.Kafka.Config.Config) },
		start: func(s *Service, a ingest.Assignment, unnamed string) (assignable, error) {
			twins := p.Temporal.Twins(temporal, p.TaskQueue, unnamed)
			deps, config := deps, p.Kafka.Config
			config.ModelRules = a.Rules
			deps.Model, deps.Models, deps.Kinds, deps.Kept, deps.Defaults, deps.NameModels = a.Model, a.Models, a.Kinds, a.Kept, a.Defaults, unnamed == ""
			deps.Sink = newBirths(watch.sink(twins), points, known.name, unnamed)
			source, err := kafka.New(config, deps)
			if err != nil {
				return nil, &ConfigError{err}
			}
			s.runBridge(source, bridging{
				name: "bridge from Kafka", id: p.Kafka.ID, of: "entities", points: points, journal: journal, ends: twins, endsEvery: kafkaEnds, moves: twins.Moves,
			})
			return source, nil
		},
	})
	if err != nil {
		return nil, err
	}
	return []Check{{"kafka", ready, nil}}, nil
}
