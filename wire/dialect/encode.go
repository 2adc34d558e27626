package dialect

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"devicetwin/device"
	"devicetwin/wire"
)

// Encode is as in wire.Dialect.
func (s *Set) Encode(id device.ID, to *device.Address, c wire.Command) (wire.Sending, error) {
	d := s.dialectOf(to)
	if d == nil {
		return s.Standard.Encode(id, to, c)
	}
	e := d.commandOf(to, c.Name)
	if e == nil && d.discovery != nil {
		return s.encodeLearned(d, to, c)
	}
	if e == nil {
		return wire.Sending{}, fmt.Errorf("dialect %s: command %s: %w", d.name, c.Name, wire.ErrNoWords)
	}
	sent, err := s.begin(d, &e.outgoing, id, to)
	if err == nil {
		err = sent.setCommand(c)
	}
	if err != nil {
		return wire.Sending{}, err
	}
	all, err := e.appendTo(nil, sent)
	if err != nil {
		return wire.Sending{}, err
	}
	if len(all) == 0 {
		return wire.Sending{}, wire.Refuse(wire.ReasonBadPayload, "each: an empty list, so nothing is sent")
	}
	out := wire.Sending{Publications: all, Done: e.ends == endSent}
	if e.ends == endReported {
		if out.Shows, err = sent.shows(&e.reports); err == nil {
			out.Done = out.Shows == nil
		}
	}
	return out, err
}

// commandOf says how a command is sent to an address. Nil: there are no words for it.
func (d *Dialect) commandOf(to *device.Address, name string) *command {
	i := slices.IndexFunc(d.commands, func(e *command) bool {
		return e.isFor(d, to) && (e.names == nil || e.names.has(name))
	})
	if i < 0 {
		return nil
	}
	return d.commands[i]
}

// shows is what a device reports that has carried out a command. Nil: nothing would show it.
func (s *sending) shows(reports *data) ([]byte, error) {
	v, there, err := s.dataOf(reports)
	if err != nil {
		return nil, err
	}
	object, ok := v.(map[string]any)
	switch {
	case !there, ok && len(object) == 0:
		return nil, nil
	case !ok:
		return nil, wire.Refuse(wire.ReasonBadPayload, "reported: expected an object, found %s", kindOf(v))
	}
	return encoded(object)
}

// EncodeDesired is as in wire.Dialect. The error has a line for each property that could not be
// written; the others are there.
func (s *Set) EncodeDesired(id device.ID, to *device.Address, difference []byte) ([]wire.Publication, error) {
	d := s.dialectOf(to)
	if d == nil {
		return s.Standard.EncodeDesired(id, to, difference)
	}
	var left map[string]any // that no entry has taken
	if err := json.Unmarshal(difference, &left); err != nil {
		return nil, wire.Refuse(wire.ReasonBadPayload, "the desired state: %v", err)
	}
	var all []wire.Publication
	var faults []error
	for _, p := range d.desired {
		if !p.isFor(d, to) {
			continue
		}
		sent, err := s.begin(d, &p.outgoing, id, to)
		if err != nil {
			return nil, err
		}
		for _, part := range p.take(left) {
			sent.setDesired(part)
			written, err := p.appendTo(nil, sent)
			if err != nil {
				faults = append(faults, err)
			}
			all = append(all, written...)
		}
	}
	if d.discovery != nil && len(left) > 0 {
		written, err := s.desiredLearned(d, to, left)
		all, faults = append(all, written...), append(faults, err)
	}
	return all, errors.Join(faults...)
}

// wanted is what one publication, or those of one list, are made of: a property, or several.
type wanted struct {
	variable string // of formulas
	name     string // of the property, if it is one
	value    any
}

// setDesired gives formulas what is desired.
func (s *sending) setDesired(p wanted) {
	s.values[p.variable], s.data, s.hasData = p.value, p.value, true
	if p.variable == varValue {
		s.know(variableProperty, p.name)
	}
}

// take takes out of an object what the entry is about.
func (p *desired) take(left map[string]any) (parts []wanted) {
	taken := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(left)) {
		switch {
		case p.properties != nil && p.properties.has(name):
			parts = append(parts, wanted{varValue, name, left[name]})
			delete(left, name)
		case p.properties == nil && p.takes(name):
			taken[name] = left[name]
			delete(left, name)
		}
	}
	if len(taken) > 0 {
		parts = append(parts, wanted{varDesired, "", taken})
	}
	return parts
}

// Questions is as in wire.Dialect.
func (s *Set) Questions(id device.ID, to *device.Address) (all []wire.Publication) {
	d := s.dialectOf(to)
	if d == nil {
		return nil
	}
	for _, q := range d.questions {
		if !q.isFor(d, to) {
			continue
		}
		sent, err := s.begin(d, &q.outgoing, id, to)
		if err != nil {
			continue
		}
		if asked, err := q.appendTo(all, sent); err == nil { // what is not known yet is not asked
			all = asked
		}
	}
	return all
}

// Opening is as in wire.Dialect.
func (s *Set) Opening() (all []wire.Publication) {
	for _, d := range s.dialects {
		all = append(all, s.openingOf(d)...)
	}
	return all
}

func (s *Set) openingOf(d *Dialect) (all []wire.Publication) {
	for _, q := range d.openings {
		if asked, err := q.appendTo(all, s.open(&q.outgoing)); err == nil {
			all = asked
		}
	}
	return all
}

// dialectOf is that of an address. Nil: it is the standard one, or unknown.
func (s *Set) dialectOf(to *device.Address) *Dialect {
	if to == nil {
		return nil
	}
	i := slices.IndexFunc(s.dialects, func(d *Dialect) bool { return d.name == to.Dialect })
	if i < 0 {
		return nil
	}
	return s.dialects[i]
}

// isFor reports whether it is sent to devices with such an address.
func (o *outgoing) isFor(d *Dialect, to *device.Address) bool {
	if o.id == nil {
		return false
	}
	return o.id.text == to.ID || to.ID == "" && o.id.text == d.id.text
}

// setCommand gives formulas the command.
func (s *sending) setCommand(c wire.Command) error {
	of := map[string]any{"id": c.ID, "uuid": device.CommandUUID(c.ID), "name": c.Name}
	if !c.At.IsZero() {
		of["at"] = c.At.UTC().Truncate(time.Millisecond).Format(time.RFC3339Nano)
	}
	if c.TTL > 0 {
		of["ttl"] = c.TTL.Seconds()
	}
	data, there, err := plainData(c.Data)
	if err != nil {
		return err
	}
	if there {
		of["data"] = data
		if v, there := valueOf(data); there {
			of["value"] = v
		}
	}
	s.data, s.hasData = data, there
	s.values[varCommand] = of
	s.know(variableCommand, c.Name)
	return nil
}

// valueOf is the one value that the data of a command are: the API and models give it an
// object, of which it is a member.
func valueOf(data any) (v any, there bool) {
	object, ok := data.(map[string]any)
	if !ok {
		return data, true
	}
	v, there = object["value"]
	return v, there
}

// plainData is the data of a command as encoding/json decodes it. Not there: it has none.
func plainData(data any) (v any, there bool, err error) {
	raw, isRaw := data.(json.RawMessage)
	if data == nil || isRaw && len(raw) == 0 {
		return nil, false, nil
	}
	if !isRaw {
		if raw, err = json.Marshal(data); err != nil {
			return nil, false, wire.Refuse(wire.ReasonBadPayload, "data of the command: %v", err)
		}
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		return nil, false, wire.Refuse(wire.ReasonBadPayload, "data of the command: %v", err)
	}
	return v, true, nil
}
