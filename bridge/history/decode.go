package history

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"devicetwin/device"
)

// ReadArrival decodes the data of a record of KindArrival that was appended at a time.
// The arrival refers to the data.
func ReadArrival(data []byte, at time.Time) (*Arrival, error) {
	r := &reader{data: data}
	begin := r.opening()
	a := &Arrival{
		At: at.UTC(), Again: begin.flags&flagAgain != 0, Stream: string(begin.stream), Origin: string(begin.origin),
		Number: begin.number, Log: string(begin.log), Offset: begin.offset, Payload: begin.payload,
	}
	for n := r.count(); n > 0 && r.err == nil; n-- { // what it says is not believed before they are there
		a.Messages = append(a.Messages, Message{})
		a.Messages[len(a.Messages)-1].read(r, a)
	}
	for n := r.count(); n > 0 && r.err == nil; n-- {
		a.Outgoing = append(a.Outgoing, Outgoing{})
		a.Outgoing[len(a.Outgoing)-1].read(r, a)
	}
	if r.err == nil && len(r.data) > 0 {
		r.err = fmt.Errorf("%d bytes too many", len(r.data))
	}
	if r.err != nil {
		return nil, fmt.Errorf("arrival: %w", r.err)
	}
	return a, nil
}

// opening is what comes before the messages of an arrival.
type opening struct {
	flags          byte
	stream, origin []byte
	number         uint64
	log            []byte
	offset         int64
	payload        []byte
}

func (r *reader) opening() (o opening) {
	v := r.byte()
	if r.err == nil && v != version && v != versionLog {
		r.fail(fmt.Errorf("version %d; expected %d or %d", v, version, versionLog))
	}
	o.flags = r.byte()
	o.stream, o.origin = r.bytes(), r.bytes()
	o.number = r.uvarint()
	if v == versionLog {
		o.log, o.offset = r.bytes(), int64(r.uvarint())
	}
	o.payload = r.bytes()
	return o
}

// head is a message as it is written, without anything decoded that takes memory.
type head struct {
	payload []byte // of the arrival

	flags             byte
	verdict           Verdict
	id, channel, name []byte
	epoch             int64
	seq               uint64
	place             int
	digest            uint64
	sent              time.Time
	object            []byte
	pointTime         time.Time
	measurement       []byte // nil: it has no point
	point             time.Time
	more              []byte // JSON; nil: nothing
}

func (m *head) read(r *reader) {
	m.flags = r.byte()
	m.verdict = Verdict(r.byte())
	m.id, m.channel, m.name = r.bytes(), r.bytes(), r.bytes()
	m.epoch, m.seq = r.varint(), r.uvarint()
	m.place = int(r.uvarint())
	m.digest = r.uvarint()
	if m.flags&flagSent != 0 {
		m.sent = time.UnixMilli(r.varint()).UTC()
	}
	switch {
	case m.flags&flagInline != 0:
		m.object = r.bytes()
	case m.flags&flagObject != 0:
		from, length := r.uvarint(), r.uvarint()
		if from > uint64(len(m.payload)) || length > uint64(len(m.payload))-from {
			r.fail(errors.New("an object beyond the payload"))
			return
		}
		m.object = m.payload[from : from+length : from+length]
	}
	m.pointTime = r.time()
	if m.flags&flagPoint != 0 {
		m.measurement, m.point = r.bytes(), r.time()
	}
	if m.flags&flagMore != 0 {
		m.more = r.bytes()
	}
}

func (m *Message) read(r *reader, a *Arrival) {
	h := head{payload: a.Payload}
	h.read(r)
	if r.err != nil {
		return
	}
	m.Verdict, m.Measurement, m.Point = h.verdict, string(h.measurement), h.point
	m.ID, m.Object, m.Place, m.PointTime, m.Dated = device.ID(h.id), h.object, h.place, h.pointTime, h.flags&flagDated != 0
	m.Message = device.Message{
		Channel: device.Channel(h.channel), Name: string(h.name), Time: a.At, Sent: h.sent,
		Epoch: h.epoch, Seq: h.seq, Redelivered: h.flags&flagRedelivered != 0, Relayed: h.flags&flagRelayed != 0,
	}
	if h.digest != 0 {
		m.Message.Digest = fmt.Sprintf("%016x", h.digest)
	}
	if h.more == nil {
		return
	}
	var rest more
	if err := json.Unmarshal(h.more, &rest); err != nil {
		r.fail(err)
	}
	m.Message.Connection, m.Message.Model, m.Message.Faults, m.Message.Twin = rest.Connection, rest.Model, rest.Faults, rest.Twin
	m.Message.Stale, m.Message.SenderID = rest.Stale, rest.SenderID
}

func (o *Outgoing) read(r *reader, a *Arrival) {
	o.Passive = r.byte() == 1
	o.ID = device.ID(r.bytes())
	o.Of = int(r.uvarint())
	r.json(&o.Message)
	if o.Of == 0 || r.err != nil {
		return
	}
	if o.Of < 0 || o.Of > len(a.Messages) {
		r.fail(fmt.Errorf("message %d of %d goes out", o.Of, len(a.Messages)))
		return
	}
	of := a.Messages[o.Of-1].Received
	of.Complete()
	o.Message.Data = of.Message.Data
}

// reader reads the parts of an encoded record. After an error everything is empty.
type reader struct {
	data []byte
	err  error
}

var errShort = errors.New("it ends too early")

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.data = nil
}

func (r *reader) byte() byte {
	if len(r.data) == 0 {
		r.fail(errShort)
		return 0
	}
	b := r.data[0]
	r.data = r.data[1:]
	return b
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.data)
	r.skip(n)
	return v // 0 if there is none
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.data)
	r.skip(n)
	return v // 0 if there is none
}

// skip passes over the bytes of a number. None: there is no number.
func (r *reader) skip(n int) {
	if n <= 0 {
		r.fail(errShort)
		return
	}
	r.data = r.data[n:]
}

// count is the length of a list: each of its members has more than a byte.
func (r *reader) count() int {
	n := r.uvarint()
	if n > uint64(len(r.data)) {
		r.fail(errShort)
		return 0
	}
	return int(n)
}

func (r *reader) bytes() []byte {
	n := r.count()
	b := r.data[:n:n]
	r.data = r.data[n:]
	return b
}

func (r *reader) time() time.Time {
	if len(r.data) < 8 {
		r.fail(errShort)
		return time.Time{}
	}
	ns := int64(binary.LittleEndian.Uint64(r.data))
	r.data = r.data[8:]
	if ns == noTime {
		return time.Time{}
	}
	return time.Unix(0, ns).UTC()
}

func (r *reader) json(v any) {
	b := r.bytes()
	if r.err != nil {
		return
	}
	if err := json.Unmarshal(b, v); err != nil {
		r.fail(err)
	}
}
