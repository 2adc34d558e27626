package bridge

import (
	"fmt"
	"regexp"
	"slices"
	"time"

	"devicetwin/internal/faults"
	"devicetwin/mqtt"
	"devicetwin/wire"
)

// Config is everything about a bridge that can be set. Begin with
// DefaultConfig; New refuses what Validate refuses.
type Config struct {
	// ID names this bridge in its topics (bridge/{ID}/deadletter) and figures:
	// [a-zA-Z0-9_-]{1,64}. Two bridges never share one.
	ID   string
	MQTT mqtt.Config

	// Wire is the grammar of topics and payloads, unless Deps has a dialect of its
	// own. New sets Wire.Mine.
	Wire wire.Config
	// Subscribe lists the topic filters to subscribe to. Empty means those of the
	// dialect. "$share/{group}/…" filters are probed at start, because some brokers
	// accept them and never deliver.
	Subscribe []string

	// Partition is this bridge's share of the devices. What others publish is
	// acknowledged and passed over, so every share needs a bridge, with an ID of
	// its own.
	Partition Partition

	// MaxDevices bounds the devices that are remembered between their messages.
	// One that was forgotten is treated as seen for the first time: a gap in its
	// numbers across that moment goes unnoticed, and its liveness is renewed.
	MaxDevices int

	// What one device may have signalled; the points of its telemetry are written
	// all the same. Beyond it, its messages become dead letters (ReasonQuota).
	QuotaRate    int           // messages a second; 0: any number
	QuotaBurst   int           // messages at once
	QuotaWaiting int           // messages waiting for Temporal; 0: as many as the window holds
	QuotaCatchUp time.Duration // of QuotaRate at the start, for what the broker kept in the session
	// StuckAfter is how long the signals of one device may fail while it holds up
	// the others, with a full window, and Temporal takes theirs. 0: for ever.
	StuckAfter time.Duration

	// ModelRules give devices their models: "pump-*=pump", a pattern as of
	// path.Match over the id, and the name or the hash of one of Deps' models; the
	// first that fits counts. With ModelFromBirth the other devices name theirs
	// themselves, under the key model of a message on their status topic; until then
	// everything of them is signalled.
	ModelRules     []string
	ModelFromBirth bool
	// StartOnAny starts a device's workflow with the first message of any kind,
	// not with the first that matters to its model.
	StartOnAny bool

	// SettledFor is how long repetitions that can do nothing are left out: then
	// one is signalled again, for a workflow that was started anew meanwhile. 0:
	// none are left out; nor are they where this bridge may not see all messages
	// of its devices: with shared subscriptions, or some kinds of topics only.
	SettledFor time.Duration

	Window      int // MQTT messages received and not yet acknowledged
	WindowBytes int // the same, in bytes of payload

	BatchMessages   int           // messages in one signal
	BatchBytes      int           // of one signal's JSON, by a bound that is never too low
	SignalsInFlight int           // over all devices, at most; each device has at most one
	LingerMax       time.Duration // rest of a device between its signals, at most; 0: none (see pacer)
	SignalTimeout   time.Duration // of one attempt
	RetryMin        time.Duration // wait before the first repetition of a signal, doubled each time
	RetryMax        time.Duration

	// Naive makes each message a signal of its own: relevant or not, without
	// batches, linger, or a limit that follows the load. It is there to be
	// compared with.
	Naive bool

	DeadLettersKept   int           // the last ones, kept in memory to be looked up
	DeadLetterTimeout time.Duration // a refused message is acknowledged after this, published or not

	DrainTimeout time.Duration // how long Run waits for signals in flight when it is told to stop
	FiguresEvery time.Duration // between counts of silent devices, and reports of refused messages in the log
}

// DefaultConfig is a bridge named "bridge" for a broker on this machine. New
// fills an empty MQTT.ClientID with "devicetwin-bridge-{ID}".
func DefaultConfig() Config {
	return Config{
		ID:   "bridge",
		MQTT: mqtt.DefaultConfig(),
		Wire: wire.DefaultConfig(),

		MaxDevices: 250_000,

		QuotaRate:    100,
		QuotaBurst:   1000,
		QuotaWaiting: 10_000,
		QuotaCatchUp: time.Hour,
		StuckAfter:   30 * time.Second,
		SettledFor:   time.Hour,

		Window:      4096,
		WindowBytes: 32 << 20,

		BatchMessages:   500,
		BatchBytes:      480 << 10,
		SignalsInFlight: 64,
		LingerMax:       time.Second,
		SignalTimeout:   10 * time.Second,
		RetryMin:        100 * time.Millisecond,
		RetryMax:        5 * time.Second,

		DeadLettersKept:   100,
		DeadLetterTimeout: 5 * time.Second,

		DrainTimeout: 10 * time.Second,
		FiguresEvery: 10 * time.Second,
	}
}

// Bounds that no setting may pass.
const (
	maxBatchBytes = 1 << 20
	// A packet id has 16 bits, so no broker has more QoS 1 messages in flight.
	maxWindow = 65535
	maxLinger = time.Minute
	maxQuota  = 1_000_000
)

var idPattern = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)

// Validate reports everything that is wrong, as one error with a line for each
// fault.
func (c Config) Validate() error {
	var f faults.List
	f.Check(idPattern.MatchString(c.ID), "bridge id %q: expected %s", c.ID, idPattern)
	f.Add(c.MQTT.Validate())
	f.Add(c.Wire.Validate())
	f.Add(c.checkShadowTopics())
	status, deadLetters := wire.StatusTopic(c.ID), wire.DeadLetterTopic(c.ID)
	for _, filter := range c.Subscribe {
		if err := mqtt.CheckFilter(filter); err != nil {
			f.Add(fmt.Errorf("subscription %q: %w", filter, err))
		}
		// Else every dead letter would come back and make another one.
		f.Check(!mqtt.Matches(filter, deadLetters) && !mqtt.Matches(filter, status),
			"subscription %q: it matches what the bridge itself publishes, %s or %s", filter, deadLetters, status)
	}
	f.Check(c.Partition.valid(), "partition %d/%d: expected 1/1 to %d/%[3]d", c.Partition.Index, c.Partition.Of, maxPartitions)
	f.Check(c.Partition.Of <= 1 || !slices.ContainsFunc(c.Subscribe, mqtt.Shared),
		"partition %v of a shared subscription: nobody would get the rest of what the broker delivers here; choose one of the two", c.Partition)
	f.Between("devices remembered", c.MaxDevices, 1, 1<<30)
	f.Between("quota of messages a second", c.QuotaRate, 0, maxQuota)
	f.Check(c.QuotaRate == 0 || 1 <= c.QuotaBurst && c.QuotaBurst <= maxQuota, "burst of the quota %d: expected 1 to %d", c.QuotaBurst, maxQuota)
	f.Between("quota of messages waiting", c.QuotaWaiting, 0, maxQuota)
	f.Check(c.QuotaCatchUp >= 0, "quota for what the broker kept %v: expected no negative duration", c.QuotaCatchUp)
	f.Check(c.StuckAfter >= 0, "time until a device is stuck %v: expected no negative duration", c.StuckAfter)
	f.Check(c.SettledFor >= 0, "time for which settled repetitions are left out %v: expected no negative duration", c.SettledFor)
	for _, rule := range c.ModelRules {
		_, _, err := cutModelRule(rule)
		f.Add(err)
	}
	f.Between("window", c.Window, 1, maxWindow)
	f.Check(c.WindowBytes >= c.Wire.MaxPayload, "window of %d bytes: expected at least the largest payload, %d", c.WindowBytes, c.Wire.MaxPayload)
	f.Between("messages in a batch", c.BatchMessages, 1, 10_000)
	f.Between("bytes in a batch", c.BatchBytes, 1, maxBatchBytes)
	f.Between("signals in flight", c.SignalsInFlight, 1, 10_000)
	f.Check(0 <= c.LingerMax && c.LingerMax <= maxLinger, "linger %v: expected 0s to %v", c.LingerMax, maxLinger)
	f.Positive("signal timeout", c.SignalTimeout)
	f.Ordered("wait before a signal is repeated", c.RetryMin, c.RetryMax)
	f.Between("dead letters kept", c.DeadLettersKept, 0, 100_000)
	f.Positive("dead letter timeout", c.DeadLetterTimeout)
	f.Positive("drain timeout", c.DrainTimeout)
	f.Positive("interval of figures", c.FiguresEvery)
	return f.Err()
}

// checkShadowTopics refuses templates that match what the bridge itself publishes.
func (c Config) checkShadowTopics() error {
	schemes, err := wire.ParseSchemes(c.Wire.Prefix, c.Wire.ShadowTopics)
	if err != nil {
		return nil // Wire.Validate reports it
	}
	var f faults.List
	status := wire.StatusTopic(c.ID)
	for _, scheme := range schemes {
		for _, filter := range scheme.Filters() {
			f.Check(!mqtt.Matches(filter, status), "topic template %q: it takes in %s", scheme, status)
		}
	}
	return f.Err()
}
