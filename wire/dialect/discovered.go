package dialect

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"devicetwin/device"
	"devicetwin/mqtt"
	"devicetwin/source"
	"devicetwin/wire"
	"devicetwin/wire/discovery"
)

// discovered says that a dialect learns from Home Assistant's discovery messages what is on
// which topics.
type discovered struct {
	at     source.Node
	prefix string // of their topics
	id     *idTemplate
	absent absent
}

var discoveryKeys = []string{"prefix"}

// discovery reads what a file says of it. What is on the topics is learned, but an operator says which of them are
// read at all.
func (l *loader) discovery(n, subscribe source.Node, filters []string, base defaults) *discovered {
	if !n.Exists() {
		return nil
	}
	f := n.Fields(discoveryKeys...)
	n.Require(f, "prefix")
	d := &discovered{at: n, prefix: f["prefix"].String(), id: base.id, absent: base.absent}
	example := d.prefix + "/sensor/x/config"
	switch err := mqtt.CheckTopic(d.prefix); {
	case !f["prefix"].Exists():
	case err != nil || strings.HasPrefix(d.prefix, "$") || strings.HasSuffix(d.prefix, "/"):
		f["prefix"].Faultf("prefix %q: expected topic levels without wildcards, such as homeassistant", d.prefix)
	case !subscribe.Exists():
		n.Faultf("discovery: expected subscribe with it: messages name the topics of states, and only what a filter brings in is read")
	case !brings(filters, example):
		n.Faultf("prefix %q: no filter of subscribe brings in %s", d.prefix, example)
	}
	if base.id != nil && !slices.Equal(base.id.variables(), []string{"id"}) {
		n.Faultf("discovery: expected an id of the variable {id}, which is the device's identifier; found %s", base.id.text)
	}
	return d
}

// brings reports whether a filter brings in a topic.
func brings(filters []string, topic string) bool {
	return slices.ContainsFunc(filters, func(f string) bool { return mqtt.Matches(f, topic) })
}

// learner is what a dialect has learned from discovery messages, in a set.
type learner struct {
	*discovery.Learner
	dialect *Dialect
	from    *device.Address // without variables
}

// addressWith is how a device with commands is reached.
func (l *learner) addressWith(commands map[string]string) *device.Address {
	if commands == nil {
		return l.from
	}
	return &device.Address{Dialect: l.dialect.name, Vars: commands}
}

// learn begins to learn, for each dialect that does.
func (s *Set) learn() (faults []error) {
	for _, d := range s.dialects {
		if d.discovery == nil {
			continue
		}
		for _, other := range s.learners {
			if a, b := d.discovery.prefix, other.dialect.discovery.prefix; a == b {
				faults = append(faults, fmt.Errorf("dialect %s: dialect %s also learns from the topics below %s", d.name, other.dialect.name, a))
			}
		}
		if s.Standard.Knows(d.discovery.prefix + "/sensor/x/config") {
			faults = append(faults, fmt.Errorf("dialect %s: the topics below %s are the standard dialect's", d.name, d.discovery.prefix))
		}
		s.learners = append(s.learners, &learner{discovery.New(discovery.Options{
			Prefix: d.discovery.prefix, Depth: d.limits.depth,
			Absent: d.discovery.absent.stands,
			Sends:  func(topic string) string { return s.unsentLearned(d, topic) },
			Reads:  func(topic string) (bool, string) { return s.mayLearn(d, topic) },
			Note: func(note string) {
				if to := s.note.Load(); to != nil {
					(*to)("dialect " + d.name + ": " + note)
				}
			},
		}), d, &device.Address{Dialect: d.name}})
	}
	return faults
}

var _ wire.Learner = (*Set)(nil)

// Lessons is as in wire.Learner.
func (s *Set) Lessons() (filters []string) {
	for _, l := range s.learners {
		prefix := l.dialect.discovery.prefix
		filters = append(filters, prefix+"/+/+/config", prefix+"/+/+/+/config")
	}
	return filters
}

// OnNote sets what gets a note of what discovery messages name and is not read: one of each topic
// and each template. It may be called from any goroutine that decodes, and must not decode itself.
func (s *Set) OnNote(tell func(note string)) { s.note.Store(&tell) }

// mayLearn reports whether a dialect may read a topic that it has learned of, and if not, what an operator can
// do.
func (s *Set) mayLearn(d *Dialect, topic string) (may bool, why string) {
	if s.Standard.Knows(topic) || ofService(topic) {
		return false, "it is the service's own"
	}
	c := scopes.Get().(*scope)
	defer c.release()
	switch {
	case s.routes.find(topic, c):
		return false, "" // the dialect of the template reads it
	case !brings(d.filters, topic):
		return false, "no filter of subscribe brings it in, so it is not read"
	}
	return true, ""
}

// configs is what learns from a topic; nil: nothing does.
func (s *Set) configs(topic string) *learner {
	for _, l := range s.learners {
		if l.IsConfig(topic) {
			return l
		}
	}
	return nil
}

// learned is the dialect that has learned what is on a topic; nil: none has.
func (s *Set) learned(topic string) *Dialect {
	for _, l := range s.learners {
		if l.Knows(topic) {
			return l.dialect
		}
	}
	return nil
}

// keeps reports whether a dialect keeps what is retained on a topic that no template has, because it may learn
// of it later.
func (s *Set) keeps(topic string) bool {
	return slices.ContainsFunc(s.learners, func(l *learner) bool { return brings(l.dialect.filters, topic) })
}

// decodeConfig learns from a discovery message. The messages are those of states that came before.
func (l *learner) decodeConfig(c *scope) ([]wire.Received, error) {
	if refused := l.dialect.limits.check(c.raw); refused != nil {
		return nil, l.refuse(c, refused)
	}
	said, err := l.Learn(c.topic, c.raw)
	if err != nil {
		return nil, l.refuse(c, wire.Refuse(wire.ReasonBadPayload, "discovery: %v", err))
	}
	if len(said) == 0 {
		return nil, wire.ErrNotInput
	}
	return l.messages(c, said)
}

// refuse is the error of what is of no known device: of several bridges, one has it.
func (l *learner) refuse(c *scope, refused *wire.Refused) error {
	if mine := l.dialect.mine; mine != nil && !mine(c.topic) {
		return wire.ErrForeign
	}
	return refused
}

// decodeLearned reads a message on a topic that no template has.
func (s *Set) decodeLearned(c *scope) (all []wire.Received, err error) {
	err = wire.ErrUnmapped
	for _, l := range s.learners {
		known := l.Knows(c.topic)
		if !known && !brings(l.dialect.filters, c.topic) {
			continue
		}
		if refused := l.dialect.limits.check(c.raw); known && refused != nil {
			return nil, l.refuse(c, refused)
		}
		if known && !utf8.Valid(c.raw) {
			return nil, l.refuse(c, wire.Refuse(wire.ReasonBadPayload, "not valid UTF-8"))
		}
		said := l.Read(c.topic, c.raw)
		if known && len(c.raw) == 0 {
			err = wire.ErrNotInput
		}
		if len(said) == 0 {
			continue
		}
		return l.messages(c, said)
	}
	return nil, err
}

// messages makes the service's messages of what was learned.
func (l *learner) messages(c *scope, said []discovery.Message) (all []wire.Received, err error) {
	c.dialect = l.dialect
	for i := range said {
		r, err := l.message(c, &said[i])
		if err != nil {
			return nil, l.refuse(c, err)
		}
		if r == nil {
			continue
		}
		if refused := c.count(len(r.Object)); refused != nil {
			return nil, l.refuse(c, refused)
		}
		r.Place = len(all)
		(&message{channel: r.Message.Channel, words: availability}).finish(r, l.dialect.lazy)
		all = append(all, *r)
	}
	return l.dialect.own(all)
}

// availability are the words that stand for what availability topics say together.
var availability = device.StatusWords{Online: []string{device.Online}, Offline: []string{device.Offline}}

// The channels of what discovery is about.
var discoveryChannels = map[discovery.Kind]device.Channel{
	discovery.Status: device.ChannelStatus, discovery.Values: device.ChannelTelemetry, discovery.Reported: device.ChannelTwin, discovery.Event: device.ChannelEvents,
}

// message makes one, without what its channel asks for. Nil: all of its values are absent.
func (l *learner) message(c *scope, said *discovery.Message) (*wire.Received, *wire.Refused) {
	id, err := l.dialect.discovery.id.fill(func(string) string { return said.Device })
	if err != nil {
		return nil, wire.Refuse(wire.ReasonBadDeviceID, "%v", err)
	}
	data := map[string]any{"status": device.Offline}
	switch {
	case said.Kind == discovery.Status && said.Online:
		data["status"] = device.Online
	case said.Kind != discovery.Status:
		kept, there := l.dialect.discovery.absent.without(said.Data)
		if !there {
			return nil, nil
		}
		data = kept.(map[string]any)
		unreserve(data)
	}
	object, err := encodedMembers(data)
	if err != nil {
		return nil, wire.Refuse(wire.ReasonBadPayload, "%v", err)
	}
	return &wire.Received{
		ID: id, Object: object, PointTime: c.at,
		Message: device.Message{
			Channel: discoveryChannels[said.Kind], Name: eventName(said.Name), Time: c.at, Redelivered: c.dup, Stale: said.Kept, Relayed: said.Relayed,
			From: l.addressWith(said.Commands),
		},
	}, nil
}

// encodedMembers is an object, as encoding/json writes it.
func encodedMembers(data map[string]any) ([]byte, error) {
	if len(data) != 1 { // which most are
		return encoded(data)
	}
	for name, v := range data {
		n, isNumber := v.(json.Number)
		b, isBool := v.(bool)
		if !plainID(name) || !isNumber && !isBool {
			break
		}
		object := append(append(append(make([]byte, 0, len(name)+len(n)+10), `{"`...), name...), `":`...)
		if isNumber {
			return append(append(object, n...), '}'), nil
		}
		return append(strconv.AppendBool(object, b), '}'), nil
	}
	return encoded(data)
}

// eventName is the name of an entity as that of an event.
func eventName(entity string) string {
	name := entity[:min(len(entity), device.MaxEventName)]
	if device.ReservedName(name) {
		name += "_"
	}
	return name
}

// whyLearned says what was learned from a discovery message; "" if the message is another one.
func (s *Set) whyLearned(topic string, payload []byte, err error) string {
	l := s.configs(topic)
	if l == nil || !errors.Is(err, wire.ErrNotInput) {
		return ""
	}
	if len(payload) == 0 {
		return l.dialect.name + ": discovery, removed"
	}
	return l.dialect.name + ": discovery of " + l.Describe(topic)
}
