package device

import (
	"testing"
	"time"

	"devicetwin/device"
)

const warmth = `
model: pump
events: {reading: {channel: telemetry}}
windows: {heat: {event: reading, value: event.temperature, aggregate: mean, over: 1m, grace: 5s}}
initial: fine
states:
  fine: {on: {heat.closed: {guard: event.value > 50, target: warm}}}
  warm: {}
`

// TestWindowAcrossRuns: what a run counted is in the window that closes in the next one,
// by its timer. What comes too late for it is a fault, and nothing else.
func TestWindowAcrossRuns(t *testing.T) {
	minute := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	first := newHarnessFor(t, modelOf(t, warmth), 2)
	first.SetStartTime(minute)
	first.at(10*time.Second, reading(90))
	first.at(20*time.Second, reading(20))
	first.run(Input{Device: testDevice, Model: first.model.Hash()})
	in := first.nextInput()

	second := newHarnessFor(t, modelOf(t, warmth), 0)
	second.SetStartTime(first.Now())
	second.seq, second.state = first.seq, in.State
	since := func(at time.Duration) time.Duration { return minute.Add(at).Sub(first.Now()) }
	second.at(since(30*time.Second), reading(70))
	var open, closed View
	second.RegisterDelayedCallback(func() { open = second.view() }, since(64*time.Second))
	second.RegisterDelayedCallback(func() {
		closed = second.view()
		second.signal(sent(second, []time.Duration{40 * time.Second, 30 * time.Second}, reading(1000), reading(1001))...)
	}, since(66*time.Second))
	view := second.runUntil(since(70 * time.Second))

	if w := open.Windows; open.StateName != "fine" || len(w) != 1 || w[0].Closes != minute.Add(65*time.Second) {
		t.Errorf("before its end plus grace: state %s, windows %+v", open.StateName, w)
	}
	if len(closed.Why) != 1 || closed.StateName != "warm" {
		t.Fatalf("state %s, reasons %s", closed.StateName, text(closed.Why))
	}
	if why := closed.Why[0]; why.Event != "heat.closed" || why.Cause.Kind != CauseTimer || string(why.Data) != `{"count":3,"end":"2026-03-01T12:01:00Z","start":"2026-03-01T12:00:00Z","value":60}` {
		t.Errorf("reason %s", text(why))
	}
	if r := view.Reports; len(r) != 1 || r[0].Reason != device.FaultLateWindow || r[0].Count != 2 || view.Windows[0].Late != 2 {
		t.Errorf("reports %s, windows %+v", text(r), view.Windows)
	}
}
