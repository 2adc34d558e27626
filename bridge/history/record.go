package history

import (
	"encoding/json"
	"fmt"
	"time"

	"devicetwin/device"
	"devicetwin/wire"
)

// Kinds of records. Package points has kind 2.
const (
	KindArrival byte = 1
	KindOutcome byte = 3
	KindBegin   byte = 4
)

// Verdict is what is done with a message when it is received.
type Verdict byte

// The verdicts.
const (
	Irrelevant Verdict = iota // it can do nothing in any state of the device
	Repeated                  // it can do nothing after what the workflow was given
	TooLate                   // another process may have left it out
	Delivered                 // it goes to the device's workflow
	Refused                   // it became a dead letter, or was rejected
	Heard                     // it can do nothing, and shows when or where its device is reached: it is delivered
)

func (v Verdict) String() string {
	if names := [...]string{"irrelevant", "repeated", "too_late", "delivered", "refused", "heard"}; int(v) < len(names) {
		return names[v]
	}
	return fmt.Sprintf("verdict %d", v)
}

// Arrival is one message of a source as it was received and read.
type Arrival struct {
	Stream  string // the ordered stream of the source that it came on
	Origin  string // in the words of the source: an MQTT topic
	At      time.Time
	Number  uint64 // with which the source identifies it; 0: none
	Again   bool   // it may have been delivered before
	Payload []byte
	// Log names the log of its source that it is a record of, at Offset; "": that has none. Then
	// Outgoing have their positions (device.Message.Pos) there, and otherwise they follow
	// from the place of this record.
	Log    string
	Offset int64

	Messages []Message
	// Outgoing are for the workflows: the messages with the verdicts Delivered and Heard, and what
	// the bridge itself says before them.
	Outgoing []Outgoing
}

// Message is one message of a device in an arrival.
type Message struct {
	wire.Received
	Verdict Verdict
	// Measurement is that of its point, written with the time Point; "": it has none.
	Measurement string
	Point       time.Time
}

// Outgoing is a message on its way to the workflow of a device.
type Outgoing struct {
	ID      device.ID
	Message device.Message
	// Of is the message of the arrival that it is, counted from 1, whose data is not
	// written twice; 0: the bridge itself made it.
	Of int
	// Passive: no workflow is started for it.
	Passive bool
}

// Outcome says that everything of a device up to a position is done with.
type Outcome struct {
	ID   device.ID `json:"id"`
	UpTo int64     `json:"to,omitempty"`
	Run  string    `json:"run,omitempty"` // of the workflow that took the last of it
	// Ended: what the device's workflow was given before does not count any more.
	Ended bool `json:"ended,omitempty"`
}

// Begin says that a process began to append, or, between its arrivals, that it still
// does.
type Begin struct {
	Instance string `json:"instance"` // distinguishes it from all others
	Bridge   string `json:"bridge"`
	// Scope is which devices' messages come in. What is known of a device is only good as
	// long as it stays the same.
	Scope string `json:"scope,omitempty"`
	// Accepted: an arrival is acknowledged when its messages are accepted.
	Accepted bool `json:"accepted,omitempty"`
	// Elsewhere: before this, another process may have taken messages.
	Elsewhere bool `json:"elsewhere,omitempty"`
	// EndsUnknown: before this, the workflows of any devices may have ended.
	EndsUnknown bool `json:"ends_unknown,omitempty"`
	// Lost is the stream whose source kept nothing before this, if one did not.
	Lost string `json:"lost,omitempty"`
}

// Append encodes an outcome.
func (o Outcome) Append(b []byte) []byte { return appendJSON(b, o) }

// Append encodes a beginning.
func (o Begin) Append(b []byte) []byte { return appendJSON(b, o) }

func appendJSON(b []byte, v any) []byte {
	text, _ := json.Marshal(v) // it has nothing that cannot be encoded
	return append(b, text...)
}

// ReadOutcome decodes the data of a record of KindOutcome.
func ReadOutcome(data []byte) (o Outcome, err error) {
	if err := json.Unmarshal(data, &o); err != nil {
		return o, fmt.Errorf("outcome: %w", err)
	}
	return o, nil
}

// ReadBegin decodes the data of a record of KindBegin.
func ReadBegin(data []byte) (o Begin, err error) {
	if err := json.Unmarshal(data, &o); err != nil {
		return o, fmt.Errorf("begin: %w", err)
	}
	return o, nil
}
