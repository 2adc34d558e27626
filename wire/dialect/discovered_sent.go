package dialect

import (
	"errors"
	"fmt"

	"devicetwin/device"
	"devicetwin/mqtt"
	"devicetwin/wire"
	"devicetwin/wire/discovery"
)

// What is sent to devices that are learned of is in the variables of their address: those who send have
// not learned.

// unsentLearned is why a dialect sends nothing to a topic that it has learned of; "" if it does.
func (s *Set) unsentLearned(d *Dialect, topic string) string {
	if err := mqtt.CheckTopic(topic); err != nil {
		return err.Error()
	}
	if refused := s.echo(topic); refused != nil {
		return refused.Detail
	}
	if !brings(d.filters, topic) {
		return "no filter of subscribe has it, so nothing is sent to it"
	}
	return ""
}

// encodeLearned writes a command to an entity.
func (s *Set) encodeLearned(d *Dialect, to *device.Address, c wire.Command) (wire.Sending, error) {
	v, _, err := plainData(c.Data) // a command without data has null, which some entities take
	if err != nil {
		return wire.Sending{}, err
	}
	if one, there := valueOf(v); there {
		v = one
	}
	sent, err := discovery.Encode(to.Vars, c.Name, v)
	switch {
	case errors.Is(err, discovery.ErrUnknown):
		return wire.Sending{}, fmt.Errorf("dialect %s: command %s: %w", d.name, c.Name, wire.ErrNoWords)
	case err != nil:
		return wire.Sending{}, wire.Refuse(wire.ReasonBadPayload, "command %s: %v", c.Name, err)
	}
	p, err := s.publicationOf(d, sent)
	if err != nil {
		return wire.Sending{}, err
	}
	out := wire.Sending{Publications: []wire.Publication{p}, Done: sent.Shows == nil}
	if sent.Shows != nil {
		out.Shows, err = encoded(sent.Shows)
	}
	return out, err
}

// desiredLearned writes those desired properties that are of entities.
func (s *Set) desiredLearned(d *Dialect, to *device.Address, desired map[string]any) (all []wire.Publication, err error) {
	written, err := discovery.EncodeDesired(to.Vars, desired)
	faults := []error{}
	if err != nil {
		faults = append(faults, wire.Refuse(wire.ReasonBadPayload, "the desired state: %v", err))
	}
	for _, sent := range written {
		p, err := s.publicationOf(d, sent)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		all = append(all, p)
	}
	return all, errors.Join(faults...)
}

// publicationOf is what is sent, if it still may be: the address may be of another configuration.
func (s *Set) publicationOf(d *Dialect, sent discovery.Publication) (wire.Publication, error) {
	if why := s.unsentLearned(d, sent.Topic); why != "" {
		return wire.Publication{}, wire.Refuse(wire.ReasonBadTopic, "topic %q: %s", sent.Topic, why)
	}
	if len(sent.Payload) > maxMade {
		return wire.Publication{}, wire.Refuse(wire.ReasonTooLarge, "the message has more than %d bytes", maxMade)
	}
	return wire.Publication{Topic: sent.Topic, QoS: sent.QoS, Retained: sent.Retain, Payload: []byte(sent.Payload)}, nil
}

// learnedVars are the variables that the address of a device has now.
func (s *Set) learnedVars(d *Dialect, id device.ID) map[string]string {
	values, _ := d.discovery.id.parse(id.Name())
	for _, l := range s.learners {
		if l.dialect == d {
			return l.Commands(values["id"])
		}
	}
	return nil
}
