package dialect

import (
	"bytes"
	"errors"
	"slices"
	"sync"
	"time"
	"unicode/utf8"

	"devicetwin/device"
	"devicetwin/internal/jsonobject"
	"devicetwin/internal/text"
	"devicetwin/wire"
)

// scope is a message while it is decoded: what was published, and what the formulas of its
// rule read.
type scope struct {
	dialect *Dialect
	rule    *rule
	topic   string
	values  []string // of the variables in the topic
	raw     []byte   // the payload
	dup     bool
	at      time.Time

	json    jsonobject.Value // the payload, if it is JSON as it is; nothing of it is decoded before it is needed
	object  []byte           // the same, if it can be the data of a message
	payload any              // decoded, once it is
	decoded bool
	partly  bool           // payload is some
	some    map[string]any // those members only that formulas read; memory of scopes that come later

	members []jsonobject.Value // of json, by rule.read, once walked; nil: it is not there
	walked  bool
	item    any
	part    decodedPart // see inside
	of      *message
	vars    []string // of its variables, as far as they are known

	variables map[string]any // in the topic, once a formula reads them
	made      int            // bytes of data that are not part of the payload
}

// maxSome bounds the members for which a scope keeps memory.
const maxSome = 64

// scopes are used again, because most messages need nothing else on the heap.
var scopes = sync.Pool{New: func() any { return new(scope) }}

// release lets go of everything but the memory.
func (s *scope) release() {
	clear(s.values)
	clear(s.vars)
	clear(s.members)
	if clear(s.some); len(s.members) > maxSome {
		s.some = nil
	}
	*s = scope{values: s.values[:0], vars: s.vars[:0], members: s.members[:0], some: s.some}
	scopes.Put(s)
}

// decode makes the messages. Of what is mapped to nothing, the error is wire.ErrUnmapped.
func (s *scope) decode() ([]wire.Received, error) {
	if s.rule.ignored() || len(s.raw) == 0 { // without a payload, a retained message is cleared
		return nil, wire.ErrNotInput
	}
	if s.foreign() {
		return nil, wire.ErrForeign
	}
	received, err := s.messages()
	if err != nil {
		return nil, s.attribute(err)
	}
	return s.dialect.own(received)
}

// foreign reports whether the topic says that all is of a device that is not Config.Mine.
func (s *scope) foreign() bool {
	if s.dialect.mine == nil || !s.rule.oneDevice {
		return false
	}
	id, err := s.rule.id.fill(s.text)
	return err == nil && !s.dialect.mine(id.Name())
}

// idOf makes the id of an entity, which the configuration has to allow.
func (s *scope) idOf(t *idTemplate) (device.ID, error) {
	id, err := t.fill(s.text)
	if err == nil && s.dialect.checkID != nil {
		err = s.dialect.checkID(id)
	}
	if err != nil {
		return "", err
	}
	return id, nil
}

func (s *scope) messages() (all []wire.Received, err error) {
	if refused := s.dialect.limits.check(s.raw); refused != nil {
		return nil, refused
	}
	if !utf8.ValidString(s.topic) { // its variables would become data that is not JSON
		return nil, wire.Refuse(wire.ReasonBadTopic, "not valid UTF-8")
	}
	if s.rule.plain {
		s.json = plainJSON(s.raw, s.dialect.limits.depth)
	}
	if s.json == nil {
		if err := s.read(); err != nil {
			return nil, err
		}
	} else if mayBeData(s.json) {
		s.object = s.json
	}
	for _, m := range s.rule.messages {
		s.of, s.part = m, decodedPart{}
		if all, err = m.appendTo(all, s); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// read decodes the payload, once.
func (s *scope) read() (err error) {
	if s.decoded {
		return nil
	}
	if s.payload, err = s.rule.payload.Decode(s.raw); err != nil {
		return wire.Refuse(wire.ReasonBadPayload, "%v%s", err, s.absentWord())
	}
	s.decoded = true
	return nil
}

// absentWord says, for a refusal, that the payload is a word that stands for a missing value, and is not one of
// its format; "": it is not.
func (s *scope) absentWord() string {
	word := string(bytes.TrimSpace(s.raw))
	for _, m := range s.rule.messages {
		if slices.Contains(m.absent.values, any(word)) {
			return " (the word is absent, but not of this format: expected {format: text, numbers: true})"
		}
	}
	return ""
}

// readMembers decodes those members of an object that a formula reads. False: it needs more, or
// there is no object.
func (s *scope) readMembers(f *formula) bool {
	switch {
	case s.decoded:
		return true
	case f.members == nil || s.json == nil || s.json.Kind() != jsonobject.Object:
		return false
	}
	if s.some == nil {
		s.some = map[string]any{}
	}
	for _, name := range f.members {
		if _, known := s.some[name]; known {
			continue
		}
		if v, there := s.memberOfPayload(name); there {
			s.some[name] = v.Decoded()
		}
	}
	s.payload, s.partly = s.some, true
	return true
}

// memberOfPayload is a member that formulas of the rule read of a payload that is an object. It
// walks over the payload once.
func (s *scope) memberOfPayload(wanted string) (v jsonobject.Value, there bool) {
	if !s.walked {
		s.walked = true
		n := len(s.rule.read)
		s.members = slices.Grow(s.members[:0], n)[:n]
		for members := s.json.Members(); ; {
			name, value, more := members.Next()
			if !more {
				break
			}
			if place, ok := s.rule.read[string(name.Raw())]; ok {
				s.members[place] = value
			}
		}
	}
	place, read := s.rule.read[wanted]
	if !read { // by a formula that reads more of the payload
		return memberOf(s.json, wanted)
	}
	v = s.members[place]
	return v, v != nil
}

// text is the value of a variable.
func (s *scope) text(name string) string {
	for i, n := range s.rule.topic.names {
		if n == name {
			return s.values[i]
		}
	}
	if s.of != nil {
		for i, v := range s.of.vars[:min(len(s.vars), len(s.of.vars))] {
			if v.name == name {
				return s.vars[i]
			}
		}
	}
	return ""
}

// attribute adds to a refusal whose message it is, where the topic says so, and whether
// it shows that the device is up: what is a device's own does, except for a last will and what is relayed. A
// refusal that is of nobody is that of whoever has the topic, so that there is one.
func (s *scope) attribute(err error) error {
	refused := (*wire.Refused)(nil)
	if !errors.As(err, &refused) {
		return err
	}
	id := device.ID("")
	if s.rule.id != nil {
		id, _ = s.idOf(s.rule.id) // "" if it is not valid
	}
	owner := id.Name()
	if id == "" {
		owner = s.topic
	}
	if mine := s.dialect.mine; mine != nil && !mine(owner) {
		return wire.ErrForeign
	}
	if id != "" {
		refused.ID, refused.Topic, refused.Alive = id, text.Clip(s.topic, maxRefusedTopic), !s.rule.ofOthers
	}
	return err
}

// maxRefusedTopic bounds wire.Refused.Topic, in bytes.
const maxRefusedTopic = 128

// own are those of devices that are Config.Mine.
func (d *Dialect) own(received []wire.Received) ([]wire.Received, error) {
	if len(received) == 0 {
		return nil, wire.ErrUnmapped
	}
	if d.mine == nil {
		return received, nil
	}
	kept := received[:0]
	for _, r := range received {
		if d.mine(r.ID.Name()) {
			kept = append(kept, r)
		}
	}
	if len(kept) == 0 {
		return nil, wire.ErrForeign
	}
	return kept, nil
}
