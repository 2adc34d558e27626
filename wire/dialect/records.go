package dialect

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"
	"unicode/utf8"

	"devicetwin/device"
	"devicetwin/wire"
)

// Records reads records of topics of Kafka by dialects: one with a key as what was published on
// the topic, a slash and the key; one without a key as on the topic. It may be used from any
// goroutine.
type Records struct {
	topics []string
	routes routes
}

var recordTopic = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

// NewRecords makes a reader under the limits of a configuration; its prefix and shadow topics are
// not used. The error has a line for each name that several dialects have, each pair of templates
// between which nothing decides, each template whose first level is not a topic of Kafka, and each
// dialect that says more than what records mean.
func NewRecords(c wire.Config, dialects ...*Dialect) (*Records, error) {
	r := &Records{}
	var all []route
	var faults []error
	for _, d := range dialects {
		if d.sends() || d.discovery != nil {
			faults = append(faults, fmt.Errorf("dialect %s: expected none of commands, desired, ask and discovery: records are read only", d.name))
		}
		d = d.configured(c)
		for _, each := range d.rules {
			all = append(all, route{each, d})
			topic := each.topic.levels[0].before
			switch {
			case !each.topic.fixed() || !recordTopic.MatchString(topic):
				faults = append(faults, fmt.Errorf("dialect %s: topic %q: expected a topic of Kafka as the first level, without a variable", d.name, each.topic.text))
			case !each.ignored() && !slices.Contains(r.topics, topic):
				r.topics = append(r.topics, topic)
			}
		}
	}
	slices.Sort(r.topics)
	byExactness(all)
	r.routes = newRoutes(all)
	if err := errors.Join(checkNames(dialects), conflicts(nil, all), errors.Join(faults...)); err != nil {
		return nil, err
	}
	return r, nil
}

// Topics are those of which something is read, sorted.
func (r *Records) Topics() []string { return slices.Clone(r.topics) }

// Name is what a record is published on, as dialects read it. A nil key: it has none.
func (r *Records) Name(topic string, key []byte) string {
	if key == nil {
		return topic
	}
	return topic + "/" + string(key)
}

// Decode reads a record, given its Name, with a value. See wire.Dialect.
func (r *Records) Decode(name string, value []byte, again bool, at time.Time) ([]wire.Received, error) {
	c := scopes.Get().(*scope)
	defer c.release()
	c.raw, c.dup, c.at = value, again, at
	if !r.routes.find(name, c) {
		return nil, wire.ErrUnmapped
	}
	return c.decode()
}

// Entity is that which the name of a record says, without its value: of the first message whose id
// has no variable that is computed. The error is a *wire.Refused if there is none, or one of
// those of Decode.
func (r *Records) Entity(name string) (device.ID, error) {
	c := scopes.Get().(*scope)
	defer c.release()
	switch {
	case !r.routes.find(name, c):
		return "", wire.ErrUnmapped
	case c.rule.ignored():
		return "", wire.ErrNotInput
	case !utf8.ValidString(name):
		return "", wire.Refuse(wire.ReasonBadTopic, "not valid UTF-8")
	}
	for _, m := range c.rule.messages {
		if m.named(c.rule.topic) {
			id, err := c.idOf(m.id)
			if err != nil {
				return "", wire.Refuse(wire.ReasonBadDeviceID, "%v", err)
			}
			if c.dialect.mine != nil && !c.dialect.mine(id.Name()) {
				return "", wire.ErrForeign
			}
			return id, nil
		}
	}
	return "", wire.Refuse(wire.ReasonBadPayload, "no value, and the key does not say which entity it is of")
}

// named reports whether the variables of a topic say which device the message is of.
func (m *message) named(t *template) bool {
	return !slices.ContainsFunc(m.id.variables(), func(v string) bool { return !slices.Contains(t.names, v) })
}

// sends reports whether the dialect has words for what its devices are sent.
func (d *Dialect) sends() bool {
	return len(d.commands)+len(d.desired)+len(d.questions)+len(d.openings) > 0
}
