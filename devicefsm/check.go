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
	l := newLoader(file, src)
	root := l.f.Root()
	l.model(root, file) // as before, but keeping the place of everything
	c := &checker{loader: l, root: root, reached: newStateSet(len(l.m.states)), begun: newStateSet(len(l.m.states))}
	c.reach()
	c.unreachable()
	c.passedThrough()
	c.alwaysLoops()
	c.dottedNames()
	c.neverTried()
	c.hiddenEvents()
	c.constants()
	c.contextReads()
	c.roundedNumbers()
	c.events()
	c.schedules()
	c.rules()
	c.patterns()
	c.alarmEvents()
	c.windows()
	c.process()
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
		for _, key := range []string{"after", "on", "invoke", "schedules"} {
			if n := c.nodes[s.index][key]; n.Exists() {
				n.Faultf("%s never has an effect: always leaves state %q as soon as it is entered", key, s.path)
			}
		}
	}
}
