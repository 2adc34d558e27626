package devicefsm

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"devicetwin/device"
)

// loops never comes to rest after go, and has faults on the way.
const loops = `
initial: a
states:
  a:
    on: {go: b}
    after: {1s: {target: a, reenter: true}}
  b: {always: [{guard: "event.none.x", target: a}, {target: c, actions: {log: "event.none.y"}}]}
  c: {always: b}
`

func countLeftOut(faults []string) int {
	n := 0
	for _, f := range faults {
		if strings.Contains(f, "without coming to rest") {
			n++
		}
	}
	return n
}

func TestALoopIsReportedAfterItsFaults(t *testing.T) {
	d := start(t, load(t, loops))
	d.send("go", nil).in("a")
	want := []string{"guard \"event.none.x\"", "action in a transition", "event \"go\": more than 1000 transitions"}
	if len(d.out.Faults) != len(want) {
		t.Fatalf("%d faults: %q", len(d.out.Faults), d.out.Faults)
	}
	for i, w := range want {
		if !strings.HasPrefix(d.out.Faults[i], w) {
			t.Errorf("fault %d: %q, want %q…", i, d.out.Faults[i], w)
		}
	}
	// A recorded history has what it had.
	first := start(t, d.m.Edition(EditionFirst)).send("go", nil).in("a").out.Faults
	if len(first) != maxFaults || countLeftOut(first) != 0 {
		t.Errorf("first edition: %d faults, the last one %q", len(first), first[len(first)-1])
	}
}

func TestALoopAtTheStartIsReported(t *testing.T) {
	m := load(t, "initial: b\nstates:"+strings.SplitN(loops, "states:", 2)[1])
	_, out := m.Start(t0)
	if len(out.Faults) != 3 || countLeftOut(out.Faults) != 1 {
		t.Errorf("%q", out.Faults)
	}
}

// TestALoopIsReportedAfterManyFaults: those of the steps before it make room, too.
func TestALoopIsReportedAfterManyFaults(t *testing.T) {
	m := load(t, `
initial: a
states:
  a:
    on: {go: b}
    after: {1s: {target: a, reenter: true, actions: {log: "event.none"}}}
  b: {always: c}
  c: {always: b}
`)
	d := start(t, m)
	d.now = d.now.Add(3 * time.Minute)
	d.send("go", nil).in("a")
	if n := len(d.out.Faults); n != maxFaults || countLeftOut(d.out.Faults[n-1:]) != 1 {
		t.Errorf("%d faults, the last one %q", n, d.out.Faults[n-1])
	}
}

// TestMoreEventsAreLeftOutThanReported: no fault of one makes room for that of another.
func TestMoreEventsAreLeftOutThanReported(t *testing.T) {
	m := load(t, loops)
	r := &run{m: m}
	for i := range 2 * maxFaults {
		r.fault("fault %d", i)
		r.leftOut(len(r.out.Faults), "left out %d", i)
	}
	var want []string
	for i := range maxFaults {
		want = append(want, fmt.Sprintf("left out %d", i))
	}
	if !slices.Equal(r.out.Faults, want) {
		t.Errorf("%q", r.out.Faults)
	}
}

// TestLoggedObjectsAreNotEscaped: what means something in HTML stands for itself.
func TestLoggedObjectsAreNotEscaped(t *testing.T) {
	m := load(t, `
initial: a
states:
  a: {on: {go: {actions: [{log: {was: event.a, is: "'<b> & \"c\"'"}}, {log: [event.a]}, {log: event.a}]}}}
`)
	start(t, m).send("go", obj{"a": "x<y>z&"}).actions(`{"is":"<b> & \"c\"","was":"x<y>z&"}`, `["x<y>z&"]`, "x<y>z&")
	start(t, m.Edition(EditionFirst)).send("go", obj{"a": "<"}).
		actions(`{"is":"\u003cb\u003e \u0026 \"c\"","was":"\u003c"}`, `["\u003c"]`, "<")
	fault := m.Explain(device.Message{Channel: device.ChannelEvents, Name: "unknown", Data: obj{"a": "<&>"}})
	if len(fault) != 1 || fault[0].Value != `{"a":"<&>"}` {
		t.Errorf("%+v", fault)
	}
}
