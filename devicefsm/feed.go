package devicefsm

import (
	"maps"
	"slices"
	"strings"

	"devicetwin/device"
)

// Feed says which changes of a member can matter to a group: derived from their models by
// Model.Feed. It is data, so that whoever runs the member need not have the group's model.
type Feed struct {
	Entered []string `json:"entered,omitempty"` // paths of states, sorted
	Left    []string `json:"left,omitempty"`    // likewise
	Silent  bool     `json:"silent,omitempty"`
	Alive   bool     `json:"alive,omitempty"`
}

// Change is something that a member may report: the name of a message on
// device.ChannelMembers, and the state that was entered or left.
type Change struct {
	Name  string
	State string
}

// Empty reports whether nothing of the member matters.
func (f Feed) Empty() bool {
	return len(f.Entered) == 0 && len(f.Left) == 0 && !f.Silent && !f.Alive
}

// Has reports whether a change can matter.
func (f Feed) Has(c Change) bool {
	switch c.Name {
	case device.MemberEntered:
		_, ok := slices.BinarySearch(f.Entered, c.State)
		return ok
	case device.MemberLeft:
		_, ok := slices.BinarySearch(f.Left, c.State)
		return ok
	case device.MemberSilent:
		return f.Silent
	case device.MemberAlive:
		return f.Alive
	}
	return false
}

// Covers reports whether all changes matter that matter to another feed.
func (f Feed) Covers(other Feed) bool {
	all := func(have, want []string) bool {
		return !slices.ContainsFunc(want, func(s string) bool {
			_, ok := slices.BinarySearch(have, s)
			return !ok
		})
	}
	return all(f.Entered, other.Entered) && all(f.Left, other.Left) && (f.Silent || !other.Silent) && (f.Alive || !other.Alive)
}

// Changes are those from one configuration to another, by their Model.StateName: the states
// that were left, those inside first, and then those that were entered, those outside first.
// From "" everything is entered, and to "" everything is left.
func (m *Model) Changes(from, to string) []Change {
	before, after := m.activeIn(from), m.activeIn(to)
	var changes []Change
	for i := range before.backward() {
		if i > 0 && !after.has(i) {
			changes = append(changes, Change{device.MemberLeft, m.states[i].path})
		}
	}
	for i := range after.all() {
		if i > 0 && !before.has(i) {
			changes = append(changes, Change{device.MemberEntered, m.states[i].path})
		}
	}
	return changes
}

// activeIn are the states of a configuration, by the name that nameOf gives it.
func (m *Model) activeIn(name string) stateSet {
	active := newStateSet(len(m.states))
	for path := range strings.SplitSeq(name, ",") {
		for s := m.byPath[path]; s != nil; s = s.parent {
			active.add(s.index)
		}
	}
	return active
}

// Feed derives which changes of a member matter to groups with this model: those of which
// one of its rules may make an event that may do something, in some state. What is known
// only of a single member, its id and its parent, counts as possible.
func (m *Model) Feed(member *Model) Feed {
	matters := func(name, state string) bool {
		data := map[string]any{keyModel: member.name}
		if state != "" {
			data[keyState] = state
		}
		return m.mayHear(name, data)
	}
	f := Feed{Silent: matters(device.MemberSilent, ""), Alive: matters(device.MemberAlive, "")}
	for _, s := range member.states {
		if s.parent == nil || s.isHistory() {
			continue
		}
		if matters(device.MemberEntered, s.path) {
			f.Entered = append(f.Entered, s.path)
		}
		if matters(device.MemberLeft, s.path) {
			f.Left = append(f.Left, s.path)
		}
	}
	slices.Sort(f.Entered)
	slices.Sort(f.Left)
	return f
}

// The keys of the data of what members report.
const (
	keyModel  = "model"
	keyState  = "state"
	keyParent = "parent"
)

// Report is the data of a member's report.
func (c Change) Report(member Member, model string) map[string]any {
	data := map[string]any{keyDevice: member.ID.String(), keyModel: model}
	if c.State != "" {
		data[keyState] = c.State
	}
	if member.Parent != "" {
		data[keyParent] = member.Parent
	}
	return data
}

// Joined are the feeds of two versions of a group's model together.
func (f Feed) Joined(other Feed) Feed {
	union := func(a, b []string) []string {
		all := map[string]bool{}
		for _, s := range slices.Concat(a, b) {
			all[s] = true
		}
		return slices.Sorted(maps.Keys(all))
	}
	return Feed{union(f.Entered, other.Entered), union(f.Left, other.Left), f.Silent || other.Silent, f.Alive || other.Alive}
}

// mayHear reports whether a report of which this is known may do something to the group.
func (m *Model) mayHear(name string, data map[string]any) bool {
	for i := range m.rules {
		r := &m.rules[i]
		if r.channel != device.ChannelMembers || r.name != "" && r.name != name {
			continue
		}
		holds := yes
		if r.when != nil {
			holds = r.when.partlyKnown("msg", &scope{msg: data, lenient: true})
		}
		if holds == no {
			continue
		}
		if m.mayAct(r.event, data) {
			return true
		}
		if holds == yes {
			return false // no later rule sees it
		}
	}
	return false
}

// isKnown reports whether an expression reads nothing of a report that is known only of a
// single member.
func (r members) isKnown() bool { return !r.all && !r.names[keyDevice] && !r.names[keyParent] }

// partlyKnown is what is certain of a condition on nothing but the variable that has the
// report's data in the scope.
func (e *expr) partlyKnown(variable string, s *scope) truth {
	if e.members.isKnown() && e.readsOnly(variable) {
		return truthOf(e.holds(s))
	}
	for _, c := range e.conjuncts {
		if c.fast == nil || !c.members.isKnown() || !readsOnly(c.reads, variable) {
			continue
		}
		if v, st := c.fast(s); st != punt && (st != done || v != true) {
			return no
		}
	}
	return maybe
}

// mayAct reports whether an event with this data, as far as it is known, may do something.
func (m *Model) mayAct(event string, data map[string]any) bool {
	e := m.effectsOf(event)
	return e.certain || slices.ContainsFunc(e.if_, func(all []condition) bool {
		return !slices.ContainsFunc(all, func(c condition) bool {
			s := &scope{event: data}
			if c.expr != nil {
				return c.expr.partlyKnown("event", s) == no
			}
			return c.members.isKnown() && !c.possible(s)
		})
	})
}
