package dialect

import (
	"slices"

	"devicetwin/device"
	"devicetwin/internal/expression"
	"devicetwin/source"
	"devicetwin/wire"
	"devicetwin/wire/format"
)

// rule says which messages are made of what is published on the topics of a template.
type rule struct {
	at       source.Node // of the template, while it is loaded
	topic    *template
	payload  *format.Format
	plain    bool // the payload is JSON as it is, and an object may be the data of a message
	messages []*message
}

// ignored reports whether what is published there is passed over.
func (r *rule) ignored() bool { return len(r.messages) == 0 }

// reports reports whether it is something of the state of devices.
func (r *rule) reports() bool {
	return slices.ContainsFunc(r.messages, func(m *message) bool { return m.channel == device.ChannelTwin })
}

// scope is what the expressions of a rule read.
type scope struct {
	rule    *rule
	values  []string // of the variables in the topic
	topic   map[string]any
	payload any
	item    any
	of      *message
	vars    []string // of its variables
}

// ResolveName implements expression.Activation.
func (s *scope) ResolveName(name string) (any, bool) {
	switch name {
	case "payload":
		return s.payload, true
	case "item":
		return s.item, true
	case "topic":
		if s.topic == nil {
			s.topic = make(map[string]any, len(s.values))
			for i, name := range s.rule.topic.names {
				s.topic[name] = s.values[i]
			}
		}
		return s.topic, true
	}
	return nil, false
}

// Parent implements expression.Activation.
func (s *scope) Parent() expression.Activation { return nil }

// eval evaluates an expression of the rule. What reads a member that is not there is null.
func (s *scope) eval(what string, p *expression.Program) (any, error) {
	v, err := p.Eval(s)
	switch {
	case err == nil:
		return v, nil
	case expression.Absent(err):
		return nil, nil
	}
	return nil, wire.Refuse(wire.ReasonBadPayload, "%s: %v", what, err)
}

// text is the value of a variable.
func (s *scope) text(name string) string {
	for i, n := range s.rule.topic.names {
		if n == name {
			return s.values[i]
		}
	}
	for i, v := range s.of.vars[:min(len(s.vars), len(s.of.vars))] {
		if v.name == name {
			return s.vars[i]
		}
	}
	return ""
}

// decode makes the messages of what was published on one of the rule's topics.
func (r *rule) decode(s *scope, a arrival) (all []wire.Received, err error) {
	var object []byte
	if r.plain {
		object = plainObject(a.payload)
	}
	if object == nil || slices.ContainsFunc(r.messages, (*message).reads) {
		if s.payload, err = r.payload.Decode(a.payload); err != nil {
			return nil, wire.Refuse(wire.ReasonBadPayload, "%v", err)
		}
	}
	for _, m := range r.messages {
		s.of = m
		if all, err = m.appendTo(all, s, object, a); err != nil {
			return nil, err
		}
	}
	return all, nil
}
