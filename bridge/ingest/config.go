package ingest

import (
	"time"

	"devicetwin/internal/faults"
	"devicetwin/twin"
)

// Config is everything about an Ingest that can be set. Begin with DefaultConfig.
type Config struct {
	// Partition is this process's share of the devices. What others publish is
	// acknowledged and passed over, so every share needs a bridge.
	Partition Partition

	// MaxDevices bounds the devices that are remembered between their messages.
	// One that was forgotten is treated as seen for the first time: a gap in its
	// numbers across that moment goes unnoticed, and its liveness is renewed.
	MaxDevices int

	// What one device may have signalled; the points of its telemetry are written
	// anyway. Beyond it, its messages become dead letters (ReasonQuota).
	QuotaRate    int           // messages a second; 0: any number
	QuotaBurst   int           // messages at once
	QuotaWaiting int           // messages waiting for Temporal; 0: as many as the window holds
	QuotaCatchUp time.Duration // of QuotaRate at the start, for what the broker kept in the session
	// StuckAfter is how long the signals of one device may fail while it holds up
	// the others, with a full window, and Temporal accepts theirs. 0: forever.
	StuckAfter time.Duration

	// ModelRules give devices their models: "pump-*=pump", a pattern as of
	// path.Match over the id, and the name or the hash of one of Deps' models; the
	// first that fits counts. With ModelFromBirth the other devices name theirs
	// themselves, under the key model of a message on their status topic; until then
	// everything of them is signalled.
	ModelRules     []string
	ModelFromBirth bool
	// RetainedBirths takes models from retained messages on status topics too, which the
	// broker sends when the bridge subscribes.
	RetainedBirths bool
	// StartRate is how many workflows may be started a second, spread evenly; 0: any number.
	// Those of devices count that are not known here to have one. What waits for
	// that holds up the window of its lane.
	StartRate int
	// StartOnAny starts a device's workflow with the first message of any kind,
	// not with the first that matters to its model.
	StartOnAny bool

	// SettledFor is how long repetitions that can do nothing are left out: then
	// one is signalled again, for a workflow that was started again meanwhile. 0:
	// none are left out; nor are they where Deps.WholeDevices is false.
	SettledFor time.Duration

	// Recognized is how many arrivals of devices that do not number their messages are remembered, so that
	// they are not applied again when the broker has lost their acknowledgements, and RecognizedFor is the
	// time: it should be some times as long as the broker waits for an acknowledgement. 0: none are.
	Recognized    int
	RecognizedFor time.Duration

	// MovesFor is how long repetitions are left out after it was last known whether devices are
	// moved to other versions of their models: see Ingest.Moves. 0: nobody moves devices.
	MovesFor time.Duration

	// FaultInterval is the least time between two reports of one device's faults that
	// go to its workflow on their own. The first fault is reported at once.
	FaultInterval time.Duration

	Window int // messages of a lane that wait to be accepted, or to be in the log
	// WindowBytes is the same of all lanes, in bytes of payload; and of what is
	// acknowledged and waits to be accepted: what is beyond it is only in the log.
	WindowBytes int

	BatchMessages   int           // messages in one signal
	BatchBytes      int           // of one signal's JSON, by a bound that is never too low
	SignalsInFlight int           // over all devices, at most; each device has at most one
	LingerMax       time.Duration // rest of a device between its signals, at most; 0: none (see pacer)
	SignalTimeout   time.Duration // of one attempt
	RetryMin        time.Duration // wait before the first repetition of a signal, doubled each time
	RetryMax        time.Duration

	// AckAccepted acknowledges an arrival when its messages are accepted by the sink, and
	// not when they are in the log. Without a log it is always so.
	AckAccepted bool

	// Naive makes each message a signal of its own: relevant or not, without
	// batches, linger, or a limit that follows the load. It is there to be
	// compared with.
	Naive bool

	MaxRequest int // bytes of a request of the shadow protocol; larger ones are rejected
}

// DefaultConfig is for a fleet of 250,000 devices at most.
func DefaultConfig() Config {
	return Config{
		MaxDevices: 250_000,

		QuotaRate:    100,
		QuotaBurst:   1000,
		QuotaWaiting: 10_000,
		QuotaCatchUp: time.Hour,
		StuckAfter:   30 * time.Second,
		SettledFor:   time.Hour,

		Recognized:    100_000,
		RecognizedFor: 15 * time.Minute,

		FaultInterval: time.Minute,

		Window:      4096,
		WindowBytes: 32 << 20,

		BatchMessages:   500,
		BatchBytes:      480 << 10,
		SignalsInFlight: 64,
		LingerMax:       time.Second,
		SignalTimeout:   10 * time.Second,
		RetryMin:        100 * time.Millisecond,
		RetryMax:        5 * time.Second,

		MaxRequest: twin.DefaultLimits().Request,
	}
}

// Bounds that no setting may pass.
const (
	maxBatchBytes = 1 << 20
	// A packet id of MQTT has 16 bits, so no broker has more messages in flight.
	maxWindow = 65535
	maxLinger = time.Minute
	maxQuota  = 1_000_000

	maxRecognized = 2_000_000 // which is 46 MB of a checkpoint; one of more than 64 cannot be read
)

// Validate reports every fault, as one error with a line for each.
func (c Config) Validate() error {
	var f faults.List
	f.Check(c.Partition.Valid(), "partition %d/%d: expected 1/1 to %d/%[3]d", c.Partition.Index, c.Partition.Of, maxPartitions)
	f.Between("devices remembered", c.MaxDevices, 1, 1<<30)
	f.Between("quota of messages a second", c.QuotaRate, 0, maxQuota)
	f.Check(c.QuotaRate == 0 || 1 <= c.QuotaBurst && c.QuotaBurst <= maxQuota, "burst of the quota %d: expected 1 to %d", c.QuotaBurst, maxQuota)
	f.Between("quota of messages waiting", c.QuotaWaiting, 0, maxQuota)
	f.NotNegative("quota for what the broker kept", c.QuotaCatchUp)
	f.NotNegative("time until a device is stuck", c.StuckAfter)
	f.NotNegative("time for which settled repetitions are left out", c.SettledFor)
	f.Between("arrivals recognized", c.Recognized, 0, maxRecognized)
	f.NotNegative("time for which arrivals are recognized", c.RecognizedFor)
	f.NotNegative("time for which it is known whether devices are moved", c.MovesFor)
	f.Positive("time between reports of a device's faults", c.FaultInterval)
	f.Between("workflows started a second", c.StartRate, 0, maxQuota)
	for _, rule := range c.ModelRules {
		_, _, err := cutModelRule(rule)
		f.Add(err)
	}
	f.Check(!c.RetainedBirths || c.ModelFromBirth, "models from retained births: expected models from births too")
	f.Between("window", c.Window, 1, maxWindow)
	f.Between("bytes in the window", c.WindowBytes, 1, 1<<40)
	f.Between("messages in a batch", c.BatchMessages, 1, 10_000)
	f.Between("bytes in a batch", c.BatchBytes, 1, maxBatchBytes)
	f.Between("signals in flight", c.SignalsInFlight, 1, 10_000)
	f.Check(0 <= c.LingerMax && c.LingerMax <= maxLinger, "linger %v: expected 0s to %v", c.LingerMax, maxLinger)
	f.Positive("signal timeout", c.SignalTimeout)
	f.Ordered("wait before a signal is repeated", c.RetryMin, c.RetryMax)
	f.Between("largest request of the shadow protocol", c.MaxRequest, 0, maxBatchBytes)
	return f.Err()
}
