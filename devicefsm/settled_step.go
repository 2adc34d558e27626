package devicefsm

import (
	"slices"
	"strconv"
	"strings"
)

// moment is where a chart can be within a macrostep.
type moment struct {
	*configuration
	queue []trigger
	start []int // states entered in this macrostep whose activities may fail to start
	k     *known
	rests bool // eventless transitions were looked at since the chart last moved
}

const (
	maxQueue    = 8   // internal events that wait at one moment
	maxOptional = 6   // of those raised in one microstep, that may or may not be
	maxMoments  = 500 // of one macrostep; no more than a macrostep has steps
)

func (m *moment) key() string {
	var b strings.Builder
	b.WriteString(m.configuration.key())
	for _, t := range m.queue {
		b.WriteByte('|')
		b.WriteString(t.name)
		if t.of != nil {
			b.WriteString(strconv.Itoa(t.of.index))
		}
	}
	for _, s := range m.start {
		b.WriteByte('!')
		b.WriteString(strconv.Itoa(s))
	}
	if m.rests {
		b.WriteByte('r')
	}
	if m.k == nil {
		b.WriteByte('u')
	}
	return b.String()
}

// follower follows a macrostep on all the ways that it may go.
type follower struct {
	m       *Model
	seen    map[string]bool // by moment; true while it is followed
	ends    []*configuration
	endless bool
	err     error
	watch   *watched
}

// begin is the start of a device.
func (f *follower) begin(e *entry) {
	active := newStateSet(len(f.m.states))
	events := f.m.enter(e, active)
	c := f.m.configured(active, nil)
	c.follow(f.watch, false, e.enter)
	for _, queue := range f.queues(nil, events) {
		f.runToCompletion(moment{configuration: c, queue: queue, start: f.mayNotStart(nil, e.enter), k: noData})
	}
}

// take goes on with the transitions that an event may enable.
func (f *follower) take(at moment, t *trigger) {
	sets, err := choices(at.configuration, t.candidates, at.k, false)
	if err != nil {
		f.err = err
	}
	for _, set := range sets {
		if !slices.ContainsFunc(set, (*transition).acts) {
			f.runToCompletion(at)
			continue
		}
		f.microstep(at, set)
	}
}

// runToCompletion goes on with eventless transitions, then with the internal events, then
// with the starts of activities.
func (f *follower) runToCompletion(at moment) {
	if at.done {
		f.ends = append(f.ends, at.configuration)
		return
	}
	key := at.key()
	if following, seen := f.seen[key]; seen || f.err != nil {
		f.endless = f.endless || following
		return
	}
	if len(f.seen) >= maxMoments {
		f.err = errTooMany
		return
	}
	f.seen[key] = true
	sets, err := choices(at.configuration, func(s *state, _ int) []*transition { return s.alwaysHere }, at.k, at.rests)
	if err != nil {
		f.err = err
	}
	for _, set := range sets {
		if len(set) == 0 {
			rests := at
			rests.rests = true
			f.next(rests)
			continue
		}
		f.microstep(at, set)
	}
	f.seen[key] = false
}

// next goes on where no eventless transition is enabled.
func (f *follower) next(at moment) {
	if len(at.queue) > 0 {
		t := at.queue[0]
		at.queue, at.k = at.queue[1:], nil
		f.take(at, &t)
		return
	}
	var failures []raised
	for _, i := range at.start {
		s := f.m.states[i]
		for j, inv := range s.invokes {
			if inv.input.mayFail() {
				name := errorInvoke + fresh + strconv.Itoa(j)
				failures = append(failures, raised{t: trigger{name: name, of: s, only: inv.onError}})
			}
		}
	}
	at.start = nil
	for _, queue := range f.queues(nil, failures) {
		if len(queue) == 0 {
			f.ends = append(f.ends, at.configuration)
			continue
		}
		failed := at
		failed.queue = queue
		f.runToCompletion(failed)
	}
}

// microstep takes a set of transitions, and goes on.
func (f *follower) microstep(at moment, enabled []*transition) {
	next, events, entered := f.m.microstep(at.configuration, enabled)
	start := slices.DeleteFunc(slices.Clone(at.start), func(i int) bool { return !next.active.has(i) })
	start = f.mayNotStart(start, entered)
	for _, queue := range f.queues(at.queue, events) {
		f.runToCompletion(moment{configuration: next, queue: queue, start: start, k: at.k})
	}
}

// mayNotStart adds the states that were entered and whose activities may fail to
// start.
func (f *follower) mayNotStart(start []int, entered stateSet) []int {
	for i := range entered.all() {
		if slices.ContainsFunc(f.m.states[i].invokes, func(inv *invoke) bool { return inv.input.mayFail() }) && !slices.Contains(start, i) {
			start = append(start, i)
		}
	}
	slices.Sort(start)
	return start
}

// raised is an event that a chart raises itself.
type raised struct {
	t       trigger
	certain bool
}

// queues are what the queue may be after more events; some of them may come to
// be raised or not.
func (f *follower) queues(queue []trigger, events []raised) [][]trigger {
	all := [][]trigger{queue}
	optional := 0
	for _, e := range events {
		if !e.certain {
			if optional++; optional > maxOptional {
				f.err = errTooMany
				return nil
			}
		}
		var next [][]trigger
		for _, q := range all {
			next = append(next, append(slices.Clip(q), e.t))
			if !e.certain {
				next = append(next, q)
			}
		}
		all = next
	}
	for _, q := range all {
		if len(q) > maxQueue {
			f.err = errTooMany
			return nil
		}
	}
	return all
}

// microstep is the interpreter's, of which only the configuration and the raised
// events are followed.
func (m *Model) microstep(c *configuration, enabled []*transition) (next *configuration, events []raised, entered stateSet) {
	r := &run{m: m, s: Snapshot{model: m, active: c.active, leaves: c.leaves, history: c.history}}
	enabled = r.removeConflicting(enabled)
	n := len(m.states)
	exits := newStateSet(n)
	e := entry{r: r, enter: newStateSet(n), byDefault: newStateSet(n)}
	domains := make([]*state, len(enabled))
	for i, t := range enabled {
		if len(t.targets) > 0 {
			exits.union(r.exitSet(t))
			domains[i] = r.domain(t)
		}
	}
	for i := range exits.backward() {
		r.recordHistory(m.states[i])
	}
	active := c.active.clone()
	for i := range exits.backward() {
		events = append(events, raisedBy(m.states[i].exit)...)
		active.remove(i)
	}
	for i, t := range enabled {
		e.addTransition(t, domains[i])
		events = append(events, raisedBy(t.actions)...)
	}
	events = append(events, m.enter(&e, active)...)
	next = m.configured(active, r.s.history)
	next.follow(c.watch, c.runs && !exits.has(c.watch.state), e.enter)
	return next, events, e.enter
}

// follow says whether what is watched runs: it may have gone on, and starts when its state is
// entered.
func (c *configuration) follow(what *watched, goesOn bool, entered stateSet) {
	c.watch = what
	c.runs = what != nil && !c.done && (goesOn || entered.has(what.state))
}

// enter adds to the active states what is entered, and returns what that raises.
func (m *Model) enter(e *entry, active stateSet) []raised {
	var events []raised
	completed := map[*state]bool{}
	for i := range e.enter.all() {
		s := m.states[i]
		active.add(i)
		events = append(events, raisedBy(s.entry)...)
		if e.byDefault.has(i) && s.kind == compound {
			events = append(events, raisedBy(s.initial.actions)...)
		}
		if h := e.historyDefaults[s]; h != nil {
			events = append(events, raisedBy(h.actions)...)
		}
		if s.kind == final {
			r := &run{m: m, s: Snapshot{model: m, active: active}}
			r.enteredFinal(s, completed)
			for _, t := range r.queue {
				events = append(events, raised{t, true})
			}
		}
	}
	return events
}

func (m *Model) configured(active stateSet, history map[int][]int) *configuration {
	r := &run{m: m, s: Snapshot{model: m, active: active}}
	return &configuration{active: active, leaves: m.leavesOf(active), history: history, done: r.isInFinalState(m.root)}
}

// raisedBy is what a block of actions raises at once. What comes after an
// action that may fail, or under a condition, may not be raised.
func raisedBy(actions []action) []raised {
	var events []raised
	certain := true
	for _, a := range actions {
		switch x := a.(type) {
		case cancelAction:
		case raiseAction:
			if certain = certain && !x.data.mayFail(); x.delay == nil {
				events = append(events, raised{trigger{name: x.event}, certain})
			} else {
				certain = false
			}
		case assignAction:
			certain = certain && !x.values.mayFail()
		case ifAction:
			for _, e := range slices.Concat(raisedBy(x.yes), raisedBy(x.no)) {
				events = append(events, raised{e.t, false})
			}
			certain = false
		default:
			certain = false
		}
	}
	return events
}

// mayFail reports whether a template may have no value, for some device.
func (t *template) mayFail() bool {
	if t == nil {
		return false
	}
	if t.expr != nil {
		if len(t.expr.reads) > 0 {
			return true
		}
		var s scope
		_, err := t.expr.eval(&s)
		return err != nil || s.differs
	}
	return slices.ContainsFunc(slices.Concat(t.list, t.of), (*template).mayFail)
}
