package devicefsm

import (
	"strings"
	"testing"
	"time"

	"devicetwin/device"
)

func TestACommandsDeliveriesAreBounded(t *testing.T) {
	const src = "initial: a\nstates: {a: {entry: [{command: {name: reset, WORDS}}]}}"
	for words, want := range map[string]string{
		"ttl: 1h, max_deliveries: 1":     "",
		"ttl: 1h, max_deliveries: 100":   "",
		"ttl: 1h, max_deliveries: 0":     "expected an integer from 1 to 100",
		"ttl: 1h, max_deliveries: 101":   "expected an integer from 1 to 100",
		"ttl: 1h, max_deliveries: often": "expected an integer",
		"max_deliveries: 3":              "max_deliveries needs a ttl",
	} {
		_, err := Load("m.yaml", []byte(strings.Replace(src, "WORDS", words, 1)))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", words, err, want)
		}
	}
	m := load(t, strings.Replace(src, "WORDS", "ttl: 1h, max_deliveries: 3", 1))
	if _, outcome := m.Start(time.Unix(0, 0)); len(outcome.Actions) != 1 || outcome.Actions[0].MaxDeliveries != 3 {
		t.Errorf("%+v", outcome.Actions)
	}
}

// The status exhausted became the service's in the second edition; a device that used
// the word keeps it in runs of the first.
func TestExhaustedIsADevicesWordInTheFirstEdition(t *testing.T) {
	m := load(t, "initial: a\nstates: {a: {on: {reset.exhausted: b}}, b: {}}")
	ack := device.Message{Channel: device.ChannelAck, Name: "reset", Data: obj{"status": "exhausted"}}
	for edition, want := range map[int]string{EditionFirst: "reset.exhausted", EditionNow: ""} {
		of := m.Edition(edition)
		if got, _ := of.Classify(ack); got != want {
			t.Errorf("edition %d: event %q, want %q", edition, got, want)
		}
		if got, _ := of.ClassifyAsWritten(ack); got != want {
			t.Errorf("edition %d, as written: event %q, want %q", edition, got, want)
		}
		if !of.Relevant(ack) || !of.Pass(new(Filter), ack) {
			t.Errorf("edition %d: left out", edition)
		}
	}
}

// A rule does not make the end of a command an event of messages only: the service
// raises it as well.
func TestAnOutcomeIsNeverOfMessagesOnly(t *testing.T) {
	m := load(t, "events: {reset.expired: {channel: events, name: late}, boot: {channel: status}}\ninitial: a\nstates: {a: {on: {reset.expired: b, boot: b}}, b: {}}")
	if m.MessageOnly("reset.expired") || !m.MessageOnly("boot") {
		t.Errorf("reset.expired %t, boot %t; want false, true", m.MessageOnly("reset.expired"), m.MessageOnly("boot"))
	}
}
