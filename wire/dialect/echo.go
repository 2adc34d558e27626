package dialect

import (
	"fmt"
	"slices"
	"strings"

	"devicetwin/wire"
)

// What is sent to a device may come back, because a subscription brings it in. Read as a
// message of a device, it would be taken for what the device says.

// checkEcho notes a topic that the dialect itself reads, whatever its variables stand for.
func (d *Dialect) checkEcho(o *outgoing) {
	for _, topic := range d.examples(o) {
		if r := d.find(topic); r != nil && !r.ignored() {
			o.topicAt.FaultHint(fmt.Sprintf("{topic: %q, channel: ignored}", o.topic.text),
				"topic %q: what is sent would be read as a message of a device, on topic %q: expected a topic on the channel ignored, or one that the dialect does not read", o.topic.text, r.topic.text)
			return
		}
	}
}

// find is the rule of a topic. Nil: there is none.
func (d *Dialect) find(topic string) *rule {
	i := slices.IndexFunc(d.rules, func(r *rule) bool { return r.topic.matches(topic) })
	if i < 0 {
		return nil
	}
	return d.rules[i]
}

// anything stands for a value of a variable that no template has as a fixed level; all that reads
// topics takes it for a name.
const anything = "something"

// examples are topics to which something is sent: its variables stand for something that is
// nowhere else, or for the names of commands or properties that there are.
func (d *Dialect) examples(o *outgoing) (topics []string) {
	for _, own := range d.namesOf(o) {
		for _, many := range []string{anything, anything + "/" + anything} {
			topic, err := o.topic.fill(func(name string) string {
				switch {
				case name == o.own:
					return own
				case o.topic.several(slices.Index(o.topic.names, name)):
					return many
				}
				return anything
			})
			if err == nil && !slices.Contains(topics, topic) {
				topics = append(topics, topic)
			}
		}
	}
	return topics
}

// namesOf are examples of the names of commands or properties that it is about.
func (d *Dialect) namesOf(o *outgoing) (all []string) {
	var names memberNames
	for _, c := range d.commands {
		if &c.outgoing == o {
			names = c.names
		}
	}
	for _, p := range d.desired {
		if &p.outgoing == o {
			names = p.properties
		}
	}
	for _, name := range names {
		before, open := strings.CutSuffix(name, "*")
		if all = append(all, before); open {
			all = append(all, before+anything)
		}
	}
	if all == nil {
		all = []string{anything}
	}
	return all
}

// echo reports why nothing can be sent to a topic: it would be taken for what somebody else says, or learned from.
func (s *Set) echo(topic string) *wire.Refused {
	if s.Standard.Knows(topic) || ofService(topic) {
		return wire.Refuse(wire.ReasonBadTopic, "topic %q: it is the service's own", topic)
	}
	if s.configs(topic) != nil {
		return wire.Refuse(wire.ReasonBadTopic, "topic %q: it is one of discovery messages", topic)
	}
	c := scopes.Get().(*scope)
	defer c.release()
	if s.routes.find(topic, c) && !c.rule.ignored() {
		return wire.Refuse(wire.ReasonBadTopic, "topic %q: dialect %s would read it as a message of a device, on topic %q", topic, c.dialect.name, c.rule.topic.text)
	}
	return nil
}

// echoes are the topics to which dialects send and that others read.
func (s *Set) echoes() (faults []error) {
	for _, d := range s.dialects {
		if d.name == StandardName { // which is a fault as a whole
			continue
		}
		for _, o := range d.outgoing() {
			for _, topic := range d.examples(o) {
				if refused := s.echo(topic); refused != nil {
					faults = append(faults, fmt.Errorf("dialect %s: sends to topic %q: %s", d.name, o.topic.text, refused.Detail))
					break
				}
			}
		}
	}
	return faults
}
