package device

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"devicetwin/device"
	"devicetwin/devicefsm"
)

// sent gives messages the times of the device: so long before their arrival.
func sent(h *harness, before []time.Duration, messages ...device.Message) []device.Message {
	now := h.Now().UTC().Truncate(time.Millisecond)
	for i := range messages {
		messages[i].Sent = now.Add(-before[i])
	}
	return messages
}

func hours(n ...time.Duration) []time.Duration {
	for i := range n {
		n[i] *= time.Hour
	}
	return n
}

// TestAnUploadIsNotACrashLoop: three boots of three hours in one payload, and then
// the fault, are not what the pump's pattern wants within ten minutes.
func TestAnUploadIsNotACrashLoop(t *testing.T) {
	h := newHarness(t, 0)
	h.RegisterDelayedCallback(func() {
		h.signal(sent(h, hours(3, 2, 1), boot(), boot(), boot())...)
		h.signal(sent(h, hours(0), fault(117))...)
	}, time.Second)
	if view := h.runUntil(time.Minute); view.StateName != "online" || len(h.world.commands) > 0 {
		t.Errorf("state %s, %d commands; want online and none", view.StateName, len(h.world.commands))
	}

	h = newHarness(t, 0)
	h.RegisterDelayedCallback(func() {
		h.signal(sent(h, []time.Duration{3 * time.Minute, 2 * time.Minute, time.Minute}, boot(), boot(), boot())...)
		h.signal(sent(h, hours(0), fault(117))...)
	}, time.Second)
	if view := h.runUntil(5 * time.Second); view.StateName != "awaiting_birth" {
		t.Errorf("state %s within ten minutes; want awaiting_birth", view.StateName)
	}
}

// TestRulesBeforeGoByArrival: a run that began under the rules of before keeps to
// them, or it could not be replayed.
func TestRulesBeforeGoByArrival(t *testing.T) {
	d := run{settings: runSettings{Rules: rulesMessages - 1}}
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	m := device.Message{Channel: device.ChannelStatus, Time: now, Sent: now.Add(-time.Hour)}
	if ev := d.ofDevice(devicefsm.Event{}, m); !ev.Time.Equal(now) || !ev.Arrived.IsZero() {
		t.Errorf("event %+v; want the arrival only", ev)
	}
	if ev := d.ofService(devicefsm.Event{}, now); !ev.Time.Equal(now) || !ev.Arrived.IsZero() {
		t.Errorf("event %+v; want the arrival only", ev)
	}
	if a, b := d.pointTime(now, 1), d.pointTime(now, 1); !a.Equal(now.Add(1)) || !b.Equal(a) {
		t.Errorf("points at %v and %v", a, b)
	}
}

func modelOf(t *testing.T, src string) *devicefsm.Model {
	t.Helper()
	m, err := devicefsm.Load("test.yaml", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

const knocks = `
model: pump
events: {knock: {channel: status, when: "msg.status == 'boot'"}}
patterns: {hammering: {sequence: [{event: knock, times: 3}], within: 10s}}
liveness: {silent_after: 1m, tolerance: 1s}
initial: calm
states:
  calm: {on: {hammering: alarm, device.silent: gone}}
  gone: {on: {device.alive: calm, hammering: alarm}}
  alarm: {}
`

// TestAnOutageMovesNothingTogether: the bridge was down for five minutes, the device
// became silent, an operator did something; what the device sent with pauses then
// arrives at once.
func TestAnOutageMovesNothingTogether(t *testing.T) {
	for name, tc := range map[string]struct {
		pause time.Duration
		want  string
	}{
		"eleven seconds between": {11 * time.Second, "calm"},
		"four seconds between":   {4 * time.Second, "alarm"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newTwinHarness(t, knocks, 0)
			h.RegisterDelayedCallback(func() { h.signal(sent(h.harness, hours(0), boot())...) }, time.Second)
			h.RegisterDelayedCallback(func() {
				if got := h.view().StateName; got != "gone" {
					t.Errorf("state %s in the outage; want gone", got)
				}
			}, 4*time.Minute)
			h.operate(4*time.Minute+time.Second, Operation{Event: &OperatorEvent{Name: "hello"}})
			h.RegisterDelayedCallback(func() {
				first := 5 * time.Minute
				h.signal(sent(h.harness, []time.Duration{first - 20*time.Second, first - 20*time.Second - tc.pause, first - 20*time.Second - 2*tc.pause}, boot(), boot(), boot())...)
			}, 5*time.Minute)
			if view := h.runUntil(5*time.Minute + 10*time.Second); view.StateName != tc.want {
				t.Errorf("state %s; want %s", view.StateName, tc.want)
			}
		})
	}
}

// TestAnUploadTakesItsTime: a delay is over between two messages of an upload, and
// where no later one comes, when its time is up after the arrival. Reasons and points
// have the times of the device, and none takes the place of another.
func TestAnUploadTakesItsTime(t *testing.T) {
	h := newHarnessFor(t, modelOf(t, `
model: door
events: {knock: {channel: status, when: "msg.status == 'boot'"}}
initial: shut
states:
  shut: {on: {knock: open}}
  open: {after: {10s: shut}}
`), 0)
	var arrived time.Time
	h.RegisterDelayedCallback(func() {
		arrived = h.Now().UTC().Truncate(time.Millisecond)
		h.signal(sent(h, hours(2, 1), boot(), boot())...)
	}, time.Second)
	var early string
	h.RegisterDelayedCallback(func() { early = h.view().StateName }, 10*time.Second)
	view := h.runUntil(12 * time.Second)
	if early != "open" || view.StateName != "shut" {
		t.Errorf("state %s nine seconds after the arrival, then %s; want open, shut", early, view.StateName)
	}
	wants := []struct {
		before time.Duration
		after  time.Duration
	}{{2 * time.Hour, 0}, {2*time.Hour - 10*time.Second, 0}, {time.Hour, 0}, {time.Hour - 10*time.Second, 10 * time.Second}}
	if len(view.Why) != len(wants) {
		t.Fatalf("reasons %s", text(view.Why))
	}
	for i, want := range wants {
		r := view.Why[i]
		if !r.At.Equal(arrived.Add(-want.before)) || !r.Arrived.Equal(arrived.Add(want.after)) {
			t.Errorf("transition %d to %s at %v, arrived %v; the upload arrived at %v", i, r.To, r.At, r.Arrived, arrived)
		}
	}
}

// TestPointsOfOneMillisecond: as long as the times of an upload are before a transition
// that a timer of the service made, its own transitions count at that time, whichever
// messages they leave with.
func TestPointsOfOneMillisecond(t *testing.T) {
	h := newHarnessFor(t, modelOf(t, `
model: door
events: {knock: {channel: status, when: "msg.status == 'boot'"}}
initial: waiting
states:
  waiting: {after: {1m: shut}}
  shut: {on: {knock: open}}
  open: {on: {knock: shut}}
`), 0)
	for i := range 6 {
		h.RegisterDelayedCallback(func() {
			h.signal(sent(h, []time.Duration{2*time.Minute + 20*time.Second}, boot())...)
		}, 2*time.Minute+time.Duration(i)*time.Second)
	}
	h.runUntil(3 * time.Minute)
	at := map[time.Time]bool{}
	for _, p := range h.world.points {
		if p.Measurement == "transitions" {
			at[p.At] = true
		}
	}
	if len(at) != 7 {
		t.Errorf("%d times of 7 transitions: %v", len(at), at)
	}
}

// TestTimesOfPointsRise: whatever the times of what happens, points of one device are
// read in the order in which it happened, and none replaces another.
func TestTimesOfPointsRise(t *testing.T) {
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	rapid.Check(t, func(t *rapid.T) {
		d := run{settings: runSettings{Rules: rulesNow}, state: &State{}}
		last := time.Time{}
		for _, after := range rapid.SliceOfN(rapid.Int64Range(0, 3_000_000), 1, 50).Draw(t, "nanoseconds") {
			at := d.pointTime(start.Add(time.Duration(after)), 0)
			if !at.After(last) || at.Before(start.Add(time.Duration(after))) {
				t.Fatalf("a point of %d ns at %v, after one at %v", after, at, last)
			}
			last = at
		}
	})
}

// TestTransitionsRise: of timers that were due before a match too, in one step.
func TestTransitionsRise(t *testing.T) {
	h := newHarnessFor(t, modelOf(t, `
model: door
events: {knock: {channel: status, when: "msg.status == 'boot'"}}
patterns: {twice: {sequence: [{event: knock, times: 2}], within: 1h}}
initial: waiting
states:
  waiting: {after: {1m: shut}, on: {twice: open}}
  shut: {after: {1m: waiting}, on: {twice: open}}
  open: {on: {knock: shut}}
`), 0)
	for i := range 8 {
		h.RegisterDelayedCallback(func() { h.signal(sent(h, []time.Duration{20 * time.Second}, boot())...) }, time.Duration(i)*29*time.Second)
	}
	h.runUntil(5 * time.Minute)
	var last Point
	n := 0
	for _, p := range h.world.points {
		if p.Measurement != "transitions" {
			continue
		}
		if n++; !p.At.After(last.At) {
			t.Errorf("transition %v at %v, after %v at %v", p.Tags, p.At, last.Tags, last.At)
		}
		last = p
	}
	if n < 4 {
		t.Errorf("%d transitions; the test shows nothing", n)
	}
}

// TestACommandLivesByTheService: what a model commands because of an old message does
// not expire for that.
func TestACommandLivesByTheService(t *testing.T) {
	h := newTwinHarness(t, `
model: door
events: {knock: {channel: status, when: "msg.status == 'boot'"}}
initial: shut
states:
  shut: {on: {knock: {actions: [{command: {name: light, ttl: 1m}}, {desire: {light: "'on'"}, within: 1m}]}, twin.diverged: dark}}
  dark: {}
`, 0)
	var arrived time.Time
	h.RegisterDelayedCallback(func() {
		arrived = h.Now().UTC().Truncate(time.Millisecond)
		h.signal(sent(h.harness, hours(3), boot())...)
	}, time.Second)
	var early View
	h.RegisterDelayedCallback(func() { early = h.view() }, 59*time.Second)
	view := h.runUntil(2 * time.Minute)
	if c := early.Commands.Flight; early.StateName != "shut" || c == nil || !c.Created.Equal(arrived) || !c.Expires.Equal(arrived.Add(time.Minute)) {
		t.Errorf("state %s, command %s after 58 seconds; the message arrived at %v", early.StateName, text(c), arrived)
	}
	if view.StateName != "dark" {
		t.Errorf("state %s after two minutes, want dark", view.StateName)
	}
}
