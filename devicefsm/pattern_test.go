package devicefsm

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"devicetwin/device"
)

func TestPatternRaisesItsEvent(t *testing.T) {
	d := start(t, load(t, `
patterns:
  twice: {sequence: [{event: hot, name: first}, {event: hot, name: second, where: "event.t > matched.first[0].t"}], within: 1m}
initial: a
states:
  a: {on: {hot: {actions: {log: "'hot'"}}, twice: {target: b, actions: {log: "string(event.matched.first[0].t) + ' ' + string(event.matched.second[0].t)"}}}}
  b: {}
`))
	d.send("hot", obj{"t": 5.0}).in("a").actions("hot")
	d.send("hot", obj{"t": 4.0}).in("a")
	d.send("hot", obj{"t": 6.0}).in("b").actions("hot", "5 6").noFaults()
	if !reflect.DeepEqual(d.out.Matched, []string{"twice"}) {
		t.Fatalf("matched %q", d.out.Matched)
	}
	if len(d.out.Transitions) != 1 || d.out.Transitions[0].Event != "twice" {
		t.Fatalf("transitions %+v", d.out.Transitions)
	}
}

func TestStepsOfOneEventGetNamesOfTheirOwn(t *testing.T) {
	d := start(t, load(t, `
patterns: {p: {sequence: [x, x, {event: x}]}}
initial: a
states: {a: {on: {p: {target: b, actions: {log: "[event.matched.x[0].n, event.matched.x_2[0].n, event.matched.x_3[0].n]"}}}}, b: {}}
`))
	d.send("x", obj{"n": 1.0}).send("x", obj{"n": 2.0}).in("a").send("x", obj{"n": 3.0}).in("b").actions("[1,2,3]")
}

func TestAbsenceFiresOnTime(t *testing.T) {
	d := start(t, load(t, `
patterns:
  no_answer: {sequence: [ask, {notFollowedBy: answer}], within: 30s}
  slow: {sequence: [ask, {event: answer}], within: 10s, timeout: true}
  slower: {sequence: [ask, {event: answer}], within: 20s, timeout: too_slow}
initial: a
states: {a: {on: {no_answer: b, slow.timeout: {actions: {log: "'slow'"}}, too_slow: {actions: {log: "'too slow'"}}}}, b: {}}
`))
	d.send("ask", nil)
	at, ok := d.m.NextDeadline(d.s)
	if !ok || !at.Equal(t0.Add(10*time.Second)) {
		t.Fatalf("deadline %v %v", at, ok)
	}
	d.advance(10 * time.Second).actions("slow")
	d.advance(19 * time.Second).actions("too slow")
	d.advance(time.Second).in("b").noFaults()
	if d.out.Transitions[0].Time != t0.Add(30*time.Second) {
		t.Fatalf("transitions %+v", d.out.Transitions)
	}
}

func TestWhileResetsAPattern(t *testing.T) {
	d := start(t, load(t, `
patterns:
  twice: {sequence: [{event: x, times: 2}], while: on}
initial: on
states: {on: {on: {leave: off, twice: done}}, off: {on: {back: on}}, done: {}}
`))
	d.send("x", nil).send("leave", nil).send("x", nil).send("back", nil)
	d.send("x", nil).in("on") // the x before, and the one outside, do not count
	d.send("x", nil).in("done")
}

func TestPatternConditionsReportErrors(t *testing.T) {
	d := start(t, load(t, `
patterns: {p: {sequence: [{event: x, where: "event.n > 1"}]}}
initial: a
states: {a: {on: {p: b}}, b: {}}
`))
	d.send("x", obj{"m": 1.0}).in("a")
	if len(d.out.Faults) != 1 || !strings.Contains(d.out.Faults[0], "no such key: n") {
		t.Fatalf("faults %q", d.out.Faults)
	}
}

func TestEventsOfTheServiceReachPatterns(t *testing.T) {
	d := start(t, load(t, `
liveness: {silent_after: 10s}
patterns: {flapping: {sequence: [{event: device.silent, times: 2}], within: 1h}}
initial: a
states: {a: {on: {flapping: b}}, b: {}}
`))
	d.advance(10 * time.Second).in("a")
	d.step(Event{Time: d.now, Alive: true}).in("a")
	d.advance(10 * time.Second).in("b").noFaults()
}

// TestSnapshotsAreSmall: the state that a device of an example model carries
// stays under 2 KB, whatever it says.
func TestSnapshotsAreSmall(t *testing.T) {
	for _, file := range []string{"pump", "coldchain", "evcharger"} {
		t.Run(file, func(t *testing.T) {
			d := start(t, loadFile(t, "../models/"+file+".yaml"))
			names := slices.Sorted(maps.Keys(d.m.events))
			largest := 0
			for i := range 3000 {
				d.now = d.now.Add(time.Duration(1+i%40) * time.Second)
				data := obj{
					"status": "boot", "firmware": "1.2.3", "site": "north", "credential": "reprovision-123456", "id": "reprovision-123456",
					"temperature": float64(i % 100), "pressure": 3.3, "code": 100 + float64(i%20), "power": float64(i % 22),
				}
				d.s, d.out = d.m.Step(d.s, Event{Name: names[(i*7+i/11)%len(names)], Data: data, Time: d.now, Alive: true})
				text, err := json.Marshal(d.s)
				if err != nil {
					t.Fatal(err)
				}
				largest = max(largest, len(text))
			}
			t.Logf("largest snapshot: %d bytes", largest)
			if largest > 2048 {
				t.Errorf("a snapshot has %d bytes", largest)
			}
		})
	}
}

func TestClassify(t *testing.T) {
	m := load(t, `
events:
  refused: {channel: ack, name: open, when: "msg.status == 'rejected' && msg.reason == 'locked'"}
  door: {channel: events, name: door_open}
  boot: {channel: status, when: "msg.status == 'boot'"}
  hot: {channel: telemetry, when: "msg.t > 90"}
  gap: {channel: system, name: sequence.gap, when: "msg.missing > 10"}
initial: a
states: {a: {}}
`)
	for _, c := range []struct {
		msg  device.Message
		want string
	}{
		{device.Message{Channel: device.ChannelAck, Name: "open", Data: obj{"status": "rejected", "reason": "locked"}}, "refused"},
		{device.Message{Channel: device.ChannelAck, Name: "open", Data: obj{"status": "rejected"}}, "open.rejected"},
		{device.Message{Channel: device.ChannelAck, Name: "open"}, ""},
		{device.Message{Channel: device.ChannelEvents, Name: "door_open"}, "door"},
		{device.Message{Channel: device.ChannelEvents, Name: "door_shut"}, "door_shut"},
		{device.Message{Channel: device.ChannelStatus, Data: obj{"status": "boot"}}, "boot"},
		{device.Message{Channel: device.ChannelStatus, Data: obj{"status": "online"}}, ""},
		{device.Message{Channel: device.ChannelTelemetry, Data: obj{"t": 91.0}}, "hot"},
		{device.Message{Channel: device.ChannelTelemetry, Data: obj{"u": 91.0}}, ""}, // an error is no
		{device.Message{Channel: device.ChannelSystem, Name: device.EventSequenceGap, Data: obj{"missing": 11.0}}, "gap"},
		{device.Message{Channel: device.ChannelSystem, Name: device.EventSequenceGap, Data: obj{"missing": 1.0}}, device.EventSequenceGap},
		{device.Message{Channel: device.ChannelSystem, Name: device.MessageSeen}, ""},
	} {
		if got, ok := m.Classify(c.msg); got != c.want || ok != (c.want != "") {
			t.Errorf("Classify(%+v) = %q, %v; want %q", c.msg, got, ok, c.want)
		}
	}
}

func TestAnEventThatChangesNothingAllocatesLittle(t *testing.T) {
	m := load(t, benchModel)
	s, _ := m.Start(t0)
	s, _ = m.Step(s, Event{Name: "boot", Time: t0, Alive: true})
	ev := Event{Name: "reading", Data: obj{"temperature": 50.0}, Time: t0.Add(time.Second), Alive: true}
	if n := testing.AllocsPerRun(100, func() { m.Step(s, ev) }); n > 5 {
		t.Errorf("%v allocations", n)
	}
}
