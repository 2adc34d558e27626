package bridge

import (
	"sync/atomic"
	"time"

	"devicetwin/internal/figures"

	"github.com/prometheus/client_golang/prometheus"

	"devicetwin/wire"
)

// counters is what a bridge counts. The goroutines that do the work add to it,
// anyone may read.
type counters struct {
	received       atomic.Uint64 // MQTT messages
	repeated       atomic.Uint64 // of these, repetitions of what the bridge still knew
	ignored        atomic.Uint64 // retained copies and commands to devices
	foreign        atomic.Uint64 // of devices that belong to other partitions
	messages       atomic.Uint64 // JSON objects in them
	gaps           atomic.Uint64
	relevant       atomic.Uint64
	events         atomic.Uint64 // messages accepted by Temporal
	signals        atomic.Uint64
	signalFailures atomic.Uint64

	deadLetters            map[wire.Reason]*atomic.Uint64
	deadLettersUnpublished atomic.Uint64

	tooLate       atomic.Uint64 // messages from before all that is known of their device, not signalled
	unknownModels atomic.Uint64 // birth messages that name a model that this bridge lacks

	rejected   atomic.Uint64 // requests of shadows that the bridge answered itself
	unanswered atomic.Uint64 // of these answers, those that could not be published

	connects     atomic.Uint64
	connectsLost atomic.Uint64
	sessionsLost atomic.Uint64 // connections on which the broker had forgotten the session

	connected atomic.Bool // and subscribed
	outage    atomic.Bool // of Temporal
	window    atomic.Int64
	held      atomic.Int64
	heldBytes atomic.Int64
	inFlight  atomic.Int64
	waiting   atomic.Int64 // devices whose batch waits for its turn or to be tried again
	devices   atomic.Int64
	oldest    atomic.Int64 // Unix ms; 0: nothing is unacknowledged
	linger    atomic.Int64 // ns
	limit     atomic.Int64 // of signals in flight
	resting   atomic.Int64 // devices whose batch lingers
	stuck     atomic.Int64 // devices that were given up
	silent    atomic.Int64 // devices not heard of for longer than their liveness allows; counted with each point

	batchMessages prometheus.Histogram
	signalSeconds prometheus.Histogram
	waitSeconds   prometheus.Histogram
}

func newCounters() *counters {
	c := &counters{
		deadLetters: make(map[wire.Reason]*atomic.Uint64),
		batchMessages: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "devicetwin_bridge_batch_messages",
			Help:    "Messages in a signal that Temporal accepted.",
			Buckets: []float64{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000},
		}),
		signalSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "devicetwin_bridge_signal_seconds",
			Help:    "How long an attempt to signal a workflow took, failed ones included.",
			Buckets: []float64{.001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10},
		}),
		waitSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "devicetwin_bridge_wait_seconds",
			Help:    "How long the first message of a batch waited for its signal to begin: for the one before, linger, its turn.",
			Buckets: []float64{.001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10, 30, 60},
		}),
	}
	for _, r := range Reasons() {
		c.deadLetters[r] = new(atomic.Uint64)
	}
	return c
}

func (c *counters) register(to prometheus.Registerer) error {
	const bridge figures.Prefix = "devicetwin_bridge_"
	all := []prometheus.Collector{
		c.batchMessages,
		c.signalSeconds,
		c.waitSeconds,
		bridge.Counter("received_total", "MQTT messages received.", &c.received),
		bridge.Counter("repeated_total", "MQTT messages delivered again that the bridge still knew.", &c.repeated),
		bridge.Counter("ignored_total", "Retained copies, commands to devices and answers to requests, which are no input.", &c.ignored),
		bridge.Counter("foreign_total", "MQTT messages of devices that belong to other partitions.", &c.foreign),
		bridge.Counter("messages_total", "JSON objects received.", &c.messages),
		bridge.Counter("gaps_total", "Gaps in the numbers of devices.", &c.gaps),
		bridge.Counter("relevant_total", "Messages that can matter to the model.", &c.relevant),
		bridge.Counter("events_total", "Messages accepted by Temporal.", &c.events),
		bridge.Counter("signals_total", "Signals accepted by Temporal.", &c.signals),
		bridge.Counter("signal_failures_total", "Attempts to signal that failed and are repeated.", &c.signalFailures),
		bridge.Counter("dead_letters_unpublished_total", "Dead letters that could not be published.", &c.deadLettersUnpublished),
		bridge.Counter("too_late_total", "Messages not signalled because they were sent before all that this bridge knows of their device, and another may have left them out.", &c.tooLate),
		bridge.Counter("unknown_models_total", "Birth messages that name a model that this bridge does not have.", &c.unknownModels),
		bridge.Counter("requests_rejected_total", "Requests of shadows that the bridge itself answered: no workflow, too many, too large.", &c.rejected),
		bridge.Counter("answers_unpublished_total", "Answers of the bridge that could not be published.", &c.unanswered),
		bridge.Counter("connects_total", "Connections to the broker.", &c.connects),
		bridge.Counter("connections_lost_total", "Connections to the broker that were lost.", &c.connectsLost),
		bridge.Counter("sessions_lost_total", "Reconnections on which the broker had forgotten the session.", &c.sessionsLost),
		bridge.Gauge("window_messages", "MQTT messages not yet acknowledged on this connection.", &c.window),
		bridge.Gauge("held_messages", "MQTT messages in memory.", &c.held),
		bridge.Gauge("held_bytes", "Bytes of payload in memory.", &c.heldBytes),
		bridge.Gauge("signals_in_flight", "Signals on their way to Temporal.", &c.inFlight),
		bridge.Gauge("signals_limit", "Signals that may be on their way to Temporal now, by how long they take.", &c.limit),
		bridge.GaugeOf("linger_seconds", "Rest of a device between its signals now, by how long they take; 0 while Temporal is idle.",
			func() float64 { return time.Duration(c.linger.Load()).Seconds() }),
		bridge.Gauge("devices_resting", "Devices whose batch grows until linger is over.", &c.resting),
		bridge.Gauge("devices_waiting", "Devices whose batch waits for its turn or to be repeated.", &c.waiting),
		bridge.Gauge("devices_stuck", "Devices whose messages are dead letters because their workflow takes no signals.", &c.stuck),
		bridge.Gauge("devices_silent", "Devices remembered that were not heard of for longer than the model's liveness allows.", &c.silent),
		bridge.Gauge("devices_known", "Devices remembered.", &c.devices),
		bridge.GaugeOf("oldest_unacknowledged_seconds", "Age of the oldest MQTT message that is not acknowledged.",
			func() float64 { return c.oldestAge().Seconds() }),
		bridge.GaugeOf("connected", "1 while connected to the broker and subscribed.", func() float64 {
			if c.connected.Load() {
				return 1
			}
			return 0
		}),
	}
	for _, r := range Reasons() {
		all = append(all, bridge.CounterFor(prometheus.Labels{"reason": string(r)},
			"dead_letters_total", "Messages refused, by reason.", c.deadLetters[r]))
	}
	return figures.RegisterAll(to, all)
}

func (c *counters) oldestAge() time.Duration {
	ms := c.oldest.Load()
	if ms == 0 {
		return 0
	}
	return max(0, time.Since(time.UnixMilli(ms)))
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

// Stats is what a bridge has done since it was made, and where it stands.
type Stats struct {
	Received       uint64 // MQTT messages
	Repeated       uint64 // of these, repetitions of what the bridge still knew
	Ignored        uint64 // of these, retained copies and commands to devices
	Foreign        uint64 // of these, messages of devices that belong to other partitions
	Messages       uint64 // JSON objects in them
	Gaps           uint64 // gaps in the numbers of devices
	Relevant       uint64 // messages that can matter to the model
	Events         uint64 // messages accepted by Temporal
	Signals        uint64 // signals accepted by Temporal
	SignalFailures uint64 // attempts that failed and were repeated

	DeadLetters            uint64
	DeadLettersByReason    map[wire.Reason]uint64
	DeadLettersUnpublished uint64

	Connects        uint64
	ConnectionsLost uint64
	SessionsLost    uint64 // reconnections on which the broker had forgotten the session

	Connected      bool          // to the broker, and subscribed
	TemporalOutage bool          // signals are failing; one at a time tries
	Window         int           // MQTT messages not yet acknowledged
	Oldest         time.Duration // age of the oldest of them
	Held           int           // MQTT messages in memory
	InFlight       int           // signals on their way to Temporal
	InFlightLimit  int           // how many may be now, by how long they take
	Linger         time.Duration // rest of a device between its signals now, by the same
	Resting        int           // devices whose batch grows until linger is over
	Waiting        int           // devices whose batch waits for its turn, or to be tried again
	Stuck          int           // devices whose messages are dead letters because their workflow takes no signals
	Silent         int           // devices remembered that were not heard of for longer than the model's liveness allows
	Devices        int           // devices remembered
}

func (c *counters) stats() Stats {
	s := Stats{
		Received: c.received.Load(), Repeated: c.repeated.Load(), Ignored: c.ignored.Load(), Foreign: c.foreign.Load(),
		Messages: c.messages.Load(), Gaps: c.gaps.Load(), Relevant: c.relevant.Load(),
		Events: c.events.Load(), Signals: c.signals.Load(), SignalFailures: c.signalFailures.Load(),
		DeadLettersByReason:    make(map[wire.Reason]uint64),
		DeadLettersUnpublished: c.deadLettersUnpublished.Load(),
		Connects:               c.connects.Load(), ConnectionsLost: c.connectsLost.Load(), SessionsLost: c.sessionsLost.Load(),
		Connected: c.connected.Load(), TemporalOutage: c.outage.Load(),
		Window: int(c.window.Load()), Oldest: c.oldestAge(), Held: int(c.held.Load()),
		InFlight: int(c.inFlight.Load()), Waiting: int(c.waiting.Load()),
		InFlightLimit: int(c.limit.Load()), Linger: time.Duration(c.linger.Load()), Resting: int(c.resting.Load()), Stuck: int(c.stuck.Load()),
		Silent: int(c.silent.Load()), Devices: int(c.devices.Load()),
	}
	for _, r := range Reasons() {
		n := c.deadLetters[r].Load()
		s.DeadLettersByReason[r] = n
		s.DeadLetters += n
	}
	return s
}
