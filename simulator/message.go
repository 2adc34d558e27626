package simulator

import (
	"encoding/json"
	"fmt"
	"time"

	"devicetwin/device"
	"devicetwin/wire"
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

	// Of a draftCopy.
	topic   string
	payload []byte

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

// command is a message to the device.
type command struct {
	id, name    string
	issued      time.Time // when the service decided it, or zero
	received    time.Time
	credentials struct {
		ID       string `json:"id"`
		Username string `json:"username"`
		Password string `json:"password"`
	}
}

// readCommand reads what came on a command's topic.
func readCommand(dialect *wire.Standard, topic string, payload []byte, at time.Time) (command, error) {
	_, read, err := dialect.DecodeCommand(topic, payload)
	if err != nil {
		return command{}, err
	}
	c := command{id: read.ID, name: read.Name, issued: read.At, received: at}
	data := struct {
		Credentials any `json:"credentials"`
	}{&c.credentials}
	if raw, ok := read.Data.(json.RawMessage); ok && len(raw) > 0 {
		if err := json.Unmarshal(raw, &data); err != nil {
			return command{}, fmt.Errorf("read command %s: %w", topic, err)
		}
	}
	return c, nil
}
