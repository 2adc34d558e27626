package devicefsm

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"devicetwin/device"
)

// uploaded is an event of a device with both its times.
func uploaded(name string, sent, arrived time.Duration) Event {
	return Event{Name: name, Data: obj{"code": 117.0}, Time: t0.Add(sent), Arrived: t0.Add(arrived), Alive: true}
}

// play steps events through a model; each snapshot goes through JSON.
func play(t *testing.T, m *Model, events ...Event) (*Snapshot, Outcome) {
	t.Helper()
	s, all := m.Start(t0)
	for _, ev := range events {
		back := &Snapshot{}
		if err := json.Unmarshal([]byte(jsonOf(t, s)), back); err != nil {
			t.Fatal(err)
		}
		direct, _ := m.Step(s, ev)
		var out Outcome
		s, out = m.Step(back, ev)
		if a, b := jsonOf(t, s), jsonOf(t, direct); a != b {
			t.Fatalf("a snapshot read from JSON steps to %s, not %s", a, b)
		}
		all.Transitions = append(all.Transitions, out.Transitions...)
		all.Matched = append(all.Matched, out.Matched...)
	}
	return s, all
}

func jsonOf(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestPumpUpload is the pump with an upload of three hours, and of three minutes.
func TestPumpUpload(t *testing.T) {
	m := loadFile(t, "../models/pump.yaml")
	for unit, want := range map[time.Duration]string{time.Hour: "online", time.Minute: "reprovisioning"} {
		s, _ := play(t, m, uploaded("boot", -3*unit, 0), uploaded("boot", -2*unit, 0), uploaded("boot", -unit, 0), uploaded("fault", 0, 0))
		if got := m.StateName(s); got != want {
			t.Errorf("%s after boots that were sent every %v, want %s", got, unit, want)
		}
	}
	src, err := os.ReadFile("../models/pump.yaml")
	if err != nil {
		t.Fatal(err)
	}
	byArrival, err := Load("pump.yaml", append([]byte("time: arrival\n"), src...))
	if err != nil {
		t.Fatal(err)
	}
	s, _ := play(t, byArrival, uploaded("boot", -3*time.Hour, 0), uploaded("boot", -2*time.Hour, 0), uploaded("boot", -time.Hour, 0), uploaded("fault", 0, 0))
	if got := byArrival.StateName(s); got != "reprovisioning" {
		t.Errorf("%s by arrival, want reprovisioning", got)
	}
}

const clockChart = `
patterns:
  loop: {sequence: [{event: boot, times: 3}], within: 10s}
  quiet: {sequence: [{event: ask}, {notFollowedBy: boot}], within: 10s}
liveness: {silent_after: 1m}
type: parallel
states:
  a:
    initial: idle
    states:
      idle: {on: {go: waiting}}
      waiting: {after: {10s: over}, on: {go: early}}
      early: {}
      over: {on: {go: late}}
      late: {}
  b: {initial: up, states: {up: {on: {device.silent: down}}, down: {on: {device.alive: up}}}}
  c: {initial: none, states: {none: {on: {loop: found, quiet: silence}}, found: {}, silence: {}}}
`

func TestTwoClocks(t *testing.T) {
	m := load(t, clockChart)
	s := time.Second
	tick := func(at time.Duration) Event { return Event{Arrived: t0.Add(at)} }
	own := func(name string, at time.Duration) Event { return Event{Name: name, Arrived: t0.Add(at)} }
	undated := func(name string, at time.Duration) Event { return uploaded(name, at, at) }
	hour := 3600 * s
	for name, tc := range map[string]struct {
		events []Event
		want   string
	}{
		"a delay between two events of an upload":     {[]Event{uploaded("go", 1*s, hour), uploaded("go", 12*s, hour)}, "a.late,b.up,c.none"},
		"two events before the delay is over":         {[]Event{uploaded("go", 1*s, hour), uploaded("go", 10*s, hour)}, "a.early,b.up,c.none"},
		"at the end of the delay":                     {[]Event{uploaded("go", 1*s, hour), uploaded("go", 11*s, hour)}, "a.late,b.up,c.none"},
		"no later event":                              {[]Event{uploaded("go", 1*s, hour), tick(hour + 9999*time.Millisecond)}, "a.waiting,b.up,c.none"},
		"no later event, and time is up":              {[]Event{uploaded("go", 1*s, hour), tick(hour + 10*s)}, "a.over,b.up,c.none"},
		"a delay that is over on the service's clock": {[]Event{uploaded("go", 1*s, 1*s), uploaded("go", 5*s, hour)}, "a.late,b.up,c.none"},
		"an outage with pauses":                       {[]Event{uploaded("boot", 1*s, 1*s), tick(61 * s), own("x", 200*s), uploaded("boot", 12*s, hour), uploaded("boot", 23*s, hour)}, "a.idle,b.up,c.none"},
		"an outage without pauses":                    {[]Event{uploaded("boot", 1*s, 1*s), tick(61 * s), own("x", 200*s), uploaded("boot", 4*s, hour), uploaded("boot", 8*s, hour)}, "a.idle,b.up,c.found"},
		"an absence in an upload":                     {[]Event{uploaded("ask", 1*s, hour), uploaded("boot", 12*s, hour)}, "a.idle,b.up,c.silence"},
		"no absence in an upload":                     {[]Event{uploaded("ask", 1*s, hour), uploaded("boot", 9*s, hour), tick(hour + 30*s)}, "a.idle,b.up,c.none"},
		"an absence by the service's clock":           {[]Event{uploaded("ask", 1*s, hour), tick(hour + 10*s)}, "a.idle,b.up,c.silence"},
		"not yet an absence":                          {[]Event{uploaded("ask", 1*s, hour), tick(hour + 9*s)}, "a.idle,b.up,c.none"},
		"an event of the service in a slow upload":    {[]Event{uploaded("go", 1*s, hour), own("x", hour+5*s), uploaded("go", 8*s, hour+6*s)}, "a.early,b.up,c.none"},
		"one later than the delay":                    {[]Event{uploaded("go", 1*s, hour), uploaded("x", 5*s, hour), own("go", hour+7*s)}, "a.late,b.up,c.none"},
		"a birth without a time before an upload":     {[]Event{undated("boot", hour), uploaded("boot", 10*s, hour), uploaded("boot", 30*s, hour), uploaded("boot", 50*s, hour)}, "a.idle,b.up,c.none"},
		"an earlier time counts at the latest":        {[]Event{uploaded("boot", 100*s, hour), uploaded("boot", 50*s, hour), uploaded("boot", 109*s, hour)}, "a.idle,b.up,c.found"},
	} {
		t.Run(name, func(t *testing.T) {
			snapshot, out := play(t, m, tc.events...)
			got := m.StateName(snapshot)
			if got != tc.want {
				t.Errorf("%s, want %s", got, tc.want)
			}
			for i := 1; i < len(out.Transitions); i++ {
				if out.Transitions[i].Time.Before(out.Transitions[i-1].Time) {
					t.Errorf("transition %d at %v, and the one before it at %v", i, out.Transitions[i].Time, out.Transitions[i-1].Time)
				}
			}
		})
	}
}

// TestOldSnapshotsHaveOneClock reads what releases of before wrote.
func TestOldSnapshotsHaveOneClock(t *testing.T) {
	m := load(t, clockChart)
	old := fmt.Sprintf(`{"v":1,"model":%q,"s":["a.waiting","b.up","c.none"],"t":%d,"timers":[{"s":"a.waiting","d":%d}],"alive":%d}`,
		m.Hash(), t0.UnixMilli(), t0.UnixMilli()+10_000, t0.UnixMilli())
	var s Snapshot
	if err := json.Unmarshal([]byte(old), &s); err != nil {
		t.Fatal(err)
	}
	if at, ok := m.NextDeadline(&s); !ok || !at.Equal(t0.Add(10*time.Second)) {
		t.Errorf("deadline %v, %v", at, ok)
	}
	if !s.Time().Equal(t0) || !s.EventTime().Equal(t0) {
		t.Errorf("clocks at %v and %v", s.Time(), s.EventTime())
	}
	if next, _ := m.Step(&s, Event{Arrived: t0.Add(10 * time.Second)}); m.StateName(next) != "a.over,b.up,c.none" {
		t.Errorf("state %s", m.StateName(next))
	}
}

func TestTheWordTime(t *testing.T) {
	const chart = "model: x\ninitial: a\nstates: {a: {}}\n"
	if a, b := load(t, chart).Hash(), load(t, "time: arrival\n"+chart).Hash(); a == b {
		t.Error("time: arrival does not change the hash")
	}
	if _, err := Load("x.yaml", []byte("time: arival\n"+chart)); err == nil || !strings.Contains(err.Error(), "arrival") {
		t.Errorf("error %v", err)
	}
}

// clockLife is a life in which messages arrive in bursts: those of one burst at one
// time, with the times of the device anywhere before it.
func clockLife(t *rapid.T, m *Model) [][]between {
	var bursts [][]between
	life := repetitive(t, m)
	for len(life) > 0 {
		n := min(len(life), rapid.IntRange(1, 8).Draw(t, "burst"))
		bursts = append(bursts, life[:n])
		life = life[n:]
	}
	return bursts
}

// liveInBursts is liveThrough with bursts. Each ends with a message that always
// passes; what is not a message happens between bursts.
func liveInBursts(m *Model, bursts [][]between, pass func(device.Message) bool) (h *history, left int) {
	h = &history{}
	apply := func(s *Snapshot, out Outcome) {
		h.Snapshot = s
		h.Actions = append(h.Actions, out.Actions...)
		h.Matched = append(h.Matched, out.Matched...)
		h.Transitions = append(h.Transitions, out.Transitions...)
	}
	apply(m.Start(t0))
	arrived, sent := t0, t0.Add(-time.Minute)
	step := func(msg device.Message) {
		if !pass(msg) {
			left++
			return
		}
		name, _ := m.Classify(msg)
		apply(m.Step(h.Snapshot, Event{Name: name, Data: msg.Data, Time: sent, Arrived: arrived}))
	}
	for i, burst := range bursts {
		for _, x := range burst {
			if x.msg != nil {
				sent = sent.Add(x.after)
				step(*x.msg)
			}
		}
		step(device.Message{Channel: device.ChannelStatus, Data: obj{"status": "online"}})
		for _, x := range burst {
			arrived = arrived.Add(x.after)
			switch {
			case x.msg != nil:
			case x.event != "":
				apply(m.Step(h.Snapshot, Event{Name: x.event, Data: x.data, Arrived: arrived}))
			case len(h.Snapshot.invocations) > 0:
				id := h.Snapshot.invocations[0].id
				apply(m.Step(h.Snapshot, DoneEvent(id, obj{"x": 1.0}, arrived).OfService()))
			}
		}
		if i%3 == 0 {
			sent = sent.Add(arrived.Sub(sent) / 2) // it catches up
		}
	}
	apply(m.Step(h.Snapshot, Event{Arrived: arrived.Add(time.Minute)}))
	h.Value = m.Value(h.Snapshot)
	return h, left
}

// TestFilterLosesNothingOfUploads: what was left out of an upload would not have
// changed anything, though it is not there to move the device's clock: what is due
// between two messages that pass is due before the second nevertheless.
func TestFilterLosesNothingOfUploads(t *testing.T) {
	leftOut := 0
	rapid.Check(t, func(t *rapid.T) {
		m, src := loadAnyRandom(t)
		if _, out := m.Start(t0); strings.Contains(strings.Join(out.Faults, " "), "endless") {
			t.Skip("a chart that never comes to rest has no relevance")
		}
		bursts := clockLife(t, m)
		all, _ := liveInBursts(m, bursts, func(device.Message) bool { return true })
		some, left := liveInBursts(m, bursts, honestFilter(m))
		leftOut += left
		if a, b := all.json(), some.json(); a != b {
			t.Fatalf("with all messages:\n%s\nwithout the %d left out:\n%s\nmodel:\n%s", a, left, b, src)
		}
	})
	if leftOut == 0 {
		t.Error("nothing was left out")
	}
}

// TestOneClockIsAsBefore: where each event arrives at its own time, two clocks do what
// one does.
func TestOneClockIsAsBefore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, src := loadAnyRandom(t)
		life := repetitive(t, m)
		one, two := m.startHistory(), m.startHistory()
		now := t0
		for _, x := range life {
			now = now.Add(x.after)
			ev := Event{Name: x.event, Data: x.data}
			if x.msg != nil {
				ev.Name, _ = m.Classify(*x.msg)
				ev.Data = x.msg.Data
			}
			ev.Time = now
			one.step(m, ev)
			if ev.Arrived = now; x.msg == nil {
				ev.Time = time.Time{} // one of the service
			}
			two.step(m, ev)
		}
		one.step(m, Event{Time: now.Add(time.Minute)})
		two.step(m, Event{Arrived: now.Add(time.Minute)})
		if a, b := one.text(m), two.text(m); a != b {
			t.Fatalf("by one clock:\n%s\nby two:\n%s\n%s", a, b, src)
		}
	})
}

type clockHistory struct {
	s   *Snapshot
	all []Outcome
}

func (m *Model) startHistory() *clockHistory {
	s, out := m.Start(t0)
	return &clockHistory{s, []Outcome{out}}
}

func (h *clockHistory) step(m *Model, ev Event) {
	s, out := m.Step(h.s, ev)
	h.s, h.all = s, append(h.all, out)
}

func (h *clockHistory) text(m *Model) string {
	b, err := json.Marshal(h.all)
	if err != nil {
		return err.Error()
	}
	context, _ := json.Marshal(h.s.Context())
	return m.StateName(h.s) + string(context) + string(b)
}
