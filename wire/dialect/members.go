package dialect

import (
	"slices"
	"strconv"
	"strings"

	"devicetwin/internal/expression"
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
		before := len(object)
		if before > 1 {
			object = append(object, ',')
		}
		with, err := m.appendMember(append(object, member.key...), s, member.value)
		if err != nil {
			return nil, err
		}
		if with == nil {
			with = object[:before]
		}
		object = with
	}
	if len(object) == 1 && (len(m.data.members) > 0 || m.only != nil) {
		return nil, nil
	}
	return append(object, '}'), nil
}

// appendMember appends the value of a member: what is in the payload, as it came. Nil: it is not there.
func (m *message) appendMember(to []byte, s *scope, f *formula) ([]byte, error) {
	if found, there, known := s.find(f); known && (!there || !m.absent.mayBeIn(found)) {
		if !there {
			return nil, nil
		}
		return append(to, found...), nil
	}
	if scalar, there, known := s.compute(f); known {
		if !there || m.absent.is(scalar) {
			return nil, nil
		}
		return appendScalar(to, scalar)
	}
	v, there, err := s.eval(f)
	if !there || err != nil {
		return nil, err
	}
	if v, there = m.absent.without(v); !there {
		return nil, nil
	}
	if scalar, ok := expression.ScalarOf(v); ok {
		return appendScalar(to, scalar)
	}
	value, err := encoded(v)
	return append(to, value...), err
}

// appendScalar appends a value as JSON.
func appendScalar(to []byte, v expression.Scalar) ([]byte, error) {
	switch v.Kind {
	case expression.Number:
		return expression.AppendNumber(to, v.Number), nil
	case expression.Bool:
		return strconv.AppendBool(to, v.Truth), nil
	}
	value, err := encoded(v.Any())
	return append(to, value...), err
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

// selection says which members of an object are taken.
type selection struct {
	only memberNames // these; nil: all
	omit memberNames // and not these
}

// takesAll reports whether all members are taken.
func (s *selection) takesAll() bool { return s.only == nil && s.omit == nil }

// takes reports whether a member is.
func (s *selection) takes(name string) bool {
	return (s.only == nil || s.only.has(name)) && !s.omit.has(name)
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
