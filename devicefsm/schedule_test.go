package devicefsm

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"cel.dev/cel-go/common/types"
	"pgregory.net/rapid"

	"devicetwin/device"
	"devicetwin/devicefsm/calendar"
	"devicetwin/devicefsm/calendar/zonedata"
)

const calendarModel = `
model: calendar
zone: Europe/Berlin
hours: {office: {mon-fri: "08:00-17:00", sat: "22:00-02:30"}}
schedules:
  daily: {at: "02:30"}
  often: {cron: "*/20 * * * *", hours: office}
  span: {every: 36h}
  opens: {opens: office}
  closes: {closes: office}
context: {n: 0}
initial: night
on:
  daily: {actions: [{log: "'daily ' + event.local"}]}
  often: {actions: [{assign: {n: "context.n + 1"}}]}
  span: {actions: [{log: "'span ' + event.due"}]}
  reset: {target: night, reenter: true}
  late: {guard: "hour(now) < 6", actions: [{log: "'late ' + clock(now)"}]}
states:
  night:
    on: {opens: day}
  day:
    schedules: {lunch: {at: "12:00"}, pause: {every: 100m}}
    entry: {log: "'opens ' + clock(now)"}
    on: {closes: night, lunch: {actions: [{log: "'lunch'"}]}, pause: {actions: [{log: "'pause ' + clock(now) + ' ' + string(inHours('office'))"}]}}
`

var berlin = time.Date(2026, 3, 25, 0, 0, 0, 0, time.UTC)

func zonesFor(t testing.TB, m *Model) calendar.Zones {
	t.Helper()
	zones, err := zonedata.Record(m.Zones(), berlin)
	if err != nil {
		t.Fatal(err)
	}
	return zones
}

func messagesOf(out Outcome) (list []string) {
	for _, a := range out.Actions {
		list = append(list, fmt.Sprint(a.Data["message"]))
	}
	return append(list, out.Faults...)
}

// However often time is let pass, and wherever the snapshot is written and read in between,
// a calendar does the same at the same times.
func TestSchedulesDoNotMove(t *testing.T) {
	m := load(t, calendarModel)
	zones := zonesFor(t, m)
	rapid.Check(t, func(t *rapid.T) {
		begin := berlin.Add(time.Duration(rapid.IntRange(0, 300*24*60).Draw(t, "minute")) * time.Minute)
		begin = begin.Add(time.Duration(rapid.IntRange(0, 60_000).Draw(t, "millisecond")) * time.Millisecond)
		exact, out := m.StartIn(zones, begin)
		lazy, _ := m.StartIn(zones, begin)
		want, got := messagesOf(out), messagesOf(out)
		at := begin
		for range rapid.IntRange(1, 8).Draw(t, "events") {
			at = at.Add(time.Duration(rapid.IntRange(1, 30*3600).Draw(t, "seconds")) * time.Second)
			for {
				due, ok := m.NextDeadline(exact)
				if !ok || due.After(at) {
					break
				}
				exact, out = m.Step(exact, Event{Arrived: due})
				want = append(want, messagesOf(out)...)
			}
			ev := Event{Name: rapid.SampledFrom([]string{"", "late", "reset"}).Draw(t, "event"), Arrived: at}
			exact, out = m.Step(exact, ev)
			want = append(want, messagesOf(out)...)
			raw, err := json.Marshal(lazy)
			if err != nil {
				t.Fatal(err)
			}
			read := &Snapshot{}
			if err := json.Unmarshal(raw, read); err != nil {
				t.Fatal(err)
			}
			lazy, out = m.Step(read, ev)
			got = append(got, messagesOf(out)...)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("from %v:\n got %q\nwant %q", begin, got, want)
		}
		a, _ := json.Marshal(exact)
		b, _ := json.Marshal(lazy)
		if string(a) != string(b) {
			t.Fatalf("the snapshots differ:\n%s\n%s", a, b)
		}
	})
}

// What a zone's database says later changes what is due next, and nothing that was.
func TestRenewedZones(t *testing.T) {
	m := load(t, "zone: Europe/Berlin\nschedules: {daily: {at: \"08:00\"}, odd: {every: 7h}}\ninitial: a\nstates: {a: {on: {daily: {actions: [{log: event.local}]}, odd: a}}}")
	zones := zonesFor(t, m)
	begin := time.Date(2026, 3, 28, 12, 0, 0, 0, time.UTC)
	s, _ := m.StartIn(zones, begin)
	next := func(s *Snapshot) string { return m.Schedules(s)[0].Next.Format(time.RFC3339) }
	if got := next(s); got != "2026-03-29T06:00:00Z" {
		t.Errorf("in summer time: %s", got)
	}
	// Summer time is given up.
	abolished := calendar.Zones{"Europe/Berlin": calendar.Of(time.FixedZone("CET", 3600), berlin, berlin.AddDate(10, 0, 0))}
	renewed, err := m.Renew(s, abolished)
	if err != nil {
		t.Fatal(err)
	}
	if got := next(renewed); got != "2026-03-29T07:00:00Z" {
		t.Errorf("without summer time: %s", got)
	}
	if a, b := m.Schedules(s)[1].Next, m.Schedules(renewed)[1].Next; !a.Equal(b) {
		t.Errorf("a length of time moved from %v to %v", a, b)
	}
	if next(s) != "2026-03-29T06:00:00Z" {
		t.Error("the snapshot before is changed")
	}
	if same, err := m.Renew(renewed, abolished); err != nil || same != renewed {
		t.Errorf("the same zones make another snapshot: %v", err)
	}
	_, out := m.Step(renewed, Event{Arrived: time.Date(2026, 3, 29, 7, 0, 0, 0, time.UTC)})
	if logs := messagesOf(out); !slices.Equal(logs, []string{"2026-03-29T08:00:00"}) {
		t.Errorf("%q", logs)
	}
}

// A change of the past does not make a time of a day due twice, nor leave one out.
func TestRenewedZonesCountByTheClock(t *testing.T) {
	m := load(t, "zone: Europe/Berlin\nschedules: {daily: {at: \"08:00\"}}\ninitial: a\nstates: {a: {on: {daily: {actions: [{log: event.local}]}}}}")
	summer := zonesFor(t, m)
	winter := calendar.Zones{"Europe/Berlin": calendar.Of(time.FixedZone("CET", 3600), berlin, berlin.AddDate(10, 0, 0))}
	for _, c := range []struct{ before, after calendar.Zones }{{summer, winter}, {winter, summer}} {
		s, _ := m.StartIn(c.before, time.Date(2026, 4, 1, 12, 0, 0, 0, time.UTC))
		var logs []string
		for day := range 4 {
			due, _ := m.NextDeadline(s)
			var out Outcome
			if day == 2 {
				renewed, err := m.Renew(s, c.after) // when it is due by what was known before
				if err != nil {
					t.Fatal(err)
				}
				s, out = m.Step(renewed, Event{Arrived: due})
				logs = append(logs, messagesOf(out)...)
				due, _ = m.NextDeadline(s)
			}
			s, out = m.Step(s, Event{Arrived: due})
			logs = append(logs, messagesOf(out)...)
		}
		for i, log := range logs {
			if want := fmt.Sprintf("2026-04-%02dT08:00:00", i+2); log != want {
				t.Errorf("%q", logs)
				break
			}
		}
	}
}

// Without zones a machine says so, and goes on when it has them.
func TestZonesThatAreMissing(t *testing.T) {
	m := load(t, calendarModel)
	if got := m.Zones(); !slices.Equal(got, []string{"Europe/Berlin"}) {
		t.Errorf("zones: %q", got)
	}
	s, out := m.Start(berlin)
	if len(out.Faults) != 4 || !strings.Contains(out.Faults[0], `schedule "daily": time zone "Europe/Berlin" is not recorded`) {
		t.Errorf("%q", out.Faults)
	}
	_, out = m.Step(s, Event{Name: "late", Arrived: berlin.Add(time.Hour)})
	if len(out.Faults) != 1 || !strings.Contains(out.Faults[0], `hour: time zone "Europe/Berlin" is not recorded`) {
		t.Errorf("%q", out.Faults)
	}
	if _, err := m.Renew(s, nil); err != nil {
		t.Error("zones that are the same are refused:", err)
	}
	if _, err := m.Renew(s, calendar.Zones{"Asia/Tokyo": calendar.UTC}); err == nil {
		t.Error("zones without that of the model are taken")
	}
	s, err := m.Renew(s, zonesFor(t, m))
	if err != nil {
		t.Fatal(err)
	}
	if due, ok := m.NextDeadline(s); !ok || !due.Equal(time.Date(2026, 3, 25, 1, 30, 0, 0, time.UTC)) {
		t.Errorf("%v, %v", due, ok)
	}
}

// After a long outage the latest occurrences come, and the others are reported.
func TestMissedOccurrences(t *testing.T) {
	for _, c := range []struct{ rule, first, last string }{
		{`{cron: "*/10 * * * *"}`, "2026-05-04T07:30:00Z", "2026-05-05T00:00:00Z"},
		{"{every: 7m}", "2026-05-04T12:23:00Z", "2026-05-04T23:56:00Z"},
		{`{every: 10m, from: "2026-01-01T00:03:00Z"}`, "2026-05-04T07:23:00Z", "2026-05-04T23:53:00Z"},
	} {
		m := load(t, "schedules: {tick: "+c.rule+"}\ninitial: a\nstates: {a: {on: {tick: {actions: [{log: event.due}]}}}}")
		s, _ := m.Start(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
		s, out := m.Step(s, Event{Arrived: time.Date(2026, 5, 5, 0, 0, 0, 0, time.UTC)})
		logs := messagesOf(Outcome{Actions: out.Actions})
		if len(logs) != keptMissed || logs[0] != c.first || logs[len(logs)-1] != c.last {
			t.Errorf("%s: %d logs, from %s to %s", c.rule, len(logs), logs[0], logs[len(logs)-1])
		}
		if len(out.Faults) != 1 || !strings.Contains(out.Faults[0], "more than 100 occurrences were missed") {
			t.Errorf("%s: %q", c.rule, out.Faults)
		}
		if next := m.Schedules(s)[0].Next; !next.After(time.Date(2026, 5, 5, 0, 0, 0, 0, time.UTC)) {
			t.Errorf("%s: next is %v", c.rule, next)
		}
		// One fewer than the bound are all there.
		s, _ = m.Start(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
		due, _ := m.NextDeadline(s)
		_, out = m.Step(s, Event{Arrived: due.Add(99 * 7 * time.Minute)})
		if len(out.Faults) > 0 || len(out.Actions) < 60 {
			t.Errorf("%s: %d actions, %q", c.rule, len(out.Actions), out.Faults)
		}
	}
}

// A snapshot that names a schedule which is not of an active state is refused.
func TestSchedulesOfASnapshot(t *testing.T) {
	m := load(t, calendarModel)
	s, _ := m.StartIn(zonesFor(t, m), berlin)
	raw, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	if len(raw) > 1500 {
		t.Errorf("the snapshot has %d bytes: %s", len(raw), raw)
	}
	for old, other := range map[string]string{`"n":"daily"`: `"n":"other"`, `{"n":"daily"`: `{"s":"day","n":"lunch"`, `{"n":"span"`: `{"s":"nowhere","n":"span"`} {
		damaged := &Snapshot{}
		text := strings.Replace(string(raw), old, other, 1)
		if text == string(raw) {
			t.Fatalf("no %s in %s", old, raw)
		}
		if err := json.Unmarshal([]byte(text), damaged); err != nil {
			t.Fatal(err)
		}
		if err := m.Accepts(damaged); err == nil || !strings.Contains(err.Error(), "unknown schedule") {
			t.Errorf("%s: %v", other, err)
		}
	}
	list := m.Schedules(s)
	if len(list) != 5 || list[1].Rule != `cron "*/20 * * * *" in hours office` || list[0].Zone != "Europe/Berlin" || list[2].Zone != "" {
		t.Errorf("%+v", list)
	}
}

// Bridges leave out nothing that depends on the time of day, whatever it is when they see it.
func TestRelevanceOfTheTimeOfDay(t *testing.T) {
	for _, guard := range []string{
		"hour(now) >= 22", "inHours('office')", "hour(timestamp(event.at)) > 5", "event.x > 3 && weekday(now) > 5", "int(now) % 2 == 0",
	} {
		m := load(t, "events: {reading: {channel: telemetry}}\nhours: {office: {mon-fri: \"08:00-17:00\"}}\nzone: Europe/Berlin\ninitial: a\nstates: {a: {on: {reading: {guard: \""+guard+"\", target: b}}}, b: {on: {reading: {guard: \"!("+guard+")\", target: a}}}}")
		msg := device.Message{Channel: device.ChannelTelemetry, Data: obj{"x": 4.0, "at": "2026-01-01T00:00:00Z"}}
		var f Filter
		for i := range 3 {
			if !m.Pass(&f, msg) {
				t.Errorf("%s: message %d is left out", guard, i)
			}
		}
		if m.MayLeaveOut(msg) {
			t.Errorf("%s: it may be left out", guard)
		}
	}
	// What reads the message as well is left out by that.
	m := load(t, "events: {reading: {channel: telemetry}}\ninitial: a\nstates: {a: {on: {reading: {guard: \"event.x > 3 && hour(now) > 5\", target: b}}}, b: {}}")
	if m.Relevant(device.Message{Channel: device.ChannelTelemetry, Data: obj{"x": 1.0}}) {
		t.Error("a reading that no hour makes relevant is relevant")
	}
	// An eventless transition may be taken with any event.
	m = load(t, "events: {reading: {channel: telemetry}}\ninitial: a\nstates: {a: {always: {guard: \"hour(now) > 5\", target: b}}, b: {on: {other: a}}}")
	if !m.Relevant(device.Message{Channel: device.ChannelTelemetry, Data: obj{"x": 1.0}}) {
		t.Error("a reading after which always is looked at is left out")
	}
}

// The closures say of the time what cel-go says.
func TestFastClocks(t *testing.T) {
	zones, err := zonedata.Record([]string{"Asia/Kathmandu", "Europe/Berlin"}, berlin)
	if err != nil {
		t.Fatal(err)
	}
	clock := &wallClock{m: &Model{zone: "Europe/Berlin"}, zones: zones}
	for _, name := range []string{"hour", "weekday", "date", "clock"} {
		for _, source := range []string{name + "(now)", name + "(now, 'Asia/Kathmandu')", name + "(now, 'Europe/Paris')"} {
			e, faults := compileExpr(placeChart, source)
			if faults != nil || e.fast == nil {
				t.Fatalf("%s has no closure: %v", source, faults)
			}
			values := map[any]bool{}
			for hours := range 3000 {
				s := &scope{clock: clock}
				clock.now = berlin.Add(time.Duration(hours) * 67 * time.Hour).UnixMilli()
				fast, st := e.fast(s)
				slow, err := e.slow(s)
				if (st == done) != (err == nil) || st == punt || st == done && slow.Equal(types.DefaultTypeAdapter.NativeToValue(fast)) != types.True {
					t.Fatalf("%s at %v: %v, %v; cel-go %v, %v", source, fromMillis(clock.now), fast, st, slow, err)
				}
				values[fast] = true
			}
			if paris := strings.Contains(source, "Paris"); paris != (len(values) == 1) {
				t.Errorf("%s: %d values", source, len(values))
			}
		}
	}
}

// A schedule in a state that leads back unsettles a class, as a delay does.
func TestAScheduleUnsettlesClasses(t *testing.T) {
	src := "events: {hot: {channel: telemetry, when: \"msg.x > 3\"}}\ninitial: a\nstates:\n  a: {on: {hot: b}}\n  b: {%s}\n"
	msg := device.Message{Channel: device.ChannelTelemetry, Data: obj{"x": 4.0}}
	for extra, settled := range map[string]bool{
		"on: {other.x: b}": true,
		"schedules: {morning: {at: \"08:00\"}}, on: {morning: a}": false,
	} {
		m := load(t, fmt.Sprintf(src, extra))
		if _, _, got := m.Class(msg); got != settled {
			t.Errorf("%s: settled is %v", extra, got)
		}
	}
}

func TestModelsWithoutCalendarsAreAsBefore(t *testing.T) {
	m := load(t, "initial: a\nstates: {a: {on: {x: a}}}")
	s, _ := m.Start(berlin)
	raw, _ := json.Marshal(s)
	if m.GoesByCalendar() || !load(t, calendarModel).GoesByCalendar() || !load(t, "initial: a\nstates: {a: {on: {x: {guard: \"int(now) > 5\", target: a}}}}").GoesByCalendar() {
		t.Error("which model goes by a calendar")
	}
	if strings.Contains(string(raw), `"sch"`) || strings.Contains(string(raw), `"z"`) || len(m.Zones()) > 0 {
		t.Errorf("%s", raw)
	}
}

// BenchmarkSchedule is an event while schedules are waited for, the same without any, and an
// occurrence itself.
func BenchmarkSchedule(b *testing.B) {
	const chart = "zone: Europe/Berlin\nhours: {office: {mon-fri: \"08:00-17:00\"}}\n%sinitial: a\nstates: {a: {on: {due: a, r: {guard: event.t > 5, target: b}}}, b: {}}\n"
	for _, words := range []string{"", "every: 30d", "at: \"08:00\"", "cron: \"*/5 8-17 * * 1-5\"", "opens: office"} {
		schedules, name := "", "none"
		if words != "" {
			schedules, name = "schedules: {due: {"+words+"}}\n", words
		}
		m, err := Load("x.yaml", fmt.Appendf(nil, chart, schedules))
		if err != nil {
			b.Fatal(err)
		}
		first, _ := m.StartIn(zonesFor(b, m), berlin)
		b.Run("an event, "+name, func(b *testing.B) {
			s := first
			ev := Event{Name: "r", Data: obj{"t": 1.0}, Alive: true}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				ev.Time = berlin.Add(time.Duration(i%1000) * time.Millisecond)
				s, _ = m.Step(first, ev)
			}
			text, err := json.Marshal(s)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(len(text)), "snapshot-bytes")
		})
		if words == "" {
			continue
		}
		b.Run("an occurrence, "+name, func(b *testing.B) {
			s := first
			b.ReportAllocs()
			for b.Loop() {
				due, ok := m.NextDeadline(s)
				if !ok || due.Year() > 2034 { // zones are recorded for ten years
					s = first
					due, _ = m.NextDeadline(s)
				}
				s, _ = m.Step(s, Event{Arrived: due})
			}
		})
	}
}
