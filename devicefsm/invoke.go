package devicefsm

import (
	"slices"
	"strings"
)

// startPending starts the invocations of the states that were entered in this
// macrostep and are still active: what was left again never starts.
func (r *run) startPending() {
	slices.Sort(r.start)
	pending := slices.Compact(r.start)
	r.start = nil
	for _, i := range pending {
		r.startInvocations(r.m.states[i])
	}
}

func (r *run) startInvocations(s *state) {
	for i := range s.invokes {
		r.startInvocation(s, i)
	}
}

func (r *run) startInvocation(s *state, i int) {
	inv := s.invokes[i]
	id := r.nextID(inv.src)
	r.s.invocations = append(slices.Clone(r.s.invocations), invocation{id: id, state: s.index, index: i})
	input, err := inv.input.object(&r.scope)
	if err != nil {
		// The activity can't be started: for the chart, it failed.
		r.fault("input of invoke %q in state %q: %v", inv.src, s.path, err)
		r.s.invocations = r.s.invocations[:len(r.s.invocations)-1]
		r.queue = append(r.queue, trigger{
			name: errorInvoke + id, of: s, only: inv.onError,
			data: map[string]any{"message": err.Error()},
		})
		return
	}
	r.emit(Action{Type: ActionInvoke, ID: id, Name: inv.src, Data: input})
}

// cancelInvocations cancels what a state started; it is being left.
func (r *run) cancelInvocations(s *state) {
	if len(s.invokes) == 0 {
		return
	}
	var rest []invocation
	for _, inv := range r.s.invocations {
		if inv.state != s.index {
			rest = append(rest, inv)
			continue
		}
		r.emit(Action{Type: ActionCancel, ID: inv.id, Name: s.invokes[inv.index].src})
	}
	r.s.invocations = rest
	r.start = slices.DeleteFunc(r.start, func(i int) bool { return i == s.index })
}

// The events of an activity that ended; the invocation's id follows.
const (
	doneInvoke  = "done.invoke."
	errorInvoke = "error.invoke."
)

// invocationEnded makes the trigger of an activity's end. The end of an invocation
// that is no longer running, because its state was left, is ignored.
func (r *run) invocationEnded(ev Event) (trigger, bool) {
	id, succeeded := strings.CutPrefix(ev.Name, doneInvoke)
	if !succeeded {
		id, _ = strings.CutPrefix(ev.Name, errorInvoke)
	}
	at := slices.IndexFunc(r.s.invocations, func(i invocation) bool { return i.id == id })
	if at < 0 {
		return trigger{}, false
	}
	r.changed = true
	running := r.s.invocations[at]
	r.s.invocations = slices.Delete(slices.Clone(r.s.invocations), at, at+1)
	s := r.m.states[running.state]
	t := trigger{name: ev.Name, data: ev.Data, of: s, only: s.invokes[running.index].onDone}
	if !succeeded {
		t.only = s.invokes[running.index].onError
		if len(t.only) == 0 {
			r.fault("invoke %q of state %q failed and has no onError: %v", s.invokes[running.index].src, s.path, ev.Data["message"])
		}
	}
	return t, true
}

func isInvocationEnd(name string) bool {
	return strings.HasPrefix(name, doneInvoke) || strings.HasPrefix(name, errorInvoke)
}
