package devicefsm

import "time"

// Event is the input of a step. Its zero Name only lets time pass, which fires the
// timers that are due.
//
// There are two clocks, and neither runs back: the device's, on which its events
// have their times, and the service's, on which they arrive. Patterns and timers go by
// the first, as long as there are events; see docs/models.md. By its times an event is
//
//   - with both, one of the device: it counts at Time, and moves both clocks. Where the
//     two are the same the device did not say when it was, and its clock stays: a
//     message of earlier may still come. Time before the device's clock counts at that.
//   - with Arrived only, one of the service: it counts where the device's clock is then,
//     by how far the device's last event was behind its arrival. It does not move the
//     device's clock. Without a name, nothing happens but what is due at Arrived.
//   - with Time only, one where both clocks are the same.
type Event struct {
	Name string
	// Data is a JSON object: nil, bool, float64, string, []any, map[string]any.
	Data map[string]any
	// Twin is what expressions read as twin, in the same kinds of values. It is
	// needed only where Model.ReadsTwin says so, and then with every event, those
	// that only advance the clock too. The step does not change it.
	Twin map[string]any
	// Time is when the event happened, and Arrived when the service received it.
	Time    time.Time
	Arrived time.Time
	// Alive marks an event that shows that the device itself is up: it renews
	// liveness, and raises device.alive first if the device was silent.
	Alive bool
}

// OfService is the event as one of the service: what was its Time is the service's.
func (ev Event) OfService() Event {
	ev.Arrived, ev.Time = ev.Time, time.Time{}
	return ev
}

// DoneEvent reports that the invocation with the given id returned data, at a time of
// both clocks: see OfService.
func DoneEvent(invocation string, data map[string]any, at time.Time) Event {
	return Event{Name: "done.invoke." + invocation, Data: data, Time: at}
}

// ErrorEvent reports that the invocation with the given id failed permanently.
func ErrorEvent(invocation, message string, at time.Time) Event {
	return Event{Name: "error.invoke." + invocation, Data: map[string]any{"message": message}, Time: at}
}

// Action types: what the caller of Step has to carry out, in order.
const (
	ActionCommand = "command" // publish a command to the device: Name, Data, TTL
	ActionInvoke  = "invoke"  // start an activity: ID is the invocation id, Name the src, Data the input
	ActionCancel  = "cancel"  // cancel the invocation with this ID; its state was left
	ActionLog     = "log"     // Data {"message": …}
	ActionPublish = "publish" // publish Data to the topic Name, in which {id} stands for the device
	ActionNotify  = "notify"  // notify the configured receiver Name, with Data
	// ActionProcess queues an event: Name, whose activity Src is called with To and Data when
	// those before it have ended. See Process.
	ActionProcess = "process"
	ActionDesire  = "desire" // merge Data into the desired properties of the shadow Name ("" is the classic one); null removes a key
)

// Action is an effect that a step asks for. It is a value: nothing has happened
// yet, and carrying out the same Action twice must be harmless, by its ID.
type Action struct {
	Type string `json:"type"`
	// ID is unique among all actions of one device, forever: it is counted in
	// the snapshot, so that a replay or a retry gives the same ID.
	ID   string         `json:"id"`
	Name string         `json:"name,omitempty"`
	Data map[string]any `json:"data,omitempty"`
	TTL  time.Duration  `json:"ttl,omitempty"`
	// MaxDeliveries is how often a command may be sent; 0 leaves that to the service.
	MaxDeliveries int `json:"max_deliveries,omitempty"`
	// Retain asks the broker to keep a published message for later subscribers.
	Retain bool `json:"retain,omitempty"`
	// Replace lets a command supersede those of its name that wait.
	Replace bool `json:"replace,omitempty"`
	// Within is how long the device may take to report the desired properties; 0
	// means no limit.
	Within time.Duration `json:"within,omitempty"`
	// At is when a notification or a call was decided, and Arrived when that was on the
	// service's clock, as those of a Transition: zero of all other actions, and Arrived also
	// where it is the same.
	At      time.Time `json:"at,omitzero"`
	Arrived time.Time `json:"arrived,omitzero"`
	// Src is the activity of an ActionProcess, and To whom it calls. Fault is why there is no
	// Data for it: then it has failed without a call, when its turn comes.
	Src   string `json:"src,omitempty"`
	To    string `json:"to,omitempty"`
	Fault string `json:"fault,omitempty"`
}

// Transition is a change of the active states, for points and for reading.
type Transition struct {
	From  string `json:"from"`  // StateName before
	To    string `json:"to"`    // StateName after
	Event string `json:"event"` // the event that caused it; after a timer, "after"
	// Time is when it happened, as an event; it never runs back from one transition to
	// the next. Arrived is when that was on the service's clock; zero where it is the same.
	Time    time.Time `json:"time"`
	Arrived time.Time `json:"arrived,omitzero"`
	// Data is the event's. Before and After are the context around the change. They
	// belong to the event and the snapshots: do not change them.
	Data   map[string]any `json:"data,omitempty"`
	Before map[string]any `json:"before,omitempty"`
	After  map[string]any `json:"after,omitempty"`
	// Guards are the conditions of the transitions that were taken, in their
	// order, as they are written in the model; the first 8 of them.
	Guards []string `json:"guards,omitempty"`
}

// maxGuards bounds the guards that a Transition lists.
const maxGuards = 8

// Outcome is what a step did in addition to the new snapshot.
type Outcome struct {
	Actions     []Action
	Transitions []Transition
	Matched     []string // patterns that matched, in order
	Alarms      []AlarmChange
	// Faults are run-time errors of expressions (which then count as false) and
	// of endless always loops, as strings for people; at most 100 of one step.
	Faults []string
	// Late says of events that came after windows had closed that should have counted them,
	// as strings for people.
	Late []string
}
