package devicefsm

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"devicetwin/device"
)

func TestGroupsOfAPattern(t *testing.T) {
	d := start(t, load(t, `
patterns:
  cycles: {sequence: [begin, {group: [open, {event: close, where: "event.n == matched.open[size(matched.open) - 1].n"}], times: 2}, end], within: 1m}
initial: a
states: {a: {on: {cycles: {target: b, actions: {log: "[event.matched.open[0].n, event.matched.open[1].n, event.matched.close[1].n, event.events]"}}}}, b: {}}
`))
	round := func(n float64) { d.send("open", obj{"n": n}).send("close", obj{"n": n}) }
	d.send("begin", nil)
	round(1)
	d.send("end", nil).in("a") // one round is not enough
	round(2)
	d.send("end", nil).in("b").actions("[1,2,2,6]").noFaults()
}

func TestUntilEndsALoop(t *testing.T) {
	src := `
patterns:
  p: {sequence: [{event: x, oneOrMore: true, until: {event: stop, where: "event.n > matched.x[0].n"}}, y], within: 1h}
initial: a
states: {a: {on: {p: {actions: {log: "size(event.matched.x)"}}}}}
`
	d := start(t, load(t, src))
	d.send("x", obj{"n": 1.0}).send("stop", obj{"n": 1.0}).send("x", obj{"n": 2.0}).send("stop", obj{"n": 2.0})
	d.send("x", obj{"n": 3.0}).send("y", nil).actions("2").noFaults()
	d.send("x", obj{"n": 1.0}).send("stop", nil)
	if len(d.out.Faults) != 1 || !strings.Contains(d.out.Faults[0], `of pattern "p": no such key: n`) {
		t.Errorf("faults %q", d.out.Faults)
	}
}

func onEvents(name string, n float64) device.Message {
	return device.Message{Channel: device.ChannelEvents, Name: name, Data: obj{"n": n}}
}

// TestUntilIsRelevant: an event that only ends a loop is not left out.
func TestUntilIsRelevant(t *testing.T) {
	m := load(t, `
events: {x: {channel: events, name: x}, stop: {channel: events, name: stop}, other: {channel: events, name: other}}
patterns:
  p: {sequence: [{group: [x, {event: x, name: second}], oneOrMore: true, until: {event: stop, where: "event.n > 1"}}]}
initial: a
states: {a: {}}
`)
	for name, want := range map[string]bool{"x": true, "stop": true, "other": false} {
		if got := m.Relevant(onEvents(name, 2)); got != want {
			t.Errorf("%s is relevant: %v", name, got)
		}
		if _, _, settled := m.Class(onEvents(name, 2)); settled && want {
			t.Errorf("%s is settled", name)
		}
	}
	if m.Relevant(onEvents("stop", 1)) {
		t.Error("a stop that ends nothing is relevant")
	}
	if names, all := m.Reads(); all || strings.Join(names, " ") != "n" {
		t.Errorf("reads %q, %v", names, all)
	}
}

// A snapshot in the middle of a round goes on where it was.
func TestASnapshotKeepsTheRounds(t *testing.T) {
	m := load(t, `
patterns: {p: {sequence: [{group: [x, {group: [y, z], times: 2, name: inner}], times: 2}]}}
initial: a
states: {a: {on: {p: b}}, b: {}}
`)
	d := start(t, m)
	for i, name := range strings.Fields("x y z y z x y z y z") {
		if d.in("a"); i == 7 {
			d.now = d.now.Add(time.Second)
		}
		back := &Snapshot{}
		if err := json.Unmarshal([]byte(jsonOf(t, d.s)), back); err != nil {
			t.Fatal(err)
		}
		d.s = back
		d.send(name, nil)
	}
	d.in("b").noFaults()
}

// TestGroupsThatMeanNothing: each with the place of what is wrong.
func TestGroupsThatMeanNothing(t *testing.T) {
	for _, c := range []struct{ sequence, expected string }{
		{`[{group: [{event: x, optional: true}, {event: y, times: {min: 0, max: 2}}], name: rounds}]`, `1:36: pattern "p": step "rounds": a group needs a step that is not optional`},
		{`[{group: [x, {notNext: y}], times: 2}, z]`, `1:48: pattern "p": step "y": a group cannot end with a negated step; put it after the group`},
		{`[x, {group: [{notFollowedBy: y}, z], times: 2}]`, `1:48: pattern "p": step "y": a pattern cannot begin with a negated step`},
		{`[x, {event: y, times: 3, until: z}]`, `1:39: pattern "p": step "y": until needs a step or a group without an upper end of times`},
		{`[x, {group: [y], times: {min: 2, max: 4}, until: z}]`, `1:39: pattern "p": step "group": until needs a step or a group without an upper end of times`},
		{`[x, {group: [{event: y, contiguity: strict}, z]}]`, `1:48: pattern "p": step "y": the first step cannot have a contiguity: nothing comes before it`},
		{`[x, {group: [y], optional: true}, {notFollowedBy: z}, y]`, `1:69: pattern "p": step "z": a negated step cannot follow the optional step "group"`},
		{`[{group: [x, y], times: 2}, {notFollowedBy: z}]`, `1:63: pattern "p": step "z": notFollowedBy at the end of a pattern needs within or a gap`},
		{`[{notFollowedBy: z, until: y}, x]`, `1:36: pattern "p": step "z": a pattern cannot begin with a negated step`},
	} {
		_, err := Load("m.yaml", []byte("patterns: {p: {sequence:          "+c.sequence+"}}\ninitial: a\nstates: {a: {}}\n"))
		if err == nil || !strings.Contains(err.Error(), c.expected) {
			t.Errorf("%s:\n%v\nexpected %s", c.sequence, err, c.expected)
		}
	}
}
