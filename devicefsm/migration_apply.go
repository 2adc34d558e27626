package devicefsm

import (
	"fmt"
	"slices"
	"time"

	"devicetwin/devicefsm/calendar"
	"devicetwin/devicefsm/pattern"
	"devicetwin/devicefsm/window"
	"devicetwin/internal/expression"
)

// EventMigration is the event name that a Transition gives for a migration.
const EventMigration = "migration"

// MigrationInput is what a migration of one device depends on besides its snapshot.
type MigrationInput struct {
	At time.Time // on the service's clock
	// Zones are the time zones that the new model goes by; nil: those of the snapshot.
	Zones calendar.Zones
	// Twin is what guards and actions read as twin: see Event.
	Twin map[string]any
	// Recent are the latest events of the device, oldest first, under the names that the new
	// model gives them; nil says that they are not at hand.
	Recent []Event
}

// Migrated is a device that was moved to the new model.
type Migrated struct {
	Snapshot *Snapshot
	// Outcome is to be carried out as that of a step: activities are cancelled and started.
	Outcome Outcome
	// Lost says what the device no longer knows, for people.
	Lost []string
}

// Apply moves a device: completely, or not at all. The error is a *Held then, which says why,
// and the snapshot stays valid. Nothing that is due fires before: let time pass in the old
// model first. What is due and was kept fires with the first step of the new model, and a timer
// counts as due at the time of the migration then.
func (g *Migration) Apply(s *Snapshot, in MigrationInput) (Migrated, error) {
	bound, err := g.old.bind(s)
	if err != nil {
		return Migrated{}, &Held{Reason: err.Error(), byData: true}
	}
	m := &mover{g: g, from: bound, in: in, placedTimers: map[timerKey]bool{}}
	history, lost := g.remembered(bound.history)
	m.lost = lost
	if m.placed, err = g.place(bound.active, bound.leaves, history); err != nil {
		return Migrated{}, err
	}
	for _, step := range []func() error{
		func() error { return m.begin(history) },
		m.context, m.timers, m.schedules, m.patterns, m.windows, m.alarms, m.invocations, m.newTimers, m.complete,
	} {
		if err := step(); err != nil {
			return Migrated{}, err
		}
	}
	after, out := m.r.result(nil)
	return Migrated{after, out, m.lost}, nil
}

// mover is the work of Apply.
type mover struct {
	g      *Migration
	from   *Snapshot
	in     MigrationInput
	placed *placed
	r      *run
	lost   []string

	placedTimers map[timerKey]bool // those of the new model that go on
	starts       []timerKey        // activities
}

func (m *mover) begin(history map[int][]int) error {
	from, new := m.from, m.g.new
	zones := m.in.Zones
	if zones == nil {
		zones = from.zones
	}
	for _, name := range new.zones {
		if _, ok := zones.Zone(name); !ok {
			return heldByData("time zone %q is not recorded", name)
		}
	}
	r := &run{m: new}
	r.scope.edition = new.edition
	r.s = Snapshot{
		model: new, active: m.placed.active, leaves: new.leavesOf(m.placed.active), history: history, zones: zones,
		clock: from.clock, service: max(from.service, clampMillis(m.in.At)), lag: from.lag, shown: from.shown, counter: from.counter,
		patterns: make([]pattern.State, len(new.patterns)), troubles: make([]troubleList, len(new.alarms)), windows: make([]window.State, len(new.windows)),
	}
	r.at = r.s.now()
	if new.silentAfter > 0 {
		r.s.aliveAt, r.s.silent = from.aliveAt, from.silent
		if m.g.old.silentAfter == 0 {
			r.s.aliveAt = r.s.service
		}
	}
	r.setClock(r.at)
	r.scope.active, r.scope.twin, r.scope.run, r.windowTime = r.s.active, m.in.Twin, r, noTime
	r.begin()
	m.r = r
	return nil
}

func (m *mover) context() error {
	old := m.from.context
	var next map[string]any
	if old != nil || len(m.g.context) > 0 {
		next = make(map[string]any, len(old))
	}
	for _, k := range sortedOf(old) {
		if _, planned := m.g.plan.Context[k]; !planned {
			next[k] = old[k] // computed: no action of either model names it
		}
	}
	for _, rule := range m.g.context {
		if rule.keep {
			if v, ok := old[rule.key]; ok {
				next[rule.key] = v
			}
			continue
		}
		v, err := rule.program.Eval(expression.Values{"context": orEmpty(old)})
		if err != nil {
			return heldByData("context key %q: %v", rule.key, err)
		}
		next[rule.key] = v
	}
	if jsonSize(next, maxValueSize) > maxValueSize {
		return heldByData("the context would become larger than %d bytes", maxValueSize)
	}
	m.r.s.context, m.r.scope.context = next, next
	return nil
}

func orEmpty(context map[string]any) map[string]any {
	if context == nil {
		return map[string]any{}
	}
	return context
}

// timers places what runs: that of the old model comes before what is started now.
func (m *mover) timers() error {
	r := m.r
	for _, t := range m.from.timers {
		if t.state < 0 {
			switch m.g.plan.Raises[t.event] {
			case PlanDrop:
				m.lose("a delayed event %q", t.event)
				continue
			case PlanFire:
				t.due, t.wall = r.at, r.s.service
			}
			r.insert(t)
			continue
		}
		key := timerKey{t.state, t.index}
		image := m.g.timers[key]
		s := m.g.old.states[t.state]
		name := itemName(s, "after", s.timerNames()[t.index])
		if isGone(image.do) {
			m.lose("timer %q", name)
			continue
		}
		if !r.s.active.has(image.to.state) {
			return held("%s", misplaced("timer", name, m.g.new.states[image.to.state]))
		}
		to := timer{state: image.to.state, index: image.to.index, due: t.due, wall: t.wall}
		switch image.do {
		case PlanFire:
			to.due, to.wall = r.at, r.s.service
		case PlanScale:
			was, is := s.after[t.index].fixed, m.g.new.states[to.state].after[to.index].fixed
			share := float64(is) / float64(was)
			to.due, to.wall = r.at+scaled(t.due-r.at, share), r.s.service+scaled(t.wall-r.s.service, share)
		case PlanRestart:
			d, err := m.g.new.states[to.state].after[to.index].length(&r.scope)
			if err != nil {
				return heldByData("timer %q: %v", name, err)
			}
			to.due, to.wall = r.at+d, r.s.service+d
		}
		r.insert(to)
		m.placedTimers[image.to] = true
	}
	return nil
}

// scaled is a share of what is left; what is overdue stays due.
func scaled(left int64, share float64) int64 {
	if left <= 0 {
		return left
	}
	return int64(float64(left) * share)
}

func (m *mover) lose(format string, args ...any) {
	m.lost = append(m.lost, fmt.Sprintf(format, args...))
}

// goesOn reports whether something of an active state of the new model is the image of
// something that a state had in which the device is: that may have run, or not any more.
func (m *mover) goesOn(key timerKey, images map[timerKey]timerImage) bool {
	return slices.ContainsFunc(m.g.sources[key.state], func(from int) bool {
		return m.from.active.has(from) && m.g.goesOnFrom(from, key, images)
	})
}

// newTimers starts those that the old model did not have.
func (m *mover) newTimers() error {
	r := m.r
	for i := range r.s.active.all() {
		s := m.g.new.states[i]
		for j, name := range s.timerNames() {
			key := timerKey{i, j}
			start := m.placed.entered.has(i) || !m.goesOn(key, m.g.timers) && m.g.plan.NewTimers[itemName(s, "after", name)] == PlanStart
			if m.placedTimers[key] || !start {
				continue
			}
			d, err := s.after[j].length(&r.scope)
			if err != nil {
				return heldByData("timer %q: %v", itemName(s, "after", name), err)
			}
			r.insert(timer{state: i, index: j, due: r.at + d, wall: r.s.service + d})
		}
	}
	return nil
}

// schedules keeps the occurrences of those that go on. One that comes earlier by the new rule
// than by the old one, and would have come already, does not come.
func (m *mover) schedules() error {
	r := m.r
	var placed []*schedule
	for _, a := range m.from.schedules {
		name := itemName(a.of.state, "schedule", a.of.name)
		image, ok := m.g.schedules[a.of]
		if !ok {
			m.lose("schedule %q", name)
			continue
		}
		switch active := r.s.active.has(image.to.state.index); {
		case !active && m.from.done: // it had ended with the chart
			continue
		case !active:
			return held("%s", misplaced("schedule", name, image.to.state))
		}
		next := armed{of: image.to, since: a.since}
		if image.do == PlanRestart {
			next.since = r.s.service
		}
		if err := m.arm(&next); err != nil {
			return err
		}
		if next.due < a.due && next.due <= r.s.service {
			next.since = next.phase(r.s.service)
			if err := m.arm(&next); err != nil {
				return err
			}
		}
		r.s.schedules = append(r.s.schedules, next)
		placed = append(placed, image.to)
	}
	for i := range r.s.active.all() {
		for _, of := range m.g.new.states[i].schedules {
			if slices.Contains(placed, of) {
				continue
			}
			next := armed{of: of, since: r.s.service}
			if err := m.arm(&next); err != nil {
				return err
			}
			r.s.schedules = append(r.s.schedules, next)
		}
	}
	return nil
}

func (m *mover) arm(a *armed) (err error) {
	if a.due, err = a.of.next(m.r.s.zones, a.since); err != nil {
		return heldByData("schedule %q: %v", a.of.name, err)
	}
	return nil
}

func (m *mover) patterns() error {
	for i, image := range m.g.patterns {
		p := m.g.new.patterns[i]
		if image.from < 0 {
			continue
		}
		if p.while != nil && !m.r.s.active.has(p.while.index) {
			if n := m.from.patterns[image.from].Partials(); n > 0 {
				m.lose("%d partial matches of pattern %q: the device is not in %s, in which the new model looks for it", n, m.g.old.patterns[image.from].name, nameOfState(p.while))
			}
			continue
		}
		if image.do == PlanReplay {
			if m.in.Recent == nil {
				return heldByData("pattern %q is to see the latest events again, and they are not at hand: none are kept", p.name)
			}
			m.r.s.patterns[i] = m.replayed(p)
			continue
		}
		old := m.g.old.patterns[image.from].matcher
		next, lost := p.matcher.Migrated(old, m.from.patterns[image.from], image.same, image.whole)
		m.r.s.patterns[i] = next
		if lost > 0 {
			m.lose("%d partial matches of pattern %q: what they consist of means something else", lost, m.g.old.patterns[image.from].name)
		}
	}
	for i, p := range m.g.old.patterns {
		gone := !slices.ContainsFunc(m.g.patterns, func(image patternImage) bool { return image.from == i })
		if n := m.from.patterns[i].Partials(); gone && n > 0 {
			m.lose("%d partial matches of pattern %q", n, p.name)
		}
	}
	return nil
}

// replayed is what is open of a pattern after the latest events. What they complete is not
// found again.
func (m *mover) replayed(p *patternRule) pattern.State {
	var s pattern.State
	for _, ev := range m.in.Recent {
		at, arrived := clampMillis(ev.Time), clampMillis(ev.Arrived)
		if ev.Time.IsZero() {
			at = arrived
		}
		if ev.Arrived.IsZero() {
			arrived = at
		}
		if arrived > m.r.s.service || !p.sees(ev.Name) {
			continue
		}
		s, _ = p.matcher.Step(s, pattern.Event{Name: ev.Name, Data: ev.Data, Time: fromMillis(at), Arrived: fromMillis(arrived), Edition: m.g.new.edition})
	}
	s, _ = p.matcher.Advance(s, fromMillis(m.r.at))
	return s
}

// windows keeps what was counted.
func (m *mover) windows() error {
	for i, image := range m.g.windows {
		if image.from < 0 {
			continue
		}
		state := m.from.windows[image.from]
		if err := m.r.windowIn(i).Accepts(state); err != nil {
			return heldByData("window %q: %v", m.g.new.windows[i].name, err)
		}
		m.r.s.windows[i] = state
	}
	for i, w := range m.g.old.windows {
		gone := !slices.ContainsFunc(m.g.windows, func(image itemImage) bool { return image.from == i })
		if gone && !m.from.windows[i].IsZero() {
			m.lose("what window %q counted", w.name)
		}
	}
	return nil
}

// invocations cancels, keeps, and notes what is to be started.
func (m *mover) invocations() error {
	r := m.r
	var going []timerKey
	for _, inv := range m.from.invocations {
		s := m.g.old.states[inv.state]
		image := m.g.invocations[timerKey{inv.state, inv.index}]
		name := itemName(s, "invoke", s.invocationNames()[inv.index])
		if image.do != PlanKeep {
			r.emit(Action{Type: ActionCancel, ID: inv.id, Name: s.invokes[inv.index].src})
			if isGone(image.do) {
				m.lose("activity %q, which is cancelled", name)
				continue
			}
		}
		if !r.s.active.has(image.to.state) {
			return held("%s", misplaced("activity", name, m.g.new.states[image.to.state]))
		}
		going = append(going, image.to)
		if image.do == PlanKeep {
			r.s.invocations = append(r.s.invocations, invocation{id: inv.id, state: image.to.state, index: image.to.index})
		} else {
			m.starts = append(m.starts, image.to)
		}
	}
	for i := range r.s.active.all() {
		s := m.g.new.states[i]
		for j, name := range s.invocationNames() {
			key := timerKey{i, j}
			start := m.placed.entered.has(i) || !m.goesOn(key, m.g.invocations) && m.g.plan.NewInvocations[itemName(s, "invoke", name)] == PlanStart
			if start && !slices.Contains(going, key) {
				m.starts = append(m.starts, key)
			}
		}
	}
	return nil
}

// complete runs the entries that are to run, and comes to rest.
func (m *mover) complete() error {
	r := m.r
	before := Snapshot{leaves: m.from.leaves, context: m.from.context}
	r.moved = nameOf(m.from.leaves) != nameOf(r.s.leaves)
	if m.from.done && r.isInFinalState(r.m.root) {
		r.s.done = true
		r.s.timers, m.starts = nil, nil
	} else {
		m.enter()
		if err := m.rest(); err != nil {
			return err
		}
	}
	done := r.s.done
	r.s.done = false
	if done && !m.from.done {
		r.s.done = true
		r.exitInterpreter()
		r.s.done = false
	}
	r.finish(&before, trigger{name: EventMigration})
	r.s.done = done
	return nil
}

// enter does what entering a state does, for those that are not images.
func (m *mover) enter() {
	r := m.r
	completed := map[*state]bool{}
	for i := range m.placed.active.all() {
		s := r.m.states[i]
		if m.placed.entered.has(i) && m.g.plan.Entry[s.path] == PlanRun {
			r.block(s.entry, "the entry of state", s)
		}
		if s.kind == final && !slices.ContainsFunc(m.g.sources[i], func(from int) bool {
			return m.from.active.has(from) && m.g.old.states[from].kind == final
		}) {
			r.enteredFinal(s, completed)
		}
	}
	r.s.done = r.s.done || r.isInFinalState(r.m.root) // a final state of another depth was none of the whole chart
}

// rest takes what is taken without an event, and starts activities. There is no event on
// arrival: guards that read one are looked at after the next one, as ever.
func (m *mover) rest() error {
	r := m.r
	if t := m.eventless(); t != nil && m.g.plan.Always != PlanTake && !r.s.done {
		here := &configuration{active: r.s.active, leaves: r.s.leaves, history: r.s.history}
		return &Held{Reason: alwaysReason(t), byData: truthOfGuard(t.guard, here, noData) != yes}
	} else if t != nil || len(r.queue) > 0 {
		if !r.complete() {
			return m.restless()
		}
	}
	for _, key := range m.starts {
		runs := slices.ContainsFunc(r.s.invocations, func(i invocation) bool { return i.state == key.state && i.index == key.index })
		if !r.s.done && r.s.active.has(key.state) && !runs {
			r.startInvocation(r.m.states[key.state], key.index)
		}
	}
	if len(r.queue) > 0 && !r.complete() {
		return m.restless()
	}
	return nil
}

func (m *mover) restless() error {
	return heldByData("the chart does not come to rest: is there an endless loop of always or raise?")
}

// eventless is a transition that is taken on arrival; nil if there is none.
func (m *mover) eventless() *transition {
	for _, leaf := range m.r.s.leaves {
		for _, t := range leaf.alwaysHere {
			if t.guard == nil {
				return t
			}
			if t.guard.reads["event"] {
				continue
			}
			if ok, err := t.guard.test(&m.r.scope); err != nil {
				m.r.fault("guard %q of state %q: %v", t.guard.source, t.source.path, err)
			} else if ok {
				return t
			}
		}
	}
	return nil
}
