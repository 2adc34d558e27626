package dialect

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"devicetwin/device"
	"devicetwin/mqtt"
	"devicetwin/source"
	"devicetwin/wire"
)

// Sample is a message as devices publish it, and what a dialect is to make of it; or something
// that is sent to a device, and what a dialect is to publish.
type Sample struct {
	at       source.Node
	Dialect  string // what is sent is in its words; "": in those of the only dialect of a set
	Origin   string // the page or file that it follows
	Topic    string
	Payload  []byte
	Retained bool
	Received time.Time
	outcome  string // "": messages; else ignored, unmapped or the reason for which it is refused
	messages []sampleMessage
	sent     *sent // nil: it is a message of devices
}

type sampleMessage struct {
	device, channel, name, connection, sent, id string
	epoch                                       int64
	seq                                         uint64
	relayed                                     bool
	data                                        any
}

// sampleTime is when samples are received that say nothing else.
var sampleTime = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

var sampleKeys = []string{"from", "topic", "payload", "payload_hex", "payload_base64", "retained", "received", "gives", "outcome"}

// LoadSamples reads a file of samples. The error is source.Faults.
func LoadSamples(file string, src []byte) ([]Sample, error) {
	f := source.Parse(file, src)
	root := f.Root()
	fields := root.Fields("samples")
	root.Require(fields, "samples")
	var all []Sample
	for _, n := range fields["samples"].List() {
		all = append(all, readSample(n))
	}
	if err := f.Err(); err != nil {
		return nil, err
	}
	return all, nil
}

func readSample(n source.Node) Sample {
	f := n.Fields(slices.Concat(sampleKeys, occasionsOfSamples, sentKeys)...)
	for _, occasion := range occasionsOfSamples {
		if f[occasion].Exists() {
			return readSent(n, f, occasion)
		}
	}
	for _, key := range sentKeys {
		f[key].Faultf("%s: expected %s with it", key, strings.Join(occasionsOfSamples, ", "))
	}
	s := Sample{at: n, Origin: f["from"].String(), Topic: topicOf(n, f), Received: sampleTime, outcome: f["outcome"].String()}
	if f["retained"].Exists() {
		s.Retained = f["retained"].Bool()
	}
	if v := f["received"]; v.Exists() {
		t, err := time.Parse(time.RFC3339Nano, v.String())
		if err != nil {
			v.Faultf("received %q: expected an RFC 3339 time", v.String())
		}
		s.Received = t
	}
	s.readPayload(n, f)
	switch v := f["outcome"]; {
	case v.Exists() && f["gives"].Exists():
		v.Faultf("expected outcome or gives")
	case v.Exists():
		checkOutcome(v, s.outcome, "ignored", "unmapped")
	case !f["gives"].Exists():
		n.Faultf("expected gives, or outcome")
	}
	if f["gives"].Exists() {
		for _, v := range f["gives"].OneOrList() {
			s.messages = append(s.messages, readSampleMessage(v))
		}
	}
	return s
}

// topicOf is the topic of a message, which each has.
func topicOf(n source.Node, f map[string]source.Node) string {
	n.Require(f, "topic")
	v := f["topic"]
	if v.IsString() {
		if err := mqtt.CheckTopic(v.String()); err != nil {
			v.Faultf("%v", err)
		}
	}
	return v.String()
}

func (s *Sample) readPayload(n source.Node, f map[string]source.Node) {
	payload, given := payloadOf(f)
	if given != 1 {
		n.Faultf("expected one of payload, payload_hex and payload_base64")
	}
	s.Payload = payload
}

// checkOutcome notes an outcome that is neither a reason nor among the others.
func checkOutcome(n source.Node, outcome string, others ...string) {
	known := others
	for _, r := range wire.Reasons() {
		known = append(known, string(r))
	}
	if !slices.Contains(known, outcome) {
		n.Faultf("outcome %q: expected one of %s", outcome, strings.Join(known, ", "))
	}
}

// payloadOf is the payload that is given, and how many are.
func payloadOf(f map[string]source.Node) (payload []byte, given int) {
	for key, decode := range map[string]func(string) ([]byte, error){
		"payload":        func(v string) ([]byte, error) { return []byte(v), nil },
		"payload_hex":    hex.DecodeString,
		"payload_base64": base64.StdEncoding.DecodeString,
	} {
		v := f[key]
		if !v.Exists() {
			continue
		}
		given++
		if v.IsMap() || v.IsList() {
			v.FaultHint("JSON goes into quotes: '{\"t\": 1}'", "%s: expected a string, found %s", key, v.Kind())
			continue
		}
		read, err := decode(v.Scalar())
		if err != nil {
			v.Faultf("%s: %v", key, err)
		}
		payload = read
	}
	return payload, given
}

func readSampleMessage(n source.Node) sampleMessage {
	f := n.Fields("device", "channel", "name", "connection", "sent", "epoch", "seq", "message_id", "relayed", "data")
	n.Require(f, "device", "channel")
	m := sampleMessage{device: f["device"].String(), channel: f["channel"].String(), name: f["name"].String(), connection: f["connection"].String(), sent: f["sent"].String(), id: f["message_id"].String()}
	oneOf(f["channel"], slices.DeleteFunc(slices.Clone(channelNames), func(name string) bool { return channels[name] == "" }))
	oneOf(f["connection"], []string{device.Online, device.Offline, device.ConnectionUnknown})
	if v := f["relayed"]; v.Exists() {
		m.relayed = v.Bool()
	}
	if v := f["epoch"]; v.Exists() {
		m.epoch = v.Int(0, wire.MaxInteger)
	}
	if v := f["seq"]; v.Exists() {
		m.seq = uint64(v.Int(1, wire.MaxInteger))
	}
	if v := f["data"]; v.Exists() {
		m.data = v.Any()
	}
	return m
}

// oneOf notes a string that is not among those known.
func oneOf(n source.Node, known []string) {
	if n.IsString() && !slices.Contains(known, n.String()) {
		n.FaultHint(source.DidYouMean(n.String(), known), "%q: expected one of %s", n.String(), strings.Join(known, ", "))
	}
}

// Check reads the sample as a set does, and reports what is other than it says.
func (s *Sample) Check(set *Set) error {
	wrong := func(format string, args ...any) error {
		return fmt.Errorf("sample at %s: %s", s.Place(), fmt.Sprintf(format, args...))
	}
	if s.sent != nil {
		if err := s.sent.check(set, s.Dialect, s.outcome); err != nil {
			return wrong("%v", err)
		}
		return nil
	}
	received, err := set.Decode(s.Topic, s.Payload, false, s.Received)
	if s.Retained {
		received, err = s.ofRetained(set, received)
	}
	if got := outcomeOf(err); got != s.outcome {
		if err != nil {
			return wrong("%v; expected %s", err, s.expected())
		}
		return wrong("%d messages; expected %s", len(received), s.expected())
	}
	if len(received) != len(s.messages) {
		return wrong("%d messages; expected %d", len(received), len(s.messages))
	}
	for i := range s.messages {
		if got, want := shown(&received[i]), s.messages[i]; !reflect.DeepEqual(got, want) {
			return wrong("message %d%s is\n  %s\nexpected\n  %s", i+1, s.arrival(got, want), Line(&received[i]), want)
		}
	}
	return nil
}

// Place is where the sample is, for people, and what it is about.
func (s *Sample) Place() string {
	line, _ := s.at.Position()
	if s.sent != nil {
		return fmt.Sprintf("line %d, %s", line, s.sent.occasion)
	}
	return fmt.Sprintf("line %d, topic %s", line, s.Topic)
}

// arrival names when the sample is received where that may be why a message has another time.
func (s *Sample) arrival(got, want sampleMessage) string {
	if got.sent == want.sent {
		return ""
	}
	return ", received " + s.Received.Format(time.RFC3339Nano) + ","
}

// ofRetained are those of the messages of a retained copy that bridges take: what devices
// reported. What else there is, a fault included, is ignored.
func (s *Sample) ofRetained(set *Set, received []wire.Received) ([]wire.Received, error) {
	if !set.Retained(s.Topic) {
		return nil, wire.ErrNotInput
	}
	received = slices.DeleteFunc(received, func(r wire.Received) bool { return r.Message.Channel != device.ChannelTwin })
	if len(received) == 0 {
		return nil, wire.ErrNotInput
	}
	return received, nil
}

func (s *Sample) expected() string {
	if s.outcome != "" {
		return s.outcome
	}
	return fmt.Sprint(len(s.messages), " messages")
}

func outcomeOf(err error) string {
	refused := (*wire.Refused)(nil)
	switch {
	case err == nil:
		return ""
	case errors.As(err, &refused):
		return string(refused.Reason)
	case errors.Is(err, wire.ErrUnmapped):
		return "unmapped"
	case errors.Is(err, wire.ErrNoWords):
		return noWords
	}
	return "ignored"
}

// shown is a message as samples write it: of a report, the data is the reported state.
func shown(r *wire.Received) sampleMessage {
	r.Complete()
	m := &r.Message
	s := sampleMessage{device: string(r.ID), channel: channelName(m.Channel), name: m.Name, connection: m.Connection, epoch: m.Epoch, seq: m.Seq, id: r.Named, relayed: m.Relayed, data: any(m.Data)}
	if r.Dated {
		s.sent = r.PointTime.Format(time.RFC3339Nano)
	}
	if m.Channel == device.ChannelTwin {
		s.name = ""
		var update struct {
			State struct {
				Reported map[string]any `json:"reported"`
			} `json:"state"`
		}
		if json.Unmarshal(m.Twin.Payload, &update) == nil {
			s.data = update.State.Reported
		}
	}
	return s
}

// channelName is how a dialect calls a channel.
func channelName(c device.Channel) string {
	for name, channel := range channels {
		if channel == c {
			return name
		}
	}
	return string(c)
}

// String is the message as samples write it, in one line.
func (m sampleMessage) String() string {
	words := []string{"device: " + m.device, "channel: " + m.channel}
	for _, w := range []struct{ key, value string }{{"name", m.name}, {"connection", m.connection}, {"sent", m.sent}} {
		if w.value != "" {
			words = append(words, w.key+": "+w.value)
		}
	}
	if m.seq > 0 {
		words = append(words, fmt.Sprintf("epoch: %d, seq: %d", m.epoch, m.seq))
	}
	if m.id != "" {
		id, _ := json.Marshal(m.id)
		words = append(words, "message_id: "+string(id))
	}
	if m.relayed {
		words = append(words, "relayed: true")
	}
	data, _ := json.Marshal(m.data)
	return "{" + strings.Join(append(words, "data: "+string(data)), ", ") + "}"
}

// Unused are the templates of the dialect of which there is no sample.
func (d *Dialect) Unused(samples []Sample) (templates []string) {
	for _, r := range d.rules {
		used := slices.ContainsFunc(samples, func(s Sample) bool {
			return s.sent == nil && d.find(s.Topic) == r
		})
		if !used {
			templates = append(templates, r.topic.text)
		}
	}
	return templates
}

// Line is a message in one line, as samples write it, with what is wrong with it.
func Line(r *wire.Received) string {
	line := shown(r).String()
	for _, f := range r.Message.Faults {
		line += " # " + f.Detail
	}
	if m := &r.Message; m.Channel == device.ChannelAck { // for its twin, it is a fault later
		word, _ := m.Data["status"].(string)
		if _, ok := device.AckStatus(word); !ok {
			line += " # status: expected accepted, succeeded, failed or rejected; it answers nothing"
		}
	}
	return line
}
