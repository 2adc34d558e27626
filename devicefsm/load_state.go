package devicefsm

import (
	"slices"
	"strings"
	"time"

	"devicetwin/internal/source"
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
}

func (l *loader) declare(parent *state, key string, n source.Node, fields map[string]source.Node, depth int) *state {
	s := &state{index: len(l.m.states), key: key, parent: parent}
	if parent != nil {
		s.path = key
		if parent.path != "" {
			s.path = parent.path + "." + key
		}
	}
	l.m.states = append(l.m.states, s)
	l.m.byPath[s.path] = s
	l.nodes, l.at = append(l.nodes, fields), append(l.at, n)
	if id := fields["id"]; id.Exists() {
		s.id = id.String()
		if l.ids[s.id] != nil {
			id.Faultf("id %q stands twice", s.id)
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
		if e.Key == "" || strings.ContainsAny(e.Key, ".#,*") || len(e.Key) > 128 {
			e.KeyAt.Faultf("state name %q: expected a name without any of . # , *", e.Key)
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
			n.Faultf("a history state has no states")
		}
		if h := fields["history"]; h.Exists() && l.oneOf(h, "shallow", "deep") == "deep" {
			return deepHistory
		}
		return shallowHistory
	case "final":
		if hasStates {
			n.Faultf("a final state has no states")
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
			fields["type"].Faultf("an atomic state has no states")
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
			for _, t := range l.candidates(s, n) {
				t.event = descriptor{name: doneState + s.path}
				s.on = append(s.on, t)
			}
		}
		s.always = l.candidates(s, fields["always"])
		for _, t := range s.always {
			if t.guard == nil && len(t.targets) == 0 {
				fields["always"].Faultf("always needs a target or a guard; this would run for ever")
				break
			}
		}
		s.after = l.after(s, fields["after"])
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
		wrong = []string{"on", "always", "after", "entry", "exit", "invoke", "onDone", "output", "initial"}
	case s.kind == final:
		what = "a final state"
		wrong = []string{"on", "always", "after", "invoke", "onDone", "initial"}
	case s.kind == parallel:
		what = "a parallel state, all of whose regions are entered,"
		wrong = []string{"initial", "output"}
	case s.kind == atomic && s.parent == nil: // its states are missing; that is said already
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
				hint = "only a state with type: history has it"
			}
			fields[key].FaultHint(hint, "%s has no key %q", what, key)
		}
	}
}

// initial resolves where a compound state begins, and where a history state
// goes that remembers nothing.
func (l *loader) initial(s *state, fields map[string]source.Node) {
	switch {
	case s.kind == compound && !l.hasRealChildren(s):
		l.at[s.index].Faultf("the state has no states but history")
	case s.kind == compound && !fields["initial"].Exists():
		l.at[s.index].FaultHint("for example initial: "+firstReal(s).key, "key \"initial\" is missing: which of its states is entered first?")
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

// initialTransition is a target, or {target, actions}; all inside of.
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
		target := l.targetInside(of, n)
		if target == nil {
			continue
		}
		if s.isHistory() && target.isHistory() {
			n.Faultf("the default of a history state can't be a history state")
			continue
		}
		t.targets = append(t.targets, target)
	}
	l.compatible(t, at)
	return t
}

// after reads the delays of a state.
func (l *loader) after(s *state, n source.Node) []delay {
	if !n.Exists() {
		return nil
	}
	var delays []delay
	for _, e := range n.Entries() {
		d, ok := l.delay(e.Key, e.KeyAt)
		d.transitions = l.candidates(s, e.Value)
		if ok {
			delays = append(delays, d)
		}
	}
	return delays
}

// delay is a duration such as 90s, a number of milliseconds as in XState, or
// an expression that gives one of these.
func (l *loader) delay(text string, n source.Node) (delay, bool) {
	if ms, ok := wholeNumber(text); ok {
		text = ms + "ms"
	}
	d, err := source.ParseDuration(text)
	switch {
	case err == nil && d > maxDelay:
		n.Faultf("a delay of more than %d days", maxDelay/(24*time.Hour))
		return delay{}, false
	case err == nil:
		return delay{fixed: d}, true
	case looksLikeDuration(text):
		n.Faultf("expected a duration such as 90s, 5m, 36h or 30d, or an expression, found %q", text)
		return delay{}, false
	}
	c, faults := compileExpr(placeChart, text)
	for _, f := range faults {
		n.FaultInside(offsetOf(text, f), l.exprHint(f, placeChart), "after: expected a duration such as 90s, or an expression: %s", f.message)
	}
	if c == nil {
		return delay{}, false
	}
	l.refs = append(l.refs, exprRef{c, n})
	return delay{expr: c}, true
}

func wholeNumber(text string) (string, bool) {
	return text, text != "" && !strings.ContainsFunc(text, func(r rune) bool { return r < '0' || r > '9' })
}

// looksLikeDuration reports whether a text begins like a number, as no useful
// expression for a delay does.
func looksLikeDuration(text string) bool {
	return text != "" && (text[0] >= '0' && text[0] <= '9' || text[0] == '-') && !strings.ContainsAny(text, "*+()")
}

func (l *loader) invoke(s *state, n source.Node) *invoke {
	if !n.IsMap() {
		n.Faultf("expected {src, input, onDone, onError}, found %s", n.Kind())
		return nil
	}
	fields := n.Fields("src", "id", "input", "onDone", "onError", "description")
	n.Require(fields, "src")
	inv := &invoke{
		src: fields["src"].String(), input: l.objectTemplate(fields["input"]),
		onDone: l.candidates(s, fields["onDone"]), onError: l.candidates(s, fields["onError"]),
	}
	if src := fields["src"]; src.IsText() && !validModelName(inv.src) {
		src.Faultf("src %q: expected 1 to 64 letters, digits, and any of _ . -", inv.src)
	}
	return inv
}

func (l *loader) on(s *state, n source.Node) []*transition {
	if !n.Exists() {
		return nil
	}
	var list []*transition
	for _, e := range n.Entries() {
		d, ok := parseDescriptor(e.Key)
		if !ok {
			e.KeyAt.Faultf("event %q: expected a name, * for every event, or a name and .* for all that begin with it", e.Key)
		}
		if !d.wild {
			l.taken[d.name] = true
		}
		for _, t := range l.candidates(s, e.Value) {
			t.event = d
			list = append(list, t)
		}
	}
	return list
}

// candidates reads one or several transitions: a target, {target, guard,
// actions, reenter}, or a list of these. Null is a transition that does
// nothing, and so hides those of the states around.
func (l *loader) candidates(s *state, n source.Node) []*transition {
	if !n.Exists() {
		return nil
	}
	var list []*transition
	for _, c := range n.OneOrList() {
		t := &transition{source: s}
		switch {
		case c.IsNull():
		case c.IsText():
			if target := l.target(s, c); target != nil {
				t.targets = []*state{target}
			}
		case c.IsMap():
			l.candidate(t, c)
		default:
			c.Faultf("expected a target or {target, guard, actions}, found %s", c.Kind())
		}
		l.m.transitions = append(l.m.transitions, t)
		list = append(list, t)
	}
	for i, t := range list[:max(0, len(list)-1)] {
		if t.guard == nil && !l.hasFault(n, i) {
			n.OneOrList()[i].Faultf("a candidate without a guard is always taken; those after it never are")
			break
		}
	}
	return list
}

func (l *loader) candidate(t *transition, n source.Node) {
	fields := n.Fields("target", "guard", "actions", "reenter", "description")
	if g := fields["guard"]; g.Exists() {
		t.guard = l.condition(g, placeChart)
	}
	for _, at := range fields["target"].OneOrList() {
		if at.IsNull() {
			continue
		}
		if target := l.target(t.source, at); target != nil && !slices.Contains(t.targets, target) {
			t.targets = append(t.targets, target)
		}
	}
	l.compatible(t, fields["target"])
	t.actions = l.actions(fields["actions"])
	if r := fields["reenter"]; r.Exists() {
		t.reenter = r.Bool()
	}
}

// hasFault reports whether a candidate has a guard in the file, which then was
// wrong.
func (l *loader) hasFault(n source.Node, i int) bool {
	c := n.OneOrList()[i]
	if !c.IsMap() {
		return false
	}
	return slices.ContainsFunc(c.Entries(), func(e source.Entry) bool { return e.Key == "guard" })
}
