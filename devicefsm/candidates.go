package devicefsm

import (
	"slices"
	"strings"
)

// The order of choice: the candidates of an atomic state come before those of its
// ancestors (SCXML, appendix D: selectTransitions), and those of one state are in document
// order. What a state says of its own end, and of the end of its own activities, has keys
// of its own, outside of that order. It comes before the state's wildcards,
// which otherwise would take the end before it is looked at, as in XState, where names
// come before wildcards. W3C test 372 has the two in this order, too. A wildcard of a state
// inside still comes first, in both standards.

// triggerAfter is the event name that a Transition gives for a delay.
const triggerAfter = "after"

// candidates are the transitions of an atomic state and its ancestors, in the order of
// choice of an edition. A delay has no name that `on` could match.
func (t *trigger) candidates(leaf *state, edition int) []*transition {
	first := edition < EditionNow
	switch {
	case t.of == nil && first && strings.HasPrefix(t.name, doneState):
		return leaf.matchingFirst(t.name)
	case t.of == nil:
		return leaf.candidates(t.name)
	}
	var list []*transition
	for s := leaf; s != nil; s = s.parent {
		var own []*transition
		if t.name != triggerAfter {
			own = s.appendMatching(nil, t.name)
		}
		switch {
		case s != t.of:
		case first:
			own = append(own, t.only...)
		default:
			own = withEnd(own, t.only)
		}
		list = append(list, own...)
	}
	return list
}

// candidates are the transitions for an event name, in the order of choice.
func (s *state) candidates(name string) []*transition {
	if list, ok := s.byEvent[name]; ok || !s.wildcards {
		return list
	}
	return s.matching(name)
}

// matching is every transition for an event name, in the order of choice.
func (s *state) matching(name string) []*transition {
	var list []*transition
	for a := s; a != nil; a = a.parent {
		list = a.appendMatching(list, name)
	}
	return list
}

// appendMatching adds what a state's own `on` and onDone have for an event name.
func (s *state) appendMatching(list []*transition, name string) []*transition {
	for _, t := range s.on {
		if t.event.matches(name) {
			list = append(list, t)
		}
	}
	return list
}

// matchingFirst is matching in the first edition, where onDone came last.
func (s *state) matchingFirst(name string) []*transition {
	var list []*transition
	for a := s; a != nil; a = a.parent {
		var ends []*transition
		for _, t := range a.on {
			switch {
			case !t.event.matches(name):
			case t.end:
				ends = append(ends, t)
			default:
				list = append(list, t)
			}
		}
		list = append(list, ends...)
	}
	return list
}

// withEnd puts the transitions of an end, or of a delay, where they are tried: before the
// first wildcard.
func withEnd(on, ends []*transition) []*transition {
	at := slices.IndexFunc(on, isWild)
	if at < 0 {
		at = len(on)
	}
	return slices.Insert(on, at, ends...)
}

func isWild(t *transition) bool { return t.event.wild }
