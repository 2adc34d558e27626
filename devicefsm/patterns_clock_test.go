package devicefsm

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"devicetwin/device"
	"devicetwin/devicefsm/calendar"
)

// knockModel matches each knock for which a condition holds.
func knockModel(t testing.TB, where string) *Model {
	return load(t, fmt.Sprintf(`
zone: Europe/Berlin
hours: {office: {mon-fri: "08:00-17:00"}}
events: {knock: {channel: telemetry}}
patterns: {found: {sequence: [{event: knock, where: %q}]}}
initial: a
states: {a: {on: {found: {actions: [{log: "'inHours ' + string(inHours('office'))"}]}}}}
`, where))
}

// A condition of a pattern goes by the time of the event on the device's clock, as guards do:
// not by its arrival, here three hours later.
func TestPatternsGoByTheTimeOfDay(t *testing.T) {
	for _, tt := range []struct {
		sent, where string
		want        bool
	}{
		{"2026-03-25T22:30:00Z", "hour(now) == 23", true},
		{"2026-03-25T22:30:00Z", "hour(now, 'UTC') == 22", true},
		{"2026-03-25T22:30:00Z", "hour(now) == 2", false}, // by the arrival it would be
		{"2026-03-25T23:30:00Z", "weekday(now) == 4 && weekday(now, 'UTC') == 3", true},
		{"2026-03-25T23:30:00Z", "date(now) == '2026-03-26'", true},
		{"2026-03-25T16:30:00Z", "clock(now) >= '17:00' && !inHours('office')", true},
		{"2026-03-25T15:59:59Z", "inHours('office')", true},
		{"2026-03-28T10:00:00Z", "inHours('office')", false},
		{"2026-03-25T22:30:00Z", "now == timestamp('2026-03-25T22:30:00Z')", true},
		{"2026-03-25T22:30:00Z", "hour(timestamp(event.at)) == 12", true},
		{"2026-03-25T22:30:00Z", "now - timestamp(event.at) > duration('11h')", true},
		// Clocks are put forward, and back.
		{"2026-03-29T00:59:59Z", "clock(now) == '01:59'", true},
		{"2026-03-29T01:00:00Z", "clock(now) == '03:00'", true},
		{"2026-10-25T00:30:00Z", "clock(now) == '02:30'", true},
		{"2026-10-25T01:30:00Z", "clock(now) == '02:30'", true},
	} {
		m := knockModel(t, tt.where)
		s, _ := m.StartIn(zonesFor(t, m), berlin)
		sent, err := time.Parse(time.RFC3339, tt.sent)
		if err != nil {
			t.Fatal(err)
		}
		_, out := m.Step(s, Event{Name: "knock", Data: obj{"at": "2026-03-25T11:00:00Z"}, Time: sent, Arrived: sent.Add(3 * time.Hour)})
		if matched := len(out.Matched) == 1; matched != tt.want || len(out.Faults) > 0 {
			t.Errorf("%s at %s: matched is %v, faults %q", tt.where, tt.sent, matched, out.Faults)
		}
	}
}

// A zone is what was recorded of it: not what the database of this machine says.
func TestPatternsGoByRecordedZones(t *testing.T) {
	m := knockModel(t, "hour(now) == 8")
	abolished := calendar.Zones{"Europe/Berlin": calendar.Of(time.FixedZone("CET", 3600), berlin, berlin.AddDate(10, 0, 0))}
	for utc, zones := range map[int]calendar.Zones{6: zonesFor(t, m), 7: abolished} {
		s, _ := m.StartIn(zones, berlin)
		for hour := range 24 {
			var out Outcome
			s, out = m.Step(s, Event{Name: "knock", Time: time.Date(2026, 7, 1, hour, 0, 0, 0, time.UTC)})
			if matched := len(out.Matched) == 1; matched != (hour == utc) {
				t.Errorf("at %d:00 in UTC, where 8:00 is %d:00: matched is %v", hour, utc, matched)
			}
		}
	}
	s, _ := m.Start(berlin) // nothing is recorded
	_, out := m.Step(s, Event{Name: "knock", Time: berlin.Add(7 * time.Hour)})
	if want := `where "hour(now) == 8" of pattern "found": hour: time zone "Europe/Berlin" is not recorded`; len(out.Faults) != 1 || !strings.Contains(out.Faults[0], want) {
		t.Errorf("%q", out.Faults)
	}
	if !m.GoesByCalendar() || !slices.Equal(m.Zones(), []string{"Europe/Berlin"}) {
		t.Errorf("the model's zones are %q", m.Zones())
	}
}

// Steps, absences and `until` see the same time, for any events, whether or not the snapshot is
// written and read between them: that of package time.
func TestPatternsByTheClockAreRepeatable(t *testing.T) {
	m := load(t, `
zone: Europe/Berlin
patterns:
  night: {sequence: [{event: knock, where: "hour(now) >= 22 || hour(now) < 6"}], skip: none}
  quiet: {sequence: [{event: knock, name: first}, {notFollowedBy: knock, where: "hour(now) == 3"}, {event: bell}], within: 30d, skip: none}
  day:   {sequence: [{event: knock, oneOrMore: true, greedy: true, until: {event: knock, where: "weekday(now) > 5"}}, {event: bell, where: "has(matched.knock) && date(now) > '2026'"}], within: 30d}
initial: a
states: {a: {on: {night: a, quiet: a, day: a}}}
`)
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	zones := zonesFor(t, m)
	rapid.Check(t, func(t *rapid.T) {
		plain, _ := m.StartIn(zones, berlin)
		read := plain
		at := berlin
		for range rapid.IntRange(1, 30).Draw(t, "events") {
			at = at.Add(time.Duration(rapid.IntRange(0, 20*3600).Draw(t, "seconds")) * time.Second)
			ev := Event{Name: rapid.SampledFrom([]string{"knock", "knock", "bell"}).Draw(t, "event"), Time: at, Arrived: at.Add(time.Minute)}
			raw, err := json.Marshal(read)
			if err != nil {
				t.Fatal(err)
			}
			read = &Snapshot{}
			if err := json.Unmarshal(raw, read); err != nil {
				t.Fatal(err)
			}
			var a, b Outcome
			plain, a = m.Step(plain, ev)
			read, b = m.Step(read, ev)
			if !slices.Equal(a.Matched, b.Matched) || len(a.Faults)+len(b.Faults) > 0 {
				t.Fatalf("at %v: matched %q, and %q of the snapshot that was read; faults %q, %q", at, a.Matched, b.Matched, a.Faults, b.Faults)
			}
			hour := at.In(zone).Hour()
			if want := ev.Name == "knock" && (hour >= 22 || hour < 6); slices.Contains(a.Matched, "night") != want {
				t.Fatalf("%s at %v: matched %q", ev.Name, at.In(zone), a.Matched)
			}
		}
		x, _ := json.Marshal(plain)
		y, _ := json.Marshal(read)
		if string(x) != string(y) {
			t.Fatalf("the snapshots differ:\n%s\n%s", x, y)
		}
	})
}

// A bridge does not know the time at which a workflow will look at a message, so it leaves none out
// by the time of day, and goes by the rest of the condition.
func TestRelevanceOfPatternsByTheClock(t *testing.T) {
	for where, want := range map[string]bool{
		"hour(now) >= 22": true, "inHours('office')": true, "int(now) % 2 == 0": true,
		"event.x > 3 && weekday(now) > 5": true, "event.x > 4 && weekday(now) > 5": false, "event.x > 4 || weekday(now) > 5": true,
	} {
		m := knockModel(t, where)
		msg := device.Message{Channel: device.ChannelTelemetry, Data: obj{"x": 4.0}}
		var f Filter
		for i := range 3 {
			if got := m.Pass(&f, msg); got != want || got != m.Relevant(msg) || m.MayLeaveOut(msg) == want {
				t.Errorf("%s: whether message %d passes is %v", where, i, got)
			}
		}
	}
}

// What else is not known where a bridge or a window decides stays an error.
func TestWhereTheTimeIsNotKnown(t *testing.T) {
	for _, src := range []string{
		"events: {knock: {channel: telemetry, when: \"hour(now) > 5\"}}",
		"windows: {w: {event: knock, where: \"hour(now) > 5\", aggregate: count, over: 1h}}",
		"patterns: {p: {sequence: [{event: knock, where: \"stateIn('a')\"}]}}",
		"patterns: {p: {sequence: [{event: knock, where: \"inHours('shop')\"}]}}",
		"patterns: {p: {sequence: [{event: knock, where: \"hour(now, 'Berlin') > 5\"}]}}",
	} {
		_, err := Load("x.yaml", []byte(src+"\ninitial: a\nstates: {a: {on: {p: a, w.closed: a}}}\n"))
		if err == nil || !strings.HasPrefix(err.Error(), "x.yaml:1:") {
			t.Errorf("%s: %v", src, err)
		}
	}
}
