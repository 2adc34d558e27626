package devicefsm

import (
	"testing"

	"devicetwin/device"
)

// A pattern may wait for what a device publishes under its own name, like a transition,
// also if the model has rules for others.
func TestPatternOfEventsWithoutRules(t *testing.T) {
	m := load(t, `
events: {reading: {channel: telemetry}}
patterns: {p: {sequence: [open, reading, {notFollowedBy: shut}, open]}}
initial: a
states: {a: {on: {other: b, p: b}}, b: {}}
`)
	for _, name := range []string{"open", "shut"} {
		if !m.Knows(name) || !m.Names(name) {
			t.Errorf("%s is not known", name)
		}
	}
	if m.Knows("bell") {
		t.Error("bell is known")
	}
	for name, want := range map[string]bool{"open": true, "shut": true, "other": true, "bell": false} {
		if got := m.Pass(&Filter{}, device.Message{Channel: device.ChannelEvents, Name: name}); got != want {
			t.Errorf("%s reaches the chart: %v", name, got)
		}
	}
}
