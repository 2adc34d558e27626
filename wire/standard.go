package wire

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"devicetwin/device"
	"devicetwin/internal/text"
	"devicetwin/mqtt"
	"devicetwin/twin"
)

// Standard is the dialect of this service; the package comment lists its topics.
// It keeps nothing, and may be used from any goroutine.
type Standard struct {
	cfg     Config
	schemes []Scheme
	request int // bytes of a request of the shadow protocol that is read
}

var _ Dialect = (*Standard)(nil)

// New makes the standard dialect.
func New(cfg Config) (*Standard, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	schemes, err := ParseSchemes(cfg.Prefix, cfg.ShadowTopics)
	if err != nil {
		return nil, err
	}
	return &Standard{cfg: cfg, schemes: schemes, request: twin.DefaultLimits().Request}, nil
}

// Filters are "{prefix}/#", which also brings in the topics that nobody planned,
// so that they are refused with a reason, and the filters of the shadow protocol
// elsewhere: a topic that two filters match may be delivered twice, and a broker
// may keep the order within one filter only.
func (s *Standard) Filters() []string { return append([]string{s.cfg.Prefix + "/#"}, s.requests()...) }

// requests are the filters of the shadow protocol that are not below the prefix.
func (s *Standard) requests() []string {
	var filters []string
	for _, scheme := range s.schemes {
		for _, filter := range scheme.Filters() {
			if !strings.HasPrefix(filter, s.cfg.Prefix+"/") {
				filters = append(filters, filter)
			}
		}
	}
	return filters
}

// WholeDevices is as in Dialect. Requests of the shadow protocol matter to no
// model, so their filters do not count.
func (s *Standard) WholeDevices(filters []string) bool {
	id := strings.Count(s.cfg.Prefix, "/") + 1 // place of its level
	requests := s.requests()
	for _, filter := range filters {
		if slices.Contains(requests, filter) {
			continue
		}
		levels := strings.Split(filter, "/")
		if last := len(levels) - 1; mqtt.Shared(filter) || levels[last] != "#" || last > id+1 {
			return false
		}
	}
	return true
}

// Knows reports whether a topic is below the prefix, or of the shadow protocol.
func (s *Standard) Knows(topic string) bool {
	if strings.HasPrefix(topic, s.cfg.Prefix) && strings.HasPrefix(topic[len(s.cfg.Prefix):], "/") {
		return true
	}
	for _, scheme := range s.schemes {
		if _, ok := scheme.ID(topic); ok {
			return true
		}
	}
	return false
}

// Retained is as in Dialect: none counts.
func (s *Standard) Retained(string) bool { return false }

// Decode is as in Dialect. An array of objects is one message for each object.
func (s *Standard) Decode(topic string, payload []byte, dup bool, at time.Time) ([]Received, error) {
	for _, scheme := range s.schemes {
		if name, ok := scheme.ID(topic); ok {
			return s.decodeRequest(scheme, name, topic, payload, dup, at)
		}
	}
	a, refused := s.parse(topic)
	switch {
	case refused == nil && a.command:
		return nil, ErrNotInput
	case s.cfg.Mine != nil && !s.cfg.Mine(s.nameLevel(topic)):
		return nil, ErrForeign
	case refused != nil:
		return nil, s.attribute(refused, topic, payload)
	case a.channel == device.ChannelStatus && len(payload) == 0:
		// How a retained message is cleared, which anybody may do; a device that has
		// something to say has at least a word for it.
		return nil, ErrNotInput
	}
	received, refused := s.decodePayload(a, payload, dup, at)
	if refused != nil { // a nil *Refused is not a nil error
		return nil, s.attribute(refused, topic, payload)
	}
	return received, nil
}

// decodeRequest reads a topic of the shadow protocol. Requests keep their payload
// unread; the twin answers them.
func (s *Standard) decodeRequest(scheme Scheme, name, topic string, payload []byte, dup bool, at time.Time) ([]Received, error) {
	if s.cfg.Mine != nil && !s.cfg.Mine(name) {
		return nil, ErrForeign
	}
	name, shadow, rest, ok := scheme.Parse(topic)
	switch {
	case !ok:
		return nil, Refuse(ReasonBadTopic, "%s", shadowShapes)
	case !IsRequest(rest): // an answer, which a filter with # brings back
		return nil, ErrNotInput
	}
	id, err := s.idOf(name)
	if err != nil {
		return nil, Refuse(ReasonBadDeviceID, "%v", err)
	}
	base := scheme.Base(name, shadow)
	payload = text.WithoutMark(payload)
	m := device.Message{
		Channel: device.ChannelTwin, Name: rest, Time: at, Redelivered: dup,
		Twin: &device.TwinRequest{Shadow: shadow, Reply: base, Payload: payload},
	}
	if len(payload) <= s.request { // larger ones are rejected unread
		m.Digest = digest(device.ChannelTwin, base+"/"+rest, payload, 0)
		m.Twin.Reports = rest == "update" && reports(payload)
	}
	return []Received{{ID: id, Message: m}}, nil
}

const shadowShapes = "expected a request of the shadow protocol or an answer to one, and names of [a-zA-Z0-9:_-]"

// ReplyTopic is where the answer to a request of the shadow protocol goes. Answer
// is accepted or rejected.
func ReplyTopic(request device.Message, answer string) string {
	return request.Twin.Reply + "/" + request.Name + "/" + answer
}

// address is what a topic says: whose message it is, on which channel, and, on
// the channels events and ack, its name.
type address struct {
	id      device.ID
	channel device.Channel
	name    string
	// command marks a message on its way to the device. A subscription to
	// {prefix}/# brings it in; it is not an input.
	command bool
}

const topicShapes = "expected {id}/telemetry, {id}/status, {id}/events/{name} or {id}/commands/{name}/ack"

const namePattern = `^[a-zA-Z0-9_.-]{1,64}$`

// idOf is the id of a device, which the configuration has to allow.
func (s *Standard) idOf(name string) (device.ID, error) {
	id, err := device.New(device.KindDevice, name)
	if err == nil && s.cfg.CheckID != nil {
		err = s.cfg.CheckID(id)
	}
	if err != nil {
		return "", err
	}
	return id, nil
}

// nameLevel is the level at the place of the id, valid or not.
func (s *Standard) nameLevel(topic string) string {
	name, _, _ := strings.Cut(strings.TrimPrefix(topic, s.cfg.Prefix+"/"), "/")
	return name
}

// parse reads a topic below the prefix. The refusal is nil if the topic is one of
// those that a device may use, or a command to a device.
func (s *Standard) parse(topic string) (address, *Refused) {
	rest, ok := strings.CutPrefix(topic, s.cfg.Prefix+"/")
	if !ok {
		return address{}, Refuse(ReasonBadTopic, "not below %s/", s.cfg.Prefix)
	}
	name, below, _ := strings.Cut(rest, "/")
	first, second, third := levelsOf(below)
	var a address
	switch {
	case below == "telemetry":
		a.channel = device.ChannelTelemetry
	case below == "status":
		a.channel = device.ChannelStatus
	case first == "events" && third == noLevel && second != noLevel:
		a.channel, a.name = device.ChannelEvents, second
	case first == "commands" && third == "ack":
		a.channel, a.name = device.ChannelAck, second
	case first == "commands" && third == noLevel && second != noLevel:
		a.command, a.name = true, second
	default:
		return address{}, Refuse(ReasonBadTopic, "%s", topicShapes)
	}
	id, err := s.idOf(name)
	if err != nil {
		return address{}, Refuse(ReasonBadDeviceID, "%v", err)
	}
	a.id = id
	if a.channel == device.ChannelEvents || a.channel == device.ChannelAck {
		if !device.ValidName(a.name) {
			return address{}, Refuse(ReasonBadTopic, "name %q: expected %s", text.Clip(a.name, 200), namePattern)
		}
	}
	if a.channel == device.ChannelEvents && device.ReservedName(a.name) {
		return address{}, Refuse(ReasonBadTopic, "event name %q is reserved for the service", a.name)
	}
	return a, nil
}

// noLevel is a level that is not there; in a topic it would be two.
const noLevel = "/"

// levelsOf are the levels of a topic of up to three. Of one that has more, the third
// one is the rest.
func levelsOf(topic string) (first, second, third string) {
	first, rest, ok := strings.Cut(topic, "/")
	if !ok {
		return first, noLevel, noLevel
	}
	if second, third, ok = strings.Cut(rest, "/"); !ok {
		third = noLevel
	}
	return first, second, third
}

// topic writes what parse reads.
func (s *Standard) topic(a address) string {
	levels := []string{s.cfg.Prefix, a.id.Name(), string(a.channel)}
	switch {
	case a.command:
		levels[2] = "commands/" + a.name
	case a.channel == device.ChannelAck:
		levels[2] = "commands/" + a.name + "/ack"
	case a.channel == device.ChannelEvents:
		levels = append(levels, a.name)
	}
	return strings.Join(levels, "/")
}

// Topic is the topic on which a device publishes messages of a channel: of
// ChannelEvents and ChannelAck those of a name.
func (s *Standard) Topic(id device.ID, channel device.Channel, name string) string {
	return s.topic(address{id: id, channel: channel, name: name})
}

// CommandFilter is the MQTT topic filter of all commands to a device.
func (s *Standard) CommandFilter(id device.ID) string {
	return s.topic(address{id: id, command: true, name: "+"})
}

// below is the topic of a document, given that of its entity's classic shadow.
func (d ShadowDocument) below(base string) string {
	if d.Shadow != "" {
		base += "/" + d.Shadow
	}
	return base + "/" + d.Rest
}

// ShadowTopics is as in Dialect.
func (s *Standard) ShadowTopics(id device.ID, d ShadowDocument) []string {
	if id.Kind() != device.KindDevice {
		return s.entityDocument(id, d)
	}
	if d.Retained {
		return []string{d.below(s.topic(address{id: id, channel: device.ChannelTwin}))}
	}
	var topics []string
	for _, scheme := range s.schemes {
		topics = append(topics, fmt.Sprintf("%s/%s", scheme.Base(id.Name(), d.Shadow), d.Rest))
	}
	return topics
}
