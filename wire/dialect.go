package wire

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"devicetwin/device"
)

// Dialect reads what devices publish, and writes what is sent to them.
type Dialect interface {
	// Filters are the MQTT topic filters that bring in everything that Decode
	// reads.
	Filters() []string
	// WholeDevices reports whether subscriptions to these filters bring in every
	// message of each device of which they bring in one.
	WholeDevices(filters []string) bool

	// Retained reports whether retained messages on a topic count, which are the broker's
	// copies of old ones, sent because of the subscription: those of a device's state do.
	Retained(topic string) bool
	// Decode reads one message, which may be of several devices. Dup says that it
	// may have been delivered before; at is when it was received. What cannot be
	// read is a *Refused; ErrNotInput, ErrUnmapped and ErrForeign are messages to be passed
	// over. It may keep what it learned of a connection, and is called for one
	// message after the other.
	Decode(topic string, payload []byte, dup bool, at time.Time) ([]Received, error)

	// Encode writes a command to a device, at the address that it last had; nil
	// is that of a device which speaks the service's own dialect. A command that the dialect
	// has no words for is ErrNoWords; the error of one that cannot be written, now or
	// later, is a *Refused. A dialect that is not known here is ErrUnknownDialect.
	Encode(id device.ID, to *device.Address, c Command) (Sending, error)
	// EncodeDesired writes the difference between what a device's classic shadow desires
	// and what the device reports, a JSON object, in a dialect that has words for it;
	// else it is empty. What it has no words for is left out. Errors are those of Encode; what could
	// be written is there with them.
	EncodeDesired(id device.ID, to *device.Address, difference []byte) ([]Publication, error)
	// Questions are what a device is asked after its birth, which is a message on its status
	// topic.
	Questions(id device.ID, to *device.Address) []Publication
	// Opening is what all devices are asked when a bridge begins without the messages
	// that were published before.
	Opening() []Publication
	// ShadowTopics are the topics on which a document of a device's shadow is
	// published: all of them, with the same payload.
	ShadowTopics(id device.ID, d ShadowDocument) []string
}

// Learner is a dialect that learns from messages what others mean.
type Learner interface {
	// Lessons are the topic filters of retained messages that are to be decoded before any others,
	// at each start. None: there is nothing to learn.
	Lessons() []string
}

// Reserved reports whether a member of a message is not its data.
func Reserved(name string) bool { return slices.Contains(reservedKeys, name) }

// ReservedKeys are the members of a message that are not its data.
func ReservedKeys() []string { return slices.Clone(reservedKeys) }

var reservedKeys = []string{"epoch", "seq", "ts"}

// Command is a request to a device.
type Command struct {
	ID   string // in the device's acknowledgement
	Name string
	At   time.Time     // when it was decided; milliseconds count
	TTL  time.Duration // time to live; 0: no limit
	Data any           // encoded as JSON; of a decoded command a json.RawMessage
}

// Publication is a message to a device, as it is published.
type Publication struct {
	Topic    string
	QoS      byte
	Retained bool
	Payload  []byte
}

// Sending is a command as it is published, in this order, and what ends it.
type Sending struct {
	Publications []Publication
	// Done says that nobody answers: the command has succeeded when the broker has it.
	Done bool
	// Shows is a JSON object; the command has succeeded when the classic shadow's reported
	// state has all of it. Empty: that does not end it.
	Shows []byte
}

// ShadowDocument says which message of the shadow protocol is published.
type ShadowDocument struct {
	Shadow string // name of the shadow, "" for the classic one
	// Rest ends the topic: update/delta, update/documents, twin.RestCurrent.
	Rest string
	// Retained documents have one topic, below the device's own.
	Retained bool
}

// Messages that are passed over: acknowledged, and nothing else.
var (
	// ErrNotInput is that of messages that clear a retained one, and of messages that the service itself sent, such as
	// commands and answers, which a subscription may bring back.
	ErrNotInput = errors.New("not a message of a device")
	// ErrUnmapped is that of messages that mean nothing to any dialect.
	ErrUnmapped = errors.New("a message that no dialect maps to a device")
	// ErrNoWords is that of commands that a device's dialect cannot say.
	ErrNoWords = errors.New("the dialect has no words for this command")
	// ErrUnknownDialect is that of devices whose dialect is not among those that are used
	// here: another process may have it, or this one later.
	ErrUnknownDialect = errors.New("its dialect is not among those that are used here (--mqtt-dialect)")
	// ErrForeign is that of devices that are not Config.Mine.
	ErrForeign = errors.New("a device of another partition")
)

// Reason says why a message was refused.
type Reason string

// The reasons for which a message cannot be read.
const (
	ReasonBadTopic    Reason = "bad_topic"     // not a topic of a device, or a bad or reserved name in it
	ReasonBadDeviceID Reason = "bad_device_id" // see device.NamePattern
	ReasonTooLarge    Reason = "too_large"     // more bytes than Config.MaxPayload
	ReasonBadPayload  Reason = "bad_payload"   // not a JSON object or an array of them, or bad reserved keys
)

// Reasons lists every reason of a dialect.
func Reasons() []Reason {
	return []Reason{ReasonBadTopic, ReasonBadDeviceID, ReasonTooLarge, ReasonBadPayload}
}

// Refused is why a message is not taken, with a detail for people.
type Refused struct {
	Reason Reason
	Detail string
	// ID is the device that the message is of, where that could be read, and Topic is
	// as device.Message.Topic.
	ID    device.ID
	Topic string
	// Alive says that the message shows that the device is up, as that of
	// device.Message does.
	Alive bool
}

func (r *Refused) Error() string { return string(r.Reason) + ": " + r.Detail }

// Refuse makes a refusal with a formatted detail.
func Refuse(reason Reason, format string, args ...any) *Refused {
	return &Refused{Reason: reason, Detail: fmt.Sprintf(format, args...)}
}

// UnknownDialect is the ErrUnknownDialect of a device.
func UnknownDialect(id device.ID, to *device.Address) error {
	return fmt.Errorf("device %s, which speaks %s: %w", id, to.Dialect, ErrUnknownDialect)
}

// StatusTopic is where a bridge publishes its status, retained.
func StatusTopic(bridge string) string { return "bridge/" + bridge + "/status" }

// ClaimTopic is where a bridge claims its session, retained.
func ClaimTopic(bridge string) string { return "bridge/" + bridge + "/claim" }

// DeadLetterTopic is where a bridge publishes the messages that it refused.
func DeadLetterTopic(bridge string) string { return "bridge/" + bridge + "/deadletter" }
