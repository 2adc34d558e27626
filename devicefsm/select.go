package devicefsm

import "slices"

// selectTransitions is the optimal transition set for an event: for each atomic
// state, the first candidate whose guard holds, descendants before ancestors.
func (r *run) selectTransitions(t trigger) []*transition {
	r.scope.event = t.data
	enabled := r.buf[:0]
	for _, leaf := range r.s.leaves {
		enabled = r.choose(enabled, t.candidates(leaf, r.m.edition))
	}
	return r.removeConflicting(enabled)
}

func (r *run) selectEventless() []*transition {
	enabled := r.buf[:0]
	for _, leaf := range r.s.leaves {
		enabled = r.choose(enabled, leaf.alwaysHere)
	}
	return r.removeConflicting(enabled)
}

func (r *run) choose(enabled, candidates []*transition) []*transition {
	for _, t := range candidates {
		if t.guard != nil {
			ok, err := t.guard.test(&r.scope)
			if err != nil {
				r.fault("guard %q of state %q: %v", t.guard.source, t.source.path, err)
			}
			if !ok {
				continue
			}
		}
		if !slices.Contains(enabled, t) {
			enabled = append(enabled, t)
		}
		break
	}
	return enabled
}

// removeConflicting is removeConflictingTransitions: where exit sets overlap,
// the transition of the descendant wins, then the one of the earlier state.
func (r *run) removeConflicting(enabled []*transition) []*transition {
	if len(enabled) < 2 {
		return enabled
	}
	exits := map[*transition]stateSet{}
	for _, t := range enabled {
		exits[t] = r.exitSet(t)
	}
	var filtered []*transition
	for _, t1 := range enabled {
		preempted := false
		var remove []*transition
		for _, t2 := range filtered {
			if !exits[t1].intersects(exits[t2]) {
				continue
			}
			if !t1.source.within(t2.source) {
				preempted = true
				break
			}
			remove = append(remove, t2)
		}
		if !preempted {
			filtered = slices.DeleteFunc(filtered, func(t *transition) bool { return slices.Contains(remove, t) })
			filtered = append(filtered, t1)
		}
	}
	return filtered
}

// exitSet is computeExitSet for one transition.
func (r *run) exitSet(t *transition) stateSet {
	if len(t.targets) == 0 {
		return nil
	}
	domain := r.domain(t)
	if domain == nil {
		return r.s.active
	}
	return r.s.active.intersection(domain.descendants)
}

func (r *run) domain(t *transition) *state {
	if !t.hasHistory {
		return t.domain
	}
	return domainOf(t, r.effectiveTargets(t.targets))
}

// effectiveTargets is getEffectiveTargetStates: history replaced by what it
// remembers, or by its default.
func (r *run) effectiveTargets(targets []*state) []*state {
	var list []*state
	for _, s := range targets {
		switch {
		case !s.isHistory():
			list = append(list, s)
		case r.s.history[s.index] != nil:
			for _, i := range r.s.history[s.index] {
				list = append(list, r.m.states[i])
			}
		default:
			list = append(list, r.effectiveTargets(s.initial.targets)...)
		}
	}
	return list
}
