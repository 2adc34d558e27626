package simulator

import (
	"time"

	"devicetwin/device"
)

// draft is something that a device will do over its link when its turn comes.
type draft struct {
	kind draftKind

	// Of a draftMessage.
	channel device.Channel
	name    string // of the event or of the command
	data    map[string]any
	marks   factKind // what the publish means to the oracle
	id      string   // of the command that marks is about; empty: it means nothing
	repeat  bool
	mixed   bool          // counts as such in the report
	after   time.Duration // of the repetition
	made    time.Time     // by the service's clock; zero: when it is published
	// recorded says that the device was offline when it made the message.
	recorded bool
	aside    bool // its latency says nothing: it is part of a burst of the simulator's own making

	said Utterance // of a draftCopy

	// Of a draftReconnect.
	credential  string // its id
	credentials credentials

	act Act // of a draftLeave
}

type draftKind uint8

const (
	draftMessage   draftKind = iota // a new message, which gets the next number
	draftGreeting                   // the same, the first one over a link
	draftCopy                       // a repetition, or poison: a payload that has its form already
	draftReconnect                  // leave, and come back with new credentials
	draftLeave                      // leave with a goodbye, and come back later
)

// numbered reports whether the draft gets a number of the device.
func (d draft) numbered() bool { return d.kind == draftMessage || d.kind == draftGreeting }

// onWire reports whether the draft is published.
func (d draft) onWire() bool { return d.numbered() || d.kind == draftCopy }

// draftsOf are new messages.
func draftsOf(messages []device.Message) (all []draft) {
	for _, m := range messages {
		all = append(all, draft{kind: draftMessage, channel: m.Channel, name: m.Name, data: m.Data})
	}
	return all
}
