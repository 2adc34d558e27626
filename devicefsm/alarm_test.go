package devicefsm

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const site = `
model: site
alarms:
  silence: {begins: pump_silent, ends: pump_alive, settle: 1m, explained_by: outage}
  outage:  {begins: gateway_silent, ends: gateway_alive}
initial: up
states:
  up:
    on:
      outage:        {actions: {log: "'outage of ' + event.device"}}
      outage.ended:  {actions: {log: "'outage of ' + event.device + ' ended after ' + string(event.seconds)"}}
      silence:       {actions: {log: "event.device + ', ' + string(event.raised) + ' raised, ' + string(event.explained) + ' explained'"}}
      silence.ended: {actions: {log: "event.device + ' ended after ' + string(event.seconds)"}}
`

func of(id string) obj { return obj{"device": id} }

func TestAnAlarmWaits(t *testing.T) {
	d := start(t, load(t, site))
	d.send("pump_silent", of("a")).actions()
	d.advance(59 * time.Second).actions()
	d.send("pump_silent", of("a")).actions() // it has begun already
	d.advance(time.Second).actions("a, 1 raised, 0 explained").noFaults()
	d.advance(time.Hour).actions()
	d.send("pump_alive", of("a")).actions("a ended after 3660").noFaults()
	d.send("pump_alive", of("a")).actions()
	d.send("pump_silent", of("a")).advance(59 * time.Second).actions()
	d.send("pump_alive", of("a")).actions()
	d.advance(time.Hour).actions().noFaults()
}

func TestWhatExplainsIsOneAlarm(t *testing.T) {
	for name, order := range map[string][]string{"the pumps first": {"pump_silent", "gateway_silent"}, "the gateway first": {"gateway_silent", "pump_silent"}} {
		t.Run(name, func(t *testing.T) {
			d := start(t, load(t, site))
			var got []string
			for _, event := range order {
				ids := []string{"g"}
				if event == "pump_silent" {
					ids = []string{"a", "b", "c"}
				}
				for _, id := range ids {
					d.send(event, of(id))
					got = append(got, logsOf(d)...)
				}
				d.advance(30 * time.Second)
				got = append(got, logsOf(d)...)
			}
			d.advance(time.Hour)
			got = append(got, logsOf(d)...)
			if want := []string{"outage of g"}; !slices.Equal(got, want) {
				t.Fatalf("alarms %q, want %q", got, want)
			}
			if n := d.m.Alarms(d.s); n[0] != (Alarms{Alarm: "silence", Explained: 3}) || n[1] != (Alarms{Alarm: "outage", Raised: 1}) {
				t.Errorf("%+v", n)
			}
			d.send("pump_alive", of("a")).actions()
			d.send("gateway_alive", of("g")).actions("outage of g ended after " + map[bool]string{true: "3630", false: "3660"}[order[0] == "pump_silent"])
			d.advance(59 * time.Second).actions()
			d.send("pump_alive", of("b")).actions()
			d.advance(time.Second).actions("c, 1 raised, 0 explained").noFaults() // it is not well although the gateway is
		})
	}
}

func logsOf(d *driver) []string {
	var got []string
	for _, a := range d.out.Actions {
		got = append(got, a.Data["message"].(string))
	}
	return got
}

func TestAlarmsFromBeforeEnd(t *testing.T) {
	d := start(t, load(t, site))
	d.send("pump_silent", of("a")).advance(time.Minute).actions("a, 1 raised, 0 explained")
	d.send("gateway_silent", of("g")).actions("outage of g")
	d.send("pump_alive", of("a")).actions("a ended after 60")
	d.send("pump_silent", of("a")).advance(time.Hour).actions()
	d.send("gateway_alive", of("g")).advance(time.Minute).actions("a, 1 raised, 0 explained").noFaults()
}

// A gateway explains its own children, where the events say whose they are.
func TestAParentExplainsItsChildren(t *testing.T) {
	d := start(t, load(t, site))
	d.send("gateway_silent", of("g"))
	d.send("pump_silent", obj{"device": "a", "parent": "g"}).send("pump_silent", obj{"device": "b", "parent": "h"})
	d.advance(time.Minute).actions("b, 1 raised, 1 explained")
	d.send("gateway_silent", of("h")).actions("outage of h")
	d.send("gateway_alive", of("g"))
	d.advance(time.Minute).actions("a, 2 raised, 0 explained").noFaults()
}

// One event may begin both, and end both.
func TestAThingExplainsItself(t *testing.T) {
	src := strings.Replace(strings.Replace(site, "begins: gateway_silent", "begins: pump_silent", 1), "settle: 1m, ", "", 1)
	d := start(t, load(t, strings.Replace(src, "gateway_alive", "pump_alive", 1)))
	d.send("pump_silent", of("a")).actions("outage of a")
	d.send("pump_alive", of("a")).actions("outage of a ended after 0").noFaults()
}

func TestAnAlarmOfTheEntityItself(t *testing.T) {
	d := start(t, load(t, `
liveness: {silent_after: 5m}
alarms: {lost: {begins: device.silent, ends: device.alive, settle: 10m}}
initial: a
states: {a: {on: {lost: {target: b, actions: {log: "event.since"}}}}, b: {on: {lost.ended: a}}}
`))
	d.advance(15*time.Minute - time.Millisecond).in("a")
	d.advance(time.Millisecond).in("b").actions(t0.Add(5 * time.Minute).Format(time.RFC3339))
	d.step(Event{Time: d.now, Alive: true}).in("a").noFaults()
}

// Patterns see the alarms.
func TestPatternsSeeAlarms(t *testing.T) {
	d := start(t, load(t, strings.Replace(site, "alarms:", "patterns: {three: {sequence: [{event: silence, times: 3}], within: 5m, distinct: device}}\nalarms:", 1)))
	for _, id := range []string{"a", "b", "c"} {
		d.send("pump_silent", of(id))
	}
	d.advance(time.Minute)
	if !slices.Equal(d.out.Matched, []string{"three"}) {
		t.Errorf("matched %q", d.out.Matched)
	}
}

// A parent that cannot be kept is reported. The trouble is tracked, and anything that explains its
// alarm explains it.
func TestAParentThatCannotBeKept(t *testing.T) {
	const fault = `alarm "silence": event "pump_silent" has no string of at most 192 bytes in "parent": it counts as one without a parent`
	for name, tt := range map[string]struct {
		parent any
		fault  bool
	}{
		"absent": {nil, false}, "a string": {"g", false}, "as long as it may be": {strings.Repeat("g", maxDistinct), false},
		"too long": {strings.Repeat("g", maxDistinct+1), true}, "a number": {7.0, true}, "an object": {obj{"id": "g"}, true},
	} {
		m := load(t, site)
		s, _ := m.Start(t0)
		s, out := m.Step(s, Event{Name: "pump_silent", Data: obj{"device": "a", "parent": tt.parent}, Time: t0})
		if got := slices.Equal(out.Faults, []string{fault}); got != tt.fault || !got && len(out.Faults) > 0 {
			t.Errorf("%s: faults %q", name, out.Faults)
		}
		if n := m.Alarms(s)[0]; n.Alarm != "silence" || n.Waiting != 1 {
			t.Errorf("%s: %+v", name, n)
		}
		// Once is enough: a trouble that lasts keeps what it began with.
		if _, out = m.Step(s, Event{Name: "pump_silent", Data: obj{"device": "a", "parent": tt.parent}, Time: t0}); len(out.Faults) > 0 {
			t.Errorf("%s: of the same trouble again: %q", name, out.Faults)
		}
		s, _ = m.Step(s, Event{Name: "gateway_silent", Data: of("other"), Time: t0})
		if n := m.Alarms(s)[0]; (n.Explained == 1) != (tt.fault || tt.parent == nil) {
			t.Errorf("%s: with another gateway: %+v", name, n)
		}
	}
}

func TestAlarmsAreBounded(t *testing.T) {
	m := load(t, site)
	s, _ := m.Start(t0)
	for i := range maxTroubles {
		s, _ = m.Step(s, Event{Name: "pump_silent", Data: of(fmt.Sprintf("pump-%05d", i)), Time: t0})
	}
	same, out := m.Step(s, Event{Name: "gateway_silent", Data: of("g"), Time: t0})
	if len(out.Faults) != 1 || !strings.Contains(out.Faults[0], `alarm "outage": that of "g" is not kept: there are 12000 already`) {
		t.Fatalf("faults %q", out.Faults)
	}
	text, err := json.Marshal(same)
	if err != nil || len(text) > 1<<20 {
		t.Fatalf("a snapshot of %d bytes, error %v", len(text), err)
	}
	s, out = m.Step(same, Event{Time: t0.Add(time.Minute)})
	if len(out.Alarms) != maxTroubles || len(out.Faults) != 0 || m.Alarms(s)[0].Raised != maxTroubles {
		t.Fatalf("%d alarms, faults %q", len(out.Alarms), out.Faults)
	}
	if _, out := m.Step(s, Event{Name: "pump_silent", Data: obj{"device": 7.0}, Time: t0}); len(out.Faults) != 1 {
		t.Errorf("a number as key: faults %q", out.Faults)
	}
}

func TestFaultsOfAlarms(t *testing.T) {
	for alarms, want := range map[string]string{
		"a: {begins: x}":                           `"ends" is missing`,
		"a: {begins: [], ends: y}":                 "expected an event, or a list",
		"device.a: {begins: x, ends: y}":           "reserved",
		"p: {begins: x, ends: y}":                  "the name of another event",
		"a: {begins: x, ends: y, explained_by: b}": `unknown alarm "b"`,
		"a: {begins: x, ends: y, explained_by: a}": "would explain itself",
		"a: {begins: x, ends: y, explained_by: b}, b: {begins: x, ends: y, explained_by: a}": "would explain itself",
		"a: {begins: x, ends: y, by: ''}":       "expected a key",
		"a: {begins: x, ends: y, settle: soon}": "duration",
		"a: {begins: x, ends: y, zzz: 1}":       "zzz",
	} {
		src := "patterns: {p: {sequence: [x]}}\nalarms: {" + alarms + "}\ninitial: s\nstates: {s: {}}\n"
		if _, err := Load("m.yaml", []byte(src)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", alarms, err, want)
		}
	}
	for alarms, want := range map[string]string{
		"a: {begins: x, ends: x}":                                     "it begins the alarm",
		"a: {begins: p, ends: y}":                                     "alarms do not see",
		"a: {begins: x, ends: y, settle: 0}":                          "waits for nothing",
		"a: {begins: x, ends: y}, b: {begins: a.ended, ends: [y, z]}": "alarms do not see",
		"a: {begins: x, ends: device.alive}":                          "never raised",
	} {
		src := "patterns: {p: {sequence: [x]}}\nalarms: {" + alarms + "}\ninitial: s\nstates: {s: {}}\n"
		if _, err := Check("m.yaml", []byte(src)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("check %s: %v, want %q", alarms, err, want)
		}
	}
}

// An event that an alarm looks at is always relevant.
func TestAlarmsAreRelevant(t *testing.T) {
	m := load(t, "events: {x: {channel: events, name: x}, y: {channel: events, name: y}, z: {channel: events, name: z}}\nalarms: {a: {begins: x, ends: y}}\ninitial: s\nstates: {s: {}}\n")
	for name, want := range map[string]bool{"x": true, "y": true, "z": false} {
		if got := m.Relevant(onEvents(name, 1)); got != want {
			t.Errorf("%s is relevant: %v", name, got)
		}
		if _, _, settled := m.Class(onEvents(name, 1)); settled && want {
			t.Errorf("%s is settled", name)
		}
	}
	if m.MessageOnly("a") || m.MessageOnly("a.ended") {
		t.Error("what an alarm raises is taken for a message's")
	}
}

// troubledSite is another account of the same alarms, that looks at each second.
type troubledSite struct {
	down    map[string]bool   // gateways
	silent  map[string]int    // pumps, since when
	waits   map[string]int    // of these, since when without a reason
	raised  map[string]bool   // of these
	parents map[string]string // of the silent pumps
	found   []string
}

func (s *troubledSite) tick(now int) {
	for _, id := range sortedStrings(s.waits) {
		if now-s.waits[id] >= 60 {
			delete(s.waits, id)
			s.raised[id] = true
			s.found = append(s.found, fmt.Sprintf("%d silence %s", now, id))
		}
	}
}

func (s *troubledSite) explained(id string) bool {
	return s.parents[id] == "" && len(s.down) > 0 || s.down[s.parents[id]]
}

func (s *troubledSite) event(now int, name, id, parent string) {
	switch _, silent := s.silent[id]; {
	case name == "gateway_silent" && !s.down[id]:
		s.down[id] = true
		s.found = append(s.found, fmt.Sprintf("%d outage %s", now, id))
	case name == "gateway_alive" && s.down[id]:
		delete(s.down, id)
		s.found = append(s.found, fmt.Sprintf("%d outage ended %s", now, id))
	case name == "pump_silent" && !silent:
		s.silent[id], s.parents[id] = now, parent
	case name == "pump_alive" && silent:
		if s.raised[id] {
			s.found = append(s.found, fmt.Sprintf("%d silence ended %s", now, id))
		}
		delete(s.silent, id)
		delete(s.raised, id)
		delete(s.waits, id)
	}
	for id := range s.silent {
		_, waits := s.waits[id]
		switch {
		case s.raised[id]:
		case s.explained(id):
			delete(s.waits, id)
		case !waits:
			s.waits[id] = now
		}
	}
}

func sortedStrings(of map[string]int) []string {
	var keys []string
	for k := range of {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// TestAlarmsOfASite compares random events of two gateways and four pumps with an account
// that knows no timers, through snapshots as JSON, with time that passes in pieces or not.
func TestAlarmsOfASite(t *testing.T) {
	m, err := Load("m.yaml", []byte(site))
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		s, _ := m.Start(t0)
		other := &troubledSite{map[string]bool{}, map[string]int{}, map[string]int{}, map[string]bool{}, map[string]string{}, nil}
		var found []string
		step := func(ev Event) {
			var out Outcome
			s, out = m.Step(s, ev)
			if len(out.Faults) > 0 {
				t.Fatalf("faults %q", out.Faults)
			}
			for _, a := range out.Alarms {
				text := fmt.Sprintf("%d %s ", int(a.At.Sub(t0).Seconds()), a.Alarm)
				if a.Ended {
					text += "ended "
				}
				found = append(found, text+a.Key)
			}
			back := &Snapshot{}
			if text, err := json.Marshal(s); err != nil || json.Unmarshal(text, back) != nil {
				t.Fatal("the snapshot cannot be read back")
			}
			s = back
		}
		now := 0
		for range rapid.IntRange(1, 40).Draw(t, "events") {
			next := now + rapid.SampledFrom([]int{0, 1, 20, 59, 60, 61, 200}).Draw(t, "seconds")
			for now < next {
				now++
				other.tick(now)
				if rapid.IntRange(0, 30).Draw(t, "tick") == 0 {
					step(Event{Time: t0.Add(time.Duration(now) * time.Second)})
				}
			}
			name := rapid.SampledFrom([]string{"pump_silent", "pump_alive", "pump_silent", "gateway_silent", "gateway_alive"}).Draw(t, "event")
			id, parent := rapid.SampledFrom([]string{"g", "h"}).Draw(t, "id"), ""
			if strings.HasPrefix(name, "pump") {
				id = rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "id")
				parent = rapid.SampledFrom([]string{"", "g", "h"}).Draw(t, "parent")
			}
			data := of(id)
			if parent != "" {
				data["parent"] = parent
			}
			other.event(now, name, id, parent)
			step(Event{Name: name, Data: data, Time: t0.Add(time.Duration(now) * time.Second)})
		}
		if !slices.Equal(found, other.found) {
			t.Fatalf("alarms %q, want %q", found, other.found)
		}
	})
}
