package dialect

import (
	"bytes"
	"encoding/json"
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

// member is one whose value is computed.
type member struct {
	name  string
	key   []byte // encoded, with the colon behind it
	value *formula
}

// data is one formula, or one for each member.
func (l *loader) data(n source.Node) (d data) {
	switch {
	case !n.Exists():
	case n.IsMap():
		d.members = []member{}
		for _, e := range n.Entries() {
			if wire.Reserved(e.Key) {
				e.KeyAt.Faultf("member %q: expected another name, because this one is the service's own", e.Key)
			}
			key, _ := json.Marshal(e.Key)
			d.members = append(d.members, member{e.Key, append(key, ':'), l.formula(e.Value, "data: "+e.Key)})
		}
		slices.SortStableFunc(d.members, func(a, b member) int { return bytes.Compare(a.key, b.key) })
	default:
		d.whole = l.formula(n, "data")
	}
	return d
}

func (d *data) given() bool { return d.whole != nil || d.members != nil }

// memberNames are names of members, or beginnings of names that end with *.
type memberNames []string

// members are the names that a node has. Nil: there are none.
func (l *loader) members(n source.Node) (names memberNames) {
	for _, v := range n.OneOrList() {
		name := v.String()
		if before, _ := strings.CutSuffix(name, "*"); before == "" || strings.Contains(before, "*") {
			v.Faultf("member %q: expected a name, or the beginning of names and then *", name)
		}
		names = append(names, name)
	}
	return names
}

func (names memberNames) has(name string) bool {
	return slices.ContainsFunc(names, func(n string) bool {
		before, open := strings.CutSuffix(n, "*")
		return name == n || open && strings.HasPrefix(name, before)
	})
}

// takesAll reports whether all members of the data are taken.
func (m *message) takesAll() bool { return m.only == nil && m.omit == nil }

// takes reports whether a member of the data is.
func (m *message) takes(name string) bool {
	return (m.only == nil || m.only.has(name)) && !m.omit.has(name)
}

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
	if s.made += len(object); s.made > maxMade {
		return nil, nil, wire.Refuse(wire.ReasonTooLarge, "the messages in it have more than %d bytes together", maxMade)
	}
	return data, object, nil
}

// encoded is a value of JSON, encoded.
func encoded(v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, wire.Refuse(wire.ReasonBadPayload, "data: %v", err)
	}
	return b, nil
}

// encodeMembers makes data of members that are computed. Nil: none of them is there.
func (m *message) encodeMembers(s *scope) ([]byte, error) {
	object := append(make([]byte, 0, 32*(1+len(m.data.members))), '{')
	for i := range m.data.members {
		member := &m.data.members[i]
		if !m.takes(member.name) {
			continue
		}
		value, err := m.encodeMember(s, member.value)
		if err != nil {
			return nil, err
		}
		if value == nil {
			continue
		}
		if len(object) > 1 {
			object = append(object, ',')
		}
		object = append(append(object, member.key...), value...)
	}
	if len(object) == 1 && (len(m.data.members) > 0 || m.only != nil) {
		return nil, nil
	}
	return append(object, '}'), nil
}

// encodeMember is the value of a member: what is in the payload, as it came. Nil: it is not there.
func (m *message) encodeMember(s *scope, f *formula) ([]byte, error) {
	if found, there, known := s.find(f); known && (!there || !m.absent.mayBeIn(found)) {
		return found, nil
	}
	v, there, err := s.eval(f)
	if !there || err != nil {
		return nil, err
	}
	if v, there = m.absent.without(v); !there {
		return nil, nil
	}
	return encoded(v)
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
		if m.channel == device.ChannelStatus {
			name = "status"
		}
		object = map[string]any{name: v}
	}
	data := maps.Clone(object) // which other messages may have too
	if !m.takesAll() {
		maps.DeleteFunc(data, func(name string, _ any) bool { return !m.takes(name) })
		if len(data) == 0 && (len(object) > 0 || m.only != nil) {
			return nil, nil
		}
	}
	unreserve(data)
	return data, nil
}

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

// reservedNames are the members that are the service's own in a message.
var reservedNames = wire.ReservedKeys()

// unreserve gives members with names of the service's own another one: it ends with _, or with
// more of them where there is such a member.
func unreserve(data map[string]any) {
	for _, reserved := range reservedNames {
		member, ok := data[reserved]
		if !ok {
			continue
		}
		delete(data, reserved)
		name := reserved + "_"
		for taken := true; taken; {
			if _, taken = data[name]; taken {
				name += "_"
			}
		}
		data[name] = member
	}
}

// absent are the values that say that there is no reading.
type absent struct {
	values []any
	// words are in all JSON that has one of the values; nil with some values: it is
	// not known.
	words [][]byte
	// escapes: where there is a backslash, one of them may be in another spelling.
	escapes bool
}

func (l *loader) absent(n source.Node) (a absent) {
	for _, v := range n.OneOrList() {
		switch {
		case v.IsNull():
			a.values = append(a.values, nil)
		case v.IsString(), v.Kind() == "a number", v.Kind() == "true or false":
			a.values = append(a.values, v.Any())
		default:
			v.Faultf("absent: expected a string, a number, true, false or null, found %s", v.Kind())
		}
	}
	for _, v := range a.values {
		if _, number := v.(float64); number { // which has many spellings
			a.words = nil
			break
		}
		word, err := json.Marshal(v)
		if s, ok := v.(string); ok {
			word, a.escapes = []byte(`"`+s+`"`), true
		}
		if err == nil {
			a.words = append(a.words, word)
		}
	}
	return a
}

// mayBeIn reports whether one of the values may be in encoded JSON.
func (a *absent) mayBeIn(encoded []byte) bool {
	if len(a.values) == 0 {
		return false
	}
	if a.words == nil || a.escapes && bytes.IndexByte(encoded, '\\') >= 0 {
		return true
	}
	return slices.ContainsFunc(a.words, func(word []byte) bool { return bytes.Contains(encoded, word) })
}

// without is a value without those in it that are absent; false: nothing is left of it.
// Elements of a list keep their places.
func (a *absent) without(v any) (any, bool) {
	if len(a.values) == 0 {
		return v, true
	}
	switch v := v.(type) {
	case nil, bool, float64, string:
		return v, !slices.Contains(a.values, v)
	case map[string]any:
		kept := make(map[string]any, len(v))
		for name, member := range v {
			if member, there := a.without(member); there {
				kept[name] = member
			}
		}
		return kept, len(kept) > 0 || len(v) == 0
	}
	return v, true
}
