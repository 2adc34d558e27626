package devicefsm

import (
	"strings"
	"testing"

	"devicetwin/device"
)

// endCases are charts in which an end and a wildcard of one state, or of two, meet. Of is what
// happens now, first what happened in the first edition.
var endCases = []struct {
	name, model string
	event       string // an event, or done or error for the oldest activity
	now, first  string
}{
	{
		// W3C test 372, whose state s0 has a transition for done.state.s0 before one for *.
		name: "a state that is done",
		model: `
context: {n: 1}
initial: s0
states:
  s0:
    onDone: {guard: "context.n == 2", target: pass}
    on: {"*": fail}
    initial: waits
    states:
      waits: {on: {go: s0final}}
      s0final:
        type: final
        entry: {assign: {n: 2}}
        exit: {assign: {n: 3}}
  pass: {type: final}
  fail: {type: final}
`,
		event: "go", now: "pass", first: "fail",
	},
	{
		name: "a guard that does not hold leaves it to the wildcard",
		model: `
initial: a
states:
  a:
    onDone: {guard: "false", target: b}
    on: {"*": c}
    initial: x
    states: {x: {on: {go: end}}, end: {type: final}}
  b: {}
  c: {}
`,
		event: "go", now: "c", first: "c",
	},
	{
		name: "a parallel state that is done",
		model: `
initial: a
states:
  a:
    type: parallel
    onDone: b
    on: {"done.*": c}
    states: {x: {initial: y, states: {y: {on: {go: z}}, z: {type: final}}}}
  b: {}
  c: {}
`,
		// The wildcard sees that x is done first; that a is, it does not see.
		event: "go", now: "c", first: "c",
	},
	{
		name: "a raised event of that name",
		model: `
initial: a
states:
  a:
    type: parallel
    onDone: b
    on: {"done.state.a.*": {guard: "stateIn('a.y')", target: c}}
    states: {x: {initial: w, states: {w: {on: {go: end}}, end: {type: final, entry: {raise: done.state.a}}}}, y: {}}
  b: {}
  c: {}
`,
		event: "go", now: "b", first: "c",
	},
	{
		name: "what on says of it by name comes before, by wildcard after",
		model: `
initial: a
states:
  a:
    on: {done.state.a: {guard: "has(event.v)", target: byName}, "*": byWildcard}
    onDone: byKey
    initial: x
    states: {x: {on: {go: end}}, end: {type: final}}
  byName: {}
  byKey: {}
  byWildcard: {}
`,
		event: "go", now: "byKey", first: "byWildcard",
	},
	{
		name: "an activity that returned",
		model: `
initial: a
states:
  a: {on: {"*": c}, invoke: {src: reprovision, onDone: b}}
  b: {}
  c: {}
`,
		event: "done", now: "b", first: "c",
	},
	{
		name: "an activity that failed",
		model: `
initial: a
states:
  a: {on: {error.*: c}, invoke: {src: reprovision, onDone: c, onError: [{guard: "event.message == ''", target: c}, b]}}
  b: {}
  c: {}
`,
		event: "error", now: "b", first: "c",
	},
	{
		name: "an activity of which the state says nothing",
		model: `
initial: a
states:
  a: {on: {"*": c}, invoke: {src: reprovision, onDone: b}}
  b: {}
  c: {}
`,
		event: "error", now: "c", first: "c",
	},
	{
		name: "an activity of the state around",
		model: `
initial: a
states:
  a:
    on: {"*": c}
    invoke: {src: reprovision, onDone: b}
    initial: x
    states: {x: {on: {other.*: c}}}
  b: {}
  c: {}
`,
		event: "done", now: "b", first: "c",
	},
	{
		// Innermost first, in SCXML and in XState.
		name: "the wildcard of a state inside",
		model: `
initial: a
states:
  a:
    invoke: {src: reprovision, onDone: b}
    initial: x
    states: {x: {on: {"*": y}}, y: {}}
  b: {}
`,
		event: "done", now: "a.y", first: "a.y",
	},
	{
		name: "the wildcard of a region hides that all are done",
		model: `
initial: a
states:
  a:
    type: parallel
    onDone: b
    states:
      x:
        on: {done.state.a: {actions: {log: "'hidden'"}}, "*": {actions: {log: "'seen'"}}}
        initial: w
        states: {w: {on: {go: end}}, end: {type: final}}
  b: {}
`,
		event: "go", now: "a.x.end", first: "a.x.end",
	},
}

func TestEndsComeBeforeWildcards(t *testing.T) {
	for _, c := range endCases {
		for _, edition := range []int{EditionNow, EditionFirst} {
			want := c.now
			if edition == EditionFirst {
				want = c.first
			}
			d := start(t, load(t, c.model).Edition(edition))
			switch c.event {
			case "done":
				d.step(DoneEvent(d.s.invocations[0].id, obj{"key": "k"}, d.now))
			case "error":
				d.step(ErrorEvent(d.s.invocations[0].id, "no", d.now))
			default:
				d.send(c.event, nil)
			}
			if got := d.m.StateName(d.s); got != want {
				t.Errorf("%s, edition %d: state %s, want %s", c.name, edition, got, want)
			}
		}
	}
}

// TestWildcardsDoNotSeeDelays: neither of a state's own, nor of the states around it.
func TestWildcardsDoNotSeeDelays(t *testing.T) {
	d := start(t, load(t, `
initial: a
states:
  a:
    after: {2s: over}
    initial: x
    states:
      x: {on: {"*": seen, after: seen}, after: {1s: y}}
      y: {on: {"*": seen, after: seen}}
      seen: {}
  over: {}
`))
	d.advance(1e9).in("a.y").advance(1e9).in("over")
}

// TestSettledClassesHoldInEveryEdition: under the first edition the wildcard takes the end
// and comes back, so that a repetition would count again.
func TestSettledClassesHoldInEveryEdition(t *testing.T) {
	const model = `
events: {a: {channel: telemetry}}
initial: first
states:
  first: {on: {a: waits}}
  waits:
    on: {a: null, done.state.waits.*: first}
    onDone: last
    initial: x
    states: {x: {after: {1s: end}}, end: {type: final}}
  last: {}
`
	settled := func(m *Model) bool {
		_, _, settled := m.Class(device.Message{Channel: device.ChannelTelemetry, Data: obj{}})
		return settled
	}
	m := load(t, model)
	d := start(t, m.Edition(EditionFirst))
	d.send("a", nil).in("waits.x").advance(1e9).in("first").send("a", nil).in("waits.x")
	if settled(m) {
		t.Error("settled, although it counts again under the first edition")
	}
	if !settled(load(t, strings.Replace(model, ", done.state.waits.*: first", "", 1))) {
		t.Error("not settled without the wildcard: the test shows nothing")
	}
}
