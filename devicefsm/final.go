package devicefsm

import "slices"

// enteredFinal raises done.state events, for the parent and for each parallel
// state above all of whose regions are done now. At the root, the chart is done.
func (r *run) enteredFinal(s *state, completed map[*state]bool) {
	above := s.parent
	if above.kind == compound {
		data, err := s.output.object(&r.scope)
		if err != nil {
			r.fault("output of state %q: %v", s.path, err)
		}
		r.raiseDone(above, data)
		above = above.parent
	}
	for above != nil && above.kind == parallel && !completed[above] && r.isInFinalState(above) {
		completed[above] = true
		r.raiseDone(above, nil)
		above = above.parent
	}
	if above == nil {
		r.s.done = true
	}
}

func (r *run) raiseDone(s *state, data map[string]any) {
	r.queue = append(r.queue, trigger{name: doneState + s.path, data: data})
}

// doneState begins the name of the event that a compound or parallel state is
// done, as in SCXML.
const doneState = "done.state."

func (r *run) isInFinalState(s *state) bool {
	switch s.kind {
	case final:
		return r.s.active.has(s.index)
	case compound:
		return slices.ContainsFunc(s.children, func(c *state) bool { return c.kind == final && r.s.active.has(c.index) })
	case parallel:
		return !slices.ContainsFunc(s.children, func(c *state) bool { return !c.isHistory() && !r.isInFinalState(c) })
	}
	return false
}

// exitInterpreter runs the exit actions of what is active when the chart is
// done. The configuration stays, so that it can be read.
func (r *run) exitInterpreter() {
	for i := range r.s.active.backward() {
		s := r.m.states[i]
		r.block(s.exit, "the exit of state", s)
		r.cancelInvocations(s)
	}
	r.s.timers = nil
	r.queue = r.queue[:0]
}
