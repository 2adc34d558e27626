package devicefsm

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

const operatorsModel = `
model: door
events:
  knock: {channel: telemetry, when: "has(msg.n)"}
  quiet: {channel: status}
patterns:
  storm: {sequence: [{event: knock, times: 3}, {event: open}], contiguity: strict, within: 1m}
initial: shut
states:
  shut:
    on:
      open: ajar
      lock: {actions: [{raise: locked}]}
      locked: held
      fault.*: held
      storm: held
      device.alive: ajar
      unlock.rejected: held
  ajar: {on: {close: shut}}
  held: {on: {knock: shut}}
`

func TestEventsOfOperators(t *testing.T) {
	m := load(t, operatorsModel)
	if got, want := m.OperatorEvents(), []string{"close", "fault", "lock", "locked", "open", "storm"}; !slices.Equal(got, want) {
		t.Errorf("events of operators %q, want %q", got, want)
	}
	for event, want := range map[string]bool{
		"open": true, "close": true, "fault": true, "fault.pump": true, "storm": true, "knock": true, "quiet": true,
		"unlock.rejected": true, "opne": false, "faults": false, "open.now": false, "fresh": false,
	} {
		if m.Takes(event) != want || (m.WhyUnknown(event) == "") != want {
			t.Errorf("event %q is taken: %v; %s", event, m.Takes(event), m.WhyUnknown(event))
		}
	}
	want := `model door does not know the event "opne" (did you mean "open"?); an operator can send close, fault, lock, locked, open, storm`
	if got := m.WhyUnknown("opne"); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

// A wildcard, of a transition or in a pattern, takes every event.
func TestWildcardsTakeEveryEvent(t *testing.T) {
	for _, rest := range []string{
		"initial: a\nstates: {a: {on: {'*': b}}, b: {}}",
		"initial: a\nstates: {a: {on: {p: b}}, b: {}}\npatterns: {p: {sequence: [{event: a}, {event: '*'}], within: 1m}}",
	} {
		m := load(t, "model: any\n"+rest)
		if !m.Takes("whatever") || m.WhyUnknown("whatever") != "" {
			t.Errorf("%s\ndoes not take every event: %s", rest, m.WhyUnknown("whatever"))
		}
	}
}

// However many events a model has, a few are named.
func TestManyEventsOfOperators(t *testing.T) {
	var on []string
	for i := range 200 {
		on = append(on, fmt.Sprintf("%s-%03d: a", strings.Repeat("e", 100), i))
	}
	why := load(t, "model: many\ninitial: a\nstates: {a: {on: {"+strings.Join(on, ", ")+"}}}").WhyUnknown("x")
	if !strings.HasSuffix(why, " and 180 more") || len(why) > 3000 {
		t.Errorf("%d bytes: %s", len(why), why)
	}
	if why := load(t, "model: none\ninitial: a\nstates: {a: {}}").WhyUnknown("x"); !strings.HasSuffix(why, "it takes no event of an operator") {
		t.Error(why)
	}
}
