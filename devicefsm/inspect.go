package devicefsm

import "slices"

// Invocation is an activity that a device's chart waits for.
type Invocation struct {
	ID    string // as in the Action that started it
	Src   string // the activity's name
	State string // path of the state that invoked it
}

// Sources are the names of the activities that the model invokes, sorted, each
// once.
func (m *Model) Sources() []string {
	var names []string
	for _, s := range m.states {
		for _, i := range s.invokes {
			names = append(names, i.src)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// ReadsTwin reports whether an expression of the chart reads twin.
func (m *Model) ReadsTwin() bool { return m.readsTwin }

// Invocations are the activities that run, in the order of their starts.
func (m *Model) Invocations(s *Snapshot) []Invocation {
	s, err := m.bind(s)
	if err != nil {
		return nil
	}
	var running []Invocation
	for _, i := range s.invocations {
		state := m.states[i.state]
		running = append(running, Invocation{ID: i.id, Src: state.invokes[i.index].src, State: state.path})
	}
	return running
}

// FindInvocation finds a running activity for a person: the one with this id, or
// else the oldest with this name.
func (m *Model) FindInvocation(s *Snapshot, idOrSrc string) (id string, ok bool) {
	running := m.Invocations(s)
	at := slices.IndexFunc(running, func(i Invocation) bool { return i.ID == idOrSrc })
	if at < 0 {
		at = slices.IndexFunc(running, func(i Invocation) bool { return i.Src == idOrSrc })
	}
	if at < 0 {
		return "", false
	}
	return running[at].ID, true
}
