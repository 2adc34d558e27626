package command

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// Status is how far a command has come.
type Status string

// The statuses. The device says Accepted, Succeeded, Failed and Rejected; the
// others are the service's.
const (
	Waiting    Status = "waiting"    // not sent yet
	Sent       Status = "sent"       // sent, and not answered
	Accepted   Status = "accepted"   // the device has it, and works on it
	Succeeded  Status = "succeeded"  // the device has done it
	Failed     Status = "failed"     // the device could not do it
	Rejected   Status = "rejected"   // the device refused it
	Expired    Status = "expired"    // its time was over first
	Cancelled  Status = "cancelled"  // somebody took it back
	Superseded Status = "superseded" // a newer one of the same name took its place
)

// Ended reports whether a command with this status will change no more.
func (s Status) Ended() bool {
	switch s {
	case Waiting, Sent, Accepted:
		return false
	}
	return true
}

// FromDevice reports whether a device may answer with this status.
func (s Status) FromDevice() bool {
	switch s {
	case Accepted, Succeeded, Failed, Rejected:
		return true
	}
	return false
}

// Command is one order to a device, and what has come of it.
type Command struct {
	// ID is unique among all commands of the device, forever.
	ID   string `json:"id"`
	Name string `json:"name"`
	// Data is a JSON value for the device; it is not kept once the command ended.
	Data json.RawMessage `json:"data,omitempty"`
	// Key makes adding idempotent: a command with the key of one that is known is
	// not added.
	Key string `json:"key,omitempty"`
	// By is who ordered it.
	By      string    `json:"by,omitempty"`
	Status  Status    `json:"status"`
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires"`
	// Sent is when it was first sent, and Ended when it ended.
	Sent  time.Time `json:"sent,omitzero"`
	Ended time.Time `json:"ended,omitzero"`
	// Deliveries counts how often it was sent.
	Deliveries int `json:"deliveries,omitempty"`
	// Result and Reason are what the device answered; Reason is also why the
	// service ended it. A Result that was too long is a JSON text, cut.
	Result json.RawMessage `json:"result,omitempty"`
	Reason string          `json:"reason,omitempty"`
}

func (c Command) size() int { return len(c.Data) + len(c.Name) + len(c.Key) + len(c.By) + fixedSize }

// fixedSize is about what the rest of a waiting command takes.
const fixedSize = 200

// Limits bounds a queue. Start from DefaultLimits.
type Limits struct {
	// Waiting is how many commands may wait or be under way.
	Waiting int `json:"waiting"`
	// Bytes is how much these may take together.
	Bytes int `json:"bytes"`
	// Data is how many bytes of JSON one command may bring.
	Data int `json:"data"`
	// TTL is the longest time to live.
	TTL time.Duration `json:"ttl"`
}

// DefaultLimits are 2,000 commands of 16 KiB at most and 512 KiB together, each
// for at most 30 days.
func DefaultLimits() Limits {
	return Limits{Waiting: 2000, Bytes: 512 << 10, Data: 16 << 10, TTL: 30 * 24 * time.Hour}
}

// Refusal is why a command was not taken. Its codes are those of HTTP.
type Refusal struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

func (r *Refusal) Error() string { return r.Message }

func refuse(code int, format string, args ...any) *Refusal {
	return &Refusal{Code: code, Message: fmt.Sprintf(format, args...)}
}

const (
	maxName   = 64
	maxKey    = 128
	maxResult = 1024
	maxReason = 256
)

// check refuses a command that is none.
func (c Command) check(l Limits) *Refusal {
	switch {
	case !ValidName(c.Name):
		return refuse(400, "command name %q: expected 1 to %d letters, digits, and any of _ . -", clip(c.Name, maxName), maxName)
	case len(c.Key) > maxKey:
		return refuse(400, "idempotency key of %d bytes: expected at most %d", len(c.Key), maxKey)
	case len(c.Data) > l.Data:
		return refuse(413, "the data of command %s has %d bytes, the limit is %d", c.Name, len(c.Data), l.Data)
	case len(c.Data) > 0 && !json.Valid(c.Data):
		return refuse(400, "the data of command %s is no JSON value", c.Name)
	case !c.Expires.After(c.Created):
		return refuse(400, "the time to live of command %s is over at once", c.Name)
	case c.Expires.Sub(c.Created) > l.TTL:
		return refuse(400, "the time to live of command %s is %v, the longest is %v", c.Name, c.Expires.Sub(c.Created), l.TTL)
	}
	return nil
}

// ValidName reports whether a command may be called so: 1 to 64 letters, digits,
// and any of _ . -
func ValidName(name string) bool {
	if name == "" || len(name) > maxName {
		return false
	}
	return !strings.ContainsFunc(name, func(c rune) bool {
		return !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '.' || c == '-')
	})
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
