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
