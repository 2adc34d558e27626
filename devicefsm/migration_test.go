package devicefsm

import (
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var randomNames = regexp.MustCompile(`\b([scr])([0-3])\b`)

// renamed gives the states of a random model other names.
func renamed(text string) string { return randomNames.ReplaceAllString(text, "x$1$2") }

// samePlan keeps everything, under other names.
func samePlan(old, new *Model, name func(string) string) Plan {
	p := Plan{
		From: old.hash, To: new.hash, States: map[string][]string{}, History: map[string]string{}, Context: map[string]string{}, Entry: map[string]string{},
		Timers: map[string]PlanItem{}, Invocations: map[string]PlanItem{}, Schedules: map[string]PlanItem{}, Patterns: map[string]PlanItem{},
		Windows: map[string]PlanItem{}, Alarms: map[string]PlanItem{}, Raises: map[string]string{}, NewTimers: map[string]string{}, NewInvocations: map[string]string{},
	}
	for _, s := range old.states[1:] {
		if s.isHistory() {
			p.History[s.path] = name(s.path)
		} else {
			p.States[s.path] = []string{name(s.path)}
		}
	}
	for _, s := range new.states[1:] {
		if len(s.entry) > 0 {
			p.Entry[s.path] = PlanSkip
		}
	}
	for _, k := range old.contextKeys() {
		p.Context[k] = PlanKeep
	}
	for _, list := range []struct {
		to map[string]PlanItem
		of func() []string
	}{
		{p.Timers, func() []string { names, _ := old.timersOf(); return names }},
		{p.Invocations, func() []string { names, _ := old.invocationsOf(); return names }},
		{p.Schedules, func() []string { names, _ := old.schedulesOf(); return names }},
	} {
		for _, n := range list.of() {
			list.to[n] = PlanItem{PlanKeep, name(n)}
		}
	}
	for _, r := range old.patterns {
		p.Patterns[r.name] = PlanItem{Do: PlanKeep}
	}
	for _, w := range old.windows {
		p.Windows[w.name] = PlanItem{Do: PlanKeep}
	}
	for _, a := range old.alarms {
		p.Alarms[a.name] = PlanItem{Do: PlanKeep}
	}
	for _, e := range old.delayedRaises() {
		p.Raises[e] = PlanKeep
	}
	return p
}

func migration(t interface{ Fatalf(string, ...any) }, old, new *Model, p Plan) *Migration {
	g, faults := NewMigration(old, new, p)
	if len(faults) > 0 {
		t.Fatalf("plan: %+v", faults)
	}
	return g
}

// liveOn runs a device through more of its life.
func liveOn(m *Model, s *Snapshot, now time.Time, life []happening) (*Snapshot, time.Time, []Outcome) {
	var outcomes []Outcome
	step := func(ev Event) {
		next, out := m.Step(s, ev)
		s = next
		outcomes = append(outcomes, out)
	}
	for _, x := range life {
		now = now.Add(x.after)
		step(Event{Time: now})
		switch {
		case x.msg != nil:
			if name, ok := m.Classify(*x.msg); ok {
				step(Event{Name: name, Data: x.msg.Data, Time: now})
			}
		case len(s.invocations) > 0 && x.fails:
			step(ErrorEvent(s.invocations[0].id, "failed", now))
		case len(s.invocations) > 0:
			step(DoneEvent(s.invocations[0].id, obj{"x": 1.0}, now))
		}
	}
	return s, now, outcomes
}

// plain is a snapshot as JSON without when its latest transition was: a migration is one.
func plain(t interface{ Fatalf(string, ...any) }, s *Snapshot) string {
	c := *s
	c.shown = noTime
	b, err := json.Marshal(c)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return string(b)
}

func asJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func endless(outcomes []Outcome) bool {
	return strings.Contains(asJSON(outcomes), "endless loop")
}

// A device whose model only gets other names for its states goes on exactly as one that was
// born with them, and comes back as it was.
func TestMigratedGoesOnAsBornWithTheNewModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		old, src := loadRandom(t)
		new, err := Load("random.yaml", []byte(renamed(src)))
		if err != nil {
			t.Fatalf("renamed: %v\n%s", err, renamed(src))
		}
		there := migration(t, old, new, samePlan(old, new, renamed))
		back := migration(t, new, old, samePlan(new, old, func(name string) string {
			return regexp.MustCompile(`\bx([scr])([0-3])\b`).ReplaceAllString(name, "$1$2")
		}))
		first, second := randomLife(t), randomLife(t)
		given, startedWith := old.Start(t0)
		given, now, begun := liveOn(old, given, t0, first)
		born, _ := new.Start(t0)
		born, _, _ = liveOn(new, born, t0, first)
		if endless(append(begun, startedWith)) {
			t.Skip("it did not come to rest before: an eventless transition is still to be taken")
		}
		bytes := plain(t, given)
		moved, err := there.Apply(given, MigrationInput{At: now})
		if err != nil {
			t.Fatalf("%v\n%s", err, src)
		}
		if after := plain(t, given); after != bytes {
			t.Fatalf("the snapshot was changed:\n%s\n%s", bytes, after)
		}
		if got, want := plain(t, moved.Snapshot), plain(t, born); got != want {
			t.Fatalf("after the migration\n%s\nborn\n%s\n%s", got, want, src)
		}
		if len(moved.Outcome.Actions) > 0 || len(moved.Lost) > 0 {
			t.Fatalf("actions %v, lost %q\n%s", moved.Outcome.Actions, moved.Lost, src)
		}
		again, err := back.Apply(moved.Snapshot, MigrationInput{At: now})
		if err != nil || plain(t, again.Snapshot) != bytes {
			t.Fatalf("back: %v\n%s\nwas\n%s", err, plain(t, again.Snapshot), bytes)
		}
		a, _, got := liveOn(new, moved.Snapshot, now, second)
		b, _, want := liveOn(new, born, now, second)
		if asJSON(got) != asJSON(want) || plain(t, a) != plain(t, b) {
			t.Fatalf("afterwards\n%s\n%s\nborn\n%s\n%s\n%s", asJSON(got), plain(t, a), asJSON(want), plain(t, b), src)
		}
	})
}

// randomMigration is one by any plan.
func randomMigration(t *rapid.T, old, new *Model) *Migration {
	p := samePlan(old, new, func(name string) string { return name })
	targets := append(allPaths(new), PlanInitial, PlanHold)
	for _, path := range realPaths(old) {
		p.States[path] = []string{rapid.SampledFrom(targets).Draw(t, "image")}
	}
	for _, s := range new.states[1:] {
		if s.parent.kind == parallel && !s.isHistory() && rapid.Bool().Draw(t, "region") {
			p.Regions = map[string]string{s.path: PlanInitial}
		}
		if len(s.entry) > 0 {
			p.Entry[s.path] = rapid.SampledFrom([]string{PlanRun, PlanSkip}).Draw(t, "entry")
		}
	}
	clear(p.History)
	for _, s := range old.states {
		if s.isHistory() {
			p.History[s.path] = PlanDrop
		}
	}
	p.Always = rapid.SampledFrom([]string{PlanHold, PlanTake}).Draw(t, "always")
	names, _ := new.timersOf()
	for n := range p.Timers {
		p.Timers[n] = PlanItem{Do: PlanDrop}
	}
	oldTimers, _ := old.timersOf()
	for _, n := range oldTimers {
		if len(names) > 0 && rapid.Bool().Draw(t, "keep") {
			do := rapid.SampledFrom([]string{PlanKeep, PlanRestart, PlanScale, PlanFire}).Draw(t, "do")
			p.Timers[n] = PlanItem{do, rapid.SampledFrom(names).Draw(t, "as")}
		}
	}
	for n := range p.Invocations {
		p.Invocations[n] = PlanItem{Do: PlanCancel}
	}
	for n := range p.Patterns {
		p.Patterns[n] = PlanItem{Do: PlanDrop}
	}
	var faults []PlanFault
	var g *Migration
	for range 4 {
		if g, faults = NewMigration(old, new, p); g != nil {
			break
		}
		for _, f := range faults {
			switch f.Part {
			case "new_timers":
				p.NewTimers[f.Key] = PlanStart
			case "new_invocations":
				p.NewInvocations[f.Key] = PlanStart
			case "timers":
				p.Timers[f.Key] = PlanItem{Do: PlanDrop}
			}
		}
	}
	if g == nil {
		t.Fatalf("%+v", faults)
	}
	return g
}

// Whatever a plan says, a device is moved to something that the new model accepts and goes on
// from, or stays as it was; and what Image says of its configuration is what happens.
func TestAnyPlanMovesWhollyOrNotAtAll(t *testing.T) {
	moved := 0
	rapid.Check(t, func(t *rapid.T) {
		old, src := loadRandom(t)
		new, other := loadRandom(t)
		g := randomMigration(t, old, new)
		s, _ := old.Start(t0)
		s, now, _ := liveOn(old, s, t0, randomLife(t))
		before := plain(t, s)
		image := g.Image(old.configurationOf(s.leaves, s.history))
		got, err := g.Apply(s, MigrationInput{At: now})
		if plain(t, s) != before {
			t.Fatalf("the snapshot was changed")
		}
		var h *Held
		switch {
		case errors.As(err, &h):
			if !image.Held && len(image.Problems) == 0 && !strings.Contains(h.Reason, "eventless") && !strings.Contains(h.Reason, "rest") {
				t.Fatalf("held: %v, though the image is %+v\n%s\n%s", err, image, src, other)
			}
			return
		case err != nil:
			t.Fatalf("%v", err)
		}
		moved++
		if image.Held {
			t.Fatalf("moved, though the plan holds it")
		}
		b, err := json.Marshal(got.Snapshot)
		if err != nil {
			t.Fatalf("%v", err)
		}
		var read Snapshot
		if err := json.Unmarshal(b, &read); err != nil {
			t.Fatalf("%v", err)
		}
		if err := new.Accepts(&read); err != nil {
			t.Fatalf("%v: %s\n%s\n%s", err, b, src, other)
		}
		again, err := g.Apply(s, MigrationInput{At: now})
		if err != nil || plain(t, again.Snapshot) != plain(t, got.Snapshot) {
			t.Fatalf("the second time: %v", err)
		}
		liveOn(new, &read, now, randomLife(t))
	})
	if moved == 0 {
		t.Error("no plan moved a device")
	}
}

const migrated = `
model: pump
patterns:
  loop: {sequence: [{event: boot, times: 2}, {event: fault, where: "event.code == 1"}], within: 10m}
context: {n: 0}
initial: on
states:
  on:
    after: {5m: {actions: {log: "'five'"}}}
    on: {loop: broken, heat: hot}
  hot: {after: {10m: on}, invoke: {src: cool, onDone: on}}
  broken: {}
`

// moving is a device of one model that is moved to another.
type moving struct {
	t        *testing.T
	old, new *Model
	p        Plan
}

func newMoving(t *testing.T, from, to string) *moving {
	m := &moving{t: t, old: load(t, from), new: load(t, to)}
	m.p = samePlan(m.old, m.new, func(name string) string { return name })
	return m
}

func (m *moving) apply(s *Snapshot, at time.Time) (Migrated, error) {
	m.t.Helper()
	return migration(m.t, m.old, m.new, m.p).Apply(s, MigrationInput{At: at})
}

func TestTimersOfAPlan(t *testing.T) {
	longer := strings.Replace(migrated, "10m: on", "20m: on", 1)
	for do, want := range map[string]time.Duration{
		PlanKeep: 8 * time.Minute, PlanRestart: 20 * time.Minute, PlanScale: 16 * time.Minute, PlanFire: 0, PlanDrop: -1,
	} {
		m := newMoving(t, migrated, longer)
		m.p.Timers["hot after 10m"] = PlanItem{do, "hot after 20m"}
		if do == PlanDrop {
			m.p.NewTimers["hot after 20m"] = PlanSkip
		}
		s, _ := m.old.Start(t0)
		s, _ = m.old.Step(s, Event{Name: "heat", Time: t0})
		got, err := m.apply(s, t0.Add(2*time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		due, ok := m.new.NextDeadline(got.Snapshot)
		if ok != (want >= 0) || ok && due.Sub(t0.Add(2*time.Minute)) != want {
			t.Errorf("%s: due %v, %v", do, due, ok)
		}
		if list := m.new.Invocations(got.Snapshot); len(list) != 1 || len(got.Outcome.Actions) > 0 {
			t.Errorf("%s: activities %v, actions %v", do, list, got.Outcome.Actions)
		}
	}
}

// A timer that has fired, of a state that is still active, does not fire again.
func TestFiredStaysFired(t *testing.T) {
	m := newMoving(t, migrated, strings.Replace(migrated, "'five'", "'again'", 1))
	s, _ := m.old.Start(t0)
	s, _ = m.old.Step(s, Event{Time: t0.Add(6 * time.Minute)})
	got, err := m.apply(s, t0.Add(6*time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	if due, ok := m.new.NextDeadline(got.Snapshot); ok {
		t.Errorf("due %v", due)
	}
}

// A crash loop that began before the migration is completed after it, though its last step
// means something else; a change of the step that it is in drops it.
func TestPartialMatchesOfAPlan(t *testing.T) {
	for change, want := range map[[2]string]string{
		{"event.code == 1", "event.code == 2"}:                                "broken",
		{"within: 10m", "within: 20m"}:                                        "broken",
		{`, {event: fault`, `, {event: warn, optional: true}, {event: fault`}: "broken",
		{"times: 2", "times: 3"}:                                              "on",
	} {
		m := newMoving(t, migrated, strings.Replace(migrated, change[0], change[1], 1))
		if want == "on" {
			m.p.Patterns["loop"] = PlanItem{Do: PlanDrop}
		}
		s, _ := m.old.Start(t0)
		for range 2 {
			s, _ = m.old.Step(s, Event{Name: "boot", Time: t0})
		}
		got, err := m.apply(s, t0)
		if err != nil {
			t.Fatal(err)
		}
		code := 1.0
		if strings.Contains(change[1], "== 2") {
			code = 2
		}
		s, _ = m.new.Step(got.Snapshot, Event{Name: "fault", Data: obj{"code": code}, Time: t0})
		if name := m.new.StateName(s); name != want {
			t.Errorf("%q: state %q, lost %q", change[1], name, got.Lost)
		}
	}
}

func TestReplayOfAPlan(t *testing.T) {
	m := newMoving(t, migrated, strings.Replace(migrated, "times: 2", "times: 3", 1))
	m.p.Patterns["loop"] = PlanItem{Do: PlanReplay}
	g := migration(t, m.old, m.new, m.p)
	s, _ := m.old.Start(t0)
	var held *Held
	if _, err := g.Apply(s, MigrationInput{At: t0}); !errors.As(err, &held) {
		t.Errorf("without the events: %v", err)
	}
	recent := []Event{{Name: "boot", Time: t0}, {Name: "boot", Time: t0}, {Name: "boot", Time: t0}}
	got, err := g.Apply(s, MigrationInput{At: t0, Recent: recent})
	if err != nil {
		t.Fatal(err)
	}
	s, _ = m.new.Step(got.Snapshot, Event{Name: "fault", Data: obj{"code": 1.0}, Time: t0})
	if name := m.new.StateName(s); name != "broken" {
		t.Errorf("state %q", name)
	}
}

func TestContextOfAPlan(t *testing.T) {
	m := newMoving(t, migrated, strings.Replace(migrated, "{n: 0}", "{n: 0, twice: 0}", 1))
	if _, faults := NewMigration(m.old, m.new, m.p); len(faults) != 1 || faults[0].Key != "twice" || !strings.Contains(faults[0].Hint, "0") {
		t.Errorf("a key that is only in the new model: %+v", faults)
	}
	m.p.Context["twice"] = "2 * context.n + 4"
	s, _ := m.old.Start(t0)
	got, err := m.apply(s, t0)
	if err != nil || got.Snapshot.Context()["twice"] != 4.0 {
		t.Errorf("%v, %v", got.Snapshot, err)
	}
	m.p.Context["twice"] = "context.missing"
	var held *Held
	if got, err := m.apply(s, t0); !errors.As(err, &held) || got.Snapshot != nil {
		t.Errorf("an expression that fails: %v", err)
	}
}

const regions = `
initial: on
states:
  on:
    type: parallel
    states:
      pump: {initial: idle, states: {idle: {on: {run: running}}, running: {}}}
      fan: {initial: off, states: {off: {on: {blow: blowing}}, blowing: {}}}
  broken: {always: {guard: "context.n > 0", target: on}}
context: {n: 0}
`

const flat = `{context: {n: 0}, initial: idle, states: {idle: {on: {run: running}}, running: {}, both: {}}}`

func TestRegionsOfAPlan(t *testing.T) {
	m := newMoving(t, flat, regions)
	m.p.States = map[string][]string{"idle": {"on.pump.idle"}, "running": {"on.pump.running"}, "both": {"on.pump.running", "on.fan.blowing"}}
	s, _ := m.old.Start(t0)
	s, _ = m.old.Step(s, Event{Name: "run", Time: t0})
	var held *Held
	if _, err := m.apply(s, t0); !errors.As(err, &held) || !strings.Contains(held.Reason, `region "on.fan" has no image`) {
		t.Errorf("%v", err)
	}
	m.p.Regions = map[string]string{"on.fan": "on.fan.blowing"}
	got, err := m.apply(s, t0)
	if err != nil || m.new.StateName(got.Snapshot) != "on.pump.running,on.fan.blowing" {
		t.Errorf("%v", err)
	}
	if out := got.Outcome.Transitions; len(out) != 1 || out[0].Event != EventMigration || out[0].From != "running" {
		t.Errorf("transitions %+v", out)
	}
	// Two regions cannot become one state, unless it is the same.
	m = newMoving(t, regions, flat)
	m.p.States = map[string][]string{
		"on.pump.idle": {"idle"}, "on.pump.running": {"running"}, "on.fan.off": {"idle"}, "on.fan.blowing": {"both"}, "broken": {PlanHold},
	}
	s, _ = m.old.Start(t0)
	if got, err := m.apply(s, t0); err != nil || m.new.StateName(got.Snapshot) != "idle" {
		t.Errorf("%v", err)
	}
	s, _ = m.old.Step(s, Event{Name: "run", Time: t0})
	if _, err := m.apply(s, t0); !errors.As(err, &held) || !strings.Contains(held.Reason, "two sources for one target") {
		t.Errorf("%v", err)
	}
}

func TestEventlessOnArrival(t *testing.T) {
	m := newMoving(t, flat, regions)
	m.p.States = map[string][]string{"idle": {"broken"}, "running": {"broken"}, "both": {"broken"}}
	m.p.Context["n"] = "1"
	s, _ := m.old.Start(t0)
	var held *Held
	if _, err := m.apply(s, t0); !errors.As(err, &held) || !strings.Contains(held.Reason, "eventless") {
		t.Errorf("%v", err)
	}
	m.p.Always = PlanTake
	got, err := m.apply(s, t0)
	if err != nil || m.new.StateName(got.Snapshot) != "on.pump.idle,on.fan.off" {
		t.Errorf("%v", err)
	}
}
