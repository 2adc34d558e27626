package dialect

import (
	"maps"
	"slices"
	"strings"

	"devicetwin/device"
	"devicetwin/internal/expression"
	"devicetwin/wire"
)

// sending is something that is sent, while it is written.
type sending struct {
	dialects *Set
	of       *outgoing
	texts    map[string]string // the variables of topics
	values   expression.Values // the variables of formulas
	data     any               // where nothing is said of it
	hasData  bool
	made     int // bytes of payloads
}

// begin is what is sent to a device. What its id does not say, its address does; a variable that
// neither has is not known yet.
func (s *Set) begin(d *Dialect, o *outgoing, id device.ID, to *device.Address) (*sending, error) {
	values, ok := o.id.parse(id.Name())
	if !ok || id.Kind() != o.id.kind {
		return nil, wire.Refuse(wire.ReasonBadDeviceID, "%s: dialect %s makes no such id with %s", id.Entity(), d.name, o.id.text)
	}
	sent := s.open(o)
	for name, v := range to.Vars {
		sent.know(name, v)
	}
	for name, v := range values { // which an address cannot change
		sent.know(name, v)
	}
	return sent, nil
}

// open is what is sent to nobody in particular.
func (s *Set) open(o *outgoing) *sending {
	return &sending{dialects: s, of: o, texts: map[string]string{}, values: expression.Values{varTopic: map[string]any{}}}
}

// know gives a variable of topics its value, where formulas read it, too.
func (s *sending) know(name, value string) {
	s.texts[name] = value
	s.values[varTopic].(map[string]any)[name] = value
}

// maxSent bounds how many messages a command, a property or a question becomes.
const maxSent = 100

// appendTo writes what is sent. It is the same for the same command.
func (o *outgoing) appendTo(all []wire.Publication, s *sending) ([]wire.Publication, error) {
	if o.each == nil {
		return o.appendOne(all, s)
	}
	v, _, err := s.eval(o.each)
	if err != nil {
		return nil, err
	}
	items, err := itemsOf(v, maxSent)
	if err != nil {
		return nil, err
	}
	for i, item := range items {
		s.values[varItem], s.data, s.hasData = item, item, true
		if all, err = o.appendOne(all, s); err != nil {
			return nil, ofElement(err, i)
		}
	}
	return all, nil
}

func (o *outgoing) appendOne(all []wire.Publication, s *sending) ([]wire.Publication, error) {
	topic, err := s.topic()
	if err != nil {
		return nil, err
	}
	v, there := s.data, s.hasData
	if o.data.given() {
		if v, there, err = s.dataOf(&o.data); err != nil {
			return nil, err
		}
	}
	payload := []byte(nil)
	if there {
		if payload, err = o.payload.Encode(v); err != nil {
			return nil, wire.Refuse(wire.ReasonBadPayload, "%v", err)
		}
	}
	if s.made += len(payload); s.made > maxMade {
		return nil, wire.Refuse(wire.ReasonTooLarge, "the messages have more than %d bytes together", maxMade)
	}
	return append(all, wire.Publication{Topic: topic, QoS: o.qos, Retained: o.retained, Payload: payload}), nil
}

// topic is that to which one message is sent. Whatever variables stand for, it is one of the
// template, and the same variables are read from it.
func (s *sending) topic() (string, error) {
	o, texts := s.of, s.texts
	if len(o.vars) > 0 {
		texts = maps.Clone(s.texts)
		for _, v := range o.vars {
			value, _, err := s.eval(v.value)
			if err != nil {
				return "", err
			}
			if texts[v.name], err = v.text(value); err != nil { // what is not there is empty
				return "", err
			}
		}
	}
	for i, name := range o.topic.names {
		if _, known := texts[name]; !known {
			return "", wire.Refuse(wire.ReasonBadTopic, "topic %s: {%s} is not known yet: the device has not published on a topic that has it", o.topic.text, name)
		}
		if levels := strings.Split(texts[name], "/"); o.has(name) && o.topic.several(i) && slices.Contains(levels, "") {
			return "", wire.Refuse(wire.ReasonBadTopic, "topic %s: %s is %q: expected levels that are not empty", o.topic.text, name, texts[name])
		}
	}
	topic, err := o.topic.fill(func(name string) string { return texts[name] })
	if err != nil {
		return "", wire.Refuse(wire.ReasonBadTopic, "%v", err)
	}
	read := make([]string, len(o.topic.names))
	same := o.topic.match(topic, read)
	for i, name := range o.topic.names {
		same = same && read[i] == texts[name]
	}
	if !same {
		return "", wire.Refuse(wire.ReasonBadTopic, "topic %q is not one of %s", topic, o.topic.text)
	}
	if refused := s.dialects.echo(topic); refused != nil {
		return "", refused
	}
	return topic, nil
}

// dataOf is what a file says of data. Not there: it reads what is not there.
func (s *sending) dataOf(d *data) (v any, there bool, err error) {
	if d.members == nil {
		return s.eval(d.whole)
	}
	object := make(map[string]any, len(d.members))
	for _, m := range d.members {
		v, there, err := s.eval(m.value)
		if err != nil {
			return nil, false, err
		}
		if there {
			object[m.name] = v
		}
	}
	return object, len(object) > 0 || len(d.members) == 0, nil
}

// eval is the value of a formula; not there: it reads a member that is not there.
func (s *sending) eval(f *formula) (v any, there bool, err error) {
	v, err = f.program.EvalWithin(s.values, maxResult)
	switch {
	case err == nil:
		return v, true, nil
	case expression.Absent(err):
		return nil, false, nil
	}
	return nil, false, wire.Refuse(wire.ReasonBadPayload, "%s: %s", f.what, whyNot(err))
}
