package workflows

import (
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"
)

// Kinds of causes.
const (
	CauseMessage   = "message"   // of the device, or of the service about it
	CauseTimer     = "timer"     // an after, the end of a pattern, silence
	CauseActivity  = "activity"  // an activity ended
	CauseOperation = "operation" // somebody wanted it
	CauseTwin      = "twin"      // the twin changed, or did not converge
	CauseCommand   = "command"   // the service ended a command
	CauseStart     = "start"
)

// Cause is what made something happen.
type Cause struct {
	Kind string `json:"kind"`
	// Channel, Name, Epoch and Seq are those of a message; Name is also that of an
	// activity, of an operator's request, or of a command.
	Channel string `json:"channel,omitempty"`
	Name    string `json:"name,omitempty"`
	Epoch   int64  `json:"epoch,omitempty"`
	Seq     uint64 `json:"seq,omitempty"`
	// ID and Who are those of an operator's request.
	ID  string `json:"id,omitempty"`
	Who string `json:"who,omitempty"`
}

// Reason is one change of state, and why it came about.
type Reason struct {
	At    time.Time `json:"at"`
	From  string    `json:"from"`
	To    string    `json:"to"`
	Event string    `json:"event"` // after a delay, "after"
	Cause Cause     `json:"cause"`
	// Data is the event's, and Before and After are the context. What is longer
	// than a KiB is the beginning of its JSON, as a text.
	Data   json.RawMessage `json:"data,omitempty"`
	Before json.RawMessage `json:"before,omitempty"`
	After  json.RawMessage `json:"after,omitempty"`
	// Guards are the conditions of the transitions taken, in their order.
	Guards []string `json:"guards,omitempty"`
	Model  string   `json:"model"` // hash
}

const (
	keptReasons = 20
	maxReason   = 1024 // bytes of JSON of one value in a reason
)

// clippedJSON is a value as JSON if that is short, and else its beginning as a
// text.
func clippedJSON(v map[string]any) json.RawMessage {
	if len(v) == 0 {
		return nil
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	if len(raw) <= maxReason {
		return raw
	}
	end := maxReason
	for end > 0 && !utf8.RuneStart(raw[end]) {
		end--
	}
	text, err := json.Marshal(strings.ToValidUTF8(string(raw[:end]), "") + "…")
	if err != nil {
		return nil
	}
	return text
}
