package device

import (
	"encoding/json"
	"time"

	"devicetwin/device"
	"devicetwin/twin/command"
)

// Desire is a change of the desired properties of one shadow.
type Desire struct {
	// Shadow is the name of the shadow, "" for the classic one.
	Shadow string `json:"shadow,omitempty"`
	// Patch is merged into desired (RFC 7396): a JSON object; null removes a key.
	Patch json.RawMessage `json:"patch"`
	// Version is the version that the shadow must have (0: it must not exist);
	// nil is any. Otherwise the answer is 412.
	Version *int64 `json:"version,omitempty"`
	// Within is how long the device may take to report the same; after that the
	// state machine gets twin.diverged. 0 is forever.
	Within time.Duration `json:"within,omitempty"`
}

// Desired is the result of a Desire.
type Desired struct {
	// Version is the shadow's, after the change.
	Version int64 `json:"version"`
	// Changed are the paths of desired that changed, and Open those of the shadow
	// where the device reports something else.
	Changed []string `json:"changed,omitempty"`
	Open    []string `json:"open,omitempty"`
}

// Order is a command that somebody wants the device to carry out.
type Order struct {
	Name string `json:"name"`
	// Data is any JSON value.
	Data json.RawMessage `json:"data,omitempty"`
	// TTL is how long it may wait for the device, and the device may take; 0
	// is 24 hours.
	TTL time.Duration `json:"ttl,omitempty"`
	// MaxDeliveries is how often it may be sent to a device that comes back without an
	// answer, 1 to 100; 0 is the default of the run's settings.
	MaxDeliveries int `json:"max_deliveries,omitempty"`
	// Replace supersedes the commands of the same name that wait.
	Replace bool `json:"replace,omitempty"`
	// Key makes the order idempotent for as long as the device remembers the
	// command (the last 100).
	Key string `json:"key,omitempty"`
}

// OperatorEvent is an event for the state machine.
type OperatorEvent struct {
	Name string         `json:"name"`
	Data map[string]any `json:"data,omitempty"`
	// Source says that it is a message of an entity whose source is the API, and no operator's:
	// rules of the model apply to it, and it is a sign of life. Devices have none.
	Source bool `json:"source,omitempty"`
}

// EventTaken is what the state machine made of an operator's event.
type EventTaken struct {
	// From and To are the state's names before and after.
	From string `json:"from"`
	To   string `json:"to"`
}

// Reprovisioning says who executes a requested reprovisioning.
type Reprovisioning struct {
	// ByModel says that the device's model took the event operator.reprovision;
	// otherwise the service creates new credentials itself.
	ByModel bool `json:"by_model"`
	EventTaken
}

// operation is one request to a device's workflow. Exactly one of the pointers
// is set.
type Operation struct {
	ID  string `json:"id"`
	Who string `json:"who,omitempty"`
	// Note is why, for people.
	Note string `json:"note,omitempty"`

	Desire      *Desire            `json:"desire,omitempty"`
	Command     *Order             `json:"command,omitempty"`
	Cancel      *CancelOperation   `json:"cancel,omitempty"`
	Event       *OperatorEvent     `json:"event,omitempty"`
	Tags        *TagChanges        `json:"tags,omitempty"`
	Reprovision *ReprovisionReason `json:"reprovision,omitempty"`
	Migrate     *Migrate           `json:"migrate,omitempty"`
	Process     *ProcessDecision   `json:"process,omitempty"`
	Delete      bool               `json:"delete,omitempty"`
	// Data, with Delete, marks the end of the workflow with MemoErase.
	Data bool `json:"data,omitempty"`
}

// ProcessDecision is what is to be done with an event that failed permanently, and that holds
// the queue of what is processed one by one.
type ProcessDecision struct {
	// ID is the event's; "" is whichever holds the queue.
	ID   string `json:"id,omitempty"`
	Do   string `json:"do"` // ProcessRetry or ProcessSkip
	Note string `json:"note,omitempty"`
}

// What a ProcessDecision may say.
const (
	ProcessRetry = "retry" // it is tried again, with all its attempts
	ProcessSkip  = "skip"  // the next event has its turn
)

// ProcessDecided is the event that was decided on.
type ProcessDecided struct {
	ID      string `json:"id"`
	Number  uint64 `json:"n"`
	Event   string `json:"event"`
	Waiting int    `json:"waiting"` // events, afterwards
}

type CancelOperation struct {
	Command string `json:"command"`
}

type TagChanges struct {
	// Set are the tags to set; nil removes one.
	Set map[string]*string `json:"set,omitempty"`
	// Replace removes all others.
	Replace bool `json:"replace,omitempty"`
}

type ReprovisionReason struct {
	Reason string `json:"reason,omitempty"`
}

// operations is the argument of the update, and operationResults its answer: one
// for each Operation, in the same order.
type Operations struct {
	List []Operation `json:"ops"`
}

type OperationResults struct {
	List []OperationResult `json:"results"`
}

// operationResult is the result of one operation.
type OperationResult struct {
	Refused *device.Refused `json:"refused,omitempty"`

	Desired        *Desired          `json:"desired,omitempty"`
	Command        *command.Command  `json:"command,omitempty"`
	Taken          *EventTaken       `json:"taken,omitempty"`
	Tags           map[string]string `json:"tags,omitempty"`
	Reprovisioning *Reprovisioning   `json:"reprovisioning,omitempty"`
	Migrated       *Migrated         `json:"migrated,omitempty"`
	Decided        *ProcessDecided   `json:"decided,omitempty"`
	// Erase says that the workflow's end is marked with MemoErase. Workers of earlier
	// releases delete without it.
	Erase bool `json:"erase,omitempty"`
}

// Err is the refusal, or nil.
func (r OperationResult) Err() error {
	if r.Refused == nil {
		return nil
	}
	return r.Refused
}

func refusal(code int, format string, args ...any) OperationResult {
	return OperationResult{Refused: device.Refuse(code, format, args...)}
}
