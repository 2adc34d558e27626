package device

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"devicetwin/device"
	"devicetwin/internal/figures"
	"devicetwin/internal/measure"
)

// Counts is what the runs of a worker count. They add to it, anyone may read. What
// happens is counted once, and not when a run is replayed; a workflow task that the
// server did not accept is counted again.
type Counts struct {
	*figures.Set
	Faults map[device.FaultReason]*atomic.Uint64
	// ModelsMissing are the models that devices run and this worker does not have, and
	// DevicesWithoutModel the devices that run them. The worker sets them.
	ModelsMissing, DevicesWithoutModel *atomic.Int64
	// UnknownDialects are attempts to send what waits for a worker with another dialect.
	UnknownDialects *atomic.Uint64
	// EventToState is how long messages took that changed a state, in seconds.
	EventToState prometheus.Histogram
	// Processed counts the ends of events that are processed one by one, ProcessSeconds is how
	// long they took from the event on, and ProcessQueue how many waited when one was queued,
	// with it.
	Processed                    map[string]*atomic.Uint64
	ProcessSeconds, ProcessQueue prometheus.Histogram
}

// NewCounts declares the metrics of a worker.
func NewCounts() *Counts {
	s := figures.NewSet("devicetwin_worker_")
	return &Counts{
		Set: s,
		Faults: figures.Counters(s, "faults_total", "reason", device.FaultReasons(),
			"Faults that workflows found in messages and models, by reason; those that the bridge found are in devicetwin_bridge_faults_total.",
			figures.Field{Measurement: measure.Worker, Name: "faults"}),
		ModelsMissing: s.Gauge("models_missing", "Models that devices run and this worker does not have; /readyz names their hashes.",
			figures.Field{Measurement: measure.Worker, Name: measure.WorkerModelsMissing}),
		DevicesWithoutModel: s.Gauge("devices_without_model", "Devices whose model this worker does not have: they wait for a worker that has it.",
			figures.Field{Measurement: measure.Worker, Name: "devices_without_model"}),
		UnknownDialects: s.Counter("dialect_missing_total", "Attempts to send something to a device whose dialect this worker does not have; they are repeated.",
			figures.Field{Measurement: measure.Worker, Name: "dialect_missing"}),
		EventToState: s.Histogram("event_to_state_seconds", "From the arrival of a message at the bridge until the change of state that it caused is written; by the clocks of both.",
			[]float64{.01, .02, .05, .1, .2, .5, 1, 2, 5, 10, 30, 60, 300, 1800, 7200},
			figures.Field{Measurement: measure.Worker, Name: measure.WorkerEventToStateP50, Quantile: .5},
			figures.Field{Measurement: measure.Worker, Name: measure.WorkerEventToStateP99, Quantile: .99}),
		Processed: figures.Counters(s, "processed_total", "outcome", []string{outcomeDone, outcomeFailed, outcomeSkipped},
			"Events that were processed one by one, by outcome: done, failed permanently, or skipped by an operator. One that is tried again after it failed counts again.",
			figures.Field{Measurement: measure.Worker, Name: "processed"}),
		ProcessSeconds: s.Histogram("process_seconds", "From an event until it was processed, or failed permanently.",
			[]float64{.05, .1, .5, 1, 5, 10, 30, 60, 300, 1800, 7200, 86400}),
		ProcessQueue: s.Histogram("process_queue_events", "Events of one entity that wait to be processed one by one, when another one is queued, with that one.",
			[]float64{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000}),
	}
}

func (c *Counts) fault(f device.Fault) {
	if n := c.Faults[f.Reason]; n != nil {
		n.Add(max(1, f.Count))
	}
}
