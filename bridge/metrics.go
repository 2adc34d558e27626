package bridge

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"devicetwin/internal/figures"
	"devicetwin/internal/measure"
	"devicetwin/wire"
)

// counters is what a bridge counts. The goroutines that do the work add to it,
// anyone may read.
type counters struct {
	*figures.Set

	received, repeated, ignored, foreign      *atomic.Uint64
	messages, gaps, relevant                  *atomic.Uint64
	events, signals, signalFailures           *atomic.Uint64
	tooLate, unknownModels                    *atomic.Uint64
	rejected, unanswered                      *atomic.Uint64
	connects, connectsLost, sessionsLost      *atomic.Uint64
	connected, outage                         *atomic.Bool
	window, held, heldBytes, oldest           *atomic.Int64
	inFlight, limit, linger                   *atomic.Int64
	resting, waiting, stuck, silent, devices  *atomic.Int64
	batchMessages, signalSeconds, waitSeconds prometheus.Histogram

	deadLetters            map[wire.Reason]*atomic.Uint64
	deadLettersUnpublished *atomic.Uint64
}

var latencyBuckets = []float64{.001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10}

func newCounters() *counters {
	s := figures.NewSet("devicetwin_bridge_")
	field := func(name string) figures.Field { return figures.Field{Measurement: measure.Bridge, Name: name} }
	quantile := func(name string, q float64) figures.Field {
		return figures.Field{Measurement: measure.Process, Name: name, Quantile: q}
	}
	c := &counters{
		Set: s,

		received: s.Counter("received_total", "MQTT messages received.", field("received")),
		repeated: s.Counter("repeated_total", "MQTT messages delivered again that the bridge still knew.", field("repeated")),
		ignored:  s.Counter("ignored_total", "Retained copies, commands to devices and responses to requests, which are not input.", field("ignored")),
		foreign:  s.Counter("foreign_total", "MQTT messages of devices that belong to other partitions.", field("foreign")),

		messages: s.Counter("messages_total", "JSON objects received.", field("messages")),
		gaps:     s.Counter("gaps_total", "Gaps in the message numbers of devices.", field("gaps")),
		relevant: s.Counter("relevant_total", "Messages that can matter to the model.", field("relevant")),

		events:         s.Counter("events_total", "Messages accepted by Temporal.", field("events")),
		signals:        s.Counter("signals_total", "Signals accepted by Temporal.", field("signals")),
		signalFailures: s.Counter("signal_failures_total", "Attempts to signal that failed and are repeated.", field("signal_failures")),
		outage:         s.Flag("temporal_outage", "1 while signals fail; one at a time is tried.", field("temporal_outage")),

		deadLetters: figures.Counters(s, "dead_letters_total", "reason", Reasons(), "Rejected messages, by reason.", field("dead_letters")),
		deadLettersUnpublished: s.Counter("dead_letters_unpublished_total", "Dead letters that could not be published.",
			field("dead_letters_unpublished")),

		tooLate:       s.Counter("too_late_total", "Messages not signalled because they are older than everything that this bridge knows of their device: another bridge may have left them out."),
		unknownModels: s.Counter("unknown_models_total", "Birth messages that name a model that this bridge does not have."),
		rejected:      s.Counter("requests_rejected_total", "Shadow requests that the bridge itself rejected: no workflow, too many, too large."),
		unanswered:    s.Counter("answers_unpublished_total", "Responses of the bridge that could not be published."),

		connects:     s.Counter("connects_total", "Connections to the broker.", field("connects")),
		connectsLost: s.Counter("connections_lost_total", "Connections to the broker that were lost.", field("connections_lost")),
		sessionsLost: s.Counter("sessions_lost_total", "Reconnections on which the broker had forgotten the session.", field("sessions_lost")),
		connected:    s.Flag("connected", "1 while connected to the broker and subscribed.", field("connected")),

		window:    s.Gauge("window_messages", "MQTT messages not yet acknowledged on this connection.", field("window_messages")),
		oldest:    s.Age("oldest_unacknowledged_seconds", "Age of the oldest MQTT message that is not acknowledged.", field("oldest_unacknowledged_seconds")),
		held:      s.Gauge("held_messages", "MQTT messages in memory.", field("held_messages")),
		heldBytes: s.Gauge("held_bytes", "Bytes of payload in memory."),

		inFlight: s.Gauge("signals_in_flight", "Signals in flight to Temporal.", field("signals_in_flight")),
		limit:    s.Gauge("signals_limit", "Limit of signals in flight, which follows their latency.", field("signals_limit")),
		linger: s.Duration("linger_seconds", "Pause of a device between its signals, which follows their latency; 0 while Temporal is idle.",
			field("linger_seconds")),

		resting: s.Gauge("devices_resting", "Devices whose batch grows until their linger is over.", field("devices_resting")),
		waiting: s.Gauge("devices_waiting", "Devices whose batch waits for its turn or for its next attempt.", field("devices_waiting")),
		stuck:   s.Gauge("devices_stuck", "Devices whose messages become dead letters because their workflow does not accept signals.", field("devices_stuck")),
		silent: s.Gauge("devices_silent", "Known devices that have sent nothing for longer than the liveness of their model allows.",
			field("devices_silent")),
		devices: s.Gauge("devices_known", "Devices that the bridge remembers.", field("devices_known")),

		batchMessages: s.Histogram("batch_messages", "Messages in a signal that Temporal accepted.",
			[]float64{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000}, quantile("batch_p50_messages", .5), quantile("batch_p99_messages", .99)),
		signalSeconds: s.Histogram("signal_seconds", "Latency of attempts to signal a workflow, including failed ones.",
			latencyBuckets, quantile("signal_p50_seconds", .5), quantile("signal_p99_seconds", .99)),
		waitSeconds: s.Histogram("wait_seconds", "How long the first message of a batch waited until its signal was sent: for the previous signal, linger, its turn.",
			append(latencyBuckets, 30, 60), quantile("wait_p50_seconds", .5), quantile("wait_p99_seconds", .99)),
	}
	s.Ratio(field("batch_messages"), "events_total", "signals_total")
	return c
}

// Declared is the metrics of a bridge, for those who draw or write what it counts.
func Declared() *figures.Set { return newCounters().Set }

// refused is how many messages became dead letters.
func (c *counters) refused() (all uint64, byReason map[wire.Reason]uint64) {
	byReason = make(map[wire.Reason]uint64)
	for reason, n := range c.deadLetters {
		byReason[reason] = n.Load()
		all += byReason[reason]
	}
	return all, byReason
}

// observe takes over what can be read off the core.
func (c *counters) observe(from *core) {
	window := 0
	if from.live != nil {
		window = from.live.entries.len()
	}
	var oldest int64
	if at, ok := from.oldest(); ok {
		oldest = at.UnixMilli()
	}
	c.window.Store(int64(window))
	c.oldest.Store(oldest)
	c.held.Store(int64(from.held))
	c.heldBytes.Store(int64(from.heldBytes))
	c.inFlight.Store(int64(from.inFlight))
	c.waiting.Store(int64(from.ready.len() + from.retries.len()))
	c.linger.Store(int64(from.pacer.linger))
	c.limit.Store(int64(from.pacer.inFlight()))
	c.resting.Store(int64(from.resting.len()))
	c.stuck.Store(int64(from.stuck))
	c.devices.Store(int64(len(from.devices.byID)))
	c.outage.Store(from.outage.on)
}
