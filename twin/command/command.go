package command

import (
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"

	"devicetwin/device"
)

// Status is how far a command has come.
type Status = device.CommandStatus

// The statuses, by their short names.
const (
	Waiting    = device.CommandWaiting
	Sent       = device.CommandSent
	Accepted   = device.CommandAccepted
	Succeeded  = device.CommandSucceeded
	Failed     = device.CommandFailed
	Rejected   = device.CommandRejected
	Expired    = device.CommandExpired
	Cancelled  = device.CommandCancelled
	Superseded = device.CommandSuperseded
	Exhausted  = device.CommandExhausted
)

// Command is one command to a device, with its status and its result.
type Command struct {
	// ID is unique among all commands of the device, forever.
	ID   string `json:"id"`
	Name string `json:"name"`
	// Data is a JSON value for the device; once the command ended, it is kept by EndWithData only.
	Data json.RawMessage `json:"data,omitempty"`
	// Key makes adding idempotent: a command with the key of one that is known is
	// not added.
	Key string `json:"key,omitempty"`
	// Print identifies what was ordered, where it is known: of two commands with the
	// same key and different prints the second is refused.
	Print string `json:"print,omitempty"`
	// By is who issued it.
	By      string    `json:"by,omitempty"`
	Status  Status    `json:"status"`
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires"`
	// Sent is when it was first sent, and Ended when it ended.
	Sent  time.Time `json:"sent,omitzero"`
	Ended time.Time `json:"ended,omitzero"`
	// Deliveries counts how often it was sent, and MaxDeliveries is how often it may
	// be; 0 is the queue's limit.
	Deliveries    int `json:"deliveries,omitempty"`
	MaxDeliveries int `json:"max_deliveries,omitempty"`
	// Shows is a JSON object: the command has succeeded when the device's reported state has
	// all of it. It is not kept once the command ended.
	Shows json.RawMessage `json:"shows,omitempty"`
	// Result and Reason are from the device's acknowledgement; Reason is also why
	// the service ended the command. A Result of more than 1,024 bytes becomes a
	// JSON string of its beginning.
	Result json.RawMessage `json:"result,omitempty"`
	Reason string          `json:"reason,omitempty"`
	// Late is the newest acknowledgement that came after the end.
	Late *Late `json:"late,omitempty"`
}

// Late is an acknowledgement of a command that had ended, with the status, the time
// and the reason that the device gave.
type Late struct {
	Status Status    `json:"status"`
	At     time.Time `json:"at"`
	Reason string    `json:"reason,omitempty"`
}

func (c Command) size() int { return len(c.Data) + len(c.Name) + len(c.Key) + len(c.By) + fixedSize }

// fixedSize is about the size of the rest of a waiting command.
const fixedSize = 200

// Limits bounds a queue. Start from DefaultLimits.
type Limits struct {
	// Waiting is how many commands may wait or be under way.
	Waiting int `json:"waiting"`
	// Bytes is how much these may take together.
	Bytes int `json:"bytes"`
	// Data is how many bytes of JSON one command may have.
	Data int `json:"data"`
	// TTL is the longest time to live.
	TTL time.Duration `json:"ttl"`
	// Deliveries is how often a command may be sent that does not say so itself; 0 is
	// without a limit.
	Deliveries int `json:"deliveries,omitempty"`
}

// DefaultLimits are 2,000 commands of 16 KiB at most and 512 KiB together, each
// for at most 30 days and sent at most 10 times.
func DefaultLimits() Limits {
	return Limits{Waiting: 2000, Bytes: 512 << 10, Data: 16 << 10, TTL: device.MaxCommandTTL, Deliveries: 10}
}

const (
	maxKey    = 128
	maxResult = 1024
	maxReason = 256
)

// check refuses a command that is not valid.
func (c Command) check(l Limits) *device.Refused {
	switch {
	case !device.ValidName(c.Name):
		return device.Refuse(400, "command name %q: expected 1 to %d of a-z A-Z 0-9 _ . -", clip(c.Name, device.MaxEventName), device.MaxEventName)
	case len(c.Key) > maxKey:
		return device.Refuse(400, "idempotency key of %d bytes: expected at most %d", len(c.Key), maxKey)
	case len(c.Data) > l.Data:
		return device.Refuse(413, "the data of command %s has %d bytes; the limit is %d", c.Name, len(c.Data), l.Data)
	case len(c.Data) > 0 && !json.Valid(c.Data):
		return device.Refuse(400, "the data of command %s is not a JSON value", c.Name)
	case !c.Expires.After(c.Created):
		return device.Refuse(400, "the time to live of command %s must be greater than 0", c.Name)
	case c.Expires.Sub(c.Created) > l.TTL:
		return device.Refuse(400, "the time to live of command %s is %v; the limit is %v", c.Name, c.Expires.Sub(c.Created), l.TTL)
	case c.MaxDeliveries < 0 || c.MaxDeliveries > device.MaxDeliveries:
		return device.Refuse(400, "max_deliveries of command %s is %d: expected 1 to %d", c.Name, c.MaxDeliveries, device.MaxDeliveries)
	}
	return nil
}

func clip(s string, most int) string {
	if len(s) <= most {
		return strings.ToValidUTF8(s, "\uFFFD")
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return strings.ToValidUTF8(s[:most], "\uFFFD") + "…"
}

// clipJSON keeps a value that is short, and else the beginning of its text.
func clipJSON(raw json.RawMessage) json.RawMessage {
	if len(raw) <= maxResult && json.Valid(raw) {
		return raw
	}
	if len(raw) == 0 {
		return nil
	}
	text, err := json.Marshal(clip(string(raw), maxResult))
	if err != nil {
		return nil
	}
	return text
}
