package history

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"math"
	"strconv"
	"time"

	"devicetwin/device"
)

// An arrival is written as
//
//	version, flags, stream, origin, number, payload,
//	count, messages, count, outgoing
//
// and one of a source's log, in the version versionLog, with log and offset after number,
// where strings and lists have their length before them (uvarint). The time of receipt is
// that of its record. An object of a message that is part of the payload, as most are, is
// written as its place there.
const (
	version    = 1
	versionLog = 2
)

// Flags of an arrival, and of a message.
const (
	flagAgain = 1 << iota
)

const (
	flagRedelivered = 1 << iota
	flagDated
	flagSent
	flagInline // the object is not part of the payload
	flagObject // there is one
	flagPoint
	flagMore // stale, connection, model, faults, request or id, in JSON
	flagRelayed
)

// more are the members of a message that few have.
type more struct {
	Connection string              `json:"conn,omitempty"`
	Model      string              `json:"model,omitempty"`
	Faults     []device.Fault      `json:"faults,omitempty"`
	Twin       *device.TwinRequest `json:"twin,omitempty"`
	Stale      bool                `json:"stale,omitempty"`
	SenderID   string              `json:"sid,omitempty"`
}

// Append encodes an arrival.
func (a *Arrival) Append(b []byte) []byte {
	flags := byte(0)
	if a.Again {
		flags |= flagAgain
	}
	if a.Log != "" {
		b = append(b, versionLog, flags)
	} else {
		b = append(b, version, flags)
	}
	b = appendText(b, a.Stream)
	b = appendText(b, a.Origin)
	b = binary.AppendUvarint(b, a.Number)
	if a.Log != "" {
		b = binary.AppendUvarint(appendText(b, a.Log), uint64(a.Offset))
	}
	b = appendText(b, a.Payload)
	b = binary.AppendUvarint(b, uint64(len(a.Messages)))
	from := 0 // in the payload
	for i := range a.Messages {
		b, from = a.Messages[i].append(b, a.Payload, from)
	}
	b = binary.AppendUvarint(b, uint64(len(a.Outgoing)))
	for i := range a.Outgoing {
		b = a.Outgoing[i].append(b, a.Log != "")
	}
	return b
}

func appendText[T ~string | ~[]byte](b []byte, text T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

// noTime is written for the zero time, which nanoseconds since 1970 do not reach.
const noTime = math.MinInt64

func appendTime(b []byte, t time.Time) []byte {
	ns := int64(noTime)
	if !t.IsZero() {
		ns = t.UnixNano()
	}
	return binary.LittleEndian.AppendUint64(b, uint64(ns))
}

// append encodes a message. Its object is looked for in the payload from a place on;
// it returns the place behind it.
func (m *Message) append(b, payload []byte, from int) ([]byte, int) {
	msg := &m.Message
	flags, place := m.flags(), -1
	if m.Object != nil {
		if place = bytes.Index(payload[from:], m.Object); place < 0 {
			flags |= flagInline
		}
	}
	b = append(b, flags, byte(m.Verdict))
	b = appendText(b, m.ID)
	b = appendText(b, msg.Channel)
	b = appendText(b, msg.Name)
	b = binary.AppendVarint(b, msg.Epoch)
	b = binary.AppendUvarint(b, msg.Seq)
	b = binary.AppendUvarint(b, uint64(m.Place))
	digest, _ := strconv.ParseUint(msg.Digest, 16, 64)
	b = binary.AppendUvarint(b, digest)
	if flags&flagSent != 0 {
		b = binary.AppendVarint(b, msg.Sent.UnixMilli())
	}
	switch {
	case flags&flagInline != 0:
		b = appendText(b, m.Object)
	case flags&flagObject != 0:
		from += place
		b = binary.AppendUvarint(binary.AppendUvarint(b, uint64(from)), uint64(len(m.Object)))
		from += len(m.Object)
	}
	b = appendTime(b, m.PointTime)
	if flags&flagPoint != 0 {
		b = appendText(b, m.Measurement)
		b = appendTime(b, m.Point)
	}
	if flags&flagMore != 0 {
		text, _ := json.Marshal(more{msg.Connection, msg.Model, msg.Faults, msg.Twin, msg.Stale, msg.SenderID}) // it has nothing that cannot be encoded
		b = appendText(b, text)
	}
	return b, from
}

func (m *Message) flags() (flags byte) {
	msg := &m.Message
	for _, f := range [...]struct {
		flag byte
		is   bool
	}{
		{flagRedelivered, msg.Redelivered},
		{flagDated, m.Dated},
		{flagSent, !msg.Sent.IsZero()},
		{flagObject, m.Object != nil},
		{flagPoint, m.Measurement != ""},
		{flagRelayed, msg.Relayed},
		{flagMore, msg.Connection != "" || msg.Model != "" || msg.Faults != nil || msg.Twin != nil || msg.Stale || msg.SenderID != ""},
	} {
		if f.is {
			flags |= f.flag
		}
	}
	return flags
}

// append encodes it, with its position if that does not follow from the place of the record.
func (o *Outgoing) append(b []byte, position bool) []byte {
	flags := byte(0)
	if o.Passive {
		flags = 1
	}
	m := o.Message
	if o.Of > 0 {
		m.Data = nil // it is in the arrival's message
	}
	if !position {
		m.Pos = 0
	}
	b = append(b, flags)
	b = appendText(b, o.ID)
	b = binary.AppendUvarint(b, uint64(o.Of))
	text, _ := json.Marshal(m) // its data was JSON
	return appendText(b, text)
}
