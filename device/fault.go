package device

import (
	"time"
	"unicode/utf8"
)

// Fault is something that a device sent and that had no effect, or not the effect
// that was meant, or something that its model could not do.
type Fault struct {
	// At is when the service received it, UTC.
	At time.Time `json:"at"`
	// Topic is that of the message below the device's own: "telemetry",
	// "events/door", "commands/reboot/ack".
	Topic  string      `json:"topic,omitempty"`
	Reason FaultReason `json:"reason"`
	// Detail says for people what was expected and what was found.
	Detail string `json:"detail,omitempty"`
	// Value is what was sent, as JSON, or the beginning of it.
	Value string `json:"value,omitempty"`
	// Count is how often the same came in a row, where that is more than once; At is
	// then when it came last.
	Count uint64 `json:"count,omitempty"`
}

// Bounds of a Fault, in bytes.
const (
	MaxFaultDetail = 256
	MaxFaultValue  = 128
)

// Clipped is the fault within its bounds.
func (f Fault) Clipped() Fault {
	f.Detail, f.Value = Clip(f.Detail, MaxFaultDetail), Clip(f.Value, MaxFaultValue)
	return f
}

// AppendFault adds a fault to those before it. The same one again in a row only
// counts, and takes the place of the one before.
func AppendFault(list []Fault, f Fault) []Fault {
	if n := len(list); n > 0 {
		last := &list[n-1]
		if last.Reason == f.Reason && last.Topic == f.Topic && last.Detail == f.Detail {
			f.Count = max(1, f.Count) + max(1, last.Count)
			*last = f
			return list
		}
	}
	return append(list, f)
}

// Clip is a string, or its beginning with an ellipsis, in at most so many bytes.
func Clip(s string, most int) string {
	if len(s) <= most {
		return s
	}
	most -= len("…")
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most] + "…"
}

// FaultReason says what was wrong, for figures.
type FaultReason string

// The reasons of faults.
const (
	FaultExpression     FaultReason = "expression"      // a when, guard, where or action that failed on the message
	FaultAction         FaultReason = "action"          // an action of the model that was not carried out
	FaultUnknownStatus  FaultReason = "unknown_status"  // a word on the status topic that says neither online nor offline
	FaultUnknownAck     FaultReason = "unknown_ack"     // a status in an acknowledgement that says nothing
	FaultUnknownCommand FaultReason = "unknown_command" // an acknowledgement of a command that is not known
	FaultLateAck        FaultReason = "late_ack"        // an acknowledgement of a command that had ended
	FaultTime           FaultReason = "time"            // a ts that cannot be read, or not believed
	FaultNotText        FaultReason = "not_text"        // firmware or site that is not a string
	FaultUnknownModel   FaultReason = "unknown_model"   // a birth names a model that is not loaded
	FaultModelKept      FaultReason = "model_kept"      // a birth names another model than the workflow runs, which keeps its own
	FaultUnknownEvent   FaultReason = "unknown_event"   // an event that no model knows
	FaultTooLate        FaultReason = "too_late"        // older than all that is known, and not applied for that
	FaultLateWindow     FaultReason = "late_window"     // an event that came after a window had closed that should have counted it
	FaultRestarted      FaultReason = "restarted"       // the device began to number from the start again
	FaultPoint          FaultReason = "point"           // InfluxDB refused a value or a point
	FaultTooManyFields  FaultReason = "too_many_fields" // a point has room for fewer
	FaultRefused        FaultReason = "refused"         // became a dead letter; the detail names its reason
)

// FaultReasons lists every reason.
func FaultReasons() []FaultReason {
	return []FaultReason{
		FaultExpression, FaultAction, FaultUnknownStatus, FaultUnknownAck, FaultUnknownCommand, FaultLateAck, FaultTime, FaultNotText,
		FaultUnknownModel, FaultModelKept, FaultUnknownEvent, FaultTooLate, FaultLateWindow, FaultRestarted, FaultPoint, FaultTooManyFields, FaultRefused,
	}
}

// TypeName names the type of a decoded JSON value in details of faults.
func TypeName(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case float64:
		return "a number"
	case string:
		return "a string"
	case []any:
		return "an array"
	case map[string]any:
		return "an object"
	}
	return "a value of another type"
}
