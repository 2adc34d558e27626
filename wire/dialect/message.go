package dialect

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"devicetwin/device"
	"devicetwin/internal/expression"
	"devicetwin/source"
	"devicetwin/wire"
)

// message says how a message is made of what was published: one for each element, if
// there is each.
type message struct {
	at      source.Node
	channel device.Channel
	id      *idTemplate
	vars    []variable
	each    *expression.Program
	when    *expression.Program
	name    *textTemplate
	data    data
	only    memberNames // those that are taken of the data; nil: all
	omit    memberNames // those that are not
	number  *numbering
	time    *timing
	absent  []any
	words   device.StatusWords
}

// data says what a message's data is; zero: the payload, or the element of it.
type data struct {
	whole   *expression.Program
	members []variable
}

func (d *data) given() bool { return d.whole != nil || len(d.members) > 0 }

// memberNames are names of members, or beginnings of names that end with *.
type memberNames []string

func (names memberNames) has(name string) bool {
	return slices.ContainsFunc(names, func(n string) bool {
		before, open := strings.CutSuffix(n, "*")
		return name == n || open && strings.HasPrefix(name, before)
	})
}

// takes reports whether a member of the data is taken.
func (m *message) takes(name string) bool {
	return (m.only == nil || m.only.has(name)) && !m.omit.has(name)
}

// variable is one whose value is computed.
type variable struct {
	name  string
	value *expression.Program
}

// numbering says where a device's own number of a message is.
type numbering struct{ epoch, seq *expression.Program }

// appendTo makes the messages of a payload.
func (m *message) appendTo(all []wire.Received, s *scope, object []byte, a arrival) ([]wire.Received, error) {
	if m.each != nil {
		return m.appendEach(all, s, a)
	}
	if !m.takesAsIs() {
		object = nil
	}
	one, err := m.make(s, object, len(all), a)
	if one != nil {
		all = append(all, *one)
	}
	return all, err
}

// appendEach makes those of a payload of several devices, or of several messages of one.
func (m *message) appendEach(all []wire.Received, s *scope, a arrival) ([]wire.Received, error) {
	v, err := s.eval("each", m.each)
	if err != nil {
		return nil, err
	}
	items, ok := v.([]any)
	if !ok && v != nil {
		return nil, wire.Refuse(wire.ReasonBadPayload, "each: expected a list, found %s", kindOf(v))
	}
	if len(items) > a.dialect.limits.objects {
		return nil, wire.Refuse(wire.ReasonBadPayload, "each: a list of %d, the limit is %d", len(items), a.dialect.limits.objects)
	}
	for i, item := range items {
		s.item = item
		one, err := m.make(s, nil, len(all), a)
		if refused := (*wire.Refused)(nil); errors.As(err, &refused) {
			refused.Detail += fmt.Sprintf(" (element %d)", i)
		}
		if err != nil {
			return nil, err
		}
		if one != nil {
			all = append(all, *one)
		}
	}
	s.item = nil
	return all, nil
}

// takesAsIs reports whether the data is the payload as it came, if that is an object.
func (m *message) takesAsIs() bool {
	return !m.data.given() && len(m.absent) == 0 && m.only == nil && m.omit == nil && m.channel != device.ChannelTwin
}

// reads reports whether the payload is decoded for the message, although it may be the data
// as it came.
func (m *message) reads() bool {
	return !m.takesAsIs() || m.each != nil || len(m.vars) > 0 || m.when != nil || m.number != nil || m.time != nil
}

// make makes one message. Nil: there is nothing that it would say.
func (m *message) make(s *scope, object []byte, place int, a arrival) (*wire.Received, error) {
	if m.when != nil {
		if v, err := s.eval("when", m.when); v != true || err != nil {
			return nil, err
		}
	}
	s.vars = s.vars[:0]
	for _, v := range m.vars {
		value, err := s.eval("variable "+v.name, v.value)
		if err != nil {
			return nil, err
		}
		s.vars = append(s.vars, textOf(value))
	}
	id, err := m.id.fill(s.text)
	if err != nil {
		return nil, wire.Refuse(wire.ReasonBadDeviceID, "%v", err)
	}
	to := &wire.Received{ID: id, Place: place, PointTime: a.at, Message: device.Message{Channel: m.channel, Time: a.at, Redelivered: a.dup}}
	if err := m.setName(to, s); err != nil {
		return nil, err
	}
	if object == nil {
		data, err := m.dataOf(s)
		if data == nil || err != nil {
			return nil, err
		}
		if object, err = json.Marshal(data); err != nil {
			return nil, wire.Refuse(wire.ReasonBadPayload, "data: %v", err)
		}
		to.Message.Data = data
	}
	to.Object = object
	if err := m.setNumber(to, s); err != nil {
		return nil, err
	}
	if err := m.time.set(to, s, a.dialect.clock); err != nil {
		return nil, err
	}
	return m.finish(to)
}

// finish makes of a message what its channel asks for.
func (m *message) finish(to *wire.Received) (*wire.Received, error) {
	switch m.channel {
	case device.ChannelStatus:
		to.Complete()
		to.Message.Connection = m.words.Connection(to.Message.Data["status"])
	case device.ChannelTwin:
		return to, report(to)
	}
	return to, nil
}

// report makes an update of the reported state, which nobody is answered.
func report(to *wire.Received) error {
	payload, err := json.Marshal(map[string]any{"state": map[string]any{"reported": to.Message.Data}})
	if err != nil {
		return fmt.Errorf("report of device %s: %w", to.ID, err)
	}
	to.Identify()
	to.Object, to.Message.Data = nil, nil
	to.Message.Name = device.MethodUpdate
	to.Message.Twin = &device.TwinRequest{Payload: payload, Reports: true}
	return nil
}

func (m *message) setName(to *wire.Received, s *scope) error {
	if m.name == nil {
		return nil
	}
	to.Message.Name = m.name.fill(s.text)
	switch {
	case !device.ValidName(to.Message.Name):
		return wire.Refuse(wire.ReasonBadPayload, "event name %q: expected 1 to 64 letters, digits, _, - and .", to.Message.Name)
	case device.ReservedName(to.Message.Name):
		return wire.Refuse(wire.ReasonBadPayload, "event name %q is reserved for the service", to.Message.Name)
	}
	return nil
}

// dataOf is the data of a message. Nil: there is nothing in it.
func (m *message) dataOf(s *scope) (map[string]any, error) {
	v, err := m.value(s)
	if err != nil || m.isAbsent(v) {
		return nil, err
	}
	object, ok := v.(map[string]any)
	if !ok {
		name := "value"
		if m.channel == device.ChannelStatus {
			name = "status"
		}
		object = map[string]any{name: v}
	}
	data := make(map[string]any, len(object))
	for name, member := range object {
		if member, ok := m.present(member); ok && m.takes(name) {
			data[unreserved(name)] = member
		}
	}
	if len(data) == 0 && (len(object) > 0 || len(m.data.members) > 0 || m.only != nil) { // there is no reading in it
		return nil, nil
	}
	return data, nil
}

// value is the data of a message as the file makes it.
func (m *message) value(s *scope) (any, error) {
	switch {
	case m.data.whole != nil:
		return s.eval("data", m.data.whole)
	case m.data.members == nil && m.each != nil:
		return s.item, nil
	case m.data.members == nil:
		return s.payload, nil
	}
	object := make(map[string]any, len(m.data.members))
	for _, member := range m.data.members {
		v, err := member.value.Eval(s)
		switch {
		case err == nil:
			object[member.name] = v
		case !expression.Absent(err): // else the last one stays
			return nil, wire.Refuse(wire.ReasonBadPayload, "data: %s: %v", member.name, err)
		}
	}
	return object, nil
}

// present is a value without what is absent in it, at any depth of objects; false: there is
// nothing else in it. Elements of lists stay, because they count by their place. The value is not
// changed: another message may read it.
func (m *message) present(v any) (any, bool) {
	object, ok := v.(map[string]any)
	if !ok || len(m.absent) == 0 {
		return v, !m.isAbsent(v)
	}
	rest := make(map[string]any, len(object))
	for name, member := range object {
		if member, ok := m.present(member); ok {
			rest[name] = member
		}
	}
	return rest, len(rest) > 0 || len(object) == 0
}

func (m *message) isAbsent(v any) bool {
	switch v.(type) {
	case nil, bool, float64, string: // others cannot be compared
		return slices.Contains(m.absent, v)
	}
	return false
}

// setNumber takes over the device's own number. One that is not there is none.
func (m *message) setNumber(to *wire.Received, s *scope) error {
	if m.number == nil {
		return nil
	}
	seq, err := integerOf("seq", m.number.seq, s, 1)
	if err != nil {
		return err
	}
	epoch, err := integerOf("epoch", m.number.epoch, s, 0)
	if err != nil {
		return err
	}
	if seq > 0 {
		to.Message.Epoch, to.Message.Seq = epoch, uint64(seq)
	}
	return nil
}

func integerOf(what string, p *expression.Program, s *scope, least float64) (int64, error) {
	if p == nil {
		return 0, nil
	}
	v, err := s.eval(what, p)
	if err != nil {
		return 0, err
	}
	n, ok := v.(float64)
	switch {
	case v == nil:
		return 0, nil
	case !ok || n != math.Trunc(n) || n < least || n > wire.MaxInteger:
		return 0, wire.Refuse(wire.ReasonBadPayload, "%s: expected an integer from %v to 2^53", what, least)
	}
	return int64(n), nil
}

// textOf is a value as a variable has it.
func textOf(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	}
	b, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(b)
}

func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "true or false"
	case float64:
		return "a number"
	case string:
		return "a string"
	case []any:
		return "a list"
	}
	return "an object"
}
