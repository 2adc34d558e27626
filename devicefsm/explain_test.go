package devicefsm

import (
	"testing"

	"devicetwin/device"
)

const explained = `
model: pump
events:
  hot: {channel: telemetry, when: "msg.temperature > 60"}
  slow: {channel: events, name: speed, when: "msg.rpm < 100 || msg.mode == 'slow'"}
  reading: {channel: events, name: reading}
states:
  on:
    on:
      hot: {target: off}
      slow: {target: off}
      door: {guard: "event.open", target: off}
      label: {guard: "event.text.size() > 3 && 'b' < event.text", target: off}
  off: {}
initial: on
patterns:
  warm: {sequence: [{event: reading, where: "event.value - 1 > 3"}]}
`

func TestExplainSaysWhichTypeWasFound(t *testing.T) {
	m := load(t, explained)
	for _, c := range []struct {
		channel device.Channel
		name    string
		data    map[string]any
		reason  device.FaultReason
		want    string // "" for no fault
	}{
		{device.ChannelTelemetry, "", map[string]any{"temperature": "95"}, device.FaultExpression,
			`when "msg.temperature > 60" of event "hot": msg.temperature is a string ("95"), expected a number`},
		{device.ChannelTelemetry, "", map[string]any{"temperature": nil}, device.FaultExpression,
			`when "msg.temperature > 60" of event "hot": msg.temperature is null, expected a number`},
		{device.ChannelTelemetry, "", map[string]any{"temperature": []any{1.0}}, device.FaultExpression,
			`when "msg.temperature > 60" of event "hot": msg.temperature is an array, expected a number`},
		{device.ChannelTelemetry, "", map[string]any{"humidity": 1.0}, "", ""},
		{device.ChannelEvents, "speed", map[string]any{"rpm": "7"}, device.FaultExpression,
			`when "msg.rpm < 100 || msg.mode == 'slow'" of event "slow": msg.rpm is a string ("7"), expected a number`},
		{device.ChannelEvents, "speed", map[string]any{"rpm": 200.0, "mode": "fast"}, "", ""},
		{device.ChannelEvents, "door", map[string]any{"closed": true}, device.FaultExpression,
			`guard "event.open" of state "on": no such key: open`},
		{device.ChannelTelemetry, "", map[string]any{"temperature": 20.0}, "", ""},
		{device.ChannelEvents, "door", map[string]any{"open": "yes"}, device.FaultExpression,
			`guard "event.open" of state "on": the result is not true or false: event.open is a string ("yes")`},
		{device.ChannelEvents, "door", map[string]any{"open": false}, "", ""},
		{device.ChannelEvents, "reading", map[string]any{"value": "5"}, device.FaultExpression,
			`where "event.value - 1 > 3" of pattern "warm": event.value is a string ("5"), expected a number`},
		{device.ChannelEvents, "dor", map[string]any{"open": true}, device.FaultUnknownEvent, `model pump does not know the event "dor"`},
	} {
		msg := device.Message{Channel: c.channel, Name: c.name, Data: c.data}
		var f Filter
		if m.Pass(&f, msg) || m.Relevant(msg) {
			t.Errorf("%s %v: passes", c.name, c.data)
		}
		if failed := c.reason == device.FaultExpression; f.Failed() != failed {
			t.Errorf("%s %v: the filter says that an expression failed: %v", c.name, c.data, f.Failed())
		}
		faults := m.Explain(msg)
		if c.want == "" {
			if len(faults) != 0 {
				t.Errorf("%s %v: %v", c.name, c.data, faults)
			}
			continue
		}
		if len(faults) != 1 || faults[0].Reason != c.reason || faults[0].Detail != c.want || faults[0].Value == "" {
			t.Errorf("%s %v:\n%+v, want\n%s %s", c.name, c.data, faults, c.reason, c.want)
		}
	}
}

func TestClassifyWritesStatusesInLowerCase(t *testing.T) {
	m := load(t, explained)
	for word, want := range map[string][2]string{
		"succeeded": {"go.succeeded", "go.succeeded"}, "SUCCEEDED": {"go.succeeded", "go.SUCCEEDED"},
		"Done": {"go.Done", "go.Done"}, "EXPIRED": {"", "go.EXPIRED"}, "expired": {"", ""}, "": {"", ""},
	} {
		msg := device.Message{Channel: device.ChannelAck, Name: "go", Data: map[string]any{"status": word}}
		now, _ := m.Classify(msg)
		written, _ := m.ClassifyAsWritten(msg)
		if got := [2]string{now, written}; got != want {
			t.Errorf("%q: %q, want %q", word, got, want)
		}
	}
}

func TestNamesAreExact(t *testing.T) {
	m := load(t, explained)
	for event, want := range map[string]bool{"hot": true, "door": true, "reading": true, "doors": false, device.EventSilent: false} {
		if m.Names(event) != want {
			t.Errorf("%s: %t", event, !want)
		}
	}
	if wild := load(t, "model: w\ninitial: a\nstates: {a: {on: {go.*: b}}, b: {}}\n"); wild.Names("go.done") || wild.Names("go") {
		t.Error("a wildcard names every event")
	}
}
