package devicefsm

import (
	"slices"

	"devicetwin/source"
)

// Check is Load for authors: it also finds what loads but cannot be intended, such
// as a state that nothing leads to. The error is Faults. What it finds is certain,
// or a name that is nearly another one; Load accepts such a model, and it runs as
// it is written.
func Check(file string, src []byte) (*Model, error) {
	m, err := Load(file, src)
	if err != nil {
		return nil, err
	}
	l := &loader{
		f: source.Parse(file, src), m: &Model{byPath: map[string]*state{}, events: map[string]bool{}},
		ids: map[string]*state{}, exprs: map[exprKey]*compiled{}, raised: map[string]bool{}, taken: map[string]bool{},
	}
	root := l.f.Root()
	l.model(root, file) // as before, but keeping the place of everything
	c := &checker{loader: l, root: root, reached: newStateSet(len(l.m.states)), begun: newStateSet(len(l.m.states))}
	c.reach()
	c.unreachable()
	c.passedThrough()
	c.alwaysLoops()
	c.constants()
	c.contextReads()
	c.roundedNumbers()
	c.events()
	c.rules()
	c.patterns()
	c.cancels()
	if err := l.f.Err(); err != nil {
		return nil, err
	}
	return m, nil
}

// checker looks at a complete chart.
type checker struct {
	*loader
	root    source.Node
	reached stateSet // what can be entered, guards aside
	begun   stateSet // of these, what can be entered without naming a state inside
}

// keyOf is the place of a state's name.
func (c *checker) keyOf(s *state) source.Node {
	if s.parent == nil {
		return c.root
	}
	for _, e := range c.nodes[s.parent.index]["states"].Entries() {
		if e.Key == s.key {
			return e.KeyAt
		}
	}
	return c.at[s.index]
}

// reach marks every state that some sequence of events could enter.
func (c *checker) reach() {
	c.enter(c.m.root)
	for before := -1; before != c.count(); {
		before = c.count()
		for _, s := range c.m.states {
			if !c.reached.has(s.index) || s.isHistory() {
				continue
			}
			for _, t := range s.allTransitions() {
				if !c.isFalse(t.guard) {
					for _, target := range t.targets {
						c.enter(target)
					}
				}
			}
		}
	}
}

func (c *checker) count() int {
	n := 0
	for range c.reached.all() {
		n++
	}
	return n
}

// enter marks a state that is a target, what it begins with, and what is
// entered around it.
func (c *checker) enter(s *state) {
	if c.begun.has(s.index) {
		return
	}
	c.begun.add(s.index)
	c.reached.add(s.index)
	switch {
	case s.kind == parallel:
		for _, r := range s.children {
			if !r.isHistory() {
				c.enter(r)
			}
		}
	case s.initial != nil: // of a compound state, or the default of a history
		for _, t := range s.initial.targets {
			c.enter(t)
		}
	}
	for a := s.parent; a != nil && !c.reached.has(a.index); a = a.parent {
		c.reached.add(a.index)
		if a.kind == parallel {
			for _, r := range a.children {
				if !r.isHistory() {
					c.enter(r)
				}
			}
		}
	}
}

// allTransitions are those that a state is the source of.
func (s *state) allTransitions() []*transition {
	all := slices.Concat(s.on, s.always)
	for _, d := range s.after {
		all = append(all, d.transitions...)
	}
	for _, inv := range s.invokes {
		all = slices.Concat(all, inv.onDone, inv.onError)
	}
	return all
}

func (c *checker) unreachable() {
	for _, s := range c.m.states {
		if !c.reached.has(s.index) && c.reached.has(s.parent.index) {
			c.keyOf(s).FaultHint("no transition leads to it", "state %q is never entered", s.path)
		}
	}
}

// passedThrough finds what a state never gets to, because always leaves it at
// once.
func (c *checker) passedThrough() {
	for _, s := range c.m.states {
		if !slices.ContainsFunc(s.always, func(t *transition) bool {
			return (t.guard == nil || c.isTrue(t.guard)) && len(t.targets) > 0 && !t.hasHistory && t.domain != s
		}) {
			continue
		}
		for _, key := range []string{"after", "on", "invoke"} {
			if n := c.nodes[s.index][key]; n.Exists() {
				n.Faultf("%s never has an effect: always leaves state %q as soon as it is entered", key, s.path)
			}
		}
	}
}

// alwaysLoops finds always transitions that end where they began, with nothing
// changed that could stop them.
func (c *checker) alwaysLoops() {
	for _, s := range c.m.states {
		n := c.nodes[s.index]["always"]
		if !n.Exists() || s.isHistory() {
			continue
		}
		for i, t := range s.always {
			if c.alwaysPath(s, t) {
				at := n.OneOrList()[min(i, len(n.OneOrList())-1)]
				at.FaultHint("an assign on the way could end it", "always loops forever from state %q: it comes back, and nothing on the way changes the context", s.path)
			}
		}
	}
}

// alwaysPath follows always transitions from a state, beginning with one of its
// own, as long as each is taken for certain. It reports whether they come back
// to the same state with nothing changed.
func (c *checker) alwaysPath(from *state, first *transition) bool {
	if first.guard != nil && first.guard.reads[fnStateIn] || changesOnTheWay(from) {
		return false
	}
	seen := map[*state]bool{}
	for t := first; ; {
		if changes(t.actions) || len(t.targets) > 1 || t.hasHistory {
			return false
		}
		if len(t.targets) == 0 {
			return true
		}
		to := t.targets[0]
		for len(to.children) > 0 && to.kind == compound && len(to.initial.targets) == 1 && !changes(to.initial.actions) {
			to = to.initial.targets[0]
		}
		switch {
		case !to.isAtomic() || changesOnTheWay(to):
			return false
		case to == from || to.within(from) && len(to.always) == 0:
			return true
		case seen[to] || len(to.always) == 0 || to.always[0].guard != nil && !c.isTrue(to.always[0].guard):
			return false
		}
		seen[to] = true
		t = to.always[0]
	}
}

// changesOnTheWay looks at what is done on entering and leaving a state and
// those around it.
func changesOnTheWay(s *state) bool {
	for a := s; a != nil && a.parent != nil; a = a.parent {
		if changes(a.entry) || changes(a.exit) {
			return true
		}
	}
	return false
}

// changes reports whether actions can change what a guard reads, or raise an
// event that leads away.
func changes(actions []action) bool {
	return slices.ContainsFunc(actions, func(a action) bool {
		switch x := a.(type) {
		case assignAction, raiseAction:
			return true
		case ifAction:
			return changes(x.yes) || changes(x.no)
		}
		return false
	})
}
