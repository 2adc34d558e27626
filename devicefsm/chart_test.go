package devicefsm

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
)

// A chart case sends events and looks at the state and at the log, which says
// in which order actions ran. "+5s" lets time pass.
type chartCase struct {
	name  string
	model string
	start string // expected at the start: "state | log log"
	steps []string
}

func (c chartCase) run(t *testing.T) {
	d := start(t, load(t, c.model))
	d.check(c.start)
	for _, s := range c.steps {
		event, want, _ := strings.Cut(s, " => ")
		if by, err := time.ParseDuration(strings.TrimPrefix(event, "+")); err == nil {
			d.advance(by)
		} else {
			d.send(event, nil)
		}
		d.check(want)
	}
}

func (d *driver) check(want string) {
	d.t.Helper()
	var log []string
	for _, a := range d.out.Actions {
		switch a.Type {
		case ActionLog:
			log = append(log, a.Data["message"].(string))
		default:
			log = append(log, a.Type+":"+a.Name)
		}
	}
	got := d.m.StateName(d.s)
	if len(log) > 0 {
		got += " | " + strings.Join(log, " ")
	}
	if got != want || len(d.out.Faults) > 0 {
		d.t.Fatalf("got  %s\nwant %s\nfaults %q", got, want, d.out.Faults)
	}
}

func TestCharts(t *testing.T) {
	for _, c := range chartCases {
		t.Run(c.name, c.run)
	}
}

func TestValue(t *testing.T) {
	d := start(t, load(t, `
type: parallel
states:
  a: {initial: x, states: {x: {initial: y, states: {y: {}}}}}
  b: {}
  c: {initial: z, states: {z: {}}}
`))
	got, _ := json.Marshal(d.m.Value(d.s))
	if want := `{"a":{"x":"y"},"b":{},"c":"z"}`; string(got) != want {
		t.Fatalf("value %s, want %s", got, want)
	}
	if got, want := strings.Join(d.m.States(), " "), "a.x.y b c.z"; got != want {
		t.Fatalf("states %s, want %s", got, want)
	}
}

func TestEndlessLoopIsTakenBack(t *testing.T) {
	d := start(t, load(t, `
context: {n: 0}
initial: a
states:
  a: {on: {go: {target: b, actions: [{assign: {n: "context.n + 1"}}, {command: stop}]}}}
  b: {always: c}
  c: {always: b}
`))
	d.send("go", nil).in("a").actions()
	if len(d.out.Faults) != 1 || !strings.Contains(d.out.Faults[0], "endless") {
		t.Fatalf("faults %q", d.out.Faults)
	}
	if d.s.Context()["n"] != 0.0 {
		t.Fatal("the assignment stayed")
	}
}

func TestEndlessLoopAtStart(t *testing.T) {
	d := start(t, load(t, "initial: a\nstates: {a: {always: b}, b: {always: a, on: {x: c}}, c: {}}"))
	if len(d.out.Faults) != 1 {
		t.Fatalf("faults %q", d.out.Faults)
	}
	d.in("a")
}

func TestRuntimeErrors(t *testing.T) {
	d := start(t, load(t, `
context: {n: 1}
initial: a
states:
  a:
    on:
      e: [{guard: "event.x > 1", target: b}, {target: c}]
      f: {actions: [{assign: {n: "2", m: "event.missing"}}, {log: "'not reached'"}]}
      g: {actions: [{assign: {n: "1.0 / 0"}}]}
  b: {}
  c: {}
`))
	d.send("f", nil).in("a").actions()
	if len(d.out.Faults) != 1 || !strings.Contains(d.out.Faults[0], "no such key: missing") {
		t.Fatalf("faults %q", d.out.Faults)
	}
	d.send("g", nil)
	if len(d.out.Faults) != 1 || d.s.Context()["n"] != 1.0 {
		t.Fatalf("faults %q", d.out.Faults)
	}
	d.send("e", nil).in("c")
	if len(d.out.Faults) != 1 {
		t.Fatalf("faults %q", d.out.Faults)
	}
}

func TestInvokeErrors(t *testing.T) {
	m := load(t, `
initial: a
states:
  a: {invoke: {src: work, input: {x: "event.x"}, onDone: b, onError: {target: c, actions: {log: "event.message"}}}}
  b: {}
  c: {on: {again: d}}
  d: {invoke: {src: work, onDone: b, onError: c}}
`)
	d := start(t, m).in("c") // the input fails at the start, and so does the invocation
	if len(d.out.Faults) != 1 {
		t.Fatalf("faults %q", d.out.Faults)
	}
	d.send("again", nil).in("d")
	first := d.out.Actions[0].ID
	d.step(ErrorEvent(first, "no", d.now)).in("c")
	d.send("again", nil).in("d")
	second := d.out.Actions[0].ID
	if first == second {
		t.Fatalf("two invocations have the id %s", first)
	}
	d.step(DoneEvent(first, nil, d.now)).in("d") // late
	d.step(DoneEvent(second, nil, d.now)).in("b").actions()
}

func TestClockNeverRunsBack(t *testing.T) {
	d := start(t, load(t, "initial: a\nstates: {a: {on: {go: b}}, b: {after: {10s: c}}, c: {}}"))
	d.advance(time.Minute)
	d.step(Event{Name: "go", Time: t0}).in("b")
	at, _ := d.m.NextDeadline(d.s)
	if want := t0.Add(70 * time.Second); !at.Equal(want) {
		t.Fatalf("deadline %v, want %v", at, want)
	}
}

func TestTicksOfAYearAreBounded(t *testing.T) {
	d := start(t, load(t, "context: {n: 0}\ninitial: a\nstates: {a: {after: {1s: {target: a, reenter: true, actions: {assign: {n: context.n + 1}}}}}}"))
	d.advance(365 * 24 * time.Hour)
	if n := d.s.Context()["n"].(float64); n < maxFirings || n > maxFirings+10 {
		t.Fatalf("%v ticks", n)
	}
	at, _ := d.m.NextDeadline(d.s)
	if !at.After(d.now) {
		t.Fatalf("deadline %v is not after %v", at, d.now)
	}
}

func TestCommand(t *testing.T) {
	d := start(t, load(t, `
initial: a
states: {a: {on: {e: {actions: [{command: {name: open, data: {n: "event.n", list: ["1", true, {x: "'y'"}]}, ttl: 30s}}, {command: stop}]}}}}
`))
	d.send("e", obj{"n": 7.0})
	got, _ := json.Marshal(d.out.Actions)
	want := `[{"type":"command","id":"open-1","name":"open","data":{"list":[1,true,{"x":"y"}],"n":7},"ttl":30000000000},{"type":"command","id":"stop-2","name":"stop"}]`
	if string(got) != want {
		t.Fatalf("actions %s", got)
	}
}

func TestOtherEffects(t *testing.T) {
	d := start(t, load(t, `
initial: a
states: {a: {on: {e: {actions: [{publish: {topic: "alarms/{id}", data: {n: "event.n"}, retain: true}}, {notify: {to: duty, data: {n: "1"}}}, {notify: duty}, {desire: {interval: "event.n * 2", old: null}}]}}}}
`))
	d.send("e", obj{"n": 7.0})
	got, _ := json.Marshal(d.out.Actions)
	want := `[{"type":"publish","id":"publish-1","name":"alarms/{id}","data":{"n":7},"retain":true},{"type":"notify","id":"notify-2","name":"duty","data":{"n":1},"at":"2026-11-23T12:00:00Z"},` +
		`{"type":"notify","id":"notify-3","name":"duty","at":"2026-11-23T12:00:00Z"},{"type":"desire","id":"desire-4","data":{"interval":14,"old":null}}]`
	if string(got) != want {
		t.Fatalf("actions %s", got)
	}
}

func TestTransitionsAreReported(t *testing.T) {
	d := start(t, load(t, "initial: a\nstates: {a: {on: {go: b}}, b: {always: c}, c: {after: {10s: a}, on: {stay: {actions: {log: \"'x'\"}}}}}"))
	if d.out.Transitions != nil {
		t.Fatalf("transitions at the start: %+v", d.out.Transitions)
	}
	d.send("go", nil)
	if want := (Transition{From: "a", To: "c", Event: "go", Time: t0}); len(d.out.Transitions) != 1 || !reflect.DeepEqual(d.out.Transitions[0], want) {
		t.Fatalf("transitions %+v", d.out.Transitions)
	}
	d.send("stay", nil)
	if d.out.Transitions != nil {
		t.Fatalf("transitions %+v", d.out.Transitions)
	}
	d.advance(time.Minute)
	if want := (Transition{From: "c", To: "a", Event: "after", Time: t0.Add(10 * time.Second)}); len(d.out.Transitions) != 1 || !reflect.DeepEqual(d.out.Transitions[0], want) {
		t.Fatalf("transitions %+v", d.out.Transitions)
	}
}
