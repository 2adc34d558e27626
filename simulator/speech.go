package simulator

import (
	"time"

	"devicetwin/device"
)

// Speech is how the devices of a fleet speak. It may be used from any goroutine.
type Speech interface {
	// Voice is how one of them speaks.
	Voice(device.ID, Identity) Voice
	// Numbers and Times report whether its messages can say their number, and when they
	// were sent by the device's own clock.
	Numbers() bool
	Times() bool
	// Names reports whether its birth messages can say the model and the parent of the device.
	Names() bool
	// Owns reports whether a topic is that of a device whose id begins with a prefix.
	Owns(prefix, topic string) bool
}

// Voice is how one device speaks: it writes what the device means, and reads what the
// device receives. It belongs to one goroutine, but for Hear and Filter, which may be called from any.
type Voice interface {
	// Say is what the device publishes for a message that it means, in this order. The
	// message's Time is now by the service's clock; ts is by the device's own, zero if it
	// gives none. Its Data are in the words of scenarios: see SCENARIO.md.
	Say(m device.Message, ts time.Time) ([]Utterance, error)
	// Will is its last will.
	Will() (Utterance, error)
	// Noise is something that nobody can read; its payload is the text.
	Noise(text string) Utterance
	// Filter is the MQTT topic filter of what is sent to the device.
	Filter() string
	// Hear reads what was sent to it.
	Hear(topic string, payload []byte, at time.Time) (Command, error)
	// Answer is what it has to say about a command: messages for Say.
	Answer(c Command, status, reason string) []device.Message
}

// Utterance is what a device publishes at once, and what it means by that.
type Utterance struct {
	Topic    string
	Payload  []byte
	Retained bool
	// Means are the messages that the service has to make of it, in this order, each with
	// its Digest if it has no number.
	Means []device.Message
}

// Command is what a device was told to do.
type Command struct {
	// ID is the same whenever the command is delivered again; empty if it does not say
	// that.
	ID       string
	Name     string
	Argument string    // of a speech whose commands have one
	Issued   time.Time // when the service decided it; zero: the command does not say
	Received time.Time
	// Credentials are new ones, by the id that the device's birth message names.
	Credentials Credentials
}

// Credentials are what a device shows to the broker.
type Credentials struct {
	ID       string `json:"id"`
	Username string `json:"username"`
	Password string `json:"password"`
}

// spokenBy is the scenario for devices that speak so: what a message cannot say is
// missing from all of theirs.
func (s *Scenario) spokenBy(by Speech) *Scenario {
	if by.Numbers() && by.Times() {
		return s
	}
	changed := *s
	if !by.Numbers() {
		changed.Unnumbered = 1
	}
	if !by.Times() {
		changed.Clock = Clock{None: 1}
	}
	return &changed
}

// said are the scenario's own messages, as devices mean them.
func (s *Scenario) said() (all []device.Message) {
	for _, f := range s.Faults {
		for _, m := range f.Messages {
			all = append(all, device.Message{Channel: m.Channel, Name: m.Name, Data: m.Data})
		}
	}
	return all
}
