package devicefsm

import (
	"strconv"
	"strings"
)

// dottedNames finds names of states that have to be written in another way where a target
// refers to them, as in XState.
func (c *checker) dottedNames() {
	for _, s := range c.m.states {
		if strings.Contains(s.key, ".") {
			c.keyOf(s).Faultf("the name of state %q has a dot: in a target and in the state's path it is written %s", s.key, escapeKey(s.key))
		}
	}
}

// neverTried finds candidates after one that is always taken.
func (c *checker) neverTried() {
	for _, s := range c.m.states {
		if s.isHistory() {
			continue
		}
		lists := [][]*transition{s.always}
		for _, d := range s.after {
			lists = append(lists, d.transitions)
		}
		for _, inv := range s.invokes {
			lists = append(lists, inv.onDone, inv.onError)
		}
		for _, list := range lists {
			for i, t := range list[:max(0, len(list)-1)] {
				if c.certain(t) {
					c.afterCertain(list[i+1])
					break
				}
			}
		}
		c.hiddenInState(s)
	}
}

func (c *checker) afterCertain(t *transition) {
	c.places[t].Faultf("this transition is never taken: the one before it has no guard, or one that is always true")
}

// certain reports whether a candidate is taken whenever it is looked at.
func (c *checker) certain(t *transition) bool { return t.guard == nil || c.isTrue(t.guard) }

// hiddenInState finds candidates of `on` for which an earlier one of the same state leaves
// no event. Of several of one key, the first one is reported.
func (c *checker) hiddenInState(s *state) {
	reported := map[descriptor]bool{}
	for i, t := range s.on {
		for _, before := range s.on[:i] {
			if reported[t.event] || !c.certain(before) || !before.event.covers(t.event) {
				continue
			}
			reported[t.event] = true
			if before.event == t.event && before.end == t.end {
				c.afterCertain(t)
				continue
			}
			c.places[t].FaultHint("candidates are tried in the order of the file",
				"event %q is never seen here: %q, before it, always takes it", onKey(t), onKey(before))
		}
	}
}

// onKey is the key of a candidate in the file.
func onKey(t *transition) string {
	if t.end {
		return "onDone"
	}
	switch d := t.event; {
	case d.wild && d.name == "":
		return "*"
	case d.wild:
		return d.name + ".*"
	default:
		return d.name
	}
}

// hiddenEvents finds candidates of a state that has states inside, all of which always
// take the event first.
func (c *checker) hiddenEvents() {
	for _, s := range c.m.states {
		if s.isHistory() || s.isAtomic() || !c.reached.has(s.index) {
			continue
		}
		for _, t := range s.on {
			if c.takenInside(s, t.event, t.end) {
				what := "event " + strconv.Quote(onKey(t))
				if t.end {
					what = "onDone"
				}
				c.places[t].Faultf("%s never reaches %s: the states inside always take it first", what, quotedState(s))
			}
		}
		for _, inv := range s.invokes {
			c.hiddenEnd(s, inv.onDone, doneInvoke, "onDone of "+inv.src)
			c.hiddenEnd(s, inv.onError, errorInvoke, "onError of "+inv.src)
		}
	}
}

func (c *checker) hiddenEnd(s *state, list []*transition, name, what string) {
	if len(list) > 0 && c.takenInside(s, descriptor{name: strings.TrimSuffix(name, "."), wild: true}, false) {
		c.places[list[0]].FaultHint("a wildcard also matches the end of an activity",
			"%s never reaches %s: the states inside always take it first", what, quotedState(s))
	}
}

func quotedState(s *state) string {
	if s.parent == nil {
		return nameOfState(s)
	}
	return "state " + strconv.Quote(s.path)
}

// takenInside reports whether, wherever a state may be, one inside of it always takes the
// events. When a parallel state is done, it is in final states.
func (c *checker) takenInside(s *state, event descriptor, done bool) bool {
	found := false
	for _, leaf := range c.m.states {
		if !leaf.within(s) || !leaf.isAtomic() || !c.reached.has(leaf.index) || done && leaf.kind != final {
			continue
		}
		if !c.takenBelow(leaf, s, event) {
			return false
		}
		found = true
	}
	return found
}

func (c *checker) takenBelow(leaf, s *state, event descriptor) bool {
	for a := leaf; a != s; a = a.parent {
		for _, t := range a.on {
			if c.certain(t) && t.event.covers(event) {
				return true
			}
		}
	}
	return false
}

// covers reports whether d matches every name that other does.
func (d descriptor) covers(other descriptor) bool {
	if other.wild && !d.wild {
		return false
	}
	return other.name == "" && d.name == "" || other.name != "" && d.matches(other.name)
}
