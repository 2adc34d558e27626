package devicefsm

import "slices"

// alwaysLoops finds always transitions that end where they began, with nothing
// changed that could stop them.
func (c *checker) alwaysLoops() {
	for _, s := range c.m.states {
		if s.isHistory() || len(s.always) == 0 || !c.alone(s) {
			continue
		}
		for i, t := range s.always {
			switch {
			case i == 0 && c.alwaysStays(s, t):
				c.places[t].Faultf("always loops forever in state %q: it has neither a target nor a guard, and no other always comes before it", s.path)
			case c.alwaysPath(s, t):
				c.places[t].FaultHint("an assign on the way could end it", "always loops forever from state %q: it comes back, and nothing on the way changes the context", s.path)
			}
		}
	}
}

// alone reports whether no eventless transition of another region may be taken together
// with those of the state: it could lead away, or change what their guards read.
func (c *checker) alone(s *state) bool {
	for _, p := range c.m.states {
		if p.kind != parallel || p != s && !p.within(s) && !s.within(p) {
			continue
		}
		if slices.ContainsFunc(c.m.states, func(o *state) bool { return o != s && o.within(p) && len(o.always) > 0 }) {
			return false
		}
	}
	return true
}

// alwaysStays reports whether the first eventless transition of a state is taken whenever
// it is active, and leaves it as it is: whatever its actions do, it is taken again.
func (c *checker) alwaysStays(s *state, t *transition) bool {
	return len(t.targets) == 0 && (t.guard == nil || c.isTrue(t.guard)) && !slices.ContainsFunc(c.m.states, func(o *state) bool {
		return o.within(s) && len(o.always) > 0
	})
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
