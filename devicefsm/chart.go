package devicefsm

import "time"

// kind is what a state is.
type kind uint8

const (
	atomic kind = iota
	compound
	parallel
	final
	shallowHistory
	deepHistory
)

// state is a node of the compiled statechart.
type state struct {
	index    int    // in document order; the root is 0
	key      string // its name among its siblings
	path     string // keys from below the root, joined with dots; "" is the root
	id       string // what #id finds; may be empty
	kind     kind
	parent   *state
	children []*state
	history  []*state // those of children that are history states

	initial   *transition   // of a compound state; the default of a history state
	on        []*transition // in the order of choice: see withEnd
	always    []*transition
	after     []delay
	schedules []*schedule
	entry     []action
	exit      []action
	invokes   []*invoke
	output    *template // of a final state

	descendants stateSet
	// What an atomic state can do, its own transitions before those of its
	// ancestors. On names that are not in byEvent, only wildcards can match.
	byEvent    map[string][]*transition
	wildcards  bool
	alwaysHere []*transition
}

func (s *state) isHistory() bool { return s.kind == shallowHistory || s.kind == deepHistory }

// isAtomic reports whether the state has no states inside: then it represents
// all its ancestors in the snapshot.
func (s *state) isAtomic() bool { return s.kind == atomic || s.kind == final }

// within reports whether s is a proper descendant of ancestor.
func (s *state) within(ancestor *state) bool { return ancestor.descendants.has(s.index) }

// transition is one candidate: of an event, of always, of a delay, or of an
// initial.
type transition struct {
	source  *state
	event   descriptor // of `on` and onDone
	end     bool       // of onDone, which `on` may name as well
	guard   *expr      // nil: always taken
	targets []*state
	reenter bool
	actions []action
	// domain is the state whose descendants are exited; nil is the whole chart,
	// root included. With history among the targets it depends on the history.
	domain     *state
	hasHistory bool
}

// acts reports whether taking the transition makes any difference, other than
// that no other one is taken.
func (t *transition) acts() bool { return len(t.targets) > 0 || len(t.actions) > 0 }

// delay is one key of `after`.
type delay struct {
	fixed       time.Duration
	expr        *expr // instead of fixed: a duration, a string such as '5m', or milliseconds
	transitions []*transition
}

// invoke starts an activity when its state has been entered.
type invoke struct {
	src     string
	input   *template
	onDone  []*transition
	onError []*transition
}

// domainOf is getTransitionDomain of SCXML, appendix D. A transition that does
// not reenter stays inside its source if all its targets do, as in XState v5:
// SCXML's type="internal", and the target may also be the source itself.
func domainOf(t *transition, targets []*state) *state {
	if !t.reenter {
		inside := true
		for _, s := range targets {
			// A history that remembers the source leads out of it and back.
			inside = inside && (s == t.source && !t.hasHistory || s.within(t.source))
		}
		if inside {
			return t.source
		}
	}
	for a := t.source.parent; a != nil; a = a.parent {
		if a.kind != compound && a.parent != nil {
			continue
		}
		common := true
		for _, s := range targets {
			common = common && s.within(a)
		}
		if common {
			return a
		}
	}
	return nil
}

// finish numbers what loading has put together and derives the tables.
func (m *Model) finish() {
	n := len(m.states)
	for i := n - 1; i >= 0; i-- {
		s := m.states[i]
		if s.descendants == nil {
			s.descendants = newStateSet(n)
		}
		if p := s.parent; p != nil {
			if p.descendants == nil {
				p.descendants = newStateSet(n)
			}
			p.descendants.add(i)
			p.descendants.union(s.descendants)
		}
	}
	for _, t := range m.transitions {
		for _, s := range t.targets {
			t.hasHistory = t.hasHistory || s.isHistory()
		}
		if len(t.targets) > 0 && !t.hasHistory {
			t.domain = domainOf(t, t.targets)
		}
	}
	for _, s := range m.states {
		if s.isAtomic() {
			m.flatten(s)
		}
	}
}

// flatten collects what an atomic state and its ancestors do about each event.
func (m *Model) flatten(leaf *state) {
	leaf.byEvent = map[string][]*transition{}
	for s := leaf; s != nil; s = s.parent {
		for _, t := range s.on {
			leaf.wildcards = leaf.wildcards || t.event.wild
			if !t.event.wild {
				leaf.byEvent[t.event.name] = nil
			}
		}
		leaf.alwaysHere = append(leaf.alwaysHere, s.always...)
	}
	if leaf.wildcards {
		for name := range m.events {
			leaf.byEvent[name] = nil
		}
	}
	for name := range leaf.byEvent {
		if list := leaf.matching(name); list != nil {
			leaf.byEvent[name] = list
		} else {
			delete(leaf.byEvent, name)
		}
	}
}
