package devicefsm

import (
	"slices"
	"strconv"

	"devicetwin/device"
	"devicetwin/source"
)

// Outline is what a model consists of, as plain data for people and for comparisons. All
// strings are those of the model, in one spelling: two outlines are equal if and only if the
// models do the same in the same words.
type Outline struct {
	Name string
	Hash string
	Kind device.Kind
	// Settings are those of the whole model: time, zone, liveness, process, members.
	Settings []Setting
	// Events are the rules of `events:`, in their order, which counts.
	Events, Patterns, Windows, Alarms, Hours []Section
	Context                                  map[string]any
	// Assigned are the keys of the context that actions set, sorted; some may not be in
	// Context.
	Assigned []string
	Config   map[string]any
	States   []StateOutline // in document order; the first is the whole chart
	// Raises are the events that actions raise after a delay, sorted.
	Raises []string
}

// Section is an entry of `events:`, `patterns:`, `windows:`, `alarms:` or `hours:`.
type Section struct {
	Name     string
	Settings []Setting
	// Steps are the elements of a pattern's sequence.
	Steps   []string
	negated []bool         // of each of the steps
	events  [][]descriptor // likewise
}

// Setting is a key of a model file with its value. Where two values mean the same, such as
// 60s and 1m, they are written in the same way.
type Setting struct {
	Name string
	Text string
}

// StateOutline is a state.
type StateOutline struct {
	Path string // "" is the whole chart
	// Parent is the path of the state that it is in, and Key its name there, as it is written in
	// paths. The whole chart has neither.
	Parent, Key string
	// Depth is in how many states it is; 0 is the whole chart.
	Depth int

	ID   string // what #id in targets and in stateIn finds
	Kind string // atomic, compound, parallel, final, history, deep history
	// Initial are the targets of `initial`, or of a history state that remembers nothing.
	Initial        []string
	InitialActions []string
	Entry, Exit    []string
	Transitions    []TransitionOutline // in the order of choice
	Timers         []string            // the delays of `after`, in order: "5m", or an expression
	Invocations    []InvocationOutline
	Schedules      []Setting
	Output         string
}

// IsHistory reports whether the state stands for one that was active before: no device is in it.
func (s StateOutline) IsHistory() bool {
	return s.Kind == kindWords[shallowHistory] || s.Kind == kindWords[deepHistory]
}

// TransitionOutline is a candidate: what it waits for, on what condition, and what it does.
type TransitionOutline struct {
	// On is "boot", "always", "after 5m", "done", "done of reprovision", "error of reprovision".
	On      string
	Guard   string
	Targets []string
	Reenter bool
	Actions []string
}

// InvocationOutline is an activity that a state starts.
type InvocationOutline struct {
	Src   string
	Input string
}

// Outline describes the model.
func (m *Model) Outline() Outline {
	o := Outline{
		Name: m.name, Hash: m.hash, Kind: m.kind, Context: copyJSON(m.context).(map[string]any), Config: m.Config(),
		Assigned: m.assignedKeys(), Raises: m.delayedRaises(),
		Events: m.written.events, Patterns: m.written.patterns, Windows: m.written.windows, Alarms: m.written.alarms, Hours: m.written.hours,
	}
	o.Settings = append(o.Settings, m.written.settings...)
	for _, s := range m.states {
		o.States = append(o.States, s.outline())
	}
	return o
}

var kindWords = map[kind]string{
	atomic: "atomic", compound: "compound", parallel: "parallel", final: "final", shallowHistory: "history", deepHistory: "deep history",
}

func (s *state) outline() StateOutline {
	o := StateOutline{Path: s.path, ID: s.id, Kind: kindWords[s.kind], Entry: actionTexts(s.entry), Exit: actionTexts(s.exit), Output: s.output.text()}
	if s.parent != nil {
		o.Parent, o.Key = s.parent.path, escapeKey(s.key)
	}
	for in := s.parent; in != nil; in = in.parent {
		o.Depth++
	}
	if s.initial != nil {
		o.Initial, o.InitialActions = pathsOf(s.initial.targets), actionTexts(s.initial.actions)
	}
	for _, t := range s.on {
		on := t.event.text()
		if t.end {
			on = "done"
		}
		o.Transitions = append(o.Transitions, t.outline(on))
	}
	for _, t := range s.always {
		o.Transitions = append(o.Transitions, t.outline("always"))
	}
	for i, name := range s.timerNames() {
		o.Timers = append(o.Timers, name)
		for _, t := range s.after[i].transitions {
			o.Transitions = append(o.Transitions, t.outline("after "+name))
		}
	}
	for i, name := range s.invocationNames() {
		inv := s.invokes[i]
		o.Invocations = append(o.Invocations, InvocationOutline{Src: name, Input: inv.input.text()})
		for _, t := range inv.onDone {
			o.Transitions = append(o.Transitions, t.outline("done of "+name))
		}
		for _, t := range inv.onError {
			o.Transitions = append(o.Transitions, t.outline("error of "+name))
		}
	}
	for _, of := range s.schedules {
		o.Schedules = append(o.Schedules, Setting{of.name, of.meaning()})
	}
	return o
}

func (t *transition) outline(on string) TransitionOutline {
	o := TransitionOutline{On: on, Targets: pathsOf(t.targets), Reenter: t.reenter, Actions: actionTexts(t.actions)}
	if t.guard != nil {
		o.Guard = t.guard.source
	}
	return o
}

func pathsOf(states []*state) []string {
	var paths []string
	for _, s := range states {
		paths = append(paths, s.path)
	}
	return paths
}

// timerNames are the delays of a state as plans and comparisons name them: where two are
// written alike, the second one has a number.
func (s *state) timerNames() []string {
	names := make([]string, 0, len(s.after))
	for i := range s.after {
		names = append(names, s.after[i].text())
	}
	return numbered(names)
}

// invocationNames are the activities of a state, likewise.
func (s *state) invocationNames() []string {
	names := make([]string, 0, len(s.invokes))
	for _, inv := range s.invokes {
		names = append(names, inv.src)
	}
	return numbered(names)
}

// numbered makes names unique: a, b, "a (2)".
func numbered(names []string) []string {
	out := make([]string, 0, len(names))
	for i, name := range names {
		n := 1
		for _, before := range names[:i] {
			if before == name {
				n++
			}
		}
		if n > 1 {
			name += " (" + strconv.Itoa(n) + ")"
		}
		out = append(out, name)
	}
	return out
}

// text is the delay: a duration in one spelling, or the expression.
func (d *delay) text() string {
	if d.expr != nil {
		return d.expr.source
	}
	return source.FormatDuration(d.fixed)
}

// meaning is all of a schedule's rule, with its zone and hours.
func (s *schedule) meaning() string {
	text := s.text
	if s.zone != "" {
		text += " in " + s.zone
	}
	return text
}

// eachBlock calls f for every block of actions of the model.
func (m *Model) eachBlock(f func(of *state, actions []action)) {
	for _, s := range m.states {
		f(s, s.entry)
		f(s, s.exit)
		if s.initial != nil {
			f(s, s.initial.actions)
		}
	}
	for _, t := range m.transitions {
		f(t.source, t.actions)
	}
}

// eachAction calls f for every action of a block, those inside of if included.
func eachAction(block []action, f func(action)) {
	for _, a := range block {
		f(a)
		if x, ok := a.(ifAction); ok {
			eachAction(x.yes, f)
			eachAction(x.no, f)
		}
	}
}

func (m *Model) assignedKeys() []string {
	var keys []string
	m.eachBlock(func(_ *state, block []action) {
		eachAction(block, func(a action) {
			if x, ok := a.(assignAction); ok && x.values != nil {
				keys = append(keys, x.values.keys...)
			}
		})
	})
	slices.Sort(keys)
	return slices.Compact(keys)
}

func (m *Model) delayedRaises() []string {
	var names []string
	m.eachBlock(func(_ *state, block []action) {
		eachAction(block, func(a action) {
			if x, ok := a.(raiseAction); ok && x.delay != nil {
				names = append(names, x.event)
			}
		})
	})
	slices.Sort(names)
	return slices.Compact(names)
}
