package ingest

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"devicetwin/device"
	"devicetwin/internal/figures"
	"devicetwin/internal/measure"
	"devicetwin/wire"
)

// Counts is what an Ingest counts, and where it stands. Its goroutine writes,
// anyone may read.
type Counts struct {
	Received, Repeated, Ignored, Foreign       *atomic.Uint64
	Unmapped                                   *atomic.Uint64
	Messages, Gaps, Relevant                   *atomic.Uint64
	Events, Deliveries, DeliveryFailures       *atomic.Uint64
	TooLate, UnknownModels, Rejected           *atomic.Uint64
	RetainedModels, Recognized                 *atomic.Uint64
	Outage                                     *atomic.Bool
	Window, Held, HeldBytes, Oldest            *atomic.Int64
	InFlight, Limit, Linger                    *atomic.Int64
	Resting, Waiting, Quarantined, Devices     *atomic.Int64
	Backlog, BacklogSince                      *atomic.Int64
	BacklogGrowth, BacklogEmpty, LogBytes      *atomic.Int64
	LogFull                                    *atomic.Bool
	Unreadable, LogFailures, NoRoom            *atomic.Uint64
	BatchMessages, DeliverSeconds, WaitSeconds prometheus.Histogram

	DeadLetters map[wire.Reason]*atomic.Uint64
	Faults      map[device.FaultReason]*atomic.Uint64
	// FaultReportsDropped are those of devices without a workflow, and those for which
	// there was no room.
	FaultReportsDropped *atomic.Uint64
}

var latencyBuckets = []float64{.001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10}

// NewCounts declares the metrics of an Ingest in a set.
func NewCounts(s *figures.Set) *Counts {
	field := func(name string) figures.Field { return figures.Field{Measurement: measure.Bridge, Name: name} }
	quantile := func(name string, q float64) figures.Field {
		return figures.Field{Measurement: measure.Process, Name: name, Quantile: q}
	}
	c := &Counts{
		Received:   s.Counter("received_total", "MQTT messages received.", field("received")),
		Repeated:   s.Counter("repeated_total", "MQTT messages delivered again that the bridge still knew.", field("repeated")),
		Recognized: s.Counter("recognized_total", "MQTT messages of devices without numbers that were delivered again long after they had been acknowledged, recognized by their content, and left out.", field("recognized")),
		Ignored:    s.Counter("ignored_total", "Retained copies, commands to devices and responses to requests, which are not input.", field("ignored")),
		Unmapped:   s.Counter("unmapped_total", "MQTT messages that mean nothing to any dialect.", field("unmapped")),
		Foreign:    s.Counter("foreign_total", "MQTT messages of devices that belong to other partitions.", field("foreign")),

		Messages: s.Counter("messages_total", "JSON objects received.", field("messages")),
		Gaps:     s.Counter("gaps_total", "Gaps in the message numbers of devices.", field("gaps")),
		Relevant: s.Counter("relevant_total", "Messages that can matter to the model.", field("relevant")),

		Events:           s.Counter("events_total", "Messages accepted by Temporal.", field("events")),
		Deliveries:       s.Counter("signals_total", "Signals accepted by Temporal.", field("signals")),
		DeliveryFailures: s.Counter("signal_failures_total", "Attempts to signal that failed and are repeated.", field("signal_failures")),
		NoRoom:           s.Counter("no_room_total", "Attempts to deliver events that are processed one by one to a workflow that had no room for more; they are repeated.", field("no_room")),
		Outage:           s.Flag("temporal_outage", "1 while signals fail; one at a time is tried.", field("temporal_outage")),

		DeadLetters: figures.Counters(s, "dead_letters_total", "reason", Reasons(), "Rejected messages, by reason.", field("dead_letters")),

		Faults:              figures.Counters(s, "faults_total", "reason", device.FaultReasons(), "Messages, or parts of them, without effect or with another one than was meant, by reason.", field("faults")),
		FaultReportsDropped: s.Counter("fault_reports_dropped_total", "Reports of faults that were dropped because the device has no workflow, or too many came at once."),

		TooLate:        s.Counter("too_late_total", "Messages not signalled because they are older than everything that this bridge knows of their device: another bridge may have left them out."),
		UnknownModels:  s.Counter("unknown_models_total", "Birth messages that name a model that this bridge does not have."),
		RetainedModels: s.Counter("retained_models_total", "Devices whose model was read from a retained birth message."),
		Rejected:       s.Counter("requests_rejected_total", "Shadow requests that the bridge itself rejected: no workflow, too many, too large."),

		Window:    s.Gauge("window_messages", "MQTT messages not yet acknowledged on this connection.", field("window_messages")),
		Oldest:    s.Age("oldest_unacknowledged_seconds", "Age of the oldest MQTT message that is not acknowledged.", field("oldest_unacknowledged_seconds")),
		Held:      s.Gauge("held_messages", "MQTT messages in memory.", field("held_messages")),
		HeldBytes: s.Gauge("held_bytes", "Bytes of payload in memory."),

		Backlog:       s.Gauge("backlog_messages", "Messages in the log that Temporal has not accepted.", field("backlog_messages")),
		BacklogSince:  s.Age("backlog_seconds", "Age of the oldest message in the log that Temporal has not accepted.", field("backlog_seconds")),
		BacklogGrowth: s.Gauge("backlog_growth", "Growth of the backlog in messages a second, over the last ten seconds; negative while it falls.", field("backlog_growth")),
		BacklogEmpty:  s.Gauge("backlog_empty_seconds", "Time until the backlog is empty if it goes on falling as it does; 0 if it is empty, -1 if it does not fall.", field("backlog_empty_seconds")),
		LogBytes:      s.Gauge("log_bytes", "Size of the log.", field("log_bytes")),
		LogFull:       s.Switch("log_full", "1 while no messages are taken because the log has no room, or cannot be written.", field("log_full")),
		LogFailures:   s.Counter("log_failures_total", "Attempts to write the log that failed and are repeated.", field("log_failures")),
		Unreadable:    s.Counter("log_unreadable_total", "Damaged places in the log that were found at the start, and messages that could not be read when they were to be delivered: what was there is lost.", field("log_unreadable")),

		InFlight: s.Gauge("signals_in_flight", "Signals in flight to Temporal.", field("signals_in_flight")),
		Limit:    s.Gauge("signals_limit", "Limit of signals in flight, which follows their latency.", field("signals_limit")),
		Linger: s.Duration("linger_seconds", "Pause of a device between its signals, which follows their latency; 0 while Temporal is idle.",
			field("linger_seconds")),

		Resting:     s.Gauge("devices_resting", "Devices whose batch grows until their linger is over.", field("devices_resting")),
		Waiting:     s.Gauge("devices_waiting", "Devices whose batch waits for its turn or for its next attempt.", field("devices_waiting")),
		Quarantined: s.Gauge("devices_stuck", "Devices whose messages become dead letters because their workflow does not accept signals.", field("devices_stuck")),
		Devices:     s.Gauge("devices_known", "Devices that the bridge remembers.", field("devices_known")),

		BatchMessages: s.Histogram("batch_messages", "Messages in a signal that Temporal accepted.",
			[]float64{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000}, quantile("batch_p50_messages", .5), quantile("batch_p99_messages", .99)),
		DeliverSeconds: s.Histogram("signal_seconds", "Latency of attempts to signal a workflow, including failed ones.",
			latencyBuckets, quantile("signal_p50_seconds", .5), quantile("signal_p99_seconds", .99)),
		WaitSeconds: s.Histogram("wait_seconds", "How long the first message of a batch waited until its signal was sent: for the previous signal, linger, its turn.",
			append(latencyBuckets, 30, 60), quantile("wait_p50_seconds", .5), quantile("wait_p99_seconds", .99)),
	}
	s.Ratio(field("batch_messages"), "events_total", "signals_total")
	return c
}

// Refused is how many messages became dead letters.
func (c *Counts) Refused() (all uint64, byReason map[wire.Reason]uint64) {
	byReason = make(map[wire.Reason]uint64)
	for reason, n := range c.DeadLetters {
		byReason[reason] = n.Load()
		all += byReason[reason]
	}
	return all, byReason
}

// The reasons for which a message that could be read becomes a dead letter.
const (
	ReasonRefused wire.Reason = "refused" // its workflow refused it permanently
	ReasonQuota   wire.Reason = "quota"   // more than one device may have delivered, or held up
)

// Reasons lists every reason of a dead letter.
func Reasons() []wire.Reason { return append(wire.Reasons(), ReasonRefused, ReasonQuota) }

// deadLetter is the counter of a reason. One that only a dialect knows counts as a
// bad payload.
func (c *Counts) deadLetter(r wire.Reason) *atomic.Uint64 {
	if n := c.DeadLetters[r]; n != nil {
		return n
	}
	return c.DeadLetters[wire.ReasonBadPayload]
}

// observe takes over what can be read off the core.
func (c *Counts) observe(from *core) {
	window := 0
	for _, l := range from.lanes {
		window += l.entries.len()
	}
	var oldest int64
	if at, ok := from.oldest(); ok {
		oldest = at.UnixMilli()
	}
	c.Window.Store(int64(window))
	c.Oldest.Store(oldest)
	c.Held.Store(int64(from.held))
	c.Backlog.Store(int64(from.backlog))
	since := int64(0)
	if from.records.len() > 0 {
		since = from.records.head().at.UnixMilli()
	}
	c.BacklogSince.Store(since)
	c.HeldBytes.Store(int64(from.heldBytes))
	c.InFlight.Store(int64(from.inFlight))
	c.Waiting.Store(int64(from.ready.len() + from.retries.len() + from.starting.len()))
	c.Linger.Store(int64(from.pacer.linger))
	c.Limit.Store(int64(from.pacer.inFlight()))
	c.Resting.Store(int64(from.resting.len()))
	c.Quarantined.Store(int64(from.quarantined))
	c.Devices.Store(int64(len(from.devices.byID)))
	c.Outage.Store(from.outage.on)
}
