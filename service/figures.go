package service

import (
	"fmt"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.temporal.io/sdk/client"

	"devicetwin/devicefsm"
	"devicetwin/internal/figures"
	"devicetwin/internal/measure"
	"devicetwin/workflows"
)

// figuresEvery is how often a process writes its figures, as the bridge does.
const figuresEvery = 10 * time.Second

// processGroups are the metrics of every process that become points. Those that
// a process does not have are left out.
func processGroups() []figures.Group {
	return []figures.Group{
		{Measurement: measure.Process, Samples: []figures.Sample{
			{Field: measure.ProcessCPU, Metric: "process_cpu_seconds_total"},
			{Field: measure.ProcessMemory, Metric: "process_resident_memory_bytes"},
			{Field: measure.ProcessGoroutines, Metric: "go_goroutines"},
			{Field: measure.ProcessSpoolBytes, Metric: "devicetwin_influx_spool_bytes"},
			{Field: measure.ProcessSpoolPoints, Metric: "devicetwin_influx_spool_points"},
			{Field: measure.ProcessSpoolOldest, Metric: "devicetwin_influx_spool_oldest_seconds"},
			{Field: measure.ProcessSpoolFailed, Metric: "devicetwin_influx_spool_failures_total"},
			{Field: measure.ProcessQueuedPoints, Metric: "devicetwin_influx_queued_points"},
			{Field: measure.ProcessWritten, Metric: "devicetwin_influx_points_written_total"},
			{Field: measure.ProcessDropped, Metric: "devicetwin_influx_points_dropped_total"},
			{Field: measure.ProcessRefused, Metric: "devicetwin_influx_points_refused_total"},
			{Field: measure.ProcessFailures, Metric: "devicetwin_influx_failures_total"},
			{Field: measure.ProcessSignalP50, Metric: "devicetwin_bridge_signal_seconds", Quantile: .5},
			{Field: measure.ProcessSignalP99, Metric: "devicetwin_bridge_signal_seconds", Quantile: .99},
			{Field: measure.ProcessWaitP50, Metric: "devicetwin_bridge_wait_seconds", Quantile: .5},
			{Field: measure.ProcessWaitP99, Metric: "devicetwin_bridge_wait_seconds", Quantile: .99},
			{Field: measure.ProcessBatchP50, Metric: "devicetwin_bridge_batch_messages", Quantile: .5},
			{Field: measure.ProcessBatchP99, Metric: "devicetwin_bridge_batch_messages", Quantile: .99},
		}},
		{Measurement: measure.Worker, Samples: []figures.Sample{
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
		}},
	}
}

// processName names a process in its figures: as its bridge is called, or its
// worker, or the machine.
func processName(b *BridgeConfig, w *WorkerConfig) string {
	switch {
	case b != nil:
		return b.ID
	case w != nil && w.ID != "":
		return w.ID
	}
	host, _ := os.Hostname()
	return host
}

func (s *Service) startFigures(process string, metrics prometheus.Gatherer, points workflows.PointWriter) {
	if _, nowhere := points.(discard); nowhere {
		return
	}
	w := &figures.Writer{
		Gatherer: metrics, Points: points, Groups: processGroups(), Every: figuresEvery, Log: s.log,
		Tags: map[string]string{measure.TagProcess: process},
	}
	s.background(w.Run)
}

func (s *Service) startCensus(c Config, every time.Duration, temporal client.Client, models []*devicefsm.Model, points workflows.PointWriter) {
	if _, nowhere := points.(discard); nowhere || every == 0 {
		return
	}
	census := &workflows.Census{
		Counter: c.Temporal.Twins(temporal, models[0]), Points: points, Models: models, Every: every, Log: s.log,
	}
	s.background(census.Run)
}

// checkNames refuses models whose telemetry would be mixed with our own points.
func checkNames(models []*devicefsm.Model) error {
	for _, m := range models {
		if measure.Taken(m.Name()) {
			return &ConfigError{fmt.Errorf("model %s: its telemetry would go to a measurement of the service itself: give it another name", m.Name())}
		}
	}
	return nil
}
