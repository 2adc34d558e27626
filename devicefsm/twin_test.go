package devicefsm

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"devicetwin/device"
)

const fanModel = `
context: {limit: 3}
initial: slow
states:
  slow:
    on:
      twin.desired.changed: {guard: "twin.desired.fan == 'high'", target: fast}
      go: {guard: "event.n > context.limit", target: fast, actions: [{assign: {limit: event.n}}]}
    after: {1m: {guard: "twin.reported.fan == 'high'", target: fast}}
  fast: {always: {guard: "twin.desired.fan == 'low'", target: slow}}
`

// What an expression reads as twin comes with the event, also with one that only
// advances the clock.
func TestTwinComesWithTheEvent(t *testing.T) {
	m := load(t, fanModel)
	twin := func(desired, reported string) map[string]any {
		return obj{"desired": obj{"fan": desired}, "reported": obj{"fan": reported}, "delta": obj{}, "version": 1.0}
	}
	for _, tt := range []struct {
		name  string
		event Event
		want  string
	}{
		{"an event", Event{Name: device.EventDesiredChanged, Time: t0, Twin: twin("high", "")}, "fast"},
		{"a guard that does not hold", Event{Name: device.EventDesiredChanged, Time: t0, Twin: twin("off", "")}, "slow"},
		{"a delay", Event{Time: t0.Add(time.Minute), Twin: twin("", "high")}, "fast"},
		{"always, afterwards", Event{Time: t0.Add(time.Minute), Twin: twin("low", "high")}, "slow"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, _ := m.Start(t0)
			s, out := m.Step(s, tt.event)
			if got := m.StateName(s); got != tt.want || len(out.Faults) > 0 {
				t.Errorf("state %s, faults %v; want %s", got, out.Faults, tt.want)
			}
		})
	}
}

func TestReadsTwin(t *testing.T) {
	if !load(t, fanModel).ReadsTwin() {
		t.Error("a model with guards over twin does not read it")
	}
	if load(t, "initial: a\nstates: {a: {on: {e: {guard: \"event.twin == 1\", target: a}}}}").ReadsTwin() {
		t.Error("event.twin is taken for twin")
	}
}

// A transition says what it came from: the event's data, the guard, and the
// context on both sides.
func TestATransitionSaysWhy(t *testing.T) {
	d := start(t, load(t, fanModel))
	d.send("go", obj{"n": 2.0})
	if d.out.Transitions != nil {
		t.Fatalf("transitions %+v", d.out.Transitions)
	}
	d.send("go", obj{"n": 7.0})
	want := Transition{
		From: "slow", To: "fast", Event: "go", Time: d.out.Transitions[0].Time, Data: obj{"n": 7.0},
		Before: obj{"limit": 3.0}, After: obj{"limit": 7.0}, Guards: []string{"event.n > context.limit"},
	}
	if !reflect.DeepEqual(d.out.Transitions[0], want) {
		t.Errorf("got %+v\nwant %+v", d.out.Transitions[0], want)
	}
}

func TestGuardsOfATransitionAreBounded(t *testing.T) {
	d := start(t, load(t, `
context: {n: 0}
initial: a
states:
  a: {on: {go: b}}
  b: {always: {guard: "context.n < 50", target: b, reenter: true, actions: [{assign: {n: "context.n + 1"}}]}}
`))
	d.send("go", nil)
	if n := len(d.out.Transitions[0].Guards); n != maxGuards {
		t.Errorf("%d guards, want %d", n, maxGuards)
	}
}

func TestDesireAndCommandHaveTheirWords(t *testing.T) {
	d := start(t, load(t, `
initial: a
states: {a: {on: {e: {actions: [{desire: {fan: "'high'"}, within: 5m, shadow: air}, {command: {name: reset, ttl: 1m, replace: true}}]}}}}
`))
	d.send("e", nil)
	want := []Action{
		{Type: ActionDesire, ID: "desire-1", Name: "air", Data: obj{"fan": "high"}, Within: 5 * time.Minute},
		{Type: ActionCommand, ID: "reset-2", Name: "reset", TTL: time.Minute, Replace: true},
	}
	if !reflect.DeepEqual(d.out.Actions, want) {
		t.Errorf("actions %+v", d.out.Actions)
	}
}

func TestWrongDesireAndCommand(t *testing.T) {
	for action, want := range map[string]string{
		`{desire: {fan: "1"}, within: soon}`:          "duration",
		`{desire: {fan: "1"}, within: 31d}`:           "at most 30 days",
		`{desire: {fan: "1"}, shadow: "a b"}`:         "shadow \"a b\"",
		`{desire: {fan: "1"}, then: []}`:              "unknown action \"then\"",
		`{log: "'x'", within: 5m}`:                    "unknown action \"within\"",
		`{command: {name: reset, replace: true}}`:     "replace needs a ttl",
		`{command: {name: reset, replace: "please"}}`: "true or false",
	} {
		_, err := Load("wrong.yaml", []byte("initial: a\nstates: {a: {entry: ["+action+"]}}"))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one about %q", action, err, want)
		}
	}
}

// What ends commands and changes twins concerns more than the chart.
func TestSomeChannelsAreAlwaysRelevant(t *testing.T) {
	m := load(t, "events: {reading: {channel: telemetry}}\ninitial: a\nstates: {a: {}}")
	for channel, want := range map[device.Channel]bool{device.ChannelTelemetry: false, device.ChannelEvents: false, device.ChannelStatus: true, device.ChannelAck: true, device.ChannelTwin: true} {
		msg := device.Message{Channel: channel, Name: "x", Data: obj{"status": "succeeded"}}
		var f Filter
		if got := m.Relevant(msg); got != want {
			t.Errorf("%s: relevant %v", channel, got)
		}
		for range 2 {
			if got := m.Pass(&f, msg); got != want {
				t.Errorf("%s: passes %v", channel, got)
			}
		}
	}
}

// A device can't say what only the service decides.
func TestOutcomesAreNoAnswers(t *testing.T) {
	m := load(t, "initial: a\nstates: {a: {on: {reset.expired: b}}, b: {}}")
	for status, want := range map[string]bool{"rejected": true, "done": true, "expired": false, "cancelled": false, "superseded": false, "exhausted": false, "Exhausted": false} {
		if _, ok := m.Classify(device.Message{Channel: device.ChannelAck, Name: "reset", Data: obj{"status": status}}); ok != want {
			t.Errorf("status %s: an event %v, want %v", status, ok, want)
		}
	}
	if m.MessageOnly("reset.expired") {
		t.Error("reset.expired is said to come from the device only")
	}
}

func TestTheOperatorsNames(t *testing.T) {
	if !device.ReservedName(device.EventReprovision) {
		t.Error("a device may publish operator.reprovision")
	}
	const src = "events: {operator.x: {channel: events}}\ninitial: a\nstates: {a: {}}"
	if _, err := Load("wrong.yaml", []byte(src)); err == nil {
		t.Error("a rule may make an operator's event")
	}
	const right = "events: {e: {channel: events, name: e}}\ninitial: a\nstates: {a: {on: {operator.reprovision: b, reset.expired: b, operator.*: b}}, b: {}}"
	if _, err := Check("right.yaml", []byte(right)); err != nil {
		t.Error(err)
	}
	const unknown = "events: {e: {channel: events, name: e}}\ninitial: a\nstates: {a: {on: {operator.restart: b}}, b: {}}"
	if _, err := Check("unknown.yaml", []byte(unknown)); err == nil || !strings.Contains(err.Error(), "operator.restart") {
		t.Errorf("operator.restart, which nobody makes, is let through: %v", err)
	}
}
