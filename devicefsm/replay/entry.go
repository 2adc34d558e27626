package replay

import (
	"encoding/json"
	"time"

	"devicetwin/device"
	"devicetwin/devicefsm"
	"devicetwin/devicefsm/calendar"
)

// What an entry does with the statechart.
const (
	DoStep    = ""        // an event, or time that passes
	DoStart   = "start"   // the device begins, at Arrived
	DoNamed   = "named"   // the device begins with the model that it has named, at Arrived
	DoMigrate = "migrate" // by Plan, at Arrived
	DoZones   = "zones"   // the time zones are read again
	DoEnd     = "end"     // the device is deleted
)

// Entry is one input of a device's statechart, and the result.
type Entry struct {
	Device device.ID `json:"device"`
	// N numbers the entries of a device; the first one is 1. Instance distinguishes the lives of a
	// device that was deleted and came back.
	N        uint64 `json:"n"`
	Instance string `json:"instance,omitempty"`
	// Runs is how many runs the workflow had had when the numbers began. A worker of a release that
	// does not number entries drops the number when it continues the workflow as new: they begin
	// again then, with a higher one of Runs.
	Runs int `json:"runs,omitempty"`
	// Task is when the workflow task began in which the input was taken. A task that fails is
	// repeated, later, with the same numbers: what the last attempt has written counts.
	Task time.Time `json:"task"`
	Do   string    `json:"do,omitempty"`
	// Model is the hash of the model that runs, of DoNamed and DoMigrate that of the new one,
	// and Edition is that of its language; 0: the newest.
	Model   string `json:"model,omitempty"`
	Edition int    `json:"edition,omitempty"`

	// Cause is what kind of input it is: message, timer, activity, operation, ...
	Cause string `json:"cause,omitempty"`
	// Channel and Name are those of a message that the model was asked about: which event it
	// is depends on the model. Log and Pos are its place in the log of a bridge.
	Channel device.Channel `json:"ch,omitempty"`
	Name    string         `json:"name,omitempty"`
	Log     string         `json:"log,omitempty"`
	Pos     int64          `json:"pos,omitempty"`

	// Event, Data, Time, Arrived and Alive are those of a devicefsm.Event.
	Event   string         `json:"event,omitempty"`
	Data    map[string]any `json:"data,omitempty"`
	Time    time.Time      `json:"time,omitzero"`
	Arrived time.Time      `json:"arrived,omitzero"`
	Alive   bool           `json:"alive,omitempty"`
	// Twin is what expressions read as twin. In files it is only in the entries before which
	// it has changed: Order puts it into all of them.
	Twin map[string]any `json:"twin,omitempty"`
	// NewTwin says that Twin has changed since the entry before, as far as its writer knows.
	NewTwin bool `json:"-"`

	Zones calendar.Zones  `json:"zones,omitempty"` // of DoStart, DoNamed, DoMigrate and DoZones
	Plan  *devicefsm.Plan `json:"plan,omitempty"`  // of DoMigrate
	// Recent are, of DoMigrate, the latest events of the device; nil: they were not at hand.
	Recent []devicefsm.Event `json:"recent,omitzero"`

	// Before is the device before the entry, and After the device after it. In files, Before
	// is in the first entry of a device in each file, and in those that follow a gap; After is
	// in all that are not steps.
	Before *devicefsm.Snapshot `json:"before,omitempty"`
	After  *devicefsm.Snapshot `json:"after,omitempty"`

	Result
}

// Result is the result of an entry.
type Result struct {
	Transitions []Move                  `json:"transitions,omitempty"`
	Actions     []devicefsm.Action      `json:"actions,omitempty"`
	Matched     []string                `json:"matched,omitempty"`
	Alarms      []devicefsm.AlarmChange `json:"alarms,omitempty"`
	Faults      []string                `json:"faults,omitempty"`
	Late        []string                `json:"late,omitempty"`
}

// Move is a change of the active states.
type Move struct {
	From  string    `json:"from"`
	To    string    `json:"to"`
	Event string    `json:"event"`
	Time  time.Time `json:"time"`
}

// ResultOf is what is kept of an outcome. It shares the outcome's values.
func ResultOf(o devicefsm.Outcome) Result {
	r := Result{Actions: o.Actions, Matched: o.Matched, Alarms: o.Alarms, Faults: o.Faults, Late: o.Late}
	for _, t := range o.Transitions {
		r.Transitions = append(r.Transitions, Move{t.From, t.To, t.Event, t.Time})
	}
	return r
}

// At is when the entry was taken, on the service's clock.
func (e *Entry) At() time.Time {
	switch {
	case !e.Arrived.IsZero():
		return e.Arrived
	case !e.Time.IsZero():
		return e.Time
	}
	return e.Task
}

// Complete takes over, from the entry before of the device in the same file, what a file says once for a row
// of entries.
func (e *Entry) Complete(before *Entry) {
	if e.Instance == "" {
		e.Instance, e.Model, e.Edition = before.Instance, before.Model, before.Edition
	}
}

// event is the input of a step.
func (e *Entry) event() devicefsm.Event {
	return devicefsm.Event{Name: e.Event, Data: e.Data, Twin: e.Twin, Time: e.Time, Arrived: e.Arrived, Alive: e.Alive}
}

// asked reports whether a model was asked which event the message is.
func (e *Entry) asked() bool { return e.Channel != "" }

// message is that of which a model says which event it is.
func (e *Entry) message() device.Message {
	return device.Message{Channel: e.Channel, Name: e.Name, Data: e.Data, Time: e.Arrived}
}

// same reports whether a result is the recorded one, also in ids and times.
func (r *Result) same(other *Result) bool {
	if r.empty() && other.empty() {
		return true
	}
	a, errA := json.Marshal(r)
	b, errB := json.Marshal(other)
	return errA == nil && errB == nil && string(a) == string(b)
}

func (r *Result) empty() bool {
	return len(r.Transitions)+len(r.Actions)+len(r.Matched)+len(r.Alarms)+len(r.Faults)+len(r.Late) == 0
}
