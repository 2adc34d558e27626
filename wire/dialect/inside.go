package dialect

import (
	"slices"

	"devicetwin/source"
	"devicetwin/wire"
	"devicetwin/wire/format"
)

// inside is a part of a payload that is written in another format, such as bytes in base64 within
// JSON. Formulas have it, decoded, as the variable inside.
type inside struct {
	member *formula
	format *format.Format
}

// insideKeys are what it has: where it is, and how it is written.
var insideKeys = slices.Concat([]string{"member"}, formatKeys)

// inside is nil where there is none.
func (l *loader) inside(n source.Node) *inside {
	if !n.Exists() {
		return nil
	}
	f := n.Fields(insideKeys...)
	n.Require(f, "member", "format")
	i := &inside{member: l.formula(f["member"], "inside: member")}
	spec := format.Spec{}
	l.formatSpec(f, &spec)
	if f["format"].Exists() {
		i.format = l.compile(n, "inside", spec)
	}
	if i.member.reads(varInside) {
		f["member"].Faultf("inside: expected a member of something else than inside")
	}
	return i
}

// checkInside notes what reads the part that there is not, or that is of an element which there is
// not yet.
func (m *message) checkInside(f map[string]source.Node) {
	for _, formula := range m.formulas() {
		inherited := m.time != nil && formula == m.time.at && !f["time"].Exists()
		switch {
		case !formula.reads(varInside) || inherited:
		case !f["inside"].Exists():
			formula.at.Faultf("inside: expected the key inside, which says which member it is and how it is written")
		case formula == m.each && m.inside != nil && m.inside.member.reads(varItem):
			formula.at.Faultf("each: expected a list that is not inside of its own elements")
		}
	}
}

// readsItem reports whether a formula of the message reads the element of its list.
func (m *message) readsItem(f *formula) bool {
	return f.reads(varItem) || f.reads(varInside) && m.inside != nil && m.inside.member.reads(varItem)
}

// decodedPart is what was decoded of a payload for a message.
type decodedPart struct {
	read  bool
	there bool
	value any // an object without members if it is not there
}

// noPart is that of messages without one: nothing is there. Nobody changes it.
var noPart = map[string]any{}

// readInside decodes the part of the message that is being made, once. Of what is not there, no member is.
func (s *scope) readInside() error {
	if s.part.read {
		return nil
	}
	s.part = decodedPart{read: true, value: noPart}
	of := s.of.inside
	if of == nil {
		return nil
	}
	v, there, err := s.eval(of.member)
	if err != nil || !there || v == nil {
		return err
	}
	text, ok := v.(string)
	if !ok {
		return wire.Refuse(wire.ReasonBadPayload, "inside: expected a string, found %s", kindOf(v))
	}
	decoded, err := of.format.Decode([]byte(text))
	if err != nil {
		return wire.Refuse(wire.ReasonBadPayload, "inside: %v", err)
	}
	s.part.there, s.part.value = true, decoded
	return nil
}

// lookInside is what the names lead to in the part; see lookUpMember.
func (s *scope) lookInside(names []string) (v any, there, known bool) {
	switch {
	case !s.part.read:
		return nil, false, false
	case len(names) == 0 && !s.part.there:
		return nil, false, true
	}
	return lookUpIn(s.part.value, names)
}
