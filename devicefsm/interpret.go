package devicefsm

import (
	"maps"
	"strconv"
)

// This file follows "Algorithm for SCXML Interpretation" (W3C SCXML 1.0,
// appendix D); the comments give the names of its procedures. What differs:
// the end of a macrostep is a value instead of a wait, a transition that does
// not reenter stays inside its source (domainOf), and a macrostep that does not
// end is taken back.

const (
	// maxMicrosteps bounds a macrostep.
	maxMicrosteps = 1000
	// maxTotalMicrosteps bounds all macrosteps of one Step together, with all the
	// timers that were due. Beyond it, events are dropped.
	maxTotalMicrosteps = 20 * maxMicrosteps
)

// run is the working state of one Step.
type run struct {
	m       *Model
	s       Snapshot // a copy; slices and maps are replaced, never changed
	scope   scope
	clock   wallClock // of scope
	out     Outcome
	queue   []trigger // internal events
	micro   int       // microsteps of this macrostep
	total   int       // and of all macrosteps before
	moved   bool      // a state was exited or entered in this macrostep
	owned   bool      // s.active is this macrostep's own copy
	changed bool      // the snapshot will differ from the one given
	at      int64     // event time of what is being done, unix milliseconds
	start   []int     // states entered in this macrostep whose invocations are to start
	guards  []string  // of the transitions taken in this macrostep
	dropped []int     // the places of those faults that say that an event was left out
	heard   *heard    // what patterns could not do with this event; nil if nothing
	buf     [4]*transition

	coming       coming         // the event of the step, for windows
	windowTime   int64          // the time of what is being done, for windows; noTime: their own
	windowValues map[string]any // what expressions read of windows, at the service's time valuesOf
	valuesOf     int64          // and at the windowTime valuesAt; nil: to be made
	valuesAt     int64
}

// trigger is an event inside the interpreter. A delay that is over, and the end
// of an activity, belong to one state, which has transitions for just that.
type trigger struct {
	name string
	data map[string]any
	of   *state
	only []*transition
}

func (r *run) emit(a Action) { r.out.Actions = append(r.out.Actions, a) }

func (r *run) nextID(name string) string {
	r.s.counter++
	return name + "-" + strconv.FormatUint(r.s.counter, 10)
}

// macrostep is one turn of mainEventLoop: an external event, then eventless
// transitions and internal events until nothing is left to do. It reports false for an
// event that was left out.
func (r *run) macrostep(t trigger) bool {
	if r.s.done {
		return true
	}
	if r.total += r.micro; r.total > maxTotalMicrosteps {
		r.micro = 0
		r.leftOut(len(r.out.Faults), "event %q was dropped: more than %d transitions in one step", t.name, maxTotalMicrosteps)
		return false
	}
	r.micro = 0
	enabled := r.selectTransitions(t)
	if len(enabled) == 0 && !r.anyAlways() {
		return true
	}
	before := r.s
	actions, faults := len(r.out.Actions), len(r.out.Faults)
	r.begin()
	ok := true
	if len(enabled) > 0 {
		ok = r.microstep(enabled)
	}
	if !(ok && r.complete()) {
		r.s, r.out.Actions = before, r.out.Actions[:actions]
		r.scope.context, r.scope.active = r.s.context, r.s.active
		r.leftOut(faults, "event %q: more than %d transitions without coming to rest: is there an endless loop of always or raise? The event was dropped", t.name, maxMicrosteps)
		return false
	}
	r.finish(&before, t)
	return true
}

func (r *run) begin() {
	r.queue, r.start = r.queue[:0], r.start[:0]
	r.moved, r.owned, r.guards = false, false, nil
}

// runToCompletion takes eventless transitions and internal events until none is
// left. It reports false if there is no end to them.
func (r *run) runToCompletion() bool {
	for !r.s.done {
		enabled := r.selectEventless()
		if len(enabled) == 0 {
			if len(r.queue) == 0 {
				return true
			}
			t := r.queue[0]
			r.queue = r.queue[1:]
			if r.micro++; r.micro > maxMicrosteps {
				return false
			}
			enabled = r.selectTransitions(t)
		}
		if len(enabled) > 0 && !r.microstep(enabled) {
			return false
		}
	}
	return true
}

// complete runs to completion and then starts invocations, whose inputs may fail and so
// raise events in turn.
func (r *run) complete() bool {
	for {
		if !r.runToCompletion() {
			return false
		}
		if r.s.done || len(r.start) == 0 {
			return true
		}
		r.startPending()
	}
}

// finish ends what is done, and notes the change.
func (r *run) finish(before *Snapshot, t trigger) {
	if r.s.done {
		r.exitInterpreter()
	}
	if r.moved {
		r.s.shown = max(r.s.shown, r.at)
		t := Transition{
			From: nameOf(before.leaves), To: nameOf(r.s.leaves), Event: t.name, Time: fromMillis(r.s.shown),
			Data: t.data, Before: orNone(before.context), After: orNone(r.s.context), Guards: r.guards,
		}
		if r.s.service != r.s.shown {
			t.Arrived = fromMillis(r.s.service)
		}
		r.out.Transitions = append(r.out.Transitions, t)
	}
}

// orNone makes one value of an empty context and none, which are one in JSON.
func orNone(context map[string]any) map[string]any {
	if len(context) == 0 {
		return nil
	}
	return context
}

func (r *run) anyAlways() bool {
	for _, l := range r.s.leaves {
		if len(l.alwaysHere) > 0 {
			return true
		}
	}
	return false
}

// microstep takes a set of transitions. It reports false beyond the bound.
func (r *run) microstep(enabled []*transition) bool {
	if r.micro++; r.micro > maxMicrosteps {
		return false
	}
	r.changed = true
	e := entry{r: r}
	var exits stateSet
	for _, t := range enabled {
		if len(t.targets) == 0 {
			continue
		}
		if exits == nil {
			exits, e.enter, e.byDefault = newStateSet(len(r.m.states)), newStateSet(len(r.m.states)), newStateSet(len(r.m.states))
		}
		exits.union(r.exitSet(t))
	}
	if exits != nil {
		// What is entered depends on the history before this step for the
		// domain, and on the history after it for the targets.
		domains := make([]*state, len(enabled))
		for i, t := range enabled {
			domains[i] = r.domain(t)
		}
		r.exitStates(exits)
		for i, t := range enabled {
			e.addTransition(t, domains[i])
		}
	}
	for _, t := range enabled {
		if t.guard != nil && len(r.guards) < maxGuards {
			r.guards = append(r.guards, t.guard.source)
		}
		r.block(t.actions, "a transition of state", t.source)
	}
	if exits != nil {
		r.enterStates(&e)
	}
	return true
}

// block runs a block of actions; an error ends it and is reported.
func (r *run) block(actions []action, what string, s *state) {
	for _, a := range actions {
		if err := a.run(r); err != nil {
			r.fault("action in %s %q: %v", what, s.path, err)
			return
		}
	}
}

// own makes the configuration changeable.
func (r *run) own() {
	if !r.owned {
		r.s.active = r.s.active.clone()
		r.owned = true
	}
	r.moved = true
	r.scope.active = r.s.active
}

// exitStates leaves states, descendants and later ones first.
func (r *run) exitStates(exits stateSet) {
	if exits.empty() {
		return
	}
	r.own()
	for i := range exits.backward() {
		r.recordHistory(r.m.states[i])
	}
	for i := range exits.backward() {
		s := r.m.states[i]
		r.block(s.exit, "the exit of state", s)
		r.stopTimers(s)
		r.stopSchedules(s)
		r.cancelInvocations(s)
		r.resetPatterns(s)
		r.s.active.remove(i)
	}
	r.s.leaves = r.m.leavesOf(r.s.active)
}

func (r *run) recordHistory(s *state) {
	for _, h := range s.history {
		var remembered []int
		for i := range r.s.active.intersection(s.descendants).all() {
			c := r.m.states[i]
			if h.kind == deepHistory && c.isAtomic() || h.kind == shallowHistory && c.parent == s {
				remembered = append(remembered, i)
			}
		}
		next := make(map[int][]int, len(r.s.history)+1)
		maps.Copy(next, r.s.history)
		next[h.index] = remembered
		r.s.history = next
	}
}

// enterStates enters states, ancestors and earlier ones first.
func (r *run) enterStates(e *entry) {
	if e.enter.empty() {
		return
	}
	r.own()
	completed := map[*state]bool{}
	for i := range e.enter.all() {
		s := r.m.states[i]
		r.s.active.add(i)
		if s.isAtomic() {
			r.s.leaves = r.m.leavesOf(r.s.active)
		}
		r.block(s.entry, "the entry of state", s)
		if len(s.invokes) > 0 {
			r.start = append(r.start, i)
		}
		if e.byDefault.has(i) && s.kind == compound {
			r.block(s.initial.actions, "the initial of state", s)
		}
		if h := e.historyDefaults[s]; h != nil {
			r.block(h.actions, "the history of state", s)
		}
		r.startTimers(s)
		r.startSchedules(s)
		if s.kind == final {
			r.enteredFinal(s, completed)
		}
	}
}
