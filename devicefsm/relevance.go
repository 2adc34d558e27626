package devicefsm

import (
	"slices"

	"devicetwin/device"
)

// effects is what an event can do: always something, or something if all the
// conditions of one of these hold: one for each transition, pattern step, window or eventless
// transition that the event could make happen. What depends on the context, the twin,
// the configuration or matched events counts as possible. They are derived once, for
// every name that the model knows: see classTable.
type effects struct {
	certain bool
	if_     [][]condition
}

// condition is the part of a guard that only reads the event.
type condition struct {
	expr    *expr   // the whole guard, or nil:
	fast    node    // a part of a conjunction,
	members members // and what it reads of the event
}

// effectsOf collects what an event of this name could do in any state.
func (m *Model) effectsOf(name string) *effects {
	all := &effects{}
	for _, p := range m.patterns {
		if p.matcher.Breakable() {
			all.certain = true
		}
		for i := range p.steps {
			if p.steps[i].event.matches(name) {
				all.add(p.steps[i].where)
			}
		}
	}
	for _, a := range m.alarms {
		if a.concerns(name) {
			all.certain = true
		}
	}
	for _, w := range m.windows {
		if w.event.matches(name) {
			all.add(w.where)
		}
	}
	if p := m.process; p.takes(name) {
		all.add(p.where)
	}
	for _, s := range m.states {
		for _, t := range s.on {
			// A transition that does nothing only hides others, which count on
			// their own.
			if t.event.matches(name) && t.acts() {
				all.add(t.guard)
			}
		}
		for _, t := range s.always {
			// After an event, always is looked at again. Nothing but the event
			// is new to it: what reads only the context was false before. The
			// twin is not the chart's own, so it counts as new, and so do the
			// time and windows, whose time passes.
			if t.guard != nil && !alwaysRests(t.guard) {
				all.add(t.guard)
			}
		}
	}
	if all.certain {
		all.if_ = nil
	}
	return all
}

// add notes an effect under a guard.
func (e *effects) add(guard *expr) {
	if e.certain {
		return
	}
	var conditions []condition
	if guard != nil {
		if guard.readsOnly("event") {
			conditions = append(conditions, condition{expr: guard})
		} else {
			for _, c := range guard.conjuncts {
				if c.fast != nil && readsOnly(c.reads, "event") {
					conditions = append(conditions, condition{fast: c.fast, members: c.members})
				}
			}
		}
	}
	if len(conditions) == 0 {
		e.certain = true
		return
	}
	e.if_ = append(e.if_, conditions)
}

// possible reports whether a condition does not rule its effect out. An error
// counts as false, in a conjunction as alone: the whole is then false or an
// error itself.
func (c condition) possible(s *scope) bool {
	if c.expr != nil {
		return c.expr.holds(s)
	}
	v, st := c.fast(s)
	if st == punt {
		return true
	}
	s.failed = s.failed || st == failed || st == absent
	b, ok := v.(bool)
	return st == done && ok && b
}

func (e *effects) possible(s *scope) bool {
	return e.certain || slices.ContainsFunc(e.if_, func(all []condition) bool {
		return !slices.ContainsFunc(all, func(c condition) bool { return !c.possible(s) })
	})
}

// Relevant reports whether the message could cause a transition, an action, or
// a step or a break of a pattern in any state, or count in a window, or is processed; if not, stepping it changes
// nothing but the clocks. Messages on three channels are always relevant: status
// messages carry what the device says about itself, acknowledgements end
// commands, and requests to the twin change it or need an answer. A message that
// only renews liveness is not.
func (m *Model) Relevant(msg device.Message) bool {
	if alwaysRelevant(msg.Channel) {
		return true
	}
	s := newScope()
	c, sure := m.eventOf(&msg, s)
	possible, _ := m.possible(&msg, c, sure, s)
	s.free()
	return possible
}

// possible reports whether what eventOf makes of a message could do anything in any state,
// and whether an expression failed on the message.
func (m *Model) possible(msg *device.Message, c classified, sure bool, s *scope) (possible, failed bool) {
	if !sure || c.name == "" {
		return !sure, c.failed
	}
	var e *effects
	if ec := m.classes.byName[c.name]; ec != nil {
		e = ec.effects
	} else {
		e = m.effectsOf(c.name)
	}
	if e.certain {
		return true, c.failed
	}
	if len(e.if_) == 0 {
		return false, c.failed
	}
	*s = scope{event: msg.Data}
	possible = e.possibleInAny(s)
	return possible, c.failed || s.failed
}

// alwaysRelevant reports whether messages on a channel matter to more than the
// statechart.
func alwaysRelevant(c device.Channel) bool {
	return c == device.ChannelStatus || c == device.ChannelAck || c == device.ChannelTwin
}
