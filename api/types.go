package api

import "time"

// Connections of a device: what its last status message said.
const (
	Online  = "online"
	Offline = "offline"
	Unknown = "unknown" // it never said
)

// Summary is a device in a list. It trails the truth by some tens of
// milliseconds.
type Summary struct {
	ID         string            `json:"id" doc:"Id of the device."`
	Model      string            `json:"model,omitempty" doc:"Name of its model."`
	State      string            `json:"state" doc:"Paths of the active atomic states, joined by commas."`
	Connection string            `json:"connection" enum:"online,offline,unknown" doc:"What its last status message said."`
	Firmware   string            `json:"firmware,omitempty" doc:"What its last birth message said."`
	Site       string            `json:"site,omitempty" doc:"What its last birth message said."`
	Tags       map[string]string `json:"tags,omitempty" doc:"Tags, as PUT /v1/devices/{id}/tags set them."`
	Properties map[string]string `json:"properties,omitempty" doc:"Properties that the configuration indexes, by path."`
}

// Page is a part of a list.
type Page struct {
	Devices []Summary `json:"devices" doc:"The devices, in no order that can be relied on."`
	Cursor  string    `json:"cursor,omitempty" doc:"Where the next page begins; absent on the last one."`
}

// Device is all that is known of one device.
type Device struct {
	ID         string            `json:"id" doc:"Id of the device."`
	Model      string            `json:"model" doc:"Name of its model."`
	ModelHash  string            `json:"model_hash" doc:"Hash of its model's canonical form."`
	State      string            `json:"state" doc:"Paths of the active atomic states, joined by commas."`
	Value      any               `json:"value,omitempty" doc:"The state value as XState writes it."`
	Context    Object            `json:"context,omitempty" doc:"The statechart's context."`
	Connection string            `json:"connection" enum:"online,offline,unknown" doc:"What its last status message said."`
	LastSeen   *time.Time        `json:"last_seen,omitempty" doc:"When a message of the device was last applied."`
	Firmware   string            `json:"firmware,omitempty" doc:"What its last birth message said."`
	Site       string            `json:"site,omitempty" doc:"What its last birth message said."`
	Tags       map[string]string `json:"tags,omitempty" doc:"Tags, as PUT /v1/devices/{id}/tags set them."`
	Twin       Twin              `json:"twin" doc:"The twin: the classic shadow."`
	Shadows    map[string]Twin   `json:"shadows,omitempty" doc:"The named shadows, by name."`
	Commands   []Command         `json:"commands,omitempty" doc:"The last hundred that are done, and those that are open, oldest first."`
	Messages   Messages          `json:"messages" doc:"Messages so far."`
	Waiting    int               `json:"commands_waiting,omitempty" doc:"Commands that wait, all of them; commands shows the first hundred."`
	Faults     []string          `json:"faults,omitempty" doc:"The newest run-time faults of the model's expressions."`
	FaultCount uint64            `json:"fault_count,omitempty" doc:"All of them, counted."`

	// Transitions are the last ones, the newest first.
	Transitions []Transition `json:"-"`
}

// Messages counts what became of a device's messages.
type Messages struct {
	Applied    uint64 `json:"applied" doc:"Messages that were applied."`
	Duplicates uint64 `json:"duplicates" doc:"Messages that were dropped because they had been applied before."`
	Late       uint64 `json:"late" doc:"Messages that came after one with a higher number."`
}

// Twin is a shadow document.
type Twin struct {
	Version  int64  `json:"version" doc:"Number of the latest accepted change, from 1; 0 of a document that does not exist."`
	Desired  Object `json:"desired,omitempty" doc:"What is desired of the device."`
	Reported Object `json:"reported,omitempty" doc:"What the device reported."`
	Delta    Object `json:"delta,omitempty" doc:"What is desired and not reported, or reported otherwise."`
}

// Statuses of a command.
const (
	Waiting    = "waiting"    // its turn has not come, or the device is offline
	Sent       = "sent"       // published; no acknowledgement yet
	Accepted   = "accepted"   // the device took it, and works on it
	Succeeded  = "succeeded"  // done
	Failed     = "failed"     // the device tried and failed
	Rejected   = "rejected"   // the device refuses
	Expired    = "expired"    // its time to live was over first
	Cancelled  = "cancelled"  // by an operator
	Superseded = "superseded" // by a newer command of the same name
)

// Desired is what became of a change of desired properties.
type Desired struct {
	Version int64    `json:"version" doc:"Version of the document after it."`
	Changed []string `json:"changed,omitempty" doc:"Paths of desired that changed."`
	Open    []string `json:"open,omitempty" doc:"Paths where the device reports something else, or nothing."`
}

// Taken is what a statechart made of an event.
type Taken struct {
	From string `json:"from" doc:"Paths of the active atomic states before it, joined by commas."`
	To   string `json:"to" doc:"Those after it."`
}

// Reprovisioning is what became of a wish to reprovision.
type Reprovisioning struct {
	Taken
	ByModel bool `json:"by_model" doc:"The device's model took the event operator.reprovision; otherwise the service makes new credentials by itself."`
}

// Command is a command to a device.
type Command struct {
	ID      string     `json:"id" doc:"Id, the same as on MQTT."`
	Name    string     `json:"name" doc:"Name, the last part of its topic."`
	Status  string     `json:"status" enum:"waiting,sent,accepted,succeeded,failed,rejected,expired,cancelled,superseded" doc:"Where it stands; succeeded and those after it are final."`
	Data    Object     `json:"data,omitempty" doc:"What the device gets."`
	By      string     `json:"by,omitempty" doc:"Who sent it; absent of the model's own commands."`
	Created *time.Time `json:"created,omitempty" doc:"When it was taken."`
	Sent    *time.Time `json:"sent,omitempty" doc:"When it was published."`
	Done    *time.Time `json:"done,omitempty" doc:"When it became final."`
	Expires *time.Time `json:"expires,omitempty" doc:"When its time to live is over."`
	Result  any        `json:"result,omitempty" doc:"The device's result."`
	Reason  string     `json:"reason,omitempty" doc:"Why it failed, was rejected, or ended otherwise."`
}

// Final reports whether the command's status can't change any more.
func (c Command) Final() bool {
	switch c.Status {
	case Waiting, Sent, Accepted:
		return false
	}
	return true
}

// Why answers why a device is in its state: the last transitions, the newest first.
type Why struct {
	ID          string       `json:"id" doc:"Id of the device."`
	State       string       `json:"state" doc:"Paths of the active atomic states, joined by commas."`
	Transitions []Transition `json:"transitions" doc:"The last transitions, the newest first. What is long is clipped."`
}

// Transition is one change of state with its cause.
type Transition struct {
	At        time.Time `json:"at" doc:"When: the time at which the bridge received the message, or the timer's deadline."`
	From      string    `json:"from" doc:"States before, joined by commas; empty of the first."`
	To        string    `json:"to" doc:"States after, joined by commas."`
	Event     string    `json:"event" doc:"The event that caused it."`
	Data      any       `json:"data,omitempty" doc:"The event's data; a text if it had to be clipped."`
	Guards    []string  `json:"guards,omitempty" doc:"The conditions that let it pass, in their order."`
	Cause     Cause     `json:"cause" doc:"What made the event."`
	Before    any       `json:"context_before,omitempty" doc:"The statechart's context before; a text if it had to be clipped."`
	After     any       `json:"context_after,omitempty" doc:"The statechart's context after; a text if it had to be clipped."`
	ModelHash string    `json:"model_hash" doc:"Hash of the model that decided."`
}

// Cause is what made an event.
type Cause struct {
	Kind    string `json:"kind" doc:"message, timer, activity, operation (somebody wanted it), twin, command (the service ended one) or start."`
	Channel string `json:"channel,omitempty" doc:"The road a message came on: telemetry, status, events, ack, twin or system."`
	Name    string `json:"name,omitempty" doc:"Name of the message, the activity, the operation or the command."`
	Epoch   int64  `json:"epoch,omitempty" doc:"The device's own numbering."`
	Seq     uint64 `json:"seq,omitempty" doc:"The device's own number; absent of messages without one."`
	Who     string `json:"who,omitempty" doc:"Who wanted the operation."`
}
