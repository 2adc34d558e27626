package devicefsm

// entry computes what a microstep enters: computeEntrySet of SCXML, appendix D.
type entry struct {
	r         *run
	enter     stateSet
	byDefault stateSet // entered through their initial
	// historyDefaults are the default transitions of history states that
	// remembered nothing, by the parent of the history state.
	historyDefaults map[*state]*transition
}

func (e *entry) addTransition(t *transition, domain *state) {
	if len(t.targets) == 0 {
		return
	}
	for _, s := range t.targets {
		if s == domain { // it was not exited: only what is inside
			e.addInside(s)
			continue
		}
		e.addDescendants(s)
	}
	for _, s := range e.r.effectiveTargets(t.targets) {
		e.addAncestors(s, domain)
	}
	// In SCXML the domain is a compound state, of which one child is entered;
	// here it may be parallel, and all its regions were exited.
	if domain != nil && domain.kind == parallel {
		e.addRegions(domain)
	}
}

// addDescendants is addDescendantStatesToEnter.
func (e *entry) addDescendants(s *state) {
	if s.isHistory() {
		e.addHistory(s)
		return
	}
	e.enter.add(s.index)
	if s.kind == compound {
		e.byDefault.add(s.index)
	}
	e.addInside(s)
}

// addInside enters what a state begins with.
func (e *entry) addInside(s *state) {
	switch s.kind {
	case compound:
		for _, c := range s.initial.targets {
			e.addDescendants(c)
		}
		for _, c := range s.initial.targets {
			e.addAncestors(c, s)
		}
	case parallel:
		e.addRegions(s)
	}
}

func (e *entry) addHistory(h *state) {
	var inside []*state
	if remembered, ok := e.r.s.history[h.index]; ok {
		for _, i := range remembered {
			inside = append(inside, e.r.m.states[i])
		}
	} else {
		if e.historyDefaults == nil {
			e.historyDefaults = map[*state]*transition{}
		}
		e.historyDefaults[h.parent] = h.initial
		inside = h.initial.targets
	}
	for _, s := range inside {
		e.addDescendants(s)
	}
	for _, s := range inside {
		e.addAncestors(s, h.parent)
	}
}

// addRegions enters the regions of a parallel state that nothing is entered of.
func (e *entry) addRegions(s *state) {
	for _, c := range s.children {
		if !c.isHistory() && !e.enter.intersects(c.descendants) {
			e.addDescendants(c)
		}
	}
}

// addAncestors is addAncestorStatesToEnter.
func (e *entry) addAncestors(s, below *state) {
	if s == below {
		return
	}
	for a := s.parent; a != nil && a != below; a = a.parent {
		e.enter.add(a.index)
		if a.kind == parallel {
			e.addRegions(a)
		}
	}
}
