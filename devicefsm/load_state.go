package devicefsm

import (
	"slices"
	"strings"

	"devicetwin/source"
)

// Bounds of a chart.
const (
	maxStates = 10_000
	maxNested = 32
)

// declareStates makes the tree of states, so that targets can be resolved.
func (l *loader) declareStates(n source.Node, fields map[string]source.Node) {
	l.m.root = l.declare(nil, "", n, fields, 0)
	if l.m.root.kind == atomic {
		n.Faultf("key \"states\" is missing")
	}
	for _, s := range l.m.states {
		l.earlierPath(s)
	}
}

// earlierPath lets snapshots find a state under the path that it had while a backslash in
// a key was never escaped.
func (l *loader) earlierPath(s *state) {
	var keys []string
	for a := s; a.parent != nil; a = a.parent {
		keys = append(keys, a.key)
	}
	slices.Reverse(keys)
	if path := strings.Join(keys, "."); l.m.byPath[path] == nil && strings.Contains(path, `\`) {
		l.m.byPath[path] = s
	}
}

func (l *loader) declare(parent *state, key string, n source.Node, fields map[string]source.Node, depth int) *state {
	s := &state{index: len(l.m.states), key: key, parent: parent}
	if parent != nil {
		s.path = pathBelow(parent.path, escapeKey(key))
	}
	l.m.states = append(l.m.states, s)
	l.m.byPath[s.path] = s
	l.nodes, l.at = append(l.nodes, fields), append(l.at, n)
	if id := fields["id"]; id.Exists() {
		s.id = id.String()
		if l.ids[s.id] != nil {
			id.Faultf("duplicate id %q", s.id)
		}
		l.ids[s.id] = s
	}
	s.kind = l.kindOf(n, fields)
	if depth > maxNested {
		n.Faultf("states are nested deeper than %d", maxNested)
		return s
	}
	if !fields["states"].Exists() {
		return s
	}
	for _, e := range fields["states"].Entries() {
		if len(l.m.states) >= maxStates {
			e.KeyAt.Faultf("more than %d states", maxStates)
			break
		}
		if e.Key == "" || strings.Contains(e.Key, ",") || len(e.Key) > 128 {
			e.KeyAt.Faultf("state name %q: expected 1 to 128 bytes without a comma, which separates the states of parallel regions", e.Key)
		}
		at := e.Value
		if !at.Exists() || at.IsNull() {
			at = e.KeyAt
		}
		var f map[string]source.Node
		if e.Value.IsMap() || !e.Value.IsNull() {
			f = e.Value.Fields(chartKeys...)
		}
		c := l.declare(s, e.Key, at, f, depth+1)
		s.children = append(s.children, c)
		if c.isHistory() {
			s.history = append(s.history, c)
		}
	}
	return s
}

func (l *loader) kindOf(n source.Node, fields map[string]source.Node) kind {
	hasStates := fields["states"].Exists() && len(fields["states"].Entries()) > 0
	word := ""
	if t := fields["type"]; t.Exists() {
		word = l.oneOf(t, "atomic", "compound", "parallel", "final", "history")
	}
	switch word {
	case "history":
		if hasStates {
			n.Faultf("a history state cannot have states")
		}
		if h := fields["history"]; h.Exists() && l.oneOf(h, "shallow", "deep") == "deep" {
			return deepHistory
		}
		return shallowHistory
	case "final":
		if hasStates {
			n.Faultf("a final state cannot have states")
		}
		return final
	case "parallel":
		if !hasStates {
			n.Faultf("a parallel state needs states")
			return atomic
		}
		return parallel
	case "atomic":
		if hasStates {
			fields["type"].Faultf("an atomic state cannot have states")
		}
	case "compound":
		if !hasStates {
			fields["type"].Faultf("a compound state needs states")
		}
	}
	if hasStates {
		return compound
	}
	return atomic
}

// completeStates fills in what the states do.
func (l *loader) completeStates() {
	defer l.defaultHistories()
	for i := 0; i < len(l.m.states); i++ {
		s, fields := l.m.states[i], l.nodes[i]
		l.misplaced(s, fields)
		l.initial(s, fields)
		if s.isHistory() {
			continue
		}
		s.on = l.on(s, fields["on"])
		if n := fields["onDone"]; n.Exists() {
			ends := l.candidates(s, n)
			for _, t := range ends {
				t.event, t.end = descriptor{name: doneState + s.path}, true
			}
			s.on = withEnd(s.on, ends)
		}
		s.always = l.candidates(s, fields["always"])
		s.after = l.after(s, fields["after"])
		s.schedules = l.schedules(s, fields["schedules"])
		s.entry = l.actions(fields["entry"])
		s.exit = l.actions(fields["exit"])
		for _, n := range fields["invoke"].OneOrList() {
			if inv := l.invoke(s, n); inv != nil {
				s.invokes = append(s.invokes, inv)
			}
		}
		s.output = l.objectTemplate(fields["output"])
	}
}

// misplaced finds keys that mean nothing for the kind of state.
func (l *loader) misplaced(s *state, fields map[string]source.Node) {
	var wrong []string
	what := "a state"
	switch {
	case s.isHistory():
		what = "a history state"
		wrong = []string{"on", "always", "after", "schedules", "entry", "exit", "invoke", "onDone", "output", "initial"}
	case s.kind == final:
		what = "a final state"
		wrong = []string{"on", "always", "after", "schedules", "invoke", "onDone", "initial"}
	case s.kind == parallel:
		what = "a parallel state, which enters all of its regions"
		wrong = []string{"initial", "output"}
	case s.kind == atomic && s.parent == nil: // its states are missing, which is reported already
	case s.kind == atomic:
		what = "a state without states"
		wrong = []string{"initial", "onDone", "output"}
	case s.kind == compound:
		wrong = []string{"output"}
		what = "a state that is not final"
	}
	if !s.isHistory() {
		wrong = append(wrong, "history", "target")
	}
	for _, key := range wrong {
		if fields[key].Exists() {
			hint := ""
			if key == "history" || key == "target" {
				hint = "only for type: history"
			}
			fields[key].FaultHint(hint, "key %q is not allowed in %s", key, what)
		}
	}
}

// initial resolves where a compound state begins, and where a history state
// goes that remembers nothing.
func (l *loader) initial(s *state, fields map[string]source.Node) {
	switch {
	case s.kind == compound && !l.hasRealChildren(s):
		l.at[s.index].Faultf("a compound state needs a state that is not a history state")
	case s.kind == compound && !fields["initial"].Exists():
		l.at[s.index].FaultHint("for example initial: "+firstReal(s).key, "key \"initial\" is missing: which state is entered first?")
	case s.kind == compound:
		s.initial = l.initialTransition(s, s, fields["initial"])
	case s.isHistory() && fields["target"].Exists():
		s.initial = l.initialTransition(s, s.parent, fields["target"])
	case s.isHistory() && s.parent.kind == parallel:
		s.initial = &transition{source: s.parent}
		for _, c := range s.parent.children {
			if !c.isHistory() {
				s.initial.targets = append(s.initial.targets, c)
			}
		}
	}
}

// defaultHistories gives each history state without a target the initial of
// its parent, as XState does.
func (l *loader) defaultHistories() {
	for _, s := range l.m.states {
		if !s.isHistory() || s.initial != nil || s.parent.initial == nil {
			continue
		}
		s.initial = s.parent.initial
		if slices.ContainsFunc(s.initial.targets, (*state).isHistory) {
			s.initial = &transition{source: s.parent, targets: []*state{firstReal(s.parent)}}
		}
	}
}

func (l *loader) hasRealChildren(s *state) bool { return firstReal(s) != nil }

func firstReal(s *state) *state {
	for _, c := range s.children {
		if !c.isHistory() {
			return c
		}
	}
	return nil
}

// initialTransition is a target, or {target, actions}; every target is inside of.
func (l *loader) initialTransition(s, of *state, n source.Node) *transition {
	t := &transition{source: of}
	at := n
	if n.IsMap() {
		fields := n.Fields("target", "actions", "description")
		n.Require(fields, "target")
		at = fields["target"]
		t.actions = l.actions(fields["actions"])
	}
	for _, n := range at.OneOrList() {
		target := l.childByKey(of, n)
		if target == nil || s.isHistory() {
			target = l.targetInside(of, n)
		}
		if target == nil {
			continue
		}
		if s.isHistory() && target.isHistory() {
			n.Faultf("the target of a history state cannot be a history state")
			continue
		}
		t.targets = append(t.targets, target)
	}
	l.compatible(t, at)
	return t
}
