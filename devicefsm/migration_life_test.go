package devicefsm

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// movedLife is the life of a device with a migration in the middle: in lives, a duration lets
// time pass, and anything else is an event, with what it is of or a number.
type movedLife struct {
	name          string
	old, new      string
	change        func(*Plan)
	before, after []string
	want          []string // what happens after the migration: messages, alarms, faults
	state         string   // in the end; "": it does not matter
	lost          []string // what the migration names
	held          string   // why the device is not moved
	asBorn        bool     // a device that was born with the new model does the same
}

func (l *movedLife) run(t *testing.T) {
	t.Helper()
	m := newMoving(t, l.old, l.new)
	if l.change != nil {
		l.change(&m.p)
	}
	s, _ := m.old.Start(t0)
	s, now, _, _ := playLife(m.old, s, t0, l.before)
	was := plain(t, s)
	got, err := m.apply(s, now)
	if plain(t, s) != was {
		t.Error("the snapshot was changed")
	}
	if l.held != "" {
		if err == nil || !strings.Contains(err.Error(), l.held) {
			t.Errorf("held %v, want %q", err, l.held)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got.Lost, l.lost) {
		t.Errorf("lost %q, want %q", got.Lost, l.lost)
	}
	end, _, happened, outcomes := playLife(m.new, got.Snapshot, now, l.after)
	if !slices.Equal(happened, l.want) {
		t.Errorf("happened %q, want %q", happened, l.want)
	}
	if name := m.new.StateName(end); l.state != "" && name != l.state {
		t.Errorf("state %q, want %q", name, l.state)
	}
	if !l.asBorn {
		return
	}
	born, _ := m.new.Start(t0)
	born, _, _, _ = playLife(m.new, born, t0, l.before)
	if a, b := plain(t, got.Snapshot), plain(t, born); a != b {
		t.Errorf("after the migration\n%s\nborn\n%s", a, b)
	}
	bornEnd, _, _, want := playLife(m.new, born, now, l.after)
	if asJSON(outcomes) != asJSON(want) || plain(t, end) != plain(t, bornEnd) {
		t.Errorf("afterwards\n%s\n%s\nborn\n%s\n%s", asJSON(outcomes), plain(t, end), asJSON(want), plain(t, bornEnd))
	}
}

// playLife steps at every deadline, and with every event.
func playLife(m *Model, s *Snapshot, now time.Time, life []string) (_ *Snapshot, _ time.Time, happened []string, outcomes []Outcome) {
	step := func(ev Event) {
		var out Outcome
		s, out = m.Step(s, ev)
		outcomes = append(outcomes, out)
		happened = append(happened, messagesOf(out)...)
		for _, a := range out.Alarms {
			text := a.Alarm
			if a.Key != "" {
				text += " " + a.Key
			}
			if a.Ended {
				text += " ended"
			}
			happened = append(happened, text)
		}
	}
	for _, x := range life {
		if d, err := time.ParseDuration(x); err == nil {
			for end := now.Add(d); ; {
				due, ok := m.NextDeadline(s)
				if now = end; ok && due.Before(end) {
					now = due
				}
				if step(Event{Time: now}); !now.Before(end) {
					break
				}
			}
			continue
		}
		name, arg, _ := strings.Cut(x, " ")
		data := obj{}
		if n, err := strconv.ParseFloat(arg, 64); err == nil {
			data["n"] = n
		} else if arg != "" {
			data["device"] = arg
		}
		step(Event{Name: name, Data: data, Time: now})
	}
	return s, now, happened, outcomes
}

func runLives(t *testing.T, lives []movedLife) {
	for _, l := range lives {
		t.Run(l.name, l.run)
	}
}

// item changes what a plan says of something.
func item(part func(*Plan) map[string]PlanItem, name, do, as string) func(*Plan) {
	return func(p *Plan) { part(p)[name] = PlanItem{do, as} }
}

func ofAlarms(p *Plan) map[string]PlanItem    { return p.Alarms }
func ofWindows(p *Plan) map[string]PlanItem   { return p.Windows }
func ofSchedules(p *Plan) map[string]PlanItem { return p.Schedules }
func ofTimers(p *Plan) map[string]PlanItem    { return p.Timers }

const plant = `
alarms:
  silence: {begins: pump_silent, ends: pump_alive, settle: 1m, explained_by: outage}
  outage:  {begins: gateway_silent, ends: gateway_alive}
initial: up
states: {up: {}}
`

// plantWith is the plant with strings replaced.
func plantWith(oldnew ...string) string { return strings.NewReplacer(oldnew...).Replace(plant) }

func TestAlarmsOfAPlan(t *testing.T) {
	alone := plantWith(", explained_by: outage", "")
	runLives(t, []movedLife{
		{
			name: "raised", old: plant, new: plantWith("up", "on"), change: func(p *Plan) { p.States["up"] = []string{"on"} },
			before: []string{"pump_silent a", "1m"}, after: []string{"1h", "pump_silent a", "pump_alive a"}, want: []string{"silence a ended"}, asBorn: true,
		},
		{
			name: "waiting", old: plant, new: plantWith("up", "on"), change: func(p *Plan) { p.States["up"] = []string{"on"} },
			before: []string{"pump_silent a", "30s"}, after: []string{"29s", "mark", "1s"}, want: []string{"silence a"}, asBorn: true,
		},
		{
			name: "waiting, and ends before", old: plant, new: plantWith("up", "on"), change: func(p *Plan) { p.States["up"] = []string{"on"} },
			before: []string{"pump_silent a", "30s"}, after: []string{"29s", "pump_alive a", "1h"}, asBorn: true,
		},
		{
			name: "waiting, for longer in the new model", old: plant, new: plantWith("1m", "10m"),
			before: []string{"pump_silent a", "30s"}, after: []string{"30s"}, want: []string{"silence a"},
		},
		{
			name: "explained", old: plant, new: plantWith("up", "on"), change: func(p *Plan) { p.States["up"] = []string{"on"} },
			before: []string{"gateway_silent g", "pump_silent a", "5m"},
			after:  []string{"1h", "gateway_alive g", "59s", "mark", "1s"}, want: []string{"outage g ended", "silence a"}, asBorn: true,
		},
		{
			name: "under another name", old: plant, new: plantWith("silence:", "quiet:"), change: item(ofAlarms, "silence", PlanKeep, "quiet"),
			before: []string{"pump_silent a", "30s", "gateway_silent g", "pump_silent b"},
			after:  []string{"1h", "gateway_alive g", "1m", "pump_alive a"}, want: []string{"outage g ended", "quiet a", "quiet b", "quiet a ended"}, asBorn: true,
		},
		{
			name: "what explains it under another name", old: plant, new: plantWith("outage", "dark"), change: item(ofAlarms, "outage", PlanKeep, "dark"),
			before: []string{"gateway_silent g", "pump_silent a"}, after: []string{"1h", "gateway_alive g", "1m"}, want: []string{"dark g ended", "silence a"}, asBorn: true,
		},
		{
			name: "gone", old: plant, new: plantWith("  silence: {begins: pump_silent, ends: pump_alive, settle: 1m, explained_by: outage}\n", ""),
			change: item(ofAlarms, "silence", PlanDrop, ""), lost: []string{`2 troubles of alarm "silence"`},
			before: []string{"pump_silent a", "pump_silent b", "gateway_silent g", "1m"}, after: []string{"1h", "pump_alive a", "gateway_alive g"}, want: []string{"outage g ended"}, asBorn: true,
		},
		{
			name: "new", old: alone, new: plantWith("initial:", "  fire: {begins: smoke, ends: clear}\ninitial:"),
			before: []string{"smoke a"}, after: []string{"smoke a", "clear a"}, want: []string{"fire a", "fire a ended"},
		},
		{
			name: "explained, and by nothing in the new model", old: plant, new: alone,
			before: []string{"gateway_silent g", "pump_silent a", "5m"}, after: []string{"59s", "mark", "1s", "pump_alive a"}, want: []string{"silence a", "silence a ended"},
		},
		{
			name: "explained, and by nothing in the new model, which does not wait", old: plant, new: plantWith("settle: 1m, explained_by: outage", ""),
			before: []string{"gateway_silent g", "pump_silent a", "5m"}, after: []string{"0s", "1h"}, want: []string{"silence a"},
		},
		{
			name: "explained by what is not kept", old: plant, new: plantWith("up", "on"),
			change: func(p *Plan) {
				p.States["up"] = []string{"on"}
				item(ofAlarms, "outage", PlanDrop, "")(p)
			}, lost: []string{`1 troubles of alarm "outage"`},
			before: []string{"gateway_silent g", "pump_silent a", "5m"}, after: []string{"59s", "mark", "1s"}, want: []string{"silence a"},
		},
		{
			name: "explained from now on", old: alone, new: plant,
			before: []string{"gateway_silent g", "pump_silent a", "30s"}, after: []string{"1h", "gateway_alive g", "1m"}, want: []string{"outage g ended", "silence a"}, asBorn: true,
		},
		{
			name: "raised stays raised, whatever explains it", old: alone, new: plant,
			before: []string{"gateway_silent g", "pump_silent a", "1m"}, after: []string{"gateway_alive g", "1h", "pump_alive a"}, want: []string{"outage g ended", "silence a ended"},
		},
	})
	// An alarm that begins by another event does not go on.
	m := newMoving(t, plant, plantWith("begins: pump_silent", "begins: pump_gone"))
	if _, faults := NewMigration(m.old, m.new, m.p); len(faults) != 1 || faults[0].Part != "alarms" || faults[0].Key != "silence" {
		t.Errorf("%+v", faults)
	}
}

// An alarm that is raised and goes away with its model ends; one with another name ends under the
// old one, and is raised under the new one. Nobody else would say so.
func TestRaisedAlarmsOfAMigrationEnd(t *testing.T) {
	m := newMoving(t, plant, plantWith("silence:", "quiet:", "outage:", "dark:", "explained_by: outage", "explained_by: dark"))
	item(ofAlarms, "silence", PlanKeep, "quiet")(&m.p)
	item(ofAlarms, "outage", PlanDrop, "")(&m.p)
	s, _ := m.old.Start(t0)
	s, now, _, _ := playLife(m.old, s, t0, []string{"pump_silent a", "1m", "gateway_silent g", "pump_silent b", "1h"})
	got, err := m.apply(s, now)
	if err != nil {
		t.Fatal(err)
	}
	want := []AlarmChange{
		{Alarm: "silence", Key: "a", Ended: true, At: now, Since: t0}, {Alarm: "quiet", Key: "a", At: now, Since: t0},
		{Alarm: "outage", Key: "g", Ended: true, At: now, Since: t0.Add(time.Minute)},
	}
	if !reflect.DeepEqual(got.Outcome.Alarms, want) {
		t.Errorf("alarms %+v, want %+v", got.Outcome.Alarms, want)
	}
	if len(messagesOf(got.Outcome)) > 0 {
		t.Errorf("the chart did %q", messagesOf(got.Outcome))
	}
}

// Partial matches of a pattern that is kept are lost where the new model does not look for it, and
// that is named.
func TestAKeptPatternWhereItIsNotLookedFor(t *testing.T) {
	const looks = `
patterns: {twice: {sequence: [{event: knock, times: 2}], within: 1h, while: open}}
initial: open
states: {open: {on: {twice: rung, go: shut}}, shut: {on: {go: open}}, rung: {}}
`
	m := newMoving(t, looks, strings.Replace(looks, "while: open", "while: shut", 1))
	s, _ := m.old.Start(t0)
	s, now, _, _ := playLife(m.old, s, t0, []string{"knock"})
	got, err := m.apply(s, now)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Lost) != 1 || !strings.Contains(got.Lost[0], `1 partial matches of pattern "twice": the device is not in shut`) {
		t.Errorf("lost %q", got.Lost)
	}
}

const counting = `
windows:
  heat: {event: reading, where: has(event.n), value: event.n, aggregate: mean, over: 10m, grace: 30s}
initial: up
states: {up: {on: {heat.closed: {actions: {log: "string(event.count) + ' of ' + string(event.value)"}}}}}
`

func countingWith(oldnew ...string) string { return strings.NewReplacer(oldnew...).Replace(counting) }

func TestWindowsOfAPlan(t *testing.T) {
	readings := []string{"reading 10", "2m", "reading 20"}
	runLives(t, []movedLife{
		{
			name: "kept", old: counting, new: countingWith("up", "on"), change: func(p *Plan) { p.States["up"] = []string{"on"} },
			before: readings, after: []string{"2m", "reading 60", "20m"}, want: []string{"3 of 30"}, asBorn: true,
		},
		{
			name: "kept, and waits longer for late events", old: counting, new: countingWith("30s", "2m"),
			before: readings, after: []string{"9m", "mark", "reading 60", "1m"}, want: []string{"2 of 15"}, asBorn: true,
		},
		{
			name: "kept under another name", old: counting, new: countingWith("heat", "warmth"), change: item(ofWindows, "heat", PlanKeep, "warmth"),
			before: readings, after: []string{"reading 60", "20m"}, want: []string{"3 of 30"}, asBorn: true,
		},
		{
			name: "over another time", old: counting, new: countingWith("10m", "20m"), change: item(ofWindows, "heat", PlanDrop, ""),
			before: readings, after: []string{"reading 60", "30m"}, want: []string{"1 of 60"}, lost: []string{`what window "heat" counted`},
		},
		{
			name: "dropped before it counted anything", old: counting, new: countingWith("mean", "max"), change: item(ofWindows, "heat", PlanDrop, ""),
			after: []string{"reading 60", "20m"}, want: []string{"1 of 60"}, asBorn: true,
		},
		{
			name: "gone", old: counting, new: "{initial: up, states: {up: {on: {reading: {actions: {log: \"'r'\"}}}}}}", change: item(ofWindows, "heat", PlanDrop, ""),
			before: readings, after: []string{"reading 60", "20m"}, want: []string{"r"}, lost: []string{`what window "heat" counted`},
		},
		{
			name: "new", old: "{initial: up, states: {up: {}}}", new: counting,
			before: readings, after: []string{"reading 60", "20m"}, want: []string{"1 of 60"},
		},
		{
			name: "kept, and waits less for late events", old: countingWith("30s", "40m"), new: countingWith("30s", "0s"),
			before: []string{"reading 10", "10m", "reading 20", "10m", "reading 30", "10m", "reading 40"}, held: "4 panes; the window has at most 3",
		},
		{
			name: "heard for the first time", old: countingWith("heat.closed", "other"), new: counting,
			before: readings, after: []string{"20m"}, want: []string{"2 of 15"}, asBorn: true,
		},
	})
	for _, change := range [][2]string{{"10m", "20m"}, {"mean", "max"}, {"event: reading", "event: sample"}, {"has(event.n)", "has(event.m)"}, {"value: event.n", "value: event.n * 2.0"}} {
		m := newMoving(t, counting, strings.Replace(counting, change[0], change[1], 1))
		if _, faults := NewMigration(m.old, m.new, m.p); len(faults) != 1 || faults[0].Part != "windows" || faults[0].Key != "heat" {
			t.Errorf("%q: %+v", change[1], faults)
		}
	}
}

const reporting = `
initial: up
states:
  up: {schedules: {report: {every: 2h}}, on: {report: {actions: {log: "'report ' + event.due"}}, leave: away}}
  away: {on: {enter: up}}
`

func reportingWith(oldnew ...string) string { return strings.NewReplacer(oldnew...).Replace(reporting) }

// reports are those of times of the day on which lives begin, at noon.
func reports(times ...string) (list []string) {
	for _, at := range times {
		list = append(list, fmt.Sprintf("report 2026-11-23T%s:00Z", at))
	}
	return list
}

func TestSchedulesOfAPlan(t *testing.T) {
	const name = "up schedule report"
	noon := reportingWith("every: 2h", `at: "14:00"`)
	runLives(t, []movedLife{
		{
			name: "kept", old: reporting, new: reportingWith("up", "on"), asBorn: true,
			change: func(p *Plan) {
				p.States["up"] = []string{"on"}
				item(ofSchedules, name, PlanKeep, "on schedule report")(p)
			},
			before: []string{"3h"}, after: []string{"59m", "mark", "1m", "2h"}, want: reports("16:00", "18:00"),
		},
		{
			name: "kept under another name", old: reporting, new: reportingWith("report", "summary", "'summary '", "'report '"),
			change: item(ofSchedules, name, PlanKeep, "up schedule summary"), asBorn: true,
			before: []string{"3h"}, after: []string{"1h", "leave", "10h"}, want: []string{"summary 2026-11-23T16:00:00Z"},
		},
		{
			name: "kept, less often", old: reporting, new: reportingWith("2h", "3h"),
			before: []string{"2h", "30m"}, after: []string{"3h"}, want: reports("17:00"),
		},
		{
			name: "kept, more often", old: reporting, new: reportingWith("2h", "1h"),
			before: []string{"90m"}, after: []string{"1h"}, want: reports("14:00"),
		},
		{
			name: "kept, at an earlier time that has passed", old: noon, new: reportingWith("every: 2h", `at: "13:00"`),
			before: []string{"90m"}, after: []string{"10h"}, // and it is not reported twice
		},
		{
			name: "kept, at a later time", old: noon, new: reportingWith("every: 2h", `at: "15:00"`),
			before: []string{"90m"}, after: []string{"2h"}, want: reports("15:00"), asBorn: true,
		},
		{
			name: "kept, at a later time, after it was reported today", old: noon, new: reportingWith("every: 2h", `at: "15:00"`),
			before: []string{"2h"}, after: []string{"2h"}, want: reports("15:00"),
		},
		{
			name: "restarted", old: reporting, new: reportingWith("up", "on"),
			change: func(p *Plan) {
				p.States["up"] = []string{"on"}
				item(ofSchedules, name, PlanRestart, "on schedule report")(p)
			},
			before: []string{"90m"}, after: []string{"2h"}, want: reports("15:30"),
		},
		{
			name: "new", old: "{initial: up, states: {up: {}, away: {}}}", new: reporting,
			before: []string{"90m"}, after: []string{"2h"}, want: reports("15:30"),
		},
		{
			name: "gone", old: reporting, new: reportingWith("schedules: {report: {every: 2h}}, ", ""),
			change: item(ofSchedules, name, PlanDrop, ""), before: []string{"90m"}, after: []string{"10h"}, lost: []string{`schedule "up schedule report"`}, asBorn: true,
		},
		{
			name: "of a state that the device is not in", old: reporting, new: reporting, change: func(p *Plan) { p.States["up"] = []string{"away"} },
			before: []string{"90m"}, held: `schedule "up schedule report" would go on in up, which is not active`,
		},
		{
			name: "of a state that the device has left", old: reporting, new: reporting, change: func(p *Plan) { p.States["up"] = []string{"away"} },
			before: []string{"90m", "leave"}, after: []string{"2h", "enter", "2h"}, want: reports("17:30"), asBorn: true,
		},
	})
}

// What was due before a migration and was kept happens once, by the first step after it.
func TestWhatIsDueWhenItIsMoved(t *testing.T) {
	m := newMoving(t, reporting, reporting)
	s, _ := m.old.Start(t0)
	now := t0.Add(2*time.Hour + time.Minute)
	got, err := m.apply(s, now)
	if err != nil || len(got.Outcome.Actions) > 0 {
		t.Fatal(got.Outcome, err)
	}
	_, _, happened, _ := playLife(m.new, got.Snapshot, now, []string{"0s", "2h"})
	if want := reports("14:00", "16:00"); !slices.Equal(happened, want) {
		t.Errorf("happened %q, want %q", happened, want)
	}
}
