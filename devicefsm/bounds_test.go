package devicefsm

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"devicetwin/device"
)

// TestBoundsOfAModelFile loads models at each bound, and just beyond it.
func TestBoundsOfAModelFile(t *testing.T) {
	many := func(n int, sep, format string) string {
		parts := make([]string, n)
		for i := range parts {
			parts[i] = fmt.Sprintf(format, i)
		}
		return strings.Join(parts, sep)
	}
	chart := func(rest string) string { return "initial: a\nstates: {a: {}}\n" + rest }
	doing := func(actions string) string { return "initial: a\nstates: {a: {entry: [" + actions + "]}}\n" }
	guarded := func(guard string) string {
		return fmt.Sprintf("initial: a\nstates: {a: {on: {e: {guard: %q, target: a}}}}\n", guard)
	}
	words := func(n int) string { return strings.Repeat("x", n) }
	for name, tc := range map[string]struct {
		model    func(n int) string
		most     int
		expected string
	}{
		"states": {func(n int) string { return "initial: s0\nstates: {" + many(n-1, ", ", "s%d: {}") + "}\n" }, 10_000, "more than 10000 states"},
		"nested states": {func(n int) string {
			return "initial: a\nstates: {a: " + strings.Repeat("{initial: a, states: {a: ", n-1) + "{}" + strings.Repeat("}}", n-1) + "}\n"
		}, 32, "nested deeper than 32"},
		"nested actions": {func(n int) string {
			return doing(strings.Repeat("{if: \"context.x\", then: ", n) + "{log: \"1\"}" + strings.Repeat("}", n))
		}, 32, "nested deeper than 32"},
		"a state's name":      {func(n int) string { return "initial: " + words(n) + "\nstates: {" + words(n) + ": {}}\n" }, 128, "state name"},
		"an event's name":     {func(n int) string { return chart("events: {" + words(n) + ": {channel: telemetry}}\n") }, 128, "event name"},
		"the model's name":    {func(n int) string { return chart("model: " + words(n) + "\n") }, 64, "model name"},
		"a shadow's name":     {func(n int) string { return doing("{desire: {x: \"1\"}, shadow: " + words(n) + "}") }, 64, "shadow"},
		"a topic":             {func(n int) string { return doing("{publish: {topic: " + words(n) + "}}") }, 256, "topic"},
		"a time to live":      {func(n int) string { return doing(fmt.Sprintf("{command: {name: c, ttl: %dh}}", n)) }, 30 * 24, "at most 30 days"},
		"a delay":             {func(n int) string { return fmt.Sprintf("initial: a\nstates: {a: {after: {%dh: a}}}\n", n) }, 100 * 365 * 24, "at most 36500 days"},
		"an expression":       {func(n int) string { return guarded("event.x == '" + words(n-len("event.x == ''")) + "'") }, 4096, "exceeds limit"},
		"a nested expression": {func(n int) string { return guarded(strings.Repeat("(", n) + "true" + strings.Repeat(")", n)) }, 63, "recursion limit"},
		"the context": {func(n int) string {
			return chart("context: {k: " + words(n-len("k")-16) + "}\n")
		}, 16384, "at most 16384 bytes"},
		"patterns": {func(n int) string {
			return chart("events: {e: {channel: telemetry}}\npatterns: {" + many(n, ", ", "p%d: {sequence: [e]}") + "}\n")
		}, 64, "more than 64 patterns"},
		"steps of a pattern": {func(n int) string {
			return chart("events: {e: {channel: telemetry}}\npatterns: {p: {sequence: [" + many(n, ", ", "{event: e, name: s%d}") + "]}}\n")
		}, 32, "more than 32 steps"},
		"max_partials": {func(n int) string {
			return chart(fmt.Sprintf("patterns: {p: {sequence: [device.alive], max_partials: %d}}\n", n))
		}, 256, "from 1 to 256"},
		"max_kept": {func(n int) string {
			return chart(fmt.Sprintf("patterns: {p: {sequence: [device.alive], max_kept: %d}}\n", n))
		}, 64, "from 1 to 64"},
		"times": {func(n int) string {
			return chart(fmt.Sprintf("patterns: {p: {sequence: [{event: device.alive, times: %d}]}}\n", n))
		}, 10_000, "from 1 to 10000"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Load("m.yaml", []byte(tc.model(tc.most))); err != nil {
				t.Errorf("at the bound: %.300s", err)
			}
			if _, err := Load("m.yaml", []byte(tc.model(tc.most+1))); err == nil || !strings.Contains(err.Error(), tc.expected) {
				t.Errorf("beyond the bound: %.300v, expected %q", err, tc.expected)
			}
		})
	}
}

// faultsOf steps a chart with one action by an event.
func faultsOf(t *testing.T, action string, data map[string]any) []string {
	t.Helper()
	d := start(t, load(t, "context: {n: 0}\ninitial: a\nstates: {a: {on: {e: {actions: ["+action+"]}}}}\n"))
	return d.send("e", data).out.Faults
}

// TestBoundsOfAStep runs actions at each bound, and beyond it.
func TestBoundsOfAStep(t *testing.T) {
	deep := func(levels int) any {
		var v any = 1.0
		for range levels {
			v = []any{v}
		}
		return v
	}
	list := func(n int) []any {
		list := make([]any, n)
		for i := range list {
			list[i] = float64(i)
		}
		return list
	}
	size := func(n int) map[string]any { return obj{"v": strings.Repeat("x", n)} }
	for name, tc := range map[string]struct {
		action       string
		fits, beyond map[string]any
		expected     string
	}{
		"depth of a value":   {`{assign: {v: event.v}}`, obj{"v": deep(32)}, obj{"v": deep(33)}, "nested deeper than 32"},
		"size of a value":    {`{log: "[event.v]"}`, size(maxValueSize - 16), size(maxValueSize - 15), "larger than 16384 bytes"},
		"size of an effect":  {`{command: {name: c, data: {a: event.v, b: event.v}}}`, size(8000), size(8200), "larger than 16384 bytes"},
		"size of a context":  {`{assign: {a: event.v, b: event.v}}`, size(8000), size(8200), "would become larger than 16384 bytes"},
		"work":               {`{log: "event.v.all(x, event.v.all(y, y >= 0)) ? 'yes' : 'no'"}`, obj{"v": list(20)}, obj{"v": list(200)}, "cost"},
		"data of a raise":    {`{raise: {event: later, delay: 1h, data: {v: event.v}}}`, size(1000), size(1010), "larger than 1024 bytes"},
		"a delay":            {`{raise: {event: later, delay: "event.ms"}}`, obj{"ms": 36500 * 864e5}, obj{"ms": 36500*864e5 + 1}, "out of range"},
		"a delay as a value": {`{raise: {event: later, delay: "duration(event.d)"}}`, obj{"d": "876000h"}, obj{"d": "876001h"}, "out of range"},
	} {
		t.Run(name, func(t *testing.T) {
			if faults := faultsOf(t, tc.action, tc.fits); len(faults) > 0 {
				t.Errorf("at the bound: %.300q", faults)
			}
			if faults := faultsOf(t, tc.action, tc.beyond); len(faults) != 1 || !strings.Contains(faults[0], tc.expected) {
				t.Errorf("beyond the bound: %.300q, expected %q", faults, tc.expected)
			}
		})
	}
}

func TestDelayedRaisesAreBounded(t *testing.T) {
	d := start(t, load(t, "initial: a\nstates: {a: {on: {e: {actions: {raise: {event: later, delay: 1h}}}}}}\n"))
	for range 64 {
		d.send("e", nil).noFaults()
	}
	if d.send("e", nil); len(d.out.Faults) != 1 || !strings.Contains(d.out.Faults[0], "64 delayed events are already waiting") {
		t.Errorf("faults %q", d.out.Faults)
	}
}

func TestTransitionsOfAMacrostepAreBounded(t *testing.T) {
	counting := func(to int) *driver {
		return start(t, load(t, fmt.Sprintf(`
context: {n: 0}
initial: a
states:
  a: {on: {e: b}}
  b: {always: {guard: "context.n < %d", target: b, reenter: true, actions: {assign: {n: "context.n + 1"}}}}
`, to))).send("e", nil)
	}
	counting(999).noFaults().in("b")
	d := counting(1000).in("a")
	if len(d.out.Faults) != 1 || !strings.Contains(d.out.Faults[0], "more than 1000 transitions") {
		t.Errorf("faults %q", d.out.Faults)
	}
}

// Each of the ticks that were missed takes 900 transitions: of these, 20,000 are
// taken in one step.
func TestTransitionsOfAStepAreBounded(t *testing.T) {
	m := load(t, `
context: {n: 0, ticks: 0}
initial: a
states:
  a: {after: {1s: {target: b, actions: {assign: {n: 0, ticks: "context.ticks + 1"}}}}}
  b:
    always:
      - {guard: "context.n < 900", target: b, reenter: true, actions: {assign: {n: "context.n + 1"}}}
      - a
`)
	s, _ := m.Start(t0)
	s, out := m.Step(s, Event{Time: t0.Add(100 * time.Second)})
	if ticks := s.Context()["ticks"]; ticks != 23.0 {
		t.Errorf("%v ticks, expected 23", ticks)
	}
	if len(out.Faults) == 0 || !strings.Contains(out.Faults[0], "dropped: more than 20000 transitions") {
		t.Errorf("faults %.200q", out.Faults)
	}
}

func TestFaultsOfAStepAreBounded(t *testing.T) {
	d := start(t, load(t, "initial: a\nstates: {a: {on: {e: {actions: ["+strings.Repeat("{if: \"event.none\", then: {log: \"1\"}}, ", maxFaults+20)+"]}}}}\n"))
	if d.send("e", nil); len(d.out.Faults) != 100 {
		t.Errorf("%d faults, expected %d", len(d.out.Faults), 100)
	}
}

func TestWhatAPatternKeepsIsBounded(t *testing.T) {
	m := load(t, `
events: {e: {channel: telemetry}}
patterns: {p: {sequence: [{event: e, name: first}, e]}}
initial: a
states: {a: {on: {p: {actions: {log: "event.matched.first[0]"}}}}}
`)
	kept := func(n int) (message string, faults []string) {
		d := start(t, m).send("e", obj{"a": 1.0, "b": strings.Repeat("x", n)})
		faults = d.out.Faults
		d.send("e", nil).noFaults()
		return d.out.Actions[0].Data["message"].(string), faults
	}
	if got, faults := kept(200); !strings.Contains(got, "xxx") || len(faults) > 0 {
		t.Errorf("of a small event, kept %s, faults %q", got, faults)
	}
	if got, faults := kept(300); got != `{"a":1}` || len(faults) != 1 || !strings.Contains(faults[0], "b (at most 256 bytes") {
		t.Errorf("of a large event, kept %s, faults %q", got, faults)
	}
}

func TestTimesAreClamped(t *testing.T) {
	m := load(t, "liveness: {silent_after: 1h}\ninitial: a\nstates: {a: {after: {36500d: a}}}\n")
	for _, seconds := range []int64{math.MaxInt64 / 2, math.MinInt64 / 2} {
		s, _ := m.Start(time.Unix(seconds, 0))
		if year := s.Time().Year(); year < -4100 || year > 8100 {
			t.Errorf("the clock is in the year %d", year)
		}
		if at, ok := m.NextDeadline(s); !ok || at.Before(s.Time()) {
			t.Errorf("deadline %v, %v", at, ok)
		}
	}
}

func TestLabelsAreBounded(t *testing.T) {
	guard := "event.value > 1 && event.name == '" + strings.Repeat("x", 100) + "'"
	picture := load(t, fmt.Sprintf("initial: a\nstates: {a: {on: {e: {guard: %q, target: a}}}}\n", guard)).DOT()
	for _, line := range strings.Split(picture, "\n") {
		if strings.Contains(line, "xxx") && (len(line) > 150 || !strings.Contains(line, "…")) {
			t.Errorf("label of %d bytes: %s", len(line), line)
		}
	}
}

func TestExamplesAreBounded(t *testing.T) {
	var fields []string
	for i := range 12 {
		fields = append(fields, fmt.Sprintf("event.f%d > %d", i, i))
	}
	m := load(t, "events: {r: {channel: telemetry}}\ninitial: a\nstates: {a: {on: {r: {guard: \""+strings.Join(fields, " || ")+"\", target: a}}}}\n")
	if n := len(m.examples(m.classes.byName["r"])); n != maxExamples {
		t.Errorf("%d examples, expected %d", n, maxExamples)
	}
}

// guards is a chart with n conditions on the messages of one event.
func guards(n int) string {
	var b strings.Builder
	b.WriteString("events: {r: {channel: telemetry}}\ninitial: a\nstates:\n  b: {}\n  a:\n    on:\n      r:\n")
	for i := range n {
		fmt.Fprintf(&b, "        - {guard: \"event.f%d > 0\", target: b}\n", i)
	}
	return b.String()
}

func TestConditionsOfAnEventAreBounded(t *testing.T) {
	reading := device.Message{Channel: device.ChannelTelemetry, Data: obj{"f0": 1.0}}
	if _, _, settled := load(t, guards(64)).Class(reading); !settled {
		t.Error("at the bound: not settled")
	}
	m := load(t, guards(65))
	if _, _, settled := m.Class(reading); settled {
		t.Error("beyond the bound: settled")
	}
	if got := m.classes.byName["r"].never; !strings.Contains(got, "more than 64 conditions") {
		t.Errorf("why: %q", got)
	}
}

func TestClassesOfAnEventAreBounded(t *testing.T) {
	m := load(t, guards(9))
	settled := 0
	for i := range 1 << 9 {
		data := obj{}
		for bit := range 9 {
			data[fmt.Sprint("f", bit)] = float64(i >> bit & 1)
		}
		if _, _, ok := m.Class(device.Message{Channel: device.ChannelTelemetry, Data: data}); ok {
			settled++
		}
	}
	if settled != 256 {
		t.Errorf("%d classes are settled, expected %d", settled, 256)
	}
}

// TestTheSearchIsBounded looks at each bound of the search for settled classes.
func TestTheSearchIsBounded(t *testing.T) {
	regions := func(n int) *Model {
		var b strings.Builder
		b.WriteString("context: {x: 0}\ntype: parallel\nstates:\n")
		for i := range n {
			fmt.Fprintf(&b, "  r%d: {initial: a, states: {a: {on: {e: {guard: \"context.x > %d\", target: b}}}, b: {}}}\n", i, i)
		}
		return load(t, b.String())
	}
	e := &trigger{name: "e"}
	initial := func(m *Model) *configuration {
		s, _ := m.Start(t0)
		return &configuration{active: s.active, leaves: s.leaves}
	}
	for n, fits := range map[int]bool{10: true, 11: false} {
		m := regions(n)
		sets, err := choices(initial(m), e.candidates, nil, false)
		if fits && (err != nil || len(sets) != maxChoices) || !fits && err == nil {
			t.Errorf("choices of %d regions: %d, %v", n, len(sets), err)
		}
	}
	for n, fits := range map[int]bool{6: true, 7: false} {
		f := follower{}
		queues := f.queues(nil, make([]raised, n))
		if fits != (f.err == nil) || fits && len(queues) != 1<<n {
			t.Errorf("%d optional events: %d queues, %v", n, len(queues), f.err)
		}
	}
	for n, fits := range map[int]bool{maxQueue - 1: true, maxQueue: false} {
		f := follower{}
		if f.queues(make([]trigger, n), []raised{{certain: true}}); fits != (f.err == nil) {
			t.Errorf("%d events wait: %v", n+1, f.err)
		}
	}
	m := regions(1)
	for n, fits := range map[int]bool{maxMoments - 1: true, maxMoments: false} {
		f := follower{m: m, seen: map[string]bool{}}
		for i := range n {
			f.seen[fmt.Sprint(i)] = false
		}
		if f.runToCompletion(moment{configuration: initial(m)}); fits != (f.err == nil) {
			t.Errorf("%d moments: %v", n+1, f.err)
		}
	}
	x := explore(m, freeSources)
	_, _, err := x.step(0, e, nil)
	if err != nil {
		t.Fatal(err)
	}
	used := x.work
	for work, fits := range map[int]bool{maxWork - used: true, maxWork: false} {
		x.work = work
		if _, _, err := x.step(0, e, nil); fits != (err == nil) {
			t.Errorf("work %d: %v", work, err)
		}
	}
}

func TestConfigurationsAreBounded(t *testing.T) {
	x := &explorer{index: map[string]int{}}
	var err error
	added := 0
	for i := 0; err == nil && i < 2*maxConfigurations; i++ {
		if _, err = x.add(&configuration{active: stateSet{uint64(i)}}); err == nil {
			added++
		}
	}
	if added != maxConfigurations {
		t.Errorf("%d configurations, expected %d", added, maxConfigurations)
	}
}
