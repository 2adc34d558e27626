package device

import (
	"strings"
	"time"
)

// Channel is the channel that a message arrived on.
type Channel string

// The channels of a device's topics, and ChannelSystem for what the service
// itself observed about the device.
const (
	ChannelTelemetry Channel = "telemetry" // devices/{id}/telemetry
	ChannelStatus    Channel = "status"    // devices/{id}/status: birth and last will
	ChannelEvents    Channel = "events"    // devices/{id}/events/{name}
	ChannelAck       Channel = "ack"       // devices/{id}/commands/{name}/ack
	ChannelTwin      Channel = "twin"      // requests of the device shadow protocol
	ChannelSystem    Channel = "system"    // sequence.gap, device.seen, ...: made by the service
	ChannelMembers   Channel = "members"   // what members of a group report: see MemberEntered
)

// Names of the messages on ChannelMembers. Their data is {device, model} of the member, the
// id and the name of the model; in addition state, the path of the state that was entered or
// left; and parent, the id of the member's parent if it has one.
const (
	MemberEntered = "entered" // a state
	MemberLeft    = "left"    // a state
	MemberSilent  = "silent"  // device.silent was raised
	MemberAlive   = "alive"   // device.alive was raised
)

// MemberReports are all of them.
var MemberReports = []string{MemberEntered, MemberLeft, MemberSilent, MemberAlive}

// Methods of the device shadow protocol: names of messages on ChannelTwin.
const (
	MethodGet    = "get"
	MethodUpdate = "update"
	MethodDelete = "delete"
)

// SourceReprovision is the src of a model's invoke that gives a device new credentials.
const SourceReprovision = "reprovision"

// SourceCall is the src of what calls a receiver of the configuration.
const SourceCall = "call"

// Names of the events that the service itself makes. Every model knows them.
const (
	EventSilent       = "device.silent" // nothing received for liveness.silent_after
	EventAlive        = "device.alive"  // received again after device.silent
	EventSequenceGap  = "sequence.gap"  // numbers were skipped: data {epoch, from, to, missing}
	EventSequenceLate = "sequence.late" // a number arrived after a higher one: data {epoch, seq}
	// EventSequenceRestarted is that of a device that numbers from the beginning again
	// without a higher epoch: data {epoch, seq, last_epoch, last_seq}.
	EventSequenceRestarted = "sequence.restarted"

	EventReportedChanged = "twin.reported.changed" // data {shadow, version, paths}
	EventDesiredChanged  = "twin.desired.changed"  // data {shadow, version, paths}
	EventDiverged        = "twin.diverged"         // not reported in time: data {shadow, version, paths}

	EventReprovision = "operator.reprovision" // an operator asks for it: data {reason, who}
	EventProcess     = "operator.process"     // an operator has decided on an event that held the queue: data {do, id, number, event, who, note}

	// MessageSeen is the name of a system message that only renews liveness;
	// it becomes no event.
	MessageSeen = "device.seen"
	// MessageFault is the name of a system message that reports the faults of
	// messages that were not delivered themselves; it becomes no event.
	MessageFault = "device.fault"
)

// Message is one JSON object that a device published, or that the service made
// about it, before the model gives it an event name. An MQTT payload that is an
// array of objects becomes one Message for each object.
type Message struct {
	Channel Channel `json:"ch"`
	// Name is the event name on ChannelEvents and ChannelSystem, the command
	// name on ChannelAck, the method (get, update or delete) on ChannelTwin, and
	// empty elsewhere.
	Name string         `json:"name,omitempty"`
	Data map[string]any `json:"data,omitempty"`
	// Time is when the service received the message, UTC, milliseconds.
	Time time.Time `json:"t"`
	// Sent is when the device says that it sent the message, UTC, milliseconds; zero
	// if it does not say, or cannot be believed. See At.
	Sent time.Time `json:"ts,omitzero"`

	// Connection is what a message on ChannelStatus says of the device's connection,
	// by the words that its source knows: Online, Offline or ConnectionUnknown. Empty
	// is that of a source that knows no words: see Says.
	Connection string `json:"conn,omitempty"`

	// Model is the hash of the model that the device has named since the last message, as
	// its source knows it: by this message, or by an earlier one that was not sent on. A
	// workflow that was started without one takes it over.
	Model string `json:"model,omitempty"`

	// Epoch and Seq are the device's own numbering: Epoch rises when the device
	// starts numbering again, Seq rises by one for each message, from 1. Seq 0
	// means that the device does not number its messages.
	Epoch int64  `json:"epoch,omitempty"`
	Seq   uint64 `json:"seq,omitempty"`
	// Digest identifies the payload of an unnumbered message, and Redelivered says
	// that it may have been delivered before; together they replace a number.
	Digest      string `json:"digest,omitempty"`
	Redelivered bool   `json:"dup,omitempty"`
	// SenderID identifies an unnumbered message by an id that its sender gave it, whatever it
	// says otherwise: 16 hexadecimal digits, "" without one. Of two messages of an entity
	// with the same, the second one is a copy, as far back as workflows know.
	SenderID string `json:"sid,omitempty"`

	// Stale says that the message is a copy of an old one, which the source keeps: it
	// says what the device's state was, and nothing of now.
	Stale bool `json:"stale,omitempty"`

	// From is how the device is reached: where it speaks a dialect that has words for what it
	// is sent. Nil says nothing of that.
	From *Address `json:"from,omitempty"`
	// Relayed says that somebody else speaks of the device, such as the server of its
	// network: the message does not show that the device is up.
	Relayed bool `json:"relayed,omitempty"`

	// Pos is the message's position in the log of its batch, by which one that is
	// delivered again is recognized: see Batch.Log. 0: it is not in a log, as what the
	// service itself observed.
	Pos int64 `json:"pos,omitempty"`

	// LeftOut are the messages before this one that were not sent on.
	LeftOut *LeftOut `json:"out,omitempty"`

	// Restart says that the device began to number from below since the message
	// before this one that was sent on.
	Restart *Restart `json:"restart,omitempty"`

	// Twin is the request itself on ChannelTwin, and nil elsewhere.
	Twin *TwinRequest `json:"twin,omitempty"`

	// Faults are what is wrong with the message, as far as it was seen on its way:
	// without At and Topic, which are those of the message. On MessageFault they are
	// those of other messages, and complete.
	Faults []Fault `json:"faults,omitempty"`
}

// At is the time of the message as an event: the device's own where it can be
// believed, else that of its arrival.
func (m Message) At() time.Time {
	if m.Sent.IsZero() {
		return m.Time
	}
	return m.Sent
}

// Topic is the message's topic below that of its device, without the shadow
// protocol's and the service's own.
func (m Message) Topic() string {
	switch m.Channel {
	case ChannelEvents:
		return "events/" + m.Name
	case ChannelAck:
		return "commands/" + m.Name + "/ack"
	}
	return string(m.Channel)
}

// LeftOut are messages of a device that were not sent to its workflow because
// they could do nothing at their place in the order. If they are delivered again
// later, they are at another place, where they could: the workflow treats them as
// duplicates.
type LeftOut struct {
	Spans   []Span   `json:"spans,omitempty"`   // of those with a number
	Digests []string `json:"digests,omitempty"` // of those without, oldest first
	// Sent is the latest of their Message.Sent: a copy of one of them is not newer.
	Sent time.Time `json:"ts,omitzero"`
}

// Restart is a numbering that began below the one before, without a higher epoch.
type Restart struct {
	Epoch int64  `json:"epoch,omitempty"`
	Seq   uint64 `json:"seq"` // its first number that was seen
	// LastEpoch and LastSeq are the highest number before it.
	LastEpoch int64  `json:"last_epoch,omitempty"`
	LastSeq   uint64 `json:"last_seq"`
	// LeftOut are messages of the new numbering that were not sent on; those of the
	// one before are in Message.LeftOut.
	LeftOut []Span `json:"out,omitempty"`
}

// Span is a range of consecutive numbers of one epoch, both ends included.
type Span struct {
	Epoch int64  `json:"epoch"`
	From  uint64 `json:"from"`
	To    uint64 `json:"to"`
}

// TwinRequest is a request of the device shadow protocol, as it was published.
type TwinRequest struct {
	// Shadow is the name of the shadow, "" for the classic one.
	Shadow string `json:"shadow,omitempty"`
	// Reply is the topic of the request without its method: the answer to a get
	// goes to {Reply}/get/accepted or {Reply}/get/rejected. Empty: nobody is answered,
	// because a device only said what its state is.
	Reply string `json:"reply"`
	// Payload is the payload, unread: numbers keep all their digits.
	Payload []byte `json:"payload,omitempty"`
	// Reports marks an update with reported properties, which only the device
	// itself can know: it shows that the device is up.
	Reports bool `json:"reports,omitempty"`
}

// Batch is what is handed over at once: messages of one device, in the order of
// their arrival.
type Batch struct {
	// ID is the same whenever this batch is sent again, because its sender does
	// not know whether it had arrived, and no other batch of the device has it.
	// A sender never starts a batch before the one before it was accepted.
	ID string `json:"id,omitempty"`
	// Log names the log of the sender in which Message.Pos counts, in at most
	// MaxLogName bytes; "" if there is none.
	//
	// Within one log, Pos rises strictly from message to message of a device, in the
	// order in which they are delivered: also between those of one record, such as the
	// objects of an array, or a gap and the message that showed it, because they may be
	// in two batches. Where a record begins plus the message's place in it is such a
	// number, as long as a record has more bytes than messages. A message that is held
	// back counts with the record that releases it.
	//
	// A sender that does not know what was accepted, such as after a crash, delivers
	// again from any earlier position on: under the log and the positions of the first
	// time, in any batches. Positions may be left out; those of two logs are not
	// compared, and their messages are in two batches. What the workflow of a device was
	// given by a log up to a position, it does not apply again: see package
	// workflows/device.
	//
	// A sender's own log has a new name at each of its starts. One that others read too keeps
	// its name, which has a colon: see SharedLog.
	Log string `json:"log,omitempty"`
	// First is the position of the first message, if those after it have the next ones:
	// instead of Message.Pos. 0: each has its own.
	First    int64     `json:"first,omitempty"`
	Messages []Message `json:"m"`
}

// MaxLogName bounds Batch.Log, in bytes: workflows keep it.
const MaxLogName = 32

// SharedLog reports whether a log is one that several senders read, such as a partition of
// Kafka, by its name. Such logs keep their names, and an entity may have messages in many of
// them: workflows remember more of these than of logs that have a new name at each start.
func SharedLog(name string) bool { return strings.Contains(name, ":") }

// Delivery is a batch on its way to the twin of its device.
type Delivery struct {
	ID ID
	// Model is the hash of the model to start a twin with; "" is the default one.
	// A twin that is there goes on with its own.
	Model string
	Batch Batch
	// Start starts a twin if there is none; otherwise that is ErrNoTwin.
	Start bool
	// Provisional says that the model is that of devices that have not named one: a twin
	// that is started with it takes over the one that the device names later.
	Provisional bool
	// OneByOne says that events of the batch may be processed one by one, for which there may
	// be no room: that is ErrNoRoom.
	OneByOne bool
}

// Says is what the message says of the device's connection: Online, Offline,
// ConnectionUnknown, or nothing on channels other than ChannelStatus. Without
// Connection, only the exact status "offline" is Offline, and any other is Online.
func (m Message) Says() string {
	switch {
	case m.Channel != ChannelStatus:
		return ""
	case m.Connection != "":
		return m.Connection
	case m.Data["status"] == Offline:
		return Offline
	}
	return Online
}

// Alive reports whether the message shows that the device itself is up. A last
// will (status "offline") is published by the broker, not by the device, and a
// sequence observation is only made with a message that counts on its own.
// Shadow requests come from applications as well as from devices.
func (m Message) Alive() bool {
	if m.Relayed {
		return false
	}
	switch m.Channel {
	case ChannelStatus:
		return m.Says() != Offline
	case ChannelSystem:
		return m.Name == MessageSeen
	case ChannelMembers: // of others
		return false
	case ChannelTwin: // also applications send these
		return m.Twin != nil && m.Twin.Reports && !m.Stale
	}
	return true
}

// ReservedName reports whether an event name is reserved for the service: a device
// may not publish it, and an operator may not send it: done.*, error.*, device.*,
// sequence.*, twin.*, operator.*.
func ReservedName(name string) bool {
	head, _, _ := strings.Cut(name, ".")
	switch head {
	case "done", "error", "device", "sequence", "twin", "operator":
		return true
	}
	return false
}
