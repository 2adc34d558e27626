package dialect

import (
	"slices"
	"strings"

	"devicetwin/source"
	"devicetwin/wire"
)

// member is one whose value is computed.
type member struct {
	name  string
	key   []byte // encoded, with the colon behind it
	value *formula
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
