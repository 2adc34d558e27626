package service

import (
	"errors"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.temporal.io/sdk/client"

	"devicetwin/bridge"
	"devicetwin/bridge/kafka"
	"devicetwin/devicefsm"
	"devicetwin/internal/figures"
	"devicetwin/internal/measure"
	"devicetwin/points"
	twinclient "devicetwin/workflows/client"
	deviceworkflow "devicetwin/workflows/device"
)

// figuresEvery is how often a process writes its figures.
const figuresEvery = 10 * time.Second

// processGroups are the metrics of every process that become points. Those that
// a process does not have are left out.
func processGroups(process string) []figures.Group {
	tags := map[string]string{measure.TagProcess: process}
	return []figures.Group{
		{Measurement: measure.Process, Tags: tags, Samples: append([]figures.Sample{
			{Field: measure.ProcessCPU, Metric: "process_cpu_seconds_total"},
			{Field: measure.ProcessMemory, Metric: "process_resident_memory_bytes"},
			{Field: measure.ProcessGoroutines, Metric: "go_goroutines"},
		}, slices.Concat(points.Declared().Samples(measure.Process), bridge.Declared().Samples(measure.Process), newRegistryCounts().Samples(measure.Process))...)},
		{Measurement: measure.Worker, Tags: tags, Samples: append([]figures.Sample{
			{Field: measure.WorkerTaskWaitP50, Metric: "temporal_workflow_task_schedule_to_start_latency_seconds", Quantile: .5},
			{Field: measure.WorkerTaskWaitP99, Metric: "temporal_workflow_task_schedule_to_start_latency_seconds", Quantile: .99},
			{Field: measure.WorkerTaskRunP50, Metric: "temporal_workflow_task_execution_latency_seconds", Quantile: .5},
			{Field: measure.WorkerTaskRunP99, Metric: "temporal_workflow_task_execution_latency_seconds", Quantile: .99},
			{Field: measure.WorkerReplayP99, Metric: "temporal_workflow_task_replay_latency_seconds", Quantile: .99},
			{Field: measure.WorkerActivityP99, Metric: "temporal_activity_execution_latency_seconds", Quantile: .99},
			{Field: measure.WorkerTasksFailed, Metric: "temporal_workflow_task_execution_failed_total"},
			{Field: measure.WorkerCacheSize, Metric: "temporal_sticky_cache_size"},
			{Field: measure.WorkerCacheHits, Metric: "temporal_sticky_cache_hit_total"},
			{Field: measure.WorkerCacheMisses, Metric: "temporal_sticky_cache_miss_total"},
			{Field: measure.WorkerCacheEvictions, Metric: "temporal_sticky_cache_total_forced_eviction_total"},
			{Field: measure.WorkerSlotsUsed, Metric: "temporal_worker_task_slots_used"},
			{Field: measure.WorkerRequestsFailed, Metric: "temporal_request_failure_total"},
		}, slices.Concat(deviceworkflow.NewCounts().Samples(measure.Worker), kafka.ProducerMetrics().Samples(measure.Worker))...)},
	}
}

// bridgeGroup is the metrics of a bridge, which it has declared, that become points.
func bridgeGroup(id string, declared *figures.Set) figures.Group {
	return figures.Group{
		Measurement: measure.Bridge, Tags: map[string]string{measure.TagBridge: id},
		Samples: declared.Samples(measure.Bridge),
	}
}

func (s *Service) startFigures(p Plan, metrics prometheus.Gatherer, to deviceworkflow.PointWriter) {
	if nowhere(to) {
		return
	}
	groups := processGroups(p.Process)
	if p.Parts.has(Bridge) {
		groups = append(groups, bridgeGroup(p.Bridge.ID, bridge.Declared()))
	}
	if p.Parts.has(Kafka) {
		groups = append(groups, bridgeGroup(p.Kafka.ID, kafka.Declared()))
	}
	figures := &figures.Writer{Gatherer: metrics, Points: to, Groups: groups, Every: figuresEvery, Log: s.log}
	s.runPart("writer of figures", figures.Run)
}

func (s *Service) startCensus(p Plan, temporal client.Client, models func() []*devicefsm.Model, number func(hash string) int, points deviceworkflow.PointWriter) {
	if nowhere(points) || p.Worker.CountEvery == 0 {
		return
	}
	census := &twinclient.Census{
		Counter: p.Temporal.Twins(temporal, "", ""), Points: points, Models: models, Number: number, Every: p.Worker.CountEvery, Log: s.log,
	}
	s.runPart("count of devices", census.Run)
}

// checkNames refuses models whose telemetry would be mixed with the service's own
// points.
func checkNames(models []*devicefsm.Model) error {
	var faults []error
	for _, m := range models {
		faults = append(faults, measure.CheckModel(m.Name()))
	}
	if err := errors.Join(faults...); err != nil {
		return &ConfigError{err}
	}
	return nil
}
