package device

import (
	"fmt"
	"testing"
	"time"

	"devicetwin/device"
	"devicetwin/devicefsm"
	"devicetwin/internal/measure"
)

func TestFaultsReachTheStateOfTheDevice(t *testing.T) {
	const src = `
model: m
initial: a
states: {a: {on: {door: {guard: "event.open > 1", target: b}}}, b: {}}
`
	model, err := devicefsm.Load("m.yaml", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	h := newHarnessFor(t, model, 0)
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	h.at(time.Second,
		device.Message{Channel: device.ChannelSystem, Name: device.MessageFault, Time: at, Faults: []device.Fault{
			{At: at, Topic: "events/dor", Reason: device.FaultUnknownEvent, Detail: "unknown", Count: 3},
		}},
		device.Message{Channel: device.ChannelEvents, Name: "door", Time: at.Add(time.Second), Data: map[string]any{"open": "2"},
			Faults: []device.Fault{{Reason: device.FaultTime, Detail: "ts"}}},
	)
	view := h.runUntil(10 * time.Second)
	var got []string
	for _, f := range view.Reports {
		got = append(got, fmt.Sprintf("%s %s %s %d", f.Topic, f.Reason, f.Detail, f.Count))
		if f.At.IsZero() {
			t.Errorf("%+v has no time", f)
		}
	}
	want := []string{
		"events/dor unknown_event unknown 3", "events/door time ts 0",
		`events/door expression guard "event.open > 1" of state "a": event.open is a string ("2"), expected a number 0`,
	}
	if fmt.Sprint(got) != fmt.Sprint(want) || view.ReportCount != 5 || view.StateName != "a" {
		t.Errorf("%q, %d, want %q", got, view.ReportCount, want)
	}
}

// The `when` that fail on a delivered message are reported with its value; a message
// that lacks the key is not the event, which is not a fault.
func TestWhenThatFailOnDeliveredMessagesAreReported(t *testing.T) {
	const model = `
model: m
events:
  restarted: {channel: status, when: "msg.restarts > 3"}
initial: idle
states: {idle: {on: {restarted: seen}}, seen: {}}
`
	h := newTwinHarness(t, model, 0)
	wrong := status("boot")
	wrong.Data["restarts"] = "5"
	h.at(time.Second, status("boot"), wrong)
	view := h.runUntil(10 * time.Second)
	sameTexts(t, reports(view), []string{
		`status expression when "msg.restarts > 3" of event "restarted": msg.restarts is a string ("5"), expected a number {"restarts":"5","status":"boot"}`,
	})
	if at := view.Reports; len(at) == 1 && !at[0].At.Equal(view.Seen) {
		t.Errorf("reported at %v, received at %v", at[0].At, view.Seen)
	}
}

// A report of faults says nothing about the device itself: it is not seen by it, not
// online, and silent when its time is up.
func TestReportsDoNotRenewLiveness(t *testing.T) {
	h := newTwinHarness(t, `
model: m
liveness: {silent_after: 1m, tolerance: 5s}
initial: up
states: {up: {on: {device.silent: down}}, down: {}}
`, 0)
	h.at(time.Second, status("boot"))
	var seen time.Time
	h.RegisterDelayedCallback(func() { seen = h.view().Seen }, 2*time.Second)
	for after := 10 * time.Second; after < 70*time.Second; after += 10 * time.Second {
		h.at(after, device.Message{Channel: device.ChannelSystem, Name: device.MessageFault, Faults: []device.Fault{
			{Topic: "telemetry", Reason: device.FaultExpression, Detail: "x"},
		}})
	}
	view := h.runUntil(75 * time.Second)
	if view.ReportCount != 6 || view.StateName != "down" || !view.Seen.Equal(seen) {
		t.Errorf("%d reports, state %s, seen %v, want 6, down, %v", view.ReportCount, view.StateName, view.Seen, seen)
	}
}

// Faults do not wait for a transition, and cost at most one emission a minute.
func TestFaultsLeaveWithoutATransition(t *testing.T) {
	model, err := devicefsm.Load("m.yaml", []byte("model: m\ninitial: a\nstates: {a: {}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	h := newHarnessFor(t, model, 0)
	start := h.Now()
	fault := func(after time.Duration, detail string) {
		at := start.Add(after)
		h.at(after, device.Message{
			Channel: device.ChannelSystem, Name: device.MessageFault, Time: at,
			Faults: []device.Fault{{At: at, Topic: "telemetry", Reason: device.FaultTime, Detail: detail, Value: `"x"`}},
		})
	}
	for i, detail := range []string{"a", "b", "b", "c"} {
		fault(time.Duration(i+1)*time.Second, detail)
	}
	counts := map[time.Duration]int{}
	for _, after := range []time.Duration{1500 * time.Millisecond, 50 * time.Second, 70 * time.Second} {
		h.RegisterDelayedCallback(func() { counts[after] = h.world.count(measure.DeviceFaults) }, after)
	}
	h.runUntil(80 * time.Second)
	if counts[1500*time.Millisecond] != 1 || counts[50*time.Second] != 1 || counts[70*time.Second] != 3 {
		t.Errorf("points by time: %v, want 1, 1, 3", counts)
	}
	p := h.world.last(measure.DeviceFaults)
	want := "map[device:" + p.Tags[measure.TagDevice] + " model:m reason:time] map[count:1 text:c topic:telemetry value:\"x\"]"
	if got := fmt.Sprint(p.Tags, p.Fields); got != want {
		t.Errorf("last point %s, want %s", got, want)
	}
}

// What the run found in the model or could not do is one list with what the device sent,
// each with its time; what a run under earlier rules kept as strings leaves it one by one.
func TestFaultsAreOneList(t *testing.T) {
	const model = `
model: m
initial: a
states: {a: {on: {door: {actions: [{publish: {topic: forbidden, data: {}}}, {command: {name: x, ttl: 1m, data: {n: "event.n / 0 + event.missing"}}}]}}}}
`
	h := newTwinHarness(t, model, 0)
	first, err := devicefsm.Load("m.yaml", []byte(model))
	if err != nil {
		t.Fatal(err)
	}
	snapshot, _ := first.Start(h.Now())
	h.state = &State{
		Version: stateVersion, Device: testDevice, Model: h.model.Hash(), Instance: "i", Snapshot: snapshot,
		Faults: []string{"old 1", "old 2", "old 3", "old 4"}, FaultCount: 9,
	}
	var before View
	h.RegisterDelayedCallback(func() { before = h.view() }, time.Second)
	h.at(2*time.Second, event("door"))
	view := h.runUntil(3 * time.Minute)
	if len(before.Faults) != 4 || before.ReportCount != 0 {
		t.Errorf("before: faults %q, %d reports", before.Faults, before.ReportCount)
	}
	for _, f := range view.Reports {
		if f.At.IsZero() {
			t.Errorf("%+v has no time", f)
		}
	}
	reasons := map[device.FaultReason]int{}
	for _, f := range view.Reports {
		reasons[f.Reason]++
	}
	if reasons[device.FaultAction] != 1 || reasons[device.FaultExpression] != 1 || view.ReportCount != 2 {
		t.Errorf("reports %q (%d), want one of an action, one of an expression", reports(view), view.ReportCount)
	}
	sameTexts(t, view.Faults, []string{"old 3", "old 4"})
	if view.FaultCount != 9 {
		t.Errorf("%d faults are counted, want the 9 of before", view.FaultCount)
	}
	if n := h.world.count(measure.DeviceFaults); n != 2 {
		t.Errorf("%d points of faults, want 2", n)
	}
}

// A run under earlier rules keeps the faults as it did.
func TestRulesBeforeKeepFaultsAsStrings(t *testing.T) {
	d := run{settings: runSettings{Rules: rulesMessages}, state: &State{Faults: []string{"old"}}}
	d.notCarriedOut(time.Now(), "topic")
	d.report(device.Fault{Reason: device.FaultTime, Detail: "ts"})
	if s := d.state; fmt.Sprint(s.Faults) != "[old topic]" || s.FaultCount != 1 || s.ReportCount != 1 {
		t.Errorf("faults %q (%d), %d reports; want old and topic (1), 1", s.Faults, s.FaultCount, s.ReportCount)
	}
}

// Each fault is counted once: those that the bridge found by the bridge, and none when
// a run is replayed.
func TestFaultsAreCountedByReason(t *testing.T) {
	h := newTwinHarness(t, "model: m\ninitial: a\nstates: {a: {on: {door: {guard: 'event.open > 1', target: a}}}}\n", 0)
	h.workflow.Counts = NewCounts()
	wrong := event("door")
	wrong.Data = map[string]any{"open": "2"}
	again, other := wrong, status("boot")
	other.Data = map[string]any{"status": "boot", "firmware": 2.0}
	other.Faults = []device.Fault{{Reason: device.FaultTime, Detail: "ts"}}
	h.at(time.Second, wrong, again, other)
	h.at(2*time.Second, device.Message{Channel: device.ChannelSystem, Name: device.MessageFault, Faults: []device.Fault{
		{Topic: "telemetry", Reason: device.FaultPoint, Detail: "x", Count: 7},
	}})
	view := h.runUntil(time.Minute)
	if view.ReportCount != 11 {
		t.Errorf("%d reports, want 11: %q", view.ReportCount, reports(view))
	}
	for reason, n := range h.workflow.Counts.Faults {
		want := map[device.FaultReason]uint64{device.FaultExpression: 2, device.FaultNotText: 1}[reason]
		if n.Load() != want {
			t.Errorf("%d faults of reason %s are counted, want %d", n.Load(), reason, want)
		}
	}

	d := run{state: &State{}, counts: NewCounts(), replaying: func() bool { return true }}
	d.report(device.Fault{Reason: device.FaultTime})
	if n := d.counts.Value("faults_total"); n != 0 || d.state.ReportCount != 1 {
		t.Errorf("%v faults are counted in a replay, %d kept", n, d.state.ReportCount)
	}
}

// The bridge delivers some events that the device's model does not know: those that another
// model knows which the device might run, and those that show that a numbering began again.
// Each of them is reported, too.
func TestUnknownEventsThatAreDeliveredAreReported(t *testing.T) {
	const model = `
model: m
events: {opened: {channel: events, name: door, when: "msg.open"}}
initial: idle
states: {idle: {on: {opened: seen, sequence.gap: {actions: [{log: "'gap'"}]}}}, seen: {}}
`
	event := func(name string, seq uint64) device.Message {
		return device.Message{Channel: device.ChannelEvents, Name: name, Seq: seq, Data: map[string]any{"open": false}}
	}
	h := newTwinHarness(t, model, 0)
	h.at(time.Second, event("door", 1), event("dor", 2), event("dor", 7), device.Message{Channel: device.ChannelTelemetry, Seq: 8})
	view := h.runUntil(10 * time.Second)
	sameTexts(t, reports(view), []string{`events/dor unknown_event model m does not know the event "dor" {"open":false}`})
	if view.ReportCount != 2 || view.Reports[0].Count != 2 {
		t.Errorf("%d faults: %+v", view.ReportCount, view.Reports)
	}
}
