package dialect

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"unicode"
	"unicode/utf8"

	"devicetwin/source"
	"devicetwin/wire"
)

// samplePublication is a message to a device, as samples write it.
type samplePublication struct {
	topic    string
	payload  []byte
	value    any // of a payload that is JSON, in any spelling; nil: it is as it is
	retained bool
	qos      byte
}

func readPublication(n source.Node) samplePublication {
	f := n.Fields("topic", "payload", "payload_hex", "payload_base64", "retained", "qos")
	p := samplePublication{topic: topicOf(n, f), qos: 1}
	if v := f["payload"]; v.IsMap() || v.IsList() {
		p.value = v.Any()
		delete(f, "payload")
	}
	payload, given := payloadOf(f)
	if given > 1 || given > 0 && p.value != nil {
		n.Faultf("expected one of payload, payload_hex and payload_base64")
	}
	p.payload = payload
	if f["retained"].Exists() {
		p.retained = f["retained"].Bool()
	}
	if f["qos"].Exists() {
		p.qos = byte(f["qos"].Int(0, 1))
	}
	return p
}

// is reports whether it is what is published.
func (p *samplePublication) is(got wire.Publication) bool {
	if p.topic != got.Topic || p.retained != got.Retained || p.qos != got.QoS {
		return false
	}
	if p.value == nil {
		return string(p.payload) == string(got.Payload)
	}
	var v any
	return json.Unmarshal(got.Payload, &v) == nil && reflect.DeepEqual(v, p.value)
}

// String is the publication as samples write it, in one line.
func (p samplePublication) String() string {
	payload, _ := json.Marshal(p.value)
	if p.value == nil {
		payload = p.payload
	}
	return SentLine(wire.Publication{Topic: p.topic, Payload: payload, Retained: p.retained, QoS: p.qos})
}

// SentLine is a message to a device in one line, as samples write it.
func SentLine(p wire.Publication) string {
	line := "{topic: " + p.Topic
	switch {
	case len(p.Payload) == 0:
	case isText(p.Payload):
		line += ", payload: " + quoted(string(p.Payload))
	default:
		line += fmt.Sprintf(", payload_hex: %x", p.Payload)
	}
	if p.Retained {
		line += ", retained: true"
	}
	if p.QoS != 1 {
		line += fmt.Sprintf(", qos: %d", p.QoS)
	}
	return line + "}"
}

// quoted is a string as YAML has it.
func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// isText reports whether a payload can be written on a line.
func isText(payload []byte) bool {
	return utf8.Valid(payload) && !bytes.ContainsFunc(payload, func(r rune) bool { return !unicode.IsPrint(r) })
}

// compare reports what is other than the sample says.
func (s *sent) compare(got wire.Sending) error {
	var is, wants []string
	same := len(got.Publications) == len(s.publications)
	for i, p := range got.Publications {
		is = append(is, SentLine(p))
		same = same && s.publications[i].is(p)
	}
	for _, p := range s.publications {
		wants = append(wants, p.String())
	}
	switch {
	case !same:
		return fmt.Errorf("it sends\n  %s\nexpected\n  %s", listed(is), listed(wants))
	case s.done != nil && *s.done != got.Done:
		return fmt.Errorf("done is %v; expected %v", got.Done, *s.done)
	case s.shows != nil:
		var shows any
		if json.Unmarshal(got.Shows, &shows) != nil || !reflect.DeepEqual(shows, s.shows) {
			want, _ := json.Marshal(s.shows)
			return fmt.Errorf("shows is %s; expected %s", orNothing(string(got.Shows)), want)
		}
	}
	return nil
}

func listed(lines []string) string { return orNothing(strings.Join(lines, "\n  ")) }

func orNothing(s string) string {
	if s == "" {
		return "nothing"
	}
	return s
}
