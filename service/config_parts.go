package service

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"devicetwin/bridge"
	"devicetwin/bridge/ingest"
	"devicetwin/device"
	"devicetwin/devicefsm"
	"devicetwin/internal/kinds"
	"devicetwin/internal/modelfile"
	"devicetwin/twin"
	deviceworkflow "devicetwin/workflows/device"
	"devicetwin/workflows/migration"
)

// ModelConfig names the models.
type ModelConfig struct {
	Model  string   `help:"Model file for new devices." placeholder:"FILE"`
	Models []string `help:"More model files, or folders of them: models that devices may run, such as those that they started with earlier." placeholder:"PATH"`

	// Registry is off by default: then bridges and workers have only their files.
	Registry bool `name:"model-registry" help:"Take models, and which devices start with which, from the registry in Temporal, which devicetwin model changes while everything runs. Files and flags fill a registry that knows nothing of them; after that it counts. Bridges and workers need the same."`

	KindConfig

	Copies string `name:"model-copies" help:"Folder where bridge and worker keep a copy of each model that they ran, so that devices go on with the model that they have after its file was changed; several processes may share it. Empty to keep none." placeholder:"DIR"`
}

// KindConfig says which kinds of entities there are.
type KindConfig struct {
	Kinds string `help:"File of the kinds of entities other than devices, such as customers, and of rules for ids. Bridges, workers and the API need the same." placeholder:"FILE"`
}

// LoadModels reads the model files; that of Model is the first. Faults of all
// files are reported together, as a ConfigError.
func (c ModelConfig) LoadModels() ([]*devicefsm.Model, error) {
	files, err := c.readModels()
	if err != nil {
		return nil, err
	}
	models := make([]*devicefsm.Model, len(files))
	for i, f := range files {
		models[i] = f.Model
	}
	return models, nil
}

func (c KindConfig) readKinds() (*kinds.Set, error) {
	set, err := kinds.Read(c.Kinds)
	if err != nil {
		return nil, fmt.Errorf("kinds of entities (--kinds): %w", err)
	}
	return set, nil
}

func (c ModelConfig) readModels() ([]modelfile.File, error) {
	files, err := modelfile.List(c.Models)
	if err != nil {
		return nil, &ConfigError{err}
	}
	if c.Model != "" {
		files = append([]string{c.Model}, files...)
	}
	models, err := modelfile.Each(files, modelfile.Read)
	if err != nil {
		return nil, &ConfigError{err}
	}
	return models, nil
}

// BridgeConfig is what only a bridge needs.
type BridgeConfig struct {
	ID     string        `help:"Name of this bridge, in its topics and of its session at the broker; must be unique, and stay the same across restarts." placeholder:"NAME"`
	Log    string        `help:"Folder of the log in which the bridge keeps what it receives, at least until Temporal and InfluxDB have it; of this bridge alone. Empty to keep none." placeholder:"DIR"`
	LogMax int64         `help:"Maximum size of the log, in bytes. Beyond it, the oldest points are lost to InfluxDB; what Temporal does not have is kept, and no more messages are taken." placeholder:"BYTES"`
	LogAge time.Duration `help:"How long the log keeps what Temporal and InfluxDB have; 0s for as long as there is room." placeholder:"DURATION"`
	Ack    string        `help:"When an MQTT message is acknowledged: logged, as soon as it is on the disk of the log; accepted, as soon as Temporal has accepted what matters of it; auto, logged if there is a log." enum:"auto,accepted,logged" default:"${from_config}"`

	Subscribe       []string `help:"Topic filters to subscribe to; by default everything below the topic prefix, and what the dialects read." placeholder:"FILTER"`
	MaxPayload      int      `help:"Maximum size of an MQTT payload, in bytes." placeholder:"BYTES"`
	Window          int      `help:"Maximum number of MQTT messages received and not yet acknowledged." placeholder:"N"`
	BatchMessages   int      `help:"Maximum number of messages in one signal." placeholder:"N"`
	SignalsInFlight int      `help:"Maximum number of signals in flight to Temporal; each device has at most one." placeholder:"N"`

	QuotaRate     int           `help:"Limit on signalled messages per second, for each device; messages beyond a quota become dead letters. 0 for no limit." placeholder:"N"`
	QuotaBurst    int           `help:"Messages that a device may have signalled at once, before the rate limit applies." placeholder:"N"`
	QuotaWaiting  int           `help:"Maximum number of a device's messages that wait for Temporal; 0 for no limit but the window." placeholder:"N"`
	QuotaCatchUp  time.Duration `help:"Extra quota at startup for messages queued while the bridge was down, as time at the rate limit." placeholder:"DURATION"`
	SettledFor    time.Duration `help:"How long to leave out repeated messages that cannot change anything, such as more readings above a threshold; then one is signalled again. 0s to leave out none." placeholder:"DURATION"`
	DeletedEvery  time.Duration `help:"How often to ask Temporal which devices were deleted, so that what they go on sending is signalled again; 0s for never." placeholder:"DURATION"`
	Recognized    int           `help:"Maximum number of messages without sequence numbers that are remembered, and left out if the broker delivers them again although it had the acknowledgement, as a cluster may; 0 for none." placeholder:"N"`
	RecognizedFor time.Duration `help:"How long these are remembered: some times as long as the broker waits for an acknowledgement." placeholder:"DURATION"`

	FaultInterval time.Duration `help:"Minimum time between two signals that only report what was wrong with a device's messages; the first fault is reported at once." placeholder:"DURATION"`
	StuckAfter    time.Duration `help:"How long one device's signals may fail while they block all others, before its messages become dead letters; 0s for no limit." placeholder:"DURATION"`

	ClockAhead   time.Duration `help:"How far the time in a message (ts) may be ahead of its arrival to be believed; beyond it, the arrival counts." placeholder:"DURATION"`
	ClockBehind  time.Duration `help:"How far the time in a message (ts) may be behind its arrival to be believed; beyond it, the arrival counts." placeholder:"DURATION"`
	OnlineWords  []string      `help:"Words on a device's status topic that mean that it is connected, in upper or lower case." placeholder:"WORD"`
	OfflineWords []string      `help:"Words on a device's status topic that mean that it is not connected, in upper or lower case." placeholder:"WORD"`

	Partition      ingest.Partition `help:"This bridge's share of the devices, by a hash of their ids; every share needs a bridge with its own name." placeholder:"1/3"`
	ModelRule      []string         `help:"Model for the devices whose ids match a pattern, by name or hash; must be in --model or --models. The first match wins." placeholder:"PATTERN=MODEL"`
	ModelFromBirth bool             `help:"Devices without a rule name their model in a message on their status topic, under the key model; until then all their messages are signalled, and a workflow runs the default model."`
	RetainedBirths bool             `help:"With --bridge-model-from-birth: read models from retained messages on status topics too, which the broker sends at each connection."`
	StartOn        string           `help:"Message that starts a device's workflow: the first that is relevant to the model, or any (${enum})." enum:"relevant,any" default:"${from_config}"`

	Naive bool `help:"For comparison only: signal every message on its own, relevant or not, one at a time."`

	Linger time.Duration `help:"Maximum pause between a device's signals while Temporal is busy; 0s for none." placeholder:"DURATION"`
}

// Values of BridgeConfig.Ack.
const (
	ackAuto     = "auto"
	ackLogged   = "logged"
	ackAccepted = "accepted"
)

// Values of BridgeConfig.StartOn.
const (
	startOnRelevant = "relevant"
	startOnAny      = "any"
)

func (b BridgeConfig) config(m MQTTConfig) bridge.Config {
	cfg := bridge.DefaultConfig()
	cfg.ID, cfg.MQTT, cfg.Wire, cfg.Subscribe = b.ID, m.Client(), m.wire(), b.Subscribe
	cfg.Wire.MaxPayload, cfg.Window = b.MaxPayload, b.Window
	cfg.Wire.MaxClockAhead, cfg.Wire.MaxClockBehind = b.ClockAhead, b.ClockBehind
	cfg.Wire.StatusWords = device.StatusWords{Online: b.OnlineWords, Offline: b.OfflineWords}
	cfg.BatchMessages, cfg.SignalsInFlight, cfg.LingerMax = b.BatchMessages, b.SignalsInFlight, b.Linger
	cfg.QuotaRate, cfg.QuotaBurst, cfg.QuotaWaiting = b.QuotaRate, b.QuotaBurst, b.QuotaWaiting
	cfg.QuotaCatchUp, cfg.StuckAfter = b.QuotaCatchUp, b.StuckAfter
	cfg.Recognized, cfg.RecognizedFor = b.Recognized, b.RecognizedFor
	cfg.FaultInterval, cfg.MovesFor = b.FaultInterval, migration.KnownFor
	cfg.Partition, cfg.Naive, cfg.SettledFor = b.Partition, b.Naive, b.SettledFor
	cfg.ModelRules, cfg.ModelFromBirth, cfg.StartOnAny = b.ModelRule, b.ModelFromBirth, b.StartOn == startOnAny
	cfg.RetainedBirths = b.RetainedBirths
	cfg.AckAccepted = b.Ack == ackAccepted
	return cfg
}

// validate reports what bridge.Config does not know.
func (b BridgeConfig) validate() error {
	if b.DeletedEvery != 0 && b.DeletedEvery < time.Second {
		return fmt.Errorf("interval between looks for deleted devices (--bridge-deleted-every) %v: expected 0s, or at least 1s", b.DeletedEvery)
	}
	return nil
}

// WorkerConfig is what only a worker needs.
type WorkerConfig struct {
	Log    string        `help:"Folder of the log in which points wait until InfluxDB has them; of this worker alone. Empty to keep them in memory. With a bridge in the same process, its log is used." placeholder:"DIR"`
	LogMax int64         `help:"Maximum size of the log, in bytes; beyond it, the oldest points are lost." placeholder:"BYTES"`
	LogAge time.Duration `help:"How long the log keeps what InfluxDB has; 0s for as long as there is room." placeholder:"DURATION"`

	ID string `help:"Name of this worker at the broker, for the commands that it publishes. Default: host and process." placeholder:"NAME"`
	CredentialsConfig
	WorkerSettings
}

// CredentialsConfig says where the hashes of the credentials are that devices were given.
type CredentialsConfig struct {
	Credentials     string `help:"Where the hashes of the credentials are that devices were given, shared with the broker's authentication: a folder, or the URL of a PostgreSQL for workers on several machines." placeholder:"DIR|postgres://…"`
	CredentialsFile string `help:"File with the value of --worker-credentials, for a URL with a password." placeholder:"FILE"`
}

// WorkerSettings are those of a worker that do not depend on where it runs.
type WorkerSettings struct {
	RunEvents int `help:"Number of messages that one run of a device's workflow applies before it is continued as new." placeholder:"N"`

	MaxDeliveries int `help:"How often a command is sent to a device that restarts before it answers, 1 to 100, unless the command says so itself." placeholder:"N"`

	RecentMessages int `help:"Number of its last messages that a device's workflow keeps, so that a migration can have a pattern see them again, 0 to 256." placeholder:"N"`

	CountEvery time.Duration `help:"How often to count the devices by state, for the dashboards, with one query to Temporal for each state; 0s for never." placeholder:"DURATION"`

	Journal    string        `help:"Folder of the journal: all that the state machines of devices take, and the results, for devicetwin model replay. Several workers may share it. Empty to keep none." placeholder:"DIR"`
	JournalMax int64         `help:"Maximum size of all files of the journal, in bytes; beyond it, the oldest are removed." placeholder:"BYTES"`
	JournalAge time.Duration `help:"How long to keep files of the journal; 0s for as long as there is room." placeholder:"DURATION"`

	TwinDocument   int           `help:"Maximum size of the desired and reported properties of one shadow together, in bytes of JSON." placeholder:"BYTES"`
	TwinDepth      int           `help:"Maximum nesting of a section of a shadow." placeholder:"N"`
	TwinTombstone  time.Duration `help:"How long to remember the version of a deleted shadow." placeholder:"DURATION"`
	TwinShadows    int           `help:"Maximum number of named shadows for each device." placeholder:"N"`
	TwinRetain     bool          `help:"Publish each document when it changes, whole and retained, on PREFIX/{device}/twin/documents/current."`
	TwinProperties []string      `help:"Properties of the classic shadow to index for searches." placeholder:"reported.PATH"`

	Topics []string          `help:"MQTT filters of the topics that models may publish to, in addition to commands; {id} stands for the device." placeholder:"FILTER"`
	Notify map[string]string `help:"Webhooks that models may notify, by name." placeholder:"NAME=URL"`
}

func (w WorkerSettings) twins() deviceworkflow.TwinSettings {
	limits := twin.DefaultLimits()
	limits.Document, limits.Depth, limits.Tombstone = w.TwinDocument, w.TwinDepth, w.TwinTombstone
	limits.Request = max(limits.Request, 2*w.TwinDocument)
	return deviceworkflow.TwinSettings{Limits: limits, Shadows: w.TwinShadows, Retain: w.TwinRetain, Properties: w.TwinProperties}
}

// validate reports every fault.
func (w WorkerSettings) validate() error {
	faults := []error{w.twins().Limits.Validate()}
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if w.CountEvery != 0 && w.CountEvery < time.Second {
		fault("interval between counts of the devices (--worker-count-every) %v: expected 0s, or at least 1s", w.CountEvery)
	}
	if w.RunEvents < 1 {
		fault("messages in a run of a workflow (--worker-run-events) %d: expected at least 1", w.RunEvents)
	}
	if w.MaxDeliveries < 1 || w.MaxDeliveries > device.MaxDeliveries {
		fault("deliveries of a command (--worker-max-deliveries) %d: expected 1 to %d", w.MaxDeliveries, device.MaxDeliveries)
	}
	if w.RecentMessages < 0 || w.RecentMessages > deviceworkflow.MaxRecent {
		fault("last messages that are kept of a device (--worker-recent-messages) %d: expected 0 to %d", w.RecentMessages, deviceworkflow.MaxRecent)
	}
	if w.TwinShadows < 1 {
		fault("named shadows of a device (--worker-twin-shadows) %d: expected at least 1", w.TwinShadows)
	}
	for _, p := range w.TwinProperties {
		section, key, ok := strings.Cut(p, ".")
		if !ok || key == "" || section != "reported" && section != "desired" {
			fault("property %q (--worker-twin-properties): expected a path such as reported.firmware", p)
		}
	}
	return errors.Join(faults...)
}
