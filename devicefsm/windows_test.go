package devicefsm

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"devicetwin/device"
)

const faultsModel = `
events:
  fault: {channel: events, name: fault}
  reading: {channel: telemetry}
windows:
  faults: {event: fault, aggregate: count, over: 10m, slide: 1m}
  heat: {event: reading, where: has(event.t), value: event.t, aggregate: mean, over: 10m, grace: 30s}
context: {mean: null, of: 0, from: null}
type: parallel
states:
  a:
    initial: fine
    states:
      fine: {on: {fault: {guard: windows.faults.value >= 3, target: sick}}}
      sick: {always: {guard: windows.faults.count == 0, target: fine}}
  b:
    on:
      heat.closed: {actions: [{assign: {mean: event.value, of: event.count, from: event.start}}]}
    initial: up
    states:
      up: {on: {wrong: {actions: [{raise: again}]}, again: {actions: [{raise: again}]}}}
`

// at is an event of the device at a time, without a time of its own.
func at(name string, after time.Duration, data map[string]any) Event {
	return Event{Name: name, Data: data, Time: t0.Add(after), Arrived: t0.Add(after), Alive: true}
}

// sent is an event with a time of its own.
func sent(name string, sent, arrived time.Duration, data map[string]any) Event {
	return Event{Name: name, Data: data, Time: t0.Add(sent), Arrived: t0.Add(arrived), Alive: true}
}

// steps plays events, each from a snapshot that went through JSON.
func steps(t *testing.T, m *Model, s *Snapshot, events ...Event) (*Snapshot, Outcome) {
	t.Helper()
	var all Outcome
	for _, ev := range events {
		back := &Snapshot{}
		if err := json.Unmarshal([]byte(jsonOf(t, s)), back); err != nil {
			t.Fatal(err)
		}
		var out Outcome
		s, out = m.Step(back, ev)
		all.Faults, all.Late = append(all.Faults, out.Faults...), append(all.Late, out.Late...)
	}
	return s, all
}

func TestWindowsInGuards(t *testing.T) {
	m := load(t, faultsModel)
	s, _ := m.Start(t0)
	s, _ = steps(t, m, s, at("fault", 30*time.Second, nil), at("fault", 5*time.Minute, nil))
	if got := m.StateName(s); got != "a.fine,b.up" {
		t.Fatalf("%s after two faults", got)
	}
	s, _ = steps(t, m, s, at("fault", 9*time.Minute+59*time.Second, nil))
	if got := m.StateName(s); got != "a.sick,b.up" {
		t.Fatalf("%s after three faults within ten minutes", got)
	}
	// Nothing else comes: each window closes by the timer, until the last one with a fault.
	var closed []time.Duration
	for {
		at, ok := m.NextDeadline(s)
		if !ok {
			break
		}
		s, _ = steps(t, m, s, Event{Arrived: at})
		closed = append(closed, at.Sub(t0))
	}
	if len(closed) != 10 || closed[0] != 10*time.Minute || closed[9] != 19*time.Minute {
		t.Errorf("windows closed at %v", closed)
	}
	if got := m.StateName(s); got != "a.fine,b.up" {
		t.Errorf("%s when the faults are ten minutes old", got)
	}
}

// TestWindowCloses at its end plus grace, without a further event.
func TestWindowCloses(t *testing.T) {
	m := load(t, faultsModel)
	s, _ := m.Start(t0)
	s, _ = steps(t, m, s, at("reading", time.Minute, obj{"t": 20.0}), at("reading", 2*time.Minute, obj{"t": 40.0}), at("reading", 3*time.Minute, obj{}))
	deadline, ok := m.NextDeadline(s)
	if want := t0.Add(10*time.Minute + 30*time.Second); !ok || !deadline.Equal(want) {
		t.Fatalf("the window closes at %v, %v; want %v", deadline, ok, want)
	}
	s, _ = steps(t, m, s, sent("reading", 9*time.Minute, 10*time.Minute+29*time.Second, obj{"t": 90.0}), Event{Arrived: deadline.Add(-time.Millisecond)})
	if got := s.Context()["mean"]; got != nil {
		t.Fatalf("mean %v before the window is over", got)
	}
	s, _ = steps(t, m, s, Event{Arrived: deadline.Add(90 * time.Second)}) // the late one may need as long as it needed
	want := obj{"mean": 50.0, "of": 3.0, "from": t0.Format(time.RFC3339)}
	if got := s.Context(); jsonOf(t, got) != jsonOf(t, want) {
		t.Errorf("context %v, want %v", got, want)
	}
	s, out := steps(t, m, s, sent("reading", 9*time.Minute, 12*time.Minute, obj{"t": 1000.0}))
	if len(out.Late) != 1 || !strings.Contains(out.Late[0], `window "heat": an event came after its window had closed: it is not counted`) {
		t.Errorf("a late event is reported as %q", out.Late)
	}
	if v := m.Windows(s)[1]; v.Late != 1 || v.Count != 0 {
		t.Errorf("window %+v; want 1 late and none counted", v)
	}
}

// TestWindowsCloseLast: a message that is not counted fires a delay that was due before it,
// and does not close a window that ended before the delay. Without the message the same comes
// first, at the same times: a bridge may leave it out.
func TestWindowsCloseLast(t *testing.T) {
	m := load(t, `
events: {hit: {channel: telemetry}}
windows: {w: {event: hit, aggregate: count, over: 2s, grace: 0s}}
initial: idle
states:
  idle: {on: {hit: waiting}}
  waiting: {after: {10s: over}, on: {w.closed: early}}
  early: {}
  over: {on: {w.closed: closed}}
  closed: {after: {1s: later}}
  later: {}
`)
	hour := time.Hour
	hit := func(at time.Duration) Event { return sent("hit", at, hour, nil) }
	other := func(at time.Duration) Event { return sent("", at, hour, nil) }
	all, with := play(t, m, hit(time.Second), other(15*time.Second), hit(20*time.Second))
	some, without := play(t, m, hit(time.Second), hit(20*time.Second))
	if a, b := jsonOf(t, with.Transitions), jsonOf(t, without.Transitions); a != b {
		t.Errorf("with a message in between:\n%s\nwithout it:\n%s", a, b)
	}
	if a, b := jsonOf(t, all), jsonOf(t, some); a != b {
		t.Errorf("with a message in between:\n%s\nwithout it:\n%s", a, b)
	}
	if got := m.StateName(some); got != "later" {
		t.Errorf("%s, want later: the delay is over, then the window closes, then what it arms is over", got)
	}
	inOrder, _ := play(t, m, hit(time.Second), hit(5*time.Second))
	if got := m.StateName(inOrder); got != "early" {
		t.Errorf("%s, want early: the delay is not over", got)
	}
}

// TestStampFromTheFuture moves nobody's time: it counts when it arrives, and what comes
// after it counts where it should.
func TestStampFromTheFuture(t *testing.T) {
	m := load(t, faultsModel)
	s, _ := m.Start(t0)
	s, out := steps(t, m, s,
		sent("reading", time.Minute, time.Minute+time.Second, obj{"t": 10.0}),
		sent("reading", 24*time.Hour, 2*time.Minute, obj{"t": 20.0}),
		sent("reading", 90*time.Second, 3*time.Minute, obj{"t": 30.0}))
	v := m.Windows(s)[1]
	if len(out.Late) != 0 || v.Count != 3 || *v.Value != 20 || !v.Start.Equal(t0) {
		t.Errorf("window %+v, late %q; want three in the first ten minutes", v, out.Late)
	}
}

// TestTogetherOrNotAtAll: an event that the chart leaves out is not counted, and one whose
// value fails for a window is not counted in any.
func TestTogetherOrNotAtAll(t *testing.T) {
	m := load(t, `
windows:
  all: {event: "*", aggregate: count, over: 1m}
  sum: {event: reading, value: event.v, aggregate: sum, over: 1m}
context: {n: 0}
initial: a
states:
  a:
    on:
      reading: {actions: [{assign: {n: context.n + 1}}]}
      loop: {actions: [{assign: {n: context.n + 100}}, {raise: loop}]}
`)
	s, _ := m.Start(t0)
	counts := func() string {
		v := m.Windows(s)
		return fmt.Sprintf("%d events, sum %v, context %v", v[0].Count, *v[1].Value, s.Context()["n"])
	}
	var out Outcome
	for _, step := range []struct {
		event Event
		want  string
		fault string
	}{
		{at("reading", time.Second, obj{"v": 5.0}), "1 events, sum 5, context 1", ""},
		{at("loop", 2*time.Second, nil), "1 events, sum 5, context 1", "without coming to rest"},
		{at("reading", 3*time.Second, obj{"w": 5.0}), "1 events, sum 5, context 2", `value "event.v" of window "sum": no such key: v: the event is not counted in any window`},
		{at("reading", 3*time.Second, obj{"v": "x"}), "1 events, sum 5, context 3", `event.v is a string ("x"), expected a number`},
		{at("reading", 3*time.Second, obj{"v": 1e300}), "1 events, sum 5, context 4", `expected a number between`},
		{at("other", 4*time.Second, nil), "2 events, sum 5, context 4", ""},
	} {
		s, out = steps(t, m, s, step.event)
		if got := counts(); got != step.want {
			t.Errorf("after %s: %s, want %s", step.event.Name, got, step.want)
		}
		if text := strings.Join(out.Faults, "\n"); step.fault == "" && text != "" || !strings.Contains(text, step.fault) {
			t.Errorf("after %s: faults %q, want %s", step.event.Name, text, step.fault)
		}
	}
}

// TestServiceEventsAreCounted by the service's clock.
func TestServiceEventsAreCounted(t *testing.T) {
	m := load(t, `
liveness: {silent_after: 1m}
windows:
  silences: {event: device.silent, aggregate: count, over: 1h}
  returns: {event: device.alive, aggregate: count, over: 1h}
initial: a
states: {a: {on: {silences.closed: b, returns.closed: b}}, b: {}}
`)
	s, _ := m.Start(t0)
	for i := range 3 {
		s, _ = steps(t, m, s, at("x", time.Duration(i)*5*time.Minute, nil))
	}
	if v := m.Windows(s); v[0].Count != 2 || v[1].Count != 2 {
		t.Errorf("%d silences and %d returns, want 2", v[0].Count, v[1].Count)
	}
}

// TestWindowsThatNothingWaitsFor need no timer, and count the same.
func TestWindowsThatNothingWaitsFor(t *testing.T) {
	m := load(t, `
windows: {n: {event: e, aggregate: count, over: 10m, slide: 1m}}
context: {n: 0}
initial: a
states: {a: {on: {e: {actions: [{assign: {n: windows.n.value}}]}}}}
`)
	s, _ := m.Start(t0)
	for i := range 30 {
		s, _ = steps(t, m, s, at("e", time.Duration(i)*time.Minute, nil))
		if at, ok := m.NextDeadline(s); ok {
			t.Fatalf("a timer at %v", at)
		}
		if got := s.Context()["n"]; got != float64(min(i+1, 10)) {
			t.Fatalf("%v events at minute %d", got, i)
		}
	}
	if text := jsonOf(t, s); len(text) > 600 {
		t.Errorf("a snapshot of %d bytes: %s", len(text), text)
	}
	s, _ = steps(t, m, s, Event{Arrived: t0.Add(time.Hour)})
	if v := m.Windows(s)[0]; v.Count != 0 || !v.Closes.IsZero() {
		t.Errorf("after half an hour without events: %+v", v)
	}
}

// TestCalendarWindows: days, weeks and months begin at midnight of their zone.
func TestCalendarWindows(t *testing.T) {
	for words, want := range map[string]string{
		"day":                  "2026-11-23T00:00:00Z to 2026-11-24T00:00:00Z",
		"day, zone: '+01:00'":  "2026-11-22T23:00:00Z to 2026-11-23T23:00:00Z",
		"day, zone: '-11:30'":  "2026-11-23T11:30:00Z to 2026-11-24T11:30:00Z",
		"week, zone: UTC":      "2026-11-23T00:00:00Z to 2026-11-30T00:00:00Z",
		"month, grace: 1h":     "2026-11-01T00:00:00Z to 2026-12-01T00:00:00Z",
		"year, zone: '+05:45'": "2025-12-31T18:15:00Z to 2026-12-31T18:15:00Z",
	} {
		m := load(t, "windows: {w: {event: e, aggregate: count, over: "+words+"}}\ninitial: a\nstates: {a: {on: {w.closed: b}}, b: {}}")
		s, _ := m.Start(t0)
		s, _ = steps(t, m, s, at("e", time.Minute, nil))
		v := m.Windows(s)[0]
		if got := v.Start.Format(time.RFC3339) + " to " + v.End.Format(time.RFC3339); got != want || v.Count != 1 {
			t.Errorf("over %s: %d from %s, want %s", words, v.Count, got, want)
		}
		deadline, _ := m.NextDeadline(s)
		s, _ = steps(t, m, s, Event{Arrived: deadline.Add(-time.Millisecond)})
		if got := m.StateName(s); got != "a" {
			t.Errorf("over %s: closed before %v", words, deadline)
		}
		if s, _ = steps(t, m, s, Event{Arrived: deadline}); m.StateName(s) != "b" || deadline.Before(v.End) {
			t.Errorf("over %s: %s at %v", words, m.StateName(s), deadline)
		}
	}
}

// TestUnevenDays: a day that clocks make shorter or longer has 23 or 25 hours, in the zone of
// the model, too, and what is counted around its ends is in the right one.
func TestUnevenDays(t *testing.T) {
	m := load(t, `
zone: America/New_York
windows:
  here: {event: e, aggregate: count, over: day}
  berlin: {event: e, aggregate: count, over: day, zone: Europe/Berlin}
context: {here: [], berlin: []}
initial: a
states:
  a:
    on:
      here.closed: {actions: [{assign: {here: "context.here + [event.count, double(timestamp(event.end) - timestamp(event.start)) / 3600]"}}]}
      berlin.closed: {actions: [{assign: {berlin: "context.berlin + [event.count, double(timestamp(event.end) - timestamp(event.start)) / 3600]"}}]}
`)
	if got := m.Zones(); !slices.Equal(got, []string{"America/New_York", "Europe/Berlin"}) {
		t.Fatalf("zones %q", got)
	}
	begin := time.Date(2026, 10, 24, 0, 0, 0, 0, time.UTC)
	s, out := m.StartIn(zonesFor(t, m), begin)
	if len(out.Faults) > 0 {
		t.Fatal(out.Faults)
	}
	for h := range 10 * 24 { // an event at each half hour, of the nights on which both put clocks back
		at := begin.Add(time.Duration(h)*time.Hour + 30*time.Minute)
		s, _ = steps(t, m, s, Event{Name: "e", Time: at, Arrived: at})
	}
	want := `{"berlin":[22,24,25,25,24,24,24,24,24,24,24,24,24,24,24,24,24,24,24,24],"here":[4,24,24,24,24,24,24,24,24,24,24,24,24,24,24,24,24,24,25,25]}`
	if got := jsonOf(t, s.Context()); got != want {
		t.Errorf("events and hours of each day:\n%s, want\n%s", got, want)
	}
}

// TestWindowsWithoutZones: a machine that knows nothing of a zone says so, and counts.
func TestWindowsWithoutZones(t *testing.T) {
	m := load(t, "windows: {w: {event: e, aggregate: count, over: day, zone: Europe/Berlin}}\ninitial: a\nstates: {a: {on: {w.closed: b}}, b: {}}")
	s, out := m.Start(t0)
	if len(out.Faults) != 1 || out.Faults[0] != `window "w": time zone "Europe/Berlin" is not recorded: it goes by UTC` {
		t.Errorf("faults %q", out.Faults)
	}
	s, _ = steps(t, m, s, at("e", time.Minute, nil))
	if v := m.Windows(s)[0]; v.Count != 1 || !v.Start.Equal(time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("%+v", v)
	}
	known, err := m.Renew(s, zonesFor(t, m))
	if err != nil {
		t.Fatal(err)
	}
	if v := m.Windows(known)[0]; v.Count != 1 || !v.Start.Equal(time.Date(2026, 11, 22, 23, 0, 0, 0, time.UTC)) {
		t.Errorf("once it is known: %+v", v)
	}
}

func TestWindowFaults(t *testing.T) {
	for want, words := range map[string]string{
		`2:8: key "event" is missing`: `{aggregate: count, over: 1m}`,
		`2:8: key "over" is missing`:  `{event: e, aggregate: count}`,
		`expected one of count, sum, min, max, mean, rate, distinct, found "avg"`:                            `{event: e, aggregate: avg, over: 1m}`,
		`key "value" is missing: max is that of the values of events (for example value: event.temperature)`: `{event: e, aggregate: max, over: 1m}`,
		`2:54: count counts events, whatever their value`:                                                    `{event: e, aggregate: count, over: 1m, value: event.v}`,
		`2:54: over is not a multiple of slide`:                                                              `{event: e, aggregate: count, over: 1m, slide: 7s}`,
		`slide is longer than over`:                                                                          `{event: e, aggregate: count, over: 1m, slide: 2m}`,
		`over and grace are 1440 times slide; expected at most 254`:                                          `{event: e, aggregate: count, over: 1d, slide: 1m}`,
		`expected a duration of at least 1ms`:                                                                `{event: e, aggregate: count, over: 0s}`,
		`found "40000d"`:                                                                                     `{event: e, aggregate: count, over: 40000d}`,
		`undeclared reference to 'context'`:                                                                  `{event: e, where: context.n > 1, aggregate: count, over: 1m}`,
		`does not evaluate to true or false`:                                                                 `{event: e, where: "1 + 1", aggregate: count, over: 1m}`,
		`event "a.**": expected a name`:                                                                      `{event: a.**, aggregate: count, over: 1m}`,
		`unknown key "every"`:                                                                                `{event: e, aggregate: count, over: 1m, every: 5}`,
		`a zone is for windows of the calendar`:                                                              `{event: e, aggregate: count, over: 1m, zone: UTC}`,
		`time zone "Europe/Berlyn": expected a name of the IANA database`:                                    `{event: e, aggregate: count, over: day, zone: Europe/Berlyn}`,
		`a window of the calendar does not slide`:                                                            `{event: e, aggregate: count, over: week, slide: 1d}`,
		`expected a duration such as 90s, 5m, 36h or 30d, found "days"`:                                      `{event: e, aggregate: count, over: days}`,
		`expected {event, aggregate, over}, found a string`:                                                  `count`,
	} {
		_, err := Load("x.yaml", []byte("windows:\n  hot: "+words+"\ninitial: a\nstates: {a: {}}\n"))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", words, err, want)
		}
	}
	for want, model := range map[string]string{
		`window name "a-b"`: `{windows: {a-b: {event: e, aggregate: count, over: 1m}}, initial: a, states: {a: {}}}`,
		`window name "device": the event "device.closed" would be one that is reserved`:       `{windows: {device: {event: e, aggregate: count, over: 1m}}, initial: a, states: {a: {}}}`,
		`window "w": there is an event or a pattern "w.closed" already`:                       `{events: {w.closed: {channel: telemetry}}, windows: {w: {event: e, aggregate: count, over: 1m}}, initial: a, states: {a: {}}}`,
		`the model has no window "hit" (did you mean "hot"?)`:                                 `{windows: {hot: {event: e, aggregate: count, over: 1m}}, initial: a, states: {a: {on: {e: {guard: windows.hit.value > 1}}}}}`,
		`a window has value, count, start, end, late; found "values" (did you mean "value"?)`: `{windows: {hot: {event: e, aggregate: count, over: 1m}}, initial: a, states: {a: {on: {e: {guard: windows.hot.values > 1}}}}}`,
		`the model has no windows`:                           `{initial: a, states: {a: {on: {e: {guard: size(windows) > 1}}}}}`,
		`undeclared reference to 'windows'`:                  `{events: {e: {channel: telemetry, when: windows.hot.value > 1}}, initial: a, states: {a: {}}}`,
		`would keep up to 1210 panes; expected at most 1024`: `{windows: {` + manyWindows(5, `{event: e, aggregate: count, over: 4m, slide: 1s}`) + `}, initial: a, states: {a: {}}}`,
		`more than 16 windows`:                               `{windows: {` + manyWindows(17, `{event: e, aggregate: count, over: 1m}`) + `}, initial: a, states: {a: {}}}`,
	} {
		_, err := Load("x.yaml", []byte(model))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", model, err, want)
		}
	}
}

func manyWindows(n int, words string) string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf("w%d: %s", i, words))
	}
	return strings.Join(all, ", ")
}

// TestWindowTimes: when a window starts and ends is there for whatever may read it.
func TestWindowTimes(t *testing.T) {
	for _, guard := range []string{
		"windows.w.start == '2026-11-23T12:00:00Z'", "windows['w'].end == '2026-11-23T12:01:00Z'", "has(windows.w.start)", "'end' in windows.w",
		"windows.exists(n, windows[n].start != '')", "{'k': windows.w}.k.start != ''", "size(windows.w) == 5", "windows.w.count > 5 || windows.w['end'] != ''",
	} {
		m := load(t, "windows: {w: {event: e, aggregate: count, over: 1m}}\ninitial: a\nstates: {a: {on: {e: {guard: \""+guard+"\", target: b}}}, b: {}}")
		s, _ := m.Start(t0)
		s, out := steps(t, m, s, at("e", time.Second, nil))
		if m.StateName(s) != "b" {
			t.Errorf("%s is false; faults %q", guard, out.Faults)
		}
	}
}

func TestCheckWindows(t *testing.T) {
	const rest = `, initial: a, states: {a: {on: {e: {guard: windows.hot.value > 1, target: b}, hot.closed: b}}, b: {}}}`
	for want, model := range map[string]string{
		`where "true" is always true`:                                           `{windows: {hot: {event: e, where: "true", aggregate: count, over: 1m}}` + rest,
		`where "1 > 2" is always false`:                                         `{windows: {hot: {event: e, where: 1 > 2, aggregate: count, over: 1m}}` + rest,
		`event "hot.closed" never occurs here: windows do not count the events`: `{windows: {hot: {event: hot.closed, aggregate: count, over: 1m}}` + rest,
		`event "device.silent" is never raised: the model has no liveness`:      `{windows: {hot: {event: device.silent, aggregate: count, over: 1m}}` + rest,
		`nothing in this model makes event "readng" (did you mean "reading"?)`:  `{events: {reading: {channel: telemetry}}, windows: {hot: {event: readng, aggregate: count, over: 1m}}` + rest,
		`nothing uses window "cold"`:                                            `{windows: {hot: {event: e, aggregate: count, over: 1m}, cold: {event: e, aggregate: count, over: 1m}}` + rest,
	} {
		if _, err := Check("x.yaml", []byte(model)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", model, err, want)
		}
	}
	if _, err := Check("x.yaml", []byte(`{windows: {hot: {event: e, aggregate: count, over: 1m}}`+rest)); err != nil {
		t.Error(err)
	}
}

// TestDamagedWindows are refused with the snapshot.
func TestDamagedWindows(t *testing.T) {
	m := load(t, faultsModel)
	s, _ := m.Start(t0)
	s, _ = steps(t, m, s, at("fault", time.Second, nil))
	text := jsonOf(t, s)
	damaged := strings.Replace(text, `"w":{"faults":{"p":[[`, `"w":{"faults":{"p":[[1,1,0,0,"AAAAAAAAAAE"],[`, 1)
	if damaged == text {
		t.Fatalf("no window in %s", text)
	}
	var back Snapshot
	if err := json.Unmarshal([]byte(damaged), &back); err != nil {
		t.Fatal(err)
	}
	if err := m.Accepts(&back); err == nil || !strings.Contains(err.Error(), `window "faults": the panes are those of another aggregate`) {
		t.Errorf("%v", err)
	}
}

func TestWindowsAreRelevant(t *testing.T) {
	m := load(t, `
events: {reading: {channel: telemetry}}
windows: {hot: {event: reading, where: event.t > 90, aggregate: count, over: 1m}}
initial: a
states: {a: {on: {hot.closed: b, reading: {guard: event.t > 200, target: b}}}, b: {}}
`)
	message := func(t float64) device.Message {
		return device.Message{Channel: device.ChannelTelemetry, Data: obj{"t": t}}
	}
	var f Filter
	for _, c := range []struct {
		t    float64
		want bool
	}{{80, false}, {91, true}, {91, true}, {201, true}, {201, true}, {80, false}} {
		if got := m.Pass(&f, message(c.t)); got != c.want {
			t.Errorf("%v passes: %v", c.t, got)
		}
	}
	if text := m.RelevanceText(); !strings.Contains(text, "window hot counts each of them") {
		t.Errorf("relevance does not say why: %s", text)
	}
	if names, all := m.Reads(); all || !slices.Contains(names, "t") {
		t.Errorf("reads %v, %v", names, all)
	}
	faults := m.Explain(device.Message{Channel: device.ChannelTelemetry, Data: obj{"t": "x"}})
	if len(faults) == 0 || !strings.Contains(faults[0].Detail, `where "event.t > 90" of window "hot"`) {
		t.Errorf("explained by %v", faults)
	}
	unused := load(t, `
windows: {hot: {event: reading, aggregate: count, over: 1m}}
initial: a
states: {a: {always: {guard: windows.hot.count == 0, target: b}}, b: {}}
`)
	if !unused.Relevant(device.Message{Channel: device.ChannelEvents, Name: "whatever"}) {
		t.Error("time passes for always, whatever the message is")
	}
}

// plainCount counts in lists of all events: what the machine has to give.
type plainCount struct {
	over, slide, grace int64
	open               map[int64][]plainEvent // by end of the window
	seen, closed       int64
	late               int
	results            []string
}

type plainEvent struct {
	at, arrived int64
	value       float64
}

func (p *plainCount) ends(at int64) (all []int64) {
	for end := at - at%p.slide + p.slide; end-p.over <= at; end += p.slide {
		all = append(all, end)
	}
	return all
}

// arrive counts an event of the device; one from the future counts when it arrives.
func (p *plainCount) arrive(stamp, arrived int64, value float64) {
	dated := stamp < arrived
	at := min(stamp, arrived)
	p.close(math.MinInt64, arrived)
	if dated {
		p.close(at, arrived)
	}
	seen := p.seen
	if dated {
		seen = max(seen, at)
	}
	missed, ends := 0, p.ends(at)
	for _, end := range ends {
		if end <= p.closed || end+p.grace <= seen {
			missed++
		} else {
			p.open[end] = append(p.open[end], plainEvent{at, arrived, value})
		}
	}
	if missed > 0 {
		p.late++
	}
	if missed < len(ends) {
		p.seen = seen
	}
}

// close closes what is over by an event, or by the time of arrivals, in the order of ends.
func (p *plainCount) close(at, arrived int64) {
	for len(p.open) > 0 {
		first := int64(math.MaxInt64)
		for end := range p.open {
			first = min(first, end)
		}
		lag, sum := int64(0), 0.0
		for _, e := range p.open[first] {
			lag = max(lag, e.arrived-e.at)
			sum += e.value
		}
		if first+p.grace > at && first+p.grace+lag > arrived {
			return
		}
		p.results = append(p.results, fmt.Sprintf("%d %v", len(p.open[first]), sum))
		delete(p.open, first)
		p.closed = first
	}
}

// TestWindowsAgainstPlainCount plays lives of readings that are on time, late, repeated,
// from an upload or from the future, with timers that ring and such that do not, through
// snapshots that are stored and steps that are taken again after a crash.
func TestWindowsAgainstPlainCount(t *testing.T) {
	closed, late := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		slide := rapid.SampledFrom([]int{2, 5, 10}).Draw(t, "slide")
		over := slide * rapid.IntRange(1, 6).Draw(t, "times")
		grace := rapid.SampledFrom([]int{0, 1, 7}).Draw(t, "grace")
		m, err := Load("x.yaml", fmt.Appendf(nil, `
windows: {w: {event: r, where: event.v > 0, value: event.v, aggregate: sum, over: %ds, slide: %ds, grace: %ds}}
initial: a
states: {a: {on: {w.closed: {actions: [{log: "string(event.count) + ' ' + string(event.value)"}]}}}}
`, over, slide, grace))
		if err != nil {
			t.Fatal(err)
		}
		p := &plainCount{
			over: int64(over) * 1000, slide: int64(slide) * 1000, grace: int64(grace) * 1000,
			open: map[int64][]plainEvent{}, seen: math.MinInt64 / 2, closed: math.MinInt64 / 2,
		}
		var got []string
		lateTexts := 0
		s, _ := m.Start(t0)
		stored, _ := json.Marshal(s)
		step := func(ev Event) {
			if rapid.IntRange(0, 4).Draw(t, "crash") == 0 {
				m.Step(s, ev) // what this did is lost
				s = &Snapshot{}
				if err := json.Unmarshal(stored, s); err != nil {
					t.Fatal(err)
				}
			}
			var out Outcome
			s, out = m.Step(s, ev)
			if stored, err = json.Marshal(s); err != nil {
				t.Fatal(err)
			}
			for _, a := range out.Actions {
				got = append(got, a.Data["message"].(string))
			}
			lateTexts += len(out.Late)
		}
		now, last := t0, t0
		for range rapid.IntRange(1, 50).Draw(t, "events") {
			now = now.Add(time.Duration(rapid.SampledFrom([]int{0, 1, 300, 1000, 4000, 30_000}).Draw(t, "after")) * time.Millisecond)
			stamp := now.Add(time.Duration(rapid.SampledFrom([]int{0, 0, -200, -3000, -20_000, 100, 60_000}).Draw(t, "stamp")) * time.Millisecond)
			if rapid.IntRange(0, 4).Draw(t, "again") == 0 {
				stamp = last
			}
			last = stamp
			for rapid.IntRange(0, 2).Draw(t, "timer") > 0 {
				at, ok := m.NextDeadline(s)
				if !ok || at.After(now) {
					break
				}
				step(Event{Arrived: at})
			}
			value := float64(rapid.IntRange(-1, 3).Draw(t, "value"))
			if value > 0 {
				p.arrive(stamp.UnixMilli(), now.UnixMilli(), value)
			}
			step(Event{Name: "r", Data: obj{"v": value}, Time: stamp, Arrived: now})
			if v := m.Windows(s)[0]; int(v.Late) != p.late || lateTexts != p.late {
				t.Fatalf("%d late, reported %d times, by lists %d", v.Late, lateTexts, p.late)
			}
		}
		p.close(math.MinInt64, math.MaxInt64/2)
		for {
			at, ok := m.NextDeadline(s)
			if !ok {
				break
			}
			step(Event{Arrived: at})
		}
		if !slices.Equal(got, p.results) {
			t.Fatalf("windows closed with\n%q\nby lists\n%q\nover %ds, slide %ds, grace %ds", got, p.results, over, slide, grace)
		}
		closed, late = closed+len(got), late+p.late
	})
	if closed == 0 || late == 0 {
		t.Errorf("%d windows closed, %d events were late", closed, late)
	}
}

func BenchmarkWindow(b *testing.B) {
	for _, words := range []string{
		"count, over: 10m", "count, over: 10m, slide: 1m", "mean, value: event.t, over: 10m, slide: 1m", "max, value: event.t, over: 1h, slide: 15s",
		"distinct, value: event.t, over: 10m",
	} {
		m, err := Load("x.yaml", []byte("windows: {w: {event: r, aggregate: "+words+"}}\ninitial: a\nstates: {a: {on: {r: {guard: windows.w.count < 0, target: b}}}, b: {}}\n"))
		if err != nil {
			b.Fatal(err)
		}
		b.Run(words, func(b *testing.B) {
			s, _ := m.Start(t0)
			i := 0
			next := func() {
				i++
				s, _ = m.Step(s, at("r", time.Duration(i)*time.Second, obj{"t": float64(i % 1000)}))
			}
			for range 4000 { // an hour, so that it is full
				next()
			}
			b.ReportAllocs()
			for b.Loop() {
				next()
			}
			text, err := json.Marshal(s)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(len(text)), "snapshot-bytes")
		})
	}
}
