package dialect

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"devicetwin/device"
	"devicetwin/source"
	"devicetwin/wire"
)

// data says what a message's data is. Neither: the payload, or the element of it.
type data struct {
	whole   *formula
	members []member // sorted; nil: there are none; an empty list is data without members
}

// data is one formula, or one for each member.
func (l *loader) data(n source.Node) (d data) {
	switch {
	case !n.Exists():
	case n.IsMap():
		d.members = []member{}
		for _, e := range n.Entries() {
			if wire.Reserved(e.Key) && !l.sends {
				e.KeyAt.Faultf("member %q: expected another name, because this one is the service's own", e.Key)
			}
			checkMemberName(e)
			key, _ := json.Marshal(e.Key)
			d.members = append(d.members, member{e.Key, append(key, ':'), l.formula(e.Value, "data: "+e.Key)})
		}
		slices.SortStableFunc(d.members, func(a, b member) int { return bytes.Compare(a.key, b.key) })
	default:
		d.whole = l.formula(n, "data")
	}
	return d
}

// checkMemberName notes a key that is empty, or was meant to have a variable in it.
func checkMemberName(e source.Entry) {
	switch {
	case e.Key == "":
		e.KeyAt.Faultf("data: expected a name of a member")
	case strings.ContainsAny(e.Key, "{}"):
		hint := ""
		if name := strings.Trim(e.Key, "{}"); e.Key == "{"+name+"}" && validVariable(name) {
			hint = fmt.Sprintf(`for the value of a variable, data: "{topic.%s: payload}"`, name)
		}
		e.KeyAt.FaultHint(hint, "member %q: names are taken literally; expected one without braces", e.Key)
	}
}

func (d *data) given() bool { return d.whole != nil || d.members != nil }

// takesAsIs reports whether the data is an object as it came. Nil: there is none.
func (m *message) takesAsIs(object []byte) bool {
	return object != nil && !m.data.given() && m.each == nil && m.takesAll() && !m.absent.mayBeIn(object)
}

// maxMade bounds what one payload becomes, in bytes of data that are not part of it: each
// element of a list may take over the whole payload.
const maxMade = 1 << 20

// makeData makes the data of a message, encoded, and decoded where it was. Nil: there is nothing
// in it.
func (m *message) makeData(s *scope) (data map[string]any, object []byte, err error) {
	if m.data.members != nil {
		object, err = m.encodeMembers(s)
	} else if data, err = m.dataOf(s); data != nil && err == nil {
		object, err = encoded(data)
	}
	if object == nil || err != nil {
		return nil, nil, err
	}
	if refused := s.count(len(object)); refused != nil {
		return nil, nil, refused
	}
	return data, object, nil
}

// count counts bytes of data that was made, and refuses what is too much; nil: it is not.
func (s *scope) count(bytes int) *wire.Refused {
	if s.made += bytes; s.made > maxMade {
		return wire.Refuse(wire.ReasonTooLarge, "the messages in it have more than %d bytes together", maxMade)
	}
	return nil
}

// encoded is a value of JSON, encoded.
func encoded(v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, wire.Refuse(wire.ReasonBadPayload, "data: %v", err)
	}
	return b, nil
}

// dataOf is the data of a message that is one value. Nil: there is nothing in it.
func (m *message) dataOf(s *scope) (map[string]any, error) {
	v, there, err := m.value(s)
	if !there || err != nil {
		return nil, err
	}
	if v, there = m.absent.without(v); !there {
		return nil, nil
	}
	object, ok := v.(map[string]any)
	if !ok {
		name := "value"
		if m.channel == device.ChannelStatus || m.channel == device.ChannelAck {
			name = "status"
		}
		object = map[string]any{name: v}
	}
	data := maps.Clone(object) // which other messages may have too
	if !m.takesAll() {
		maps.DeleteFunc(data, func(name string, _ any) bool { return !m.takes(name) })
		if len(data) == 0 && (len(object) > 0 || m.only != nil) && !m.counts() {
			return nil, nil
		}
	}
	unreserve(data)
	return data, nil
}

// counts reports whether there is a message also where omit leaves nothing of the data: without it, its
// number would be missing.
func (m *message) counts() bool { return m.number != nil && m.number.seq != nil && m.only == nil }

// value is the data of a message that is one value; not there: it reads what is not there.
func (m *message) value(s *scope) (v any, there bool, err error) {
	switch {
	case m.data.whole != nil:
		return s.eval(m.data.whole)
	case m.each != nil:
		return s.item, true, nil
	}
	if err := s.read(); err != nil {
		return nil, false, err
	}
	return s.payload, true, nil
}
