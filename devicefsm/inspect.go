package devicefsm

import (
	"slices"
	"time"
)

// Invocation is an activity that a device's chart waits for.
type Invocation struct {
	ID    string // as in the Action that started it
	Src   string // the activity's name
	State string // path of the state that invoked it
}

// Sources are the names of the activities that the model invokes or processes events with,
// sorted, each once.
func (m *Model) Sources() []string {
	var names []string
	for _, s := range m.states {
		for _, i := range s.invokes {
			names = append(names, i.src)
		}
	}
	if m.process != nil {
		names = append(names, m.process.src)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Receivers are the names of those whom actions of the model notify, sorted, each once.
func (m *Model) Receivers() []string {
	var names []string
	m.eachBlock(func(_ *state, block []action) {
		eachAction(block, func(a action) {
			if x, ok := a.(effectAction); ok && x.kind == ActionNotify {
				names = append(names, x.name)
			}
		})
	})
	slices.Sort(names)
	return slices.Compact(names)
}

// Effects are the names of what actions of the model ask for: commands, topics, receivers of
// notifications and shadows, sorted, each once.
func (m *Model) Effects() []string {
	var names []string
	m.eachBlock(func(_ *state, block []action) {
		eachAction(block, func(a action) {
			if x, ok := a.(effectAction); ok && x.name != "" {
				names = append(names, x.name)
			}
		})
	})
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

// WindowView is where a window of a device is, for people to read.
type WindowView struct {
	Name      string `json:"name"`
	Aggregate string `json:"aggregate"`
	// Start and End are those of the current window, Count the events in it, and Value
	// their aggregate; nil where there is none, as of no events.
	Start time.Time `json:"start"`
	End   time.Time `json:"end"`
	Count uint64    `json:"count"`
	Value *float64  `json:"value,omitempty"`
	// Late is how many events came after one of their windows had closed.
	Late uint64 `json:"late,omitempty"`
	// Closes is when the first open window closes, if no event closes it before; zero if
	// none is open.
	Closes time.Time `json:"closes,omitzero"`
}

// Windows are those of the model, in their order, as of the time of the snapshot.
func (m *Model) Windows(s *Snapshot) []WindowView {
	bound, err := m.bind(s)
	if err != nil {
		return nil
	}
	r := &run{m: m, s: *bound, windowTime: noTime}
	var views []WindowView
	for i, w := range m.windows {
		r.arriveUnseen(i)
		c := r.currentWindow(i)
		v := WindowView{
			Name: w.name, Aggregate: string(w.spec.Aggregate), Start: fromMillis(c.Start), End: fromMillis(c.End), Count: c.Count,
			Late: r.s.windows[i].Late(),
		}
		if c.Has {
			v.Value = &c.Value
		}
		if d, ok := r.windowIn(i).Deadlines(r.s.windows[i]); ok {
			v.Closes = fromMillis(d.Arrival)
		}
		views = append(views, v)
	}
	return views
}
