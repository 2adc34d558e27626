package devicefsm

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// deviceIn is a device in a configuration in which everything runs that may.
func deviceIn(m *Model, g *Migration, c Configuration, at time.Time) *Snapshot {
	begun, _ := m.Start(at)
	s := *begun
	s.active, s.timers, s.invocations, s.history = newStateSet(len(m.states)), nil, nil, nil
	for _, path := range c.States {
		for x := m.byPath[path]; x != nil; x = x.parent {
			s.active.add(x.index)
		}
	}
	for path, list := range c.History {
		if s.history == nil {
			s.history = map[int][]int{}
		}
		var indexes []int
		for _, p := range list {
			indexes = append(indexes, m.byPath[p].index)
		}
		s.history[m.byPath[path].index] = indexes
	}
	here := m.configured(s.active, s.history)
	s.leaves, s.done = here.leaves, here.done
	if s.done {
		return &s
	}
	due := at.Add(time.Hour).UnixMilli()
	for i := range s.active.all() {
		for j := range m.states[i].after {
			if g.mayRun(watched{false, timerKey{i, j}}, here) {
				s.timers = append(s.timers, timer{state: i, index: j, due: due, wall: due})
			}
		}
		for j := range m.states[i].invokes {
			if g.mayRun(watched{true, timerKey{i, j}}, here) {
				s.invocations = append(s.invocations, invocation{id: fmt.Sprintf("work-%d-%d", i, j), state: i, index: j})
			}
		}
	}
	return &s
}

// agrees requires that what Image says of a device's configuration is what Apply does with it:
// where there is no problem, it is moved, but for what depends on its data.
func agrees(t *rapid.T, g *Migration, s *Snapshot, at time.Time, src string) (moved bool) {
	image := g.Image(g.old.configurationOf(s.leaves, s.history))
	_, err := g.Apply(s, MigrationInput{At: at})
	var h *Held
	if err != nil && !errors.As(err, &h) {
		t.Fatalf("%v", err)
	}
	switch {
	case err != nil && !h.byData && !image.Held && !slices.Contains(image.Problems, h.Reason):
		t.Fatalf("refused for %q, though the image is %+v\n%s", h.Reason, image, src)
	case err == nil && image.Held:
		t.Fatalf("moved, though the plan holds it\n%s", src)
	}
	return err == nil
}

// Where Image finds no problem, Apply moves every device but for its data; and where it finds one,
// there is a device in that configuration that Apply leaves where it is.
func TestImageAndApplyAgree(t *testing.T) {
	accepted, refused, fired := 0, 0, 0
	rapid.Check(t, func(t *rapid.T) {
		old, src := loadRandom(t)
		new, other := loadRandom(t)
		src += other
		g := randomMigration(t, old, new)
		configurations, err := old.Configurations()
		if err != nil {
			t.Skip("there are too many configurations")
		}
		for _, c := range configurations {
			image := g.Image(c)
			s := deviceIn(old, g, c, t0)
			var read Snapshot
			if err := json.Unmarshal([]byte(asJSON(s)), &read); err != nil {
				t.Fatalf("%v", err)
			}
			if err := old.Accepts(&read); err != nil {
				t.Fatalf("the device in %v: %v", c, err)
			}
			if moved := agrees(t, g, s, t0, src); moved && len(image.Problems) > 0 {
				t.Fatalf("a device is moved from %v with everything that may run there; the image is %+v\n%s", c, image, src)
			}
			if image.Held || len(image.Problems) > 0 {
				refused++
			} else {
				accepted++
			}
		}
		s, started := old.Start(t0)
		if endless([]Outcome{started}) {
			t.Skip("it did not come to rest at the start")
		}
		now := t0
		for _, x := range randomLife(t) {
			var out []Outcome
			if s, now, out = liveOn(old, s, now, []happening{x}); endless(out) {
				return
			}
			here := old.configured(s.active, s.history)
			if c := old.configurationOf(s.leaves, s.history); !slices.ContainsFunc(configurations, func(o Configuration) bool { return asJSON(o) == asJSON(c) }) {
				t.Fatalf("%v is not among the configurations\n%s", c, src)
			}
			for _, x := range s.timers {
				if x.state >= 0 && !g.mayRun(watched{false, timerKey{x.state, x.index}}, here) {
					t.Fatalf("timer %d of %q runs in %q, though it may not\n%s", x.index, old.states[x.state].path, old.StateName(s), src)
				}
			}
			for _, x := range s.invocations {
				if !g.mayRun(watched{true, timerKey{x.state, x.index}}, here) {
					t.Fatalf("activity %d of %q runs in %q, though it may not\n%s", x.index, old.states[x.state].path, old.StateName(s), src)
				}
			}
			agrees(t, g, s, now, src)
		}
		for i := range old.states {
			for j := range old.states[i].after {
				for _, c := range old.runsIn(watched{false, timerKey{i, j}}) {
					if !c {
						fired++
					}
				}
			}
		}
	})
	if accepted == 0 || refused == 0 || fired == 0 {
		t.Errorf("%d configurations have an image, %d have none, and in %d a timer does not run", accepted, refused, fired)
	}
}

const once = `
initial: up
states:
  up:
    after: {5m: up.late}
    invoke: {src: warm, onDone: up.late}
    initial: early
    states: {early: {on: {skip: up.late}}, late: {on: {again: {target: up, reenter: true}}}}
`

// A timer that has fired, and an activity that has ended, are of no concern to where a device goes,
// unless there is another way to where it is.
func TestWhatHasEndedIsNoProblem(t *testing.T) {
	const flat = `
initial: early
states:
  early: {after: {5m: late}, invoke: {src: warm, onDone: late}}
  late: {}
`
	for _, c := range []struct {
		name, old string
		problems  []string
	}{
		{"by its timer or activity only", strings.Replace(once, "{on: {skip: up.late}}", "{}", 1), []string{
			`activity "up invoke warm" would go on in early, which is not active`, // the timer may have fired before
			`timer "up after 5m" would go on in early, which is not active`,
		}},
		{"by its timer only", strings.NewReplacer("{on: {skip: up.late}}", "{}", "onDone: up.late", "onDone: {actions: {log: \"'warm'\"}}").Replace(once), []string{
			`activity "up invoke warm" would go on in early, which is not active`,
		}},
		{"by its activity only", strings.NewReplacer("{on: {skip: up.late}}", "{}", "{5m: up.late}", "{5m: {actions: {log: \"'five'\"}}}").Replace(once), []string{
			`timer "up after 5m" would go on in early, which is not active`,
		}},
		{"with a timer alone", strings.NewReplacer("{on: {skip: up.late}}", "{}", "invoke: {src: warm, onDone: up.late}", "").Replace(once), nil},
		{"with a timer, and by an event", strings.NewReplacer("invoke: {src: warm, onDone: up.late}", "").Replace(once), []string{
			`timer "up after 5m" would go on in early, which is not active`,
		}},
	} {
		m := newMoving(t, c.old, flat)
		m.p.States = map[string][]string{"up.early": {"early"}, "up.late": {"late"}}
		for name := range m.p.Timers {
			m.p.Timers[name] = PlanItem{PlanKeep, "early after 5m"}
		}
		for name := range m.p.Invocations {
			m.p.Invocations[name] = PlanItem{PlanKeep, "early invoke warm"}
		}
		m.p.NewTimers["early after 5m"], m.p.NewInvocations["early invoke warm"] = PlanSkip, PlanSkip
		g := migration(t, m.old, m.new, m.p)
		image := g.Image(Configuration{States: []string{"up.late"}})
		slices.Sort(image.Problems)
		if !slices.Equal(image.Problems, c.problems) {
			t.Errorf("%s: %q, want %q", c.name, image.Problems, c.problems)
		}
		if image := g.Image(Configuration{States: []string{"up.early"}}); len(image.Problems) > 0 {
			t.Errorf("%s: early: %q", c.name, image.Problems)
		}
		if c.problems != nil {
			continue
		}
		s, _ := m.old.Start(t0)
		s, now, _, _ := playLife(m.old, s, t0, []string{"6m"})
		if got, err := g.Apply(s, MigrationInput{At: now}); err != nil || m.new.StateName(got.Snapshot) != "late" {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// In a chart that is done, nothing runs that could go on in the wrong place.
func TestADoneChartIsMoved(t *testing.T) {
	const done = `
initial: work
schedules: {daily: {at: "14:00"}}
after: {1d: late}
states: {work: {on: {end: over}}, late: {}, over: {type: final}}
`
	const moved = `
initial: work
states: {work: {schedules: {daily: {at: "14:00"}}, after: {1d: late}, on: {end: over}}, late: {}, over: {type: final}}
`
	m := newMoving(t, done, moved)
	m.p.Timers = map[string]PlanItem{"after 1d": {PlanKeep, "work after 1d"}}
	m.p.Schedules = map[string]PlanItem{"schedule daily": {PlanKeep, "work schedule daily"}}
	m.p.NewTimers["work after 1d"] = PlanSkip
	g := migration(t, m.old, m.new, m.p)
	if image := g.Image(Configuration{States: []string{"over"}}); len(image.Problems) > 0 {
		t.Errorf("done: %q", image.Problems)
	}
	if image := g.Image(Configuration{States: []string{"late"}}); len(image.Problems) != 1 { // the schedule
		t.Errorf("late: %q", image.Problems)
	}
	s, _ := m.old.Start(t0)
	s, _ = m.old.Step(s, Event{Name: "end", Time: t0})
	got, err := g.Apply(s, MigrationInput{At: t0})
	if err != nil || m.new.StateName(got.Snapshot) != "over" {
		t.Fatalf("%v", err)
	}
	if _, err := g.Apply(got.Snapshot, MigrationInput{At: t0}); err == nil {
		t.Error("moved twice")
	}
	if due, ok := m.new.NextDeadline(got.Snapshot); ok {
		t.Errorf("due %v", due)
	}
}

// A final state of a part that becomes one of the whole chart ends the chart.
func TestAFinalStateOfAPartMayEndTheChart(t *testing.T) {
	m := newMoving(t, `{initial: a, states: {a: {initial: b, states: {b: {on: {end: c}}, c: {type: final}}}}}`,
		`{initial: b, after: {1h: b}, states: {b: {on: {end: c}}, c: {type: final}}}`)
	m.p.States = map[string][]string{"a.b": {"b"}, "a.c": {"c"}}
	m.p.NewTimers["after 1h"] = PlanStart
	s, _ := m.old.Start(t0)
	s, _ = m.old.Step(s, Event{Name: "end", Time: t0})
	got, err := m.apply(s, t0)
	if err != nil || m.new.StateName(got.Snapshot) != "c" {
		t.Fatalf("%v", err)
	}
	if due, ok := m.new.NextDeadline(got.Snapshot); ok {
		t.Errorf("it is done, and yet due %v", due)
	}
}
