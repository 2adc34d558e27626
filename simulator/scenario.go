package simulator

import (
	"time"

	"devicetwin/device"
)

// Scenario says what kinds of devices a fleet has, what goes wrong with them,
// and what the service is expected to do about it. ReadScenario makes one.
type Scenario struct {
	Name     string
	Duration time.Duration // of a run that is given none; 0: the simulator's own default
	Profiles []Profile
	Faults   []FaultSequence
	Clock    Clock
	Jitter   float64 // how late readings come, as a part of the time between them: up to 1
	Repeats  Repeats
	Churn    Churn
	Backlogs Backlogs
	Poison   float64 // undecodable messages per minute and device
	// Unnumbered is the part of the devices that send neither epoch nor seq.
	Unnumbered float64
	// Mixed is the part of the readings that have another type where others have a
	// number, or keys that are in the way of others: see oddities.
	Mixed   float64
	Answers []Answer
	Expect  Expect
	// Gateways are devices through which the others reach the broker.
	Gateways Gateways
}

// Profile is a kind of device. Weights are relative to those of the others.
type Profile struct {
	Name      string
	Weight    float64
	Firmware  []string // one of these for each device, evenly
	Site      []string
	Telemetry []Field
	// Model is the file of the model that its devices run and name in their births, as it is written in
	// the scenario; "": that of the fleet.
	Model string
	// Faults, if not nil, scales the frequency of fault sequences by name for
	// devices of this profile; those not named keep theirs.
	Faults map[string]float64
}

// Field is one field of the telemetry and how its values come about.
type Field struct {
	Name      string
	Generator Generator
}

// FaultSequence is a list of messages that a device sends when something goes
// wrong with it, amid its other messages.
type FaultSequence struct {
	Name string
	// How often it begins: PerMinute as a Poisson process, PerMessage with that
	// probability at each reading. One of them is 0. It never begins while it is
	// under way.
	PerMinute  float64
	PerMessage float64
	Messages   []FaultMessage
}

// FaultMessage is a message of a fault sequence, Times over.
type FaultMessage struct {
	Channel device.Channel // telemetry, status or events
	Name    string         // of the event, on ChannelEvents
	Data    map[string]any
	Times   int
	Gap     Range // time before each of them
}

// Range is a span of durations, evenly distributed.
type Range struct{ Min, Max time.Duration }

// Clock says how far the clocks of devices are off.
type Clock struct {
	Skew  time.Duration // each by a fixed amount within ±Skew
	Wrong float64       // part of the devices whose clock is farther off than can be believed
	None  float64       // part of the devices that give no time at all
}

// Backlogs are outages in which a device keeps recording. Back online, it sends
// everything at once, in order, with the times at which it was recorded.
type Backlogs struct {
	PerMinute float64
	Down      Range
}

// Repeats are messages that a device sends twice, with the same number.
type Repeats struct {
	PerMessage float64
	Delay      Range // after the PUBACK of the first
}

// Churn is how devices leave and come back.
type Churn struct {
	PerMinute   float64
	Down        Range
	Clean       float64 // part of the disconnects that are proper ones, with a goodbye and DISCONNECT
	LoseCounter float64 // part of the returns with a boot, a new epoch and numbering from 1
	Restart     float64 // part of the returns with a boot and numbering from 1 in the same epoch
}

// AnswerKind is what a device does about the command of Expect.
type AnswerKind string

// The kinds of answers.
const (
	Obey     AnswerKind = "obey"      // acknowledge, reconnect with the new credentials, boot
	ObeyLate AnswerKind = "obey_late" // the same after a delay
	Refuse   AnswerKind = "refuse"    // acknowledge with status rejected
	Ignore   AnswerKind = "ignore"    // nothing
)

// Answer is one of the ways to answer. Weights are relative.
type Answer struct {
	Kind   AnswerKind
	Weight float64
	Delay  Range  // of ObeyLate
	Reason string // of Refuse
}

// Expect is the oracle's own configuration: the sequence of messages after which
// the service has to send Command. It is written down apart from the model, so
// that a mistake in the model shows.
type Expect struct {
	Command  string
	Sequence []Step
	Within   time.Duration // from the first message of the sequence to the last
	Attempts int           // commands per episode before the device is given up
	Timeout  time.Duration // how long an attempt may stay unanswered
	Level    Level         // without a Field: none
}

// Level is a threshold with hysteresis. A message of telemetry whose Field is
// greater than Above crosses it, and after that the next one that is less than
// Below. Each message that crosses it has to be applied.
type Level struct {
	Field        string
	Above, Below float64
}

// Step is one step of the expected sequence: Times messages on Channel whose
// fields equal those given. Other messages may come between.
type Step struct {
	Channel device.Channel
	Name    string // of the event, on ChannelEvents
	Equals  map[string]any
	Times   int
}
