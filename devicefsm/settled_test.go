package devicefsm

import (
	"reflect"
	"strings"
	"sync"
	"testing"

	"devicetwin/device"
)

// verdictOf gives whether the class of a telemetry message is settled, or why not.
func verdictOf(t *testing.T, m *Model, data obj) string {
	t.Helper()
	name, ok := m.Classify(device.Message{Channel: device.ChannelTelemetry, Data: data})
	if !ok {
		t.Fatalf("%v is not an event", data)
	}
	ec := m.classes.byName[name]
	class, ok := ec.classOf(&scope{event: data})
	if !ok {
		t.Fatalf("%v has no class", data)
	}
	v := m.classes.verdict(ec, class)
	if _, _, settled := m.Class(device.Message{Channel: device.ChannelTelemetry, Data: data}); settled != v.settled {
		t.Errorf("%v: Class says settled %v, the verdict is %+v", data, settled, v)
	}
	if v.settled {
		return "settled"
	}
	return v.why
}

// TestSettled says of readings x whether their class is settled. The chart of
// each case is below `events: {r: …}`.
func TestSettled(t *testing.T) {
	const events = "events:\n  r: {channel: telemetry}\n  e: {channel: events, name: e}\n"
	hysteresis := `
initial: normal
states:
  normal: {on: {r: {guard: "event.x > 90", target: high}}}
  high: {%s on: {r: {guard: "event.x < 80", target: normal}}}
`
	for _, tc := range []struct {
		name, chart string
		want        map[float64]string // by x; part of the reason
	}{
		{"threshold with hysteresis", strings.ReplaceAll(hysteresis, "%s", ""),
			map[float64]string{95: "settled", 85: "settled", 75: "settled"}},
		{"actions on the way", strings.ReplaceAll(hysteresis, "%s", "entry: [{assign: {n: \"context.n + 1\"}}, {command: {name: alarm}}],"),
			map[float64]string{95: "settled", 75: "settled"}},
		{"a delay leads back", strings.ReplaceAll(hysteresis, "%s", "after: {10s: normal},"),
			map[float64]string{95: "after 10s in high it can be in normal, where a second one may do something: r [event.x > 90] leads to high", 85: "settled", 75: "settled"}},
		{"an activity leads back", strings.ReplaceAll(hysteresis, "%s", "invoke: {src: cool, onDone: normal},"),
			map[float64]string{95: "when cool is done it can be in normal", 75: "settled"}},
		{"a failed activity leads back", strings.ReplaceAll(hysteresis, "%s", "invoke: {src: cool, onError: normal},"),
			map[float64]string{95: "when cool has failed it can be in normal", 75: "settled"}},
		{"an operator leads back", `
initial: normal
states:
  normal: {on: {r: {guard: "event.x > 90", target: high}}}
  high: {on: {reset: normal, r: {guard: "event.x < 80", target: normal}}}
`, map[float64]string{95: "after an event reset it can be in normal", 75: "settled"}},
		{"another message leads back", `
initial: normal
states:
  normal: {on: {r: {guard: "event.x > 90", target: high}}}
  high: {on: {e: normal}}
`, map[float64]string{95: "settled", 75: "settled"}},
		{"silence leads back", `
initial: normal
states:
  normal: {on: {r: {guard: "event.x > 90", target: high}}}
  high: {on: {device.silent: normal}}
`, map[float64]string{95: "after an event device.silent it can be in normal"}},
		{"a count", `
initial: s
states:
  s: {on: {r: {guard: "event.x > 90", actions: [{assign: {n: "context.n + 1"}}]}}}
`, map[float64]string{95: "a second one may do something in s, too: r [event.x > 90] does something", 75: "settled"}},
		{"a guard over the context", `
initial: normal
states:
  normal: {on: {r: {guard: "event.x > context.n", target: high}}}
  high: {}
`, map[float64]string{95: "a second one may do something in normal, too"}},
		{"a guard in part over the context", `
initial: normal
states:
  normal: {on: {r: {guard: "event.x > 90 && context.n > 3", target: high}}}
  high: {}
`, map[float64]string{95: "a second one may do something in normal, too", 75: "settled"}},
		{"two steps", `
initial: a
states:
  a: {on: {r: {guard: "event.x > 90", target: b}}}
  b: {on: {r: {guard: "event.x > 90", target: c}}}
  c: {}
`, map[float64]string{95: "a second one may do something in b, too", 75: "settled"}},
		{"the first candidate that holds", `
initial: a
states:
  a: {on: {r: [{guard: "event.x > 90", target: c}, {guard: "event.x > 50", target: b}]}}
  b: {on: {r: {guard: "event.x > 95", target: c}}}
  c: {on: {r: {guard: "event.x < 10", target: a}}}
`, map[float64]string{92: "settled", 97: "settled", 60: "settled", 5: "settled"}},
		{"a transition that hides others", `
initial: p
states:
  p:
    on: {r: {guard: "event.x > 90", target: q}}
    initial: c
    states: {c: {on: {r: null}}}
  q: {}
`, map[float64]string{95: "settled"}},
		{"always passes through", `
initial: normal
states:
  normal: {on: {r: {guard: "event.x > 90", target: which}}}
  which:
    on: {r: {guard: "event.x > 90", target: normal}}
    always: [{guard: "context.n > 3", target: high}, {target: low}]
  high: {on: {r: {guard: "event.x < 80", target: normal}}}
  low: {}
`, map[float64]string{95: "settled", 75: "settled"}},
		{"always that reads the message", `
initial: normal
states:
  normal: {always: {guard: "event.x > 90", target: high}}
  high: {always: {guard: "event.x < 80", target: normal}}
`, map[float64]string{95: "after an event of any other name it can be in normal", 75: "after an event of any other name it can be in high", 85: "settled"}},
		{"always that reads the message and the context", `
initial: normal
states:
  normal: {always: {guard: "event.x > 90 && context.n > 3", target: high}}
  high: {}
`, map[float64]string{95: "always [event.x > 90 && context.n > 3] leads to high", 85: "settled"}},
		{"always that reads the twin", `
initial: normal
states:
  normal: {on: {r: {guard: "event.x > 90", target: high}}}
  high: {always: {guard: "twin.desired.on == true", target: normal}}
`, map[float64]string{95: "a second one may do something in normal, too"}},
		{"a raised event leads back", `
initial: normal
states:
  normal: {on: {r: {guard: "event.x > 90", target: high}}}
  high: {entry: [{raise: over}], on: {over: normal}}
`, map[float64]string{95: "a second one may do something in normal, too"}},
		{"a message's event that the chart raises, too", `
initial: normal
states:
  normal: {on: {r: {guard: "event.x > 90", target: high}}}
  high: {on: {e: normal}, after: {10s: {actions: [{raise: e}]}}}
`, map[float64]string{95: "after 10s in high it can be in normal"}},
		{"separate regions", `
type: parallel
states:
  heat:
    initial: normal
    states:
      normal: {on: {r: {guard: "event.x > 90", target: high}}}
      high: {on: {r: {guard: "event.x < 80", target: normal}}}
  door:
    initial: open
    states: {open: {after: {5s: closed}}, closed: {on: {knock: open}}}
`, map[float64]string{95: "settled", 75: "settled"}},
		{"regions that look at each other", `
type: parallel
states:
  heat:
    initial: normal
    states:
      normal: {on: {r: {guard: "event.x > 90 && stateIn('door.open')", target: high}}}
      high: {on: {r: {guard: "event.x < 80", target: normal}}}
  door:
    initial: open
    states: {open: {after: {5s: closed}}, closed: {on: {e: open}}}
`, map[float64]string{95: "settled", 75: "settled"}},
		{"a region that a timer opens for the other", `
type: parallel
states:
  heat:
    initial: normal
    states:
      normal: {on: {r: {guard: "event.x > 90 && stateIn('door.open')", target: high}}}
      high: {}
  door:
    initial: closed
    states: {open: {}, closed: {after: {5s: open}}}
`, map[float64]string{95: "after 5s in door.closed it can be in heat.normal,door.open"}},
		{"history", `
initial: on
states:
  on:
    initial: normal
    states:
      normal: {on: {r: {guard: "event.x > 90", target: high}}}
      high: {on: {r: {guard: "event.x < 80", target: normal}}}
      h: {type: history}
    on: {pause: off}
  off: {on: {go: on.h}}
`, map[float64]string{95: "after an event go it can be in on.normal", 75: "after an event go it can be in on.high"}},
		{"a chart that ends", `
initial: a
states:
  a: {on: {r: {guard: "event.x > 90", target: b}}}
  b: {type: final}
`, map[float64]string{95: "settled"}},
		{"the end of a part", `
initial: work
states:
  work:
    initial: a
    onDone: work
    states:
      a: {on: {r: {guard: "event.x > 90", target: b}}}
      b: {type: final}
`, map[float64]string{95: "a second one may do something in work.a, too"}},
		{"a step that is taken back", `
initial: a
states:
  a: {on: {r: {guard: "event.x > 90", target: b}}}
  b: {always: [{guard: "context.n < 0", target: c}, {target: d}]}
  c: {always: {target: b}}
  d: {}
`, map[float64]string{95: "a second one may do something in a, too"}},
		{"raised events that never end", `
initial: a
states:
  a: {on: {r: {guard: "event.x > 90", target: b}}}
  b: {entry: [{raise: go}], on: {go: {guard: "context.n > 0", target: b, reenter: true}}}
`, map[float64]string{95: "a second one may do something in a, too"}},
		{"a step of a pattern", `
patterns: {p: {sequence: [{event: r, where: "event.x > 90", times: 2}], within: 1m}}
initial: a
states: {a: {}}
`, map[float64]string{95: "pattern p counts each of them", 75: "settled"}},
		{"a step that reads what was matched", `
patterns: {p: {sequence: [{event: e}, {event: r, where: "event.x > 90 && event.x > matched.e[0].x"}], within: 1m}}
initial: a
states: {a: {}}
`, map[float64]string{95: "pattern p counts each of them", 75: "settled"}},
		{"a strict pattern of other events", `
patterns: {p: {sequence: [{event: e, times: 2}, {event: e, where: "event.x > 1"}], contiguity: strict, within: 1m}}
initial: a
states: {a: {on: {r: {guard: "event.x > 90", target: b}}}, b: {}}
`, map[float64]string{95: "any event can be a step of pattern p, or break it", 75: "any event"}},
		{"a pattern leads back", `
patterns: {p: {sequence: [{event: e}, {notFollowedBy: e}], within: 1m}}
initial: normal
states:
  normal: {on: {r: {guard: "event.x > 90", target: high}}}
  high: {on: {p: normal}}
`, map[float64]string{95: "after the event p of a pattern it can be in normal"}},
		{"a chart that may not come to rest at the start", `
initial: a
states:
  a: {always: {guard: "context.n > 0", target: b}, on: {r: {guard: "event.x > 90", target: c}}}
  b: {always: {guard: "context.n > 0", target: a}}
  c: {}
`, map[float64]string{95: "might not come to rest at the start"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := load(t, "context: {n: 0}\n"+events+tc.chart)
			for x, want := range tc.want {
				if got := verdictOf(t, m, obj{"x": x}); !strings.Contains(got, want) {
					t.Errorf("x %v: %s; expected: %s", x, got, want)
				}
			}
		})
	}
}

func TestPumpReadingIsNotSettled(t *testing.T) {
	got := verdictOf(t, loadFile(t, "../models/pump.yaml"), obj{"temperature": 95.0})
	if want := "after 10s in overheated it can be in online, where a second one may do something: reading [event.temperature > 90] leads to overheated"; got != want {
		t.Errorf("%s\nexpected: %s", got, want)
	}
}

// TestTooLargeIsNotSettled: six regions of five states are more configurations
// than are looked at.
func TestTooLargeIsNotSettled(t *testing.T) {
	m := load(t, manyRegions(6))
	if got := verdictOf(t, m, obj{"x": 95.0}); got != errTooMany.Error() {
		t.Error(got)
	}
	if got := verdictOf(t, load(t, manyRegions(4)), obj{"x": 95.0}); got != "settled" {
		t.Error(got)
	}
}

func manyRegions(n int) string {
	var b strings.Builder
	b.WriteString("events: {r: {channel: telemetry}}\ntype: parallel\nstates:\n")
	b.WriteString("  heat: {initial: normal, states: {normal: {on: {r: {guard: \"event.x > 90\", target: high}}}, high: {on: {r: {guard: \"event.x < 80\", target: normal}}}}}\n")
	for i := range n {
		name := string(rune('a' + i))
		b.WriteString("  " + name + ": {initial: s0, states: {")
		for j := range 5 {
			if j > 0 {
				b.WriteString(", ")
			}
			b.WriteString("s" + string(rune('0'+j)) + ": {on: {next_" + name + ": s" + string(rune('0'+(j+1)%5)) + "}}")
		}
		b.WriteString("}}\n")
	}
	return b.String()
}

// TestFilter follows one device: a settled class is left out as long as nothing
// else that is relevant came between.
func TestFilter(t *testing.T) {
	m := load(t, `
events:
  r: {channel: telemetry, when: "has(msg.x)"}
  q: {channel: telemetry, when: "has(msg.y)"}
  boot: {channel: status, when: "msg.status == 'boot'"}
initial: normal
states:
  normal: {on: {r: {guard: "event.x > 90", target: high}, q: {guard: "event.y > 5", target: high}}}
  high: {on: {r: {guard: "event.x < 80", target: normal}}}
`)
	var f Filter
	reading := func(x float64) device.Message {
		return device.Message{Channel: device.ChannelTelemetry, Data: obj{"x": x}}
	}
	other := func(y float64) device.Message {
		return device.Message{Channel: device.ChannelTelemetry, Data: obj{"y": y}}
	}
	for i, step := range []struct {
		msg  device.Message
		want bool
	}{
		{reading(95), true}, {reading(96), false}, {reading(85), false}, {reading(99), false},
		{reading(70), true}, {reading(71), false}, {reading(95), true}, {reading(95), false},
		{other(1), false}, {reading(95), false}, // what is irrelevant is not remembered
		{other(9), true}, {other(9), false}, {reading(95), true}, {reading(95), false},
		{device.Message{Channel: device.ChannelStatus, Data: obj{"status": "boot"}}, true},
		{device.Message{Channel: device.ChannelStatus, Data: obj{"status": "boot"}}, true},
		{reading(95), true}, {reading(95), false},
		{device.Message{Channel: device.ChannelStatus, Data: obj{"status": "online"}}, true}, {reading(95), true},
		{device.Message{Channel: device.ChannelEvents, Name: "unheard", Data: obj{}}, false}, {reading(95), false},
		{device.Message{Channel: device.ChannelTelemetry, Data: obj{"z": 1.0}}, false}, {reading(95), false},
	} {
		if got := m.Pass(&f, step.msg); got != step.want {
			t.Errorf("message %d %v: %v", i, step.msg.Data, got)
		}
	}
	f.Reset()
	if !m.Pass(&f, reading(95)) {
		t.Error("something is remembered after a reset")
	}
	boot := device.Message{Channel: device.ChannelStatus, Data: obj{"status": "boot"}}
	if m.MayLeaveOut(boot) || !m.MayLeaveOut(other(9)) || !m.MayLeaveOut(other(1)) || !m.MayLeaveOut(reading(95)) {
		t.Error("a status message may never be left out, and what is settled or irrelevant may")
	}
}

func TestMessageOnly(t *testing.T) {
	m := load(t, `
events:
  r: {channel: telemetry}
  e: {channel: events, name: e}
patterns: {p: {sequence: [{event: r}, {event: r}]}}
initial: s
states: {s: {on: {go: {actions: [{raise: e}]}, start.rejected: s}}}
`)
	for name, want := range map[string]bool{
		"r": true, "e": false, "p": false, "go": false, "start.rejected": true, "other": false, device.EventSilent: false,
	} {
		if got := m.MessageOnly(name); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestFilterDoubtsDuplicates: a message that the workflow may drop, because it
// knows it already, is not a message that a repetition can be compared with.
func TestFilterDoubtsDuplicates(t *testing.T) {
	m := load(t, `
events: {r: {channel: telemetry}}
initial: normal
states:
  normal: {on: {r: {guard: "event.x > 90", target: high}}}
  high: {on: {r: {guard: "event.x < 80", target: normal}}}
`)
	type step struct {
		x     float64
		epoch int64
		seq   uint64
		dup   bool
		want  bool
	}
	for name, steps := range map[string][]step{
		"in order":                {{95, 1, 1, false, true}, {95, 1, 2, false, false}, {85, 1, 3, false, false}, {95, 1, 4, false, false}},
		"a duplicate":             {{95, 1, 1, false, true}, {70, 1, 2, false, true}, {95, 1, 1, false, true}, {95, 1, 3, false, true}, {95, 1, 4, false, false}},
		"a duplicate after start": {{95, 1, 6, false, true}, {95, 1, 9, false, true}, {95, 1, 10, false, false}},
		"a gap":                   {{95, 1, 1, false, true}, {95, 1, 3, false, true}},
		"a late one":              {{95, 1, 1, false, true}, {95, 1, 3, false, true}, {70, 1, 2, false, true}, {95, 1, 4, false, true}},
		"numbers begin again":     {{95, 1, 1, false, true}, {95, 2, 1, false, true}, {95, 1, 2, false, true}, {95, 2, 2, false, true}},
		"without numbers":         {{95, 0, 0, false, true}, {95, 0, 0, false, false}, {70, 0, 0, false, true}, {95, 0, 0, true, true}, {95, 0, 0, false, true}},
	} {
		t.Run(name, func(t *testing.T) {
			var f Filter
			for i, s := range steps {
				msg := device.Message{Channel: device.ChannelTelemetry, Data: obj{"x": s.x}, Epoch: s.epoch, Seq: s.seq, Redelivered: s.dup}
				if got := m.Pass(&f, msg); got != s.want {
					t.Errorf("message %d: %v", i+1, got)
				}
			}
		})
	}
}

// A message with an id of its sender may be a copy of one that is long past, which the workflow drops: it
// is never left out, and nothing is compared with it.
func TestFilterDoubtsMessagesWithAnID(t *testing.T) {
	m := load(t, `
events: {r: {channel: telemetry}}
initial: normal
states:
  normal: {on: {r: {guard: "event.x > 90", target: high}}}
  high: {on: {r: {guard: "event.x < 80", target: normal}}}
`)
	var f Filter
	for i, s := range []struct {
		x    float64
		id   string
		want bool
	}{
		{95, "", true}, {95, "", false}, {95, "a", true}, {95, "b", true}, {95, "", true}, {95, "", false},
		{70, "c", true}, {70, "c", true}, {95, "", true}, {85, "d", false}, {95, "", false},
	} {
		msg := device.Message{Channel: device.ChannelTelemetry, Data: obj{"x": s.x}, SenderID: s.id}
		if got := m.Pass(&f, msg); got != s.want {
			t.Errorf("message %d: %v", i+1, got)
		}
	}
}

func TestFilterIsSmall(t *testing.T) {
	if size := reflect.TypeFor[Filter]().Size(); size > 32 {
		t.Errorf("a filter takes %d bytes", size)
	}
}

// TestPassInParallel: a model may be used from any number of goroutines, also
// while its classes are looked into for the first time.
func TestPassInParallel(t *testing.T) {
	m := load(t, manyRegions(2))
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			var f Filter
			for i := range 300 {
				x := []float64{95, 85, 70}[i/2%3]
				want := i%6 == 0 || i%6 == 4
				if got := m.Pass(&f, device.Message{Channel: device.ChannelTelemetry, Data: obj{"x": x}}); got != want {
					t.Errorf("message %d: %v", i, got)
				}
			}
		})
	}
	group.Wait()
}
