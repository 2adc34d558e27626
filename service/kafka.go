package service

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.temporal.io/sdk/client"

	"devicetwin/bridge/kafka"
	"devicetwin/internal/kinds"
	"devicetwin/internal/recordlog"
	"devicetwin/wire"
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
func (s *Service) startKafka(p Plan, temporal client.Client, models models, metrics *prometheus.Registry, points pointWriter, journal *recordlog.Log) ([]Check, error) {
	records, err := p.Kafka.records()
	if err != nil {
		return nil, &ConfigError{err} // it was checked before
	}
	deps := kafka.Deps{
		Models: bridgeModels(models.given), Kept: bridgeModels(models.kept), Kinds: ingestKinds(models.kinds), Records: records,
		Clock:  wire.Clock{MaxAhead: p.Kafka.Wire.MaxClockAhead, MaxBehind: p.Kafka.Wire.MaxClockBehind},
		Points: points, Journal: journal, Metrics: metrics, Log: s.log,
	}
	hash := ""
	if p.Models.Model != "" {
		deps.Model, hash = models.given[0], models.given[0].Hash()
	}
	twins := p.Temporal.Twins(temporal, p.TaskQueue, hash)
	deps.Sink = newBirths(twins, points, models.all(), hash)
	source, err := kafka.New(p.Kafka.Config, deps)
	if err != nil {
		return nil, &ConfigError{err}
	}
	s.runBridge(source, bridging{
		name: "bridge from Kafka", id: p.Kafka.ID, of: "entities", points: points, journal: journal, ends: twins, endsEvery: kafkaEnds,
	})
	return []Check{{"kafka", func(context.Context) error { return source.Ready() }, nil}}, nil
}
