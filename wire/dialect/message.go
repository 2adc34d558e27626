package dialect

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"devicetwin/device"
	"devicetwin/source"
	"devicetwin/wire"
)

// message says how a message is made of what was published: one for each element, if
// there is each.
type message struct {
	at        source.Node
	channel   device.Channel
	id        *idTemplate
	vars      []variable
	each      *formula
	inside    *inside
	when      *formula
	name      *textTemplate
	data      data
	selection // of the data
	number    *numbering
	time      *timing
	absent    absent
	words     device.StatusWords

	relayed  bool            // somebody else speaks of the device
	awake    time.Duration   // how long the device listens after it; 0: always
	from     *device.Address // how its device is reached; nil: nothing is sent to it
	remember []string        // variables that its address has, where the topic has them
}

// variable is one whose value is computed.
type variable struct {
	name  string
	value *formula
}

// numbering says where a device's own number of a message is, or the id that it gave it. Epoch may
// be nil, and so is seq where there is an id.
type numbering struct{ epoch, seq, id *formula }

// by is what distinguishes the messages of a device; nil: nothing, or it has a fault.
func (n *numbering) by() *formula {
	switch {
	case n == nil:
		return nil
	case n.id != nil:
		return n.id
	}
	return n.seq
}

// formulas are all of the message.
func (m *message) formulas() (all []*formula) {
	all = append(m.data.formulas(), m.each, m.when)
	if m.inside != nil {
		all = append(all, m.inside.member)
	}
	for _, v := range m.vars {
		all = append(all, v.value)
	}
	if m.number != nil {
		all = append(all, m.number.epoch, m.number.seq, m.number.id)
	}
	if m.time != nil {
		all = append(all, m.time.at)
	}
	return slices.DeleteFunc(all, func(f *formula) bool { return f == nil })
}

// appendTo makes the messages of a payload.
func (m *message) appendTo(all []wire.Received, s *scope) ([]wire.Received, error) {
	switch {
	case m.each != nil:
		return m.appendEach(all, s)
	case m.takesAsIs(s.object):
		return m.appendOne(all, s, s.object)
	}
	return m.appendOne(all, s, nil)
}

// appendEach makes those of a payload of several devices, or of several messages of one.
func (m *message) appendEach(all []wire.Received, s *scope) ([]wire.Received, error) {
	v, _, err := s.eval(m.each)
	if err != nil {
		return nil, err
	}
	items, err := itemsOf(v, s.dialect.limits.objects)
	if err != nil {
		return nil, err
	}
	all = slices.Grow(all, len(items))
	for i, item := range items {
		s.item = item
		if m.inside != nil && m.inside.member.reads(varItem) {
			s.part = decodedPart{}
		}
		if all, err = m.appendOne(all, s, nil); err != nil {
			return nil, ofElement(err, i)
		}
	}
	s.item = nil
	return all, nil
}

// ofElement adds to a refusal which element of a list it is of.
func ofElement(err error, i int) error {
	if refused := (*wire.Refused)(nil); errors.As(err, &refused) {
		refused.Detail += fmt.Sprintf(" (element %d)", i)
	}
	return err
}

// itemsOf are the elements of a list of at most so many. Where there is one, senders may write it without the
// list around it.
func itemsOf(v any, most int) ([]any, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case []any:
		if len(v) > most {
			return nil, wire.Refuse(wire.ReasonBadPayload, "each: a list of %d, the limit is %d", len(v), most)
		}
		return v, nil
	case map[string]any:
		return []any{v}, nil
	}
	return nil, wire.Refuse(wire.ReasonBadPayload, "each: expected a list or an object, found %s", kindOf(v))
}

// appendOne makes one message, or none if there is nothing that it would say. Its data is the
// object as it is; nil: that which the file says.
func (m *message) appendOne(all []wire.Received, s *scope, object []byte) ([]wire.Received, error) {
	if holds, err := m.holds(s); !holds || err != nil {
		return all, err
	}
	if err := m.setVariables(s); err != nil {
		return nil, err
	}
	id, err := s.idOf(m.id)
	if err != nil {
		return nil, wire.Refuse(wire.ReasonBadDeviceID, "%v", err)
	}
	name, err := m.nameOf(s)
	if err != nil {
		return nil, err
	}
	var data map[string]any
	if object == nil {
		if data, object, err = m.makeData(s); object == nil || err != nil {
			return all, err
		}
	}
	if m.channel == device.ChannelAck && !saysStatus(object) {
		return all, nil
	}
	all = append(all, wire.Received{
		ID: id, Object: object, Place: len(all), PointTime: s.at,
		Message: device.Message{Channel: m.channel, Name: name, Data: data, Time: s.at, Redelivered: s.dup, Relayed: m.relayed, From: m.addressOf(s)},
	})
	to := &all[len(all)-1]
	if err := m.setNumber(to, s, all[:len(all)-1]); err != nil {
		return nil, err
	}
	if err := m.time.set(to, s); err != nil {
		return nil, err
	}
	m.finish(to, s.dialect.lazy)
	return all, nil
}

// holds reports whether the condition does. One on what is not there does not.
func (m *message) holds(s *scope) (bool, error) {
	if m.when == nil {
		return true, nil
	}
	v, _, err := s.eval(m.when)
	if v == nil || err != nil {
		return false, err
	}
	holds, ok := v.(bool)
	if !ok {
		return false, wire.Refuse(wire.ReasonBadPayload, "when: expected true or false, found %s", kindOf(v))
	}
	return holds, nil
}

// setVariables computes those of the message. What is not there is empty.
func (m *message) setVariables(s *scope) error {
	s.vars = s.vars[:0]
	for _, v := range m.vars {
		value, _, err := s.eval(v.value)
		if err != nil {
			return err
		}
		text, err := v.text(value)
		if err != nil {
			return err
		}
		s.vars = append(s.vars, text)
	}
	return nil
}

// text is the value of the variable, as topics, ids and names have it.
func (v variable) text(value any) (string, error) {
	text, ok := textOf(value)
	if !ok {
		return "", wire.Refuse(wire.ReasonBadPayload, "variable %s: expected a string, a number, true or false, found %s", v.name, kindOf(value))
	}
	return text, nil
}

// textOf is a value as a variable has it: a number is written as in JSON.
func textOf(v any) (string, bool) {
	switch v := v.(type) {
	case nil:
		return "", true
	case string:
		return v, true
	case bool, float64:
		b, err := json.Marshal(v)
		return string(b), err == nil
	}
	return "", false
}

// wordOf is a value as status has it among its words: a number and true and false as in JSON.
func wordOf(v any) any {
	if text, ok := textOf(v); ok && v != nil {
		return text
	}
	return v
}

func (m *message) nameOf(s *scope) (string, error) {
	if m.name == nil {
		return "", nil
	}
	name, of := m.name.fill(s.text), "event"
	if m.channel == device.ChannelAck {
		of = "command"
	}
	switch {
	case !device.ValidName(name):
		return "", wire.Refuse(m.reasonOfName(), "%s name %q: expected 1 to 64 letters, digits, _, - and .", of, name)
	case m.channel == device.ChannelEvents && device.ReservedName(name):
		return "", wire.Refuse(m.reasonOfName(), "event name %q is reserved for the service", name)
	}
	return name, nil
}

// reasonOfName is the reason for which a message with a bad name is refused: the topic, where all of
// the name is from there.
func (m *message) reasonOfName() wire.Reason {
	for _, v := range m.vars {
		if slices.Contains(m.name.variables(), v.name) {
			return wire.ReasonBadPayload
		}
	}
	return wire.ReasonBadTopic
}

// setNumber takes over the device's own number. One that is not there is none. By a number
// that another message has, this one would be taken for its copy.
func (m *message) setNumber(to *wire.Received, s *scope, others []wire.Received) error {
	switch {
	case m.number == nil:
		return nil
	case m.number.id != nil:
		return m.setID(to, s, others)
	}
	seq, err := integerOf(m.number.seq, s, 1)
	if err != nil {
		return err
	}
	epoch, err := integerOf(m.number.epoch, s, 0)
	if err != nil || seq == 0 {
		return err
	}
	to.Message.Epoch, to.Message.Seq = epoch, uint64(seq)
	for i := range others {
		if o := &others[i]; o.Message.Seq == to.Message.Seq && o.Message.Epoch == epoch && o.ID == to.ID {
			return wire.Refuse(wire.ReasonBadPayload, "seq: %d is the number of another message of device %s in the same payload", seq, to.ID)
		}
	}
	return nil
}

// setID takes over the id that the sender gave the message. One that is not there, or is empty, does not count.
func (m *message) setID(to *wire.Received, s *scope, others []wire.Received) error {
	v, _, err := s.eval(m.number.id)
	if err != nil {
		return err
	}
	text, ok := textOf(v)
	if !ok {
		return wire.Refuse(wire.ReasonBadPayload, "%s: expected a string, a number, true or false, found %s", m.number.id.what, kindOf(v))
	}
	to.SetSenderID(text)
	for i := range others {
		if o := &others[i]; text != "" && o.Message.SenderID == to.Message.SenderID && o.ID == to.ID {
			return wire.Refuse(wire.ReasonBadPayload, "%s: %.64q is that of another message of %s in the same payload", m.number.id.what, text, to.ID.Entity())
		}
	}
	return nil
}

func integerOf(f *formula, s *scope, least float64) (int64, error) {
	if f == nil {
		return 0, nil
	}
	if found, there, known := s.find(f); known && there {
		if n, ok := found.Integer(); ok && float64(n) >= least {
			return n, nil
		}
	}
	v, _, err := s.eval(f)
	if err != nil {
		return 0, err
	}
	n, ok := v.(float64)
	switch {
	case v == nil:
		return 0, nil
	case !ok || n != math.Trunc(n) || n < least || n > wire.MaxInteger:
		return 0, wire.Refuse(wire.ReasonBadPayload, "%s: expected an integer from %v to 2^53", f.what, least)
	}
	return int64(n), nil
}

// finish makes of a message what its channel asks for.
func (m *message) finish(to *wire.Received, lazy bool) {
	switch m.channel {
	case device.ChannelTwin:
		report(to)
	case device.ChannelStatus:
		to.Complete()
		to.Message.Connection = m.words.Connection(wordOf(to.Message.Data["status"]))
	case device.ChannelAck:
		to.Complete()
	default:
		if !lazy {
			to.Complete()
		}
	}
}

// report makes an update of the reported state, which nobody is answered.
func report(to *wire.Received) {
	to.Identify()
	to.Message.Name = device.MethodUpdate
	to.Message.Twin = &device.TwinRequest{Payload: slices.Concat(reportBegin, to.Object, reportEnd), Reports: true}
	to.Object, to.Message.Data = nil, nil
}

var reportBegin, reportEnd = []byte(`{"state":{"reported":`), []byte(`}}`)
