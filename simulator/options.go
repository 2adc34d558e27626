package simulator

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strconv"
	"time"

	"devicetwin/device"
	"devicetwin/devicefsm"
	"devicetwin/wire"
)

// Model is what the simulator needs of a loaded model: *devicefsm.Model.
type Model interface {
	Name() string
	Hash() string
	// Relevant reports whether a message can matter to the statechart in any state.
	Relevant(device.Message) bool
	// Pass reports whether a message has to reach the workflow: it can matter to
	// the statechart, and is not a repetition without effect after the
	// messages that the filter has let pass.
	Pass(*devicefsm.Filter, device.Message) bool
}

// Twins answers for the devices' workflows.
type Twins interface {
	// Applied returns the messages that the device's workflow applied, over all of
	// its runs. A device without a workflow has an empty log and no error.
	Applied(ctx context.Context, device string) (AppliedLog, error)
	// States counts the devices by state, for the progress display. It may be
	// approximate.
	States(ctx context.Context) (map[string]int, error)
}

// AppliedLog is what a workflow says about itself.
type AppliedLog struct {
	// Entries are the messages that were applied, in that order.
	Entries []Applied
	// Signals is how many signals the workflow received in its whole life.
	Signals int
	// State is the name of the device's present state.
	State string
	// Pending is true while signals have been received but not processed.
	Pending bool
}

// Applied is one message that a workflow applied.
type Applied struct {
	Epoch   int64
	Seq     uint64    // 0: the message had no number
	Digest  uint64    // of such a message: the first 64 bits of device.Message.Digest
	Durable time.Time // when Temporal had stored the workflow task that applied it
	Signal  int       // ordinal of that task among those of the device, from 1; 0: not known
}

// Acknowledged is a message that the broker has acknowledged.
type Acknowledged struct {
	Device  string         `json:"device"`
	Channel device.Channel `json:"channel"`
	Epoch   int64          `json:"epoch"`
	Seq     uint64         `json:"seq"` // 0 of a device without numbers
	TS      int64          `json:"ts"`  // by the device's own clock, Unix milliseconds; 0: it gave none
	// Digest is that of a message without a number, as in LostMessage.
	Digest string `json:"digest,omitempty"`
	// Data is what a message of telemetry said.
	Data map[string]any `json:"data,omitempty"`
}

// Options say what Run does. The zero values of the fields that are not marked
// as required have the defaults named next to them.
type Options struct {
	// Brokers are tried in turn at each connection attempt. Required:
	// mqtt://host:port, or mqtts://, ws://, wss://.
	Brokers  []string
	TLS      *tls.Config // nil: of the system
	Username string      // of devices that were not reprovisioned yet
	Password string
	Scenario *Scenario // required
	Model    Model     // required
	Twins    Twins     // required
	// Models are those of the profiles that name one, by what they call it.
	Models map[string]Model
	Groups Groups // required if the scenario expects alarms of groups

	Devices  int           // required, 1 to 1,000,000
	Rate     float64       // readings per second and device; 1
	Duration time.Duration // of the run at full strength; that of the scenario, or 1 minute
	Seed     uint64

	// Prefix is the beginning of each device's id: <prefix>-0001. Ids that an earlier run
	// used keep that run's twins, in whatever state it left them. Default: the
	// scenario's name and the time of the start.
	Prefix      string
	ConnectRate float64       // devices that connect per second; 100
	InFlight    int           // unacknowledged messages per device; 1
	Drain       time.Duration // longest wait after the run; attempts × timeout + 1 minute + 50 ms per device
	MaxLedger   int           // relevant messages, and rows of optional ones, kept in all; 20,000,000 (480 MB)

	Speech Speech // how the devices speak; the default is Standard with wire.DefaultConfig

	Progress func(Progress) // called about once a second; may be nil
	Points   PointWriter    // takes the ledger's figures, about every two seconds, and the verdict; may be nil
	// Acknowledged is called for each message that the broker has acknowledged,
	// except repetitions and messages that are sent to be refused. It is called from many
	// goroutines; may be nil.
	Acknowledged func(Acknowledged)
	Log          *slog.Logger // default: slog.Default()
}

func (o *Options) setDefaults(start time.Time) {
	if o.Speech == nil {
		dialect, _ := wire.New(wire.DefaultConfig()) // the default is valid
		o.Speech = Standard(dialect)
	}
	if o.Rate == 0 {
		o.Rate = 1
	}
	if o.Duration == 0 && o.Scenario != nil {
		o.Duration = o.Scenario.Duration
	}
	if o.Duration == 0 {
		o.Duration = time.Minute
	}
	if o.Prefix == "" && o.Scenario != nil {
		o.Prefix = o.Scenario.Name + "-" + strconv.FormatInt(start.Unix(), 36)
	}
	if o.ConnectRate == 0 {
		o.ConnectRate = 100
	}
	if o.InFlight == 0 {
		o.InFlight = 1
	}
	if o.Drain == 0 && o.Scenario != nil {
		// A goodbye and the question about it take some 30 ms of the development machine.
		o.Drain = time.Duration(o.Scenario.Expect.Attempts)*o.Scenario.Expect.Timeout + time.Minute +
			time.Duration(o.Devices)*50*time.Millisecond
	}
	if o.MaxLedger == 0 {
		o.MaxLedger = 20_000_000
	}
	if o.Progress == nil {
		o.Progress = func(Progress) {}
	}
	if o.Acknowledged == nil {
		o.Acknowledged = func(Acknowledged) {}
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
}

var prefixForm = regexp.MustCompile(`^[a-zA-Z0-9:_-]{1,100}$`)

// Validate reports every error, joined.
func (o Options) Validate() error {
	o.setDefaults(time.Unix(0, 0))
	var faults []error
	refuse := func(bad bool, format string, args ...any) {
		if bad {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	refuse(len(o.Brokers) == 0, "broker: expected an address such as mqtt://localhost:1883, found nothing")
	for _, b := range o.Brokers {
		if err := checkBroker(b); err != nil {
			faults = append(faults, err)
		}
	}
	refuse(o.Scenario == nil, "scenario: none given")
	refuse(o.Model == nil, "model: none given")
	refuse(o.Twins == nil, "twins: none given")
	refuse(o.Devices < 1 || o.Devices > 1_000_000, "devices: expected 1 to 1000000, found %d", o.Devices)
	refuse(!(o.Rate > 0 && o.Rate <= 1000), "rate: expected more than 0 and at most 1000 readings per second, found %g", o.Rate)
	refuse(o.Duration < time.Second, "duration: expected at least 1s, found %s", o.Duration)
	refuse(!(o.ConnectRate > 0 && o.ConnectRate <= 10_000), "connect rate: expected more than 0 and at most 10000 per second, found %g", o.ConnectRate)
	refuse(o.InFlight < 1 || o.InFlight > 100, "in flight: expected 1 to 100, found %d", o.InFlight)
	refuse(o.Drain < 0, "drain: expected a length of time, found %s", o.Drain)
	refuse(o.MaxLedger < 1, "max ledger: expected at least 1, found %d", o.MaxLedger)
	refuse(o.Scenario != nil && !prefixForm.MatchString(o.Prefix), "prefix: expected 1 to 100 of a-z A-Z 0-9 : _ -, found %q", o.Prefix)
	if o.Scenario != nil {
		faults = append(faults, o.unspeakable()...)
		faults = append(faults, o.checkGateways()...)
	}
	return errors.Join(faults...)
}

// unspeakable are the faults of messages of the scenario that its devices have no words for.
func (o Options) unspeakable() (faults []error) {
	voice := o.Speech.Voice(device.ID(o.deviceID(0)), Identity{})
	for _, m := range o.Scenario.said() {
		if _, err := voice.Say(m, time.Time{}); err != nil {
			faults = append(faults, fmt.Errorf("scenario: message on channel %s: %w", m.Channel, err))
		}
	}
	return faults
}

// deviceID is the id of the device with this index, from 0.
func (o Options) deviceID(index int) string {
	width := max(4, len(strconv.Itoa(o.Devices)))
	return fmt.Sprintf("%s-%0*d", o.Prefix, width, index+1)
}
