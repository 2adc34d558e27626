package device

import (
	"encoding/json"
	"slices"
	"time"

	"devicetwin/device"
	"devicetwin/devicefsm"
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
	// ID and Who are those of an operator's request; ID is also that of an event that was
	// processed.
	ID  string `json:"id,omitempty"`
	Who string `json:"who,omitempty"`
	// Note is why an operator requested it.
	Note string `json:"note,omitempty"`
}

// Reason is one change of state, and why it came about.
type Reason struct {
	// At is when it happened on the device's clock, and Arrived on the service's; zero
	// where that is the same.
	At      time.Time `json:"at"`
	Arrived time.Time `json:"arrived,omitzero"`
	From    string    `json:"from"`
	To      string    `json:"to"`
	Event   string    `json:"event"` // after a delay, "after"
	Cause   Cause     `json:"cause"`
	// Data is the event's, and Before and After are the context. What is longer
	// than a KiB is the beginning of its JSON, as a string.
	Data   json.RawMessage `json:"data,omitempty"`
	Before json.RawMessage `json:"before,omitempty"`
	After  json.RawMessage `json:"after,omitempty"`
	// Guards are the conditions of the transitions taken, in their order.
	Guards []string `json:"guards,omitempty"`
	Model  string   `json:"model"` // hash
	// Migration is that which moved the device to Model.
	Migration *Migration `json:"migration,omitempty"`
}

const (
	keptReasons = 20
	maxReason   = 1024 // bytes of one value in a reason
	maxGuard    = 256  // bytes of one guard
)

// explain keeps why the state changed.
func (d *run) explain(t devicefsm.Transition) {
	guards := make([]string, len(t.Guards))
	for i, g := range t.Guards {
		guards[i] = device.Clip(g, maxGuard)
	}
	var by *Migration
	if isMigration(t) {
		by = d.moving
	}
	d.keepReason(Reason{
		Migration: by,
		At:        t.Time, Arrived: t.Arrived, From: device.Clip(t.From, maxReason), To: device.Clip(t.To, maxReason), Event: bounded(t.Event), Cause: d.cause,
		Data: clippedJSON(t.Data), Before: clippedJSON(t.Before), After: clippedJSON(t.After),
		Guards: guards, Model: d.state.Model,
	})
}

// keepReason keeps a change, also one that left the state as it was. The oldest are forgotten.
func (d *run) keepReason(r Reason) {
	d.state.Why = append(d.state.Why, r)
	if extra := len(d.state.Why) - keptReasons; extra > 0 {
		d.state.Why = slices.Delete(d.state.Why, 0, extra)
	}
}

// clippedJSON is a value as JSON if that is short, and else its beginning as a
// string.
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
	text, err := json.Marshal(device.Clip(string(raw), maxReason))
	if err != nil {
		return nil
	}
	return text
}
