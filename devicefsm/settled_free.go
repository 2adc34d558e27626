package devicefsm

import (
	"maps"
	"slices"
	"strings"

	"devicetwin/device"
)

// A freeStep is something that can happen to a device at any time, without a
// message that the filter sees: the end of a delay or of an activity, an event
// of an operator, of the service, of a pattern, or one that the chart raised.
// Its data is unknown.
type freeStep struct {
	trigger trigger
	known   *known
	why     string // for people: "after 10s"
	// ends is the timer or the activity that ends by it; nil: none.
	ends *watched
}

// fresh stands for any name that the model does not mention.
const fresh = "\x00"

// freeSource returns the free steps of one kind, in a configuration.
type freeSource func(x *explorer, c *configuration) []freeStep

// freeSources are all kinds.
var freeSources = []freeSource{delaysOf, invocationEndsOf, freeEventsOf}

func delaysOf(_ *explorer, c *configuration) []freeStep {
	var steps []freeStep
	for _, s := range c.activeStates() {
		for i, d := range s.after {
			steps = append(steps, freeStep{
				trigger: trigger{name: triggerAfter, of: s, only: d.transitions},
				known:   noData,
				why:     "after " + delayText(d) + " in " + nameOfState(s),
				ends:    &watched{timerKey: timerKey{s.index, i}},
			})
		}
	}
	return steps
}

func invocationEndsOf(x *explorer, c *configuration) []freeStep {
	var steps []freeStep
	for _, s := range c.activeStates() {
		for i, inv := range s.invokes {
			ends := &watched{activity: true, timerKey: timerKey{s.index, i}}
			for _, name := range x.ends {
				step := freeStep{trigger: trigger{name: name, of: s, only: inv.onDone}, why: "when " + inv.src + " is done", ends: ends}
				if strings.HasPrefix(name, errorInvoke) {
					step.trigger.only, step.why = inv.onError, "when "+inv.src+" has failed"
				}
				steps = append(steps, step)
			}
		}
	}
	return steps
}

func freeEventsOf(x *explorer, _ *configuration) []freeStep { return x.freeEvents }

func (c *configuration) activeStates() []*state {
	var list []*state
	for _, l := range c.leaves {
		for s := l; s != nil && !slices.Contains(list, s); s = s.parent {
			list = append(list, s)
		}
	}
	return list
}

// raises are the names of all events that the chart raises, at once or later.
func (m *Model) raises() map[string]bool {
	names := map[string]bool{}
	for _, s := range m.states {
		addRaises(names, s.entry)
		addRaises(names, s.exit)
		if s.initial != nil {
			addRaises(names, s.initial.actions)
		}
		for _, t := range s.allTransitions() {
			addRaises(names, t.actions)
		}
	}
	return names
}

func addRaises(names map[string]bool, actions []action) {
	for _, a := range actions {
		switch x := a.(type) {
		case raiseAction:
			names[x.event] = true
		case ifAction:
			addRaises(names, x.yes)
			addRaises(names, x.no)
		}
	}
}

// eventNames are names that stand for all: what a transition waits for decides
// what a name can do, and a name that begins like a wildcard is like any other
// that does.
func (m *Model) eventNames() []string {
	names := map[string]bool{fresh: true}
	maps.Copy(names, m.events)
	for _, s := range m.states {
		for _, t := range s.on {
			if t.event.name != "" {
				names[t.event.name] = true
				names[t.event.name+"."+fresh] = true
			}
		}
	}
	return sortedKeys(names)
}

func sortedKeys(set map[string]bool) []string {
	return slices.Sorted(maps.Keys(set))
}

// MessageOnly reports whether an event comes from messages of the device and
// from nowhere else: one of the model's rules makes it, or it is a device's
// acknowledgement of a command, and neither the chart, a pattern nor the end of a
// command raises it. Nobody
// else may send such an event to a device's workflow: Pass takes it that it saw
// each of them.
func (m *Model) MessageOnly(event string) bool { return m.messageOnly(event, m.raises()) }

func (m *Model) messageOnly(name string, raises map[string]bool) bool {
	observed := slices.ContainsFunc(m.rules, func(r rule) bool {
		return r.event == name && (r.channel == device.ChannelSystem || r.channel == device.ChannelMembers)
	})
	return (m.hasRule(name) || isAckName(name)) && !isOutcomeName(name) && !observed && !raises[name] && !m.isFound(name) && !m.isAlarm(name) && !m.scheduled[name]
}

func (m *Model) hasRule(name string) bool {
	return slices.ContainsFunc(m.rules, func(r rule) bool { return r.event == name })
}

// isFound reports whether a pattern or a window raises the event.
func (m *Model) isFound(name string) bool {
	return m.closesWindow(name) || slices.ContainsFunc(m.patterns, func(p *patternRule) bool { return p.name == name || p.timeout == name })
}

func (m *Model) closesWindow(name string) bool {
	return slices.ContainsFunc(m.windows, func(w *windowRule) bool { return w.closes == name })
}

// isAlarm reports whether an alarm raises the event.
func (m *Model) isAlarm(name string) bool {
	return slices.ContainsFunc(m.alarms, func(a *alarmRule) bool { return a.name == name || a.endedEvent() == name })
}

// freeEvents are the events whose coming the filter does not see.
func (m *Model) freeEvents(names []string, raises map[string]bool) []freeStep {
	var steps []freeStep
	for _, name := range names {
		if m.messageOnly(name, raises) || strings.HasPrefix(name, doneState) && !raises[name] {
			continue // what the chart itself causes is part of its steps
		}
		why := "after an event " + name
		switch {
		case strings.HasSuffix(name, fresh):
			why = "after an event of any other name"
		case m.closesWindow(name):
			why = "after the event " + name + " of a window"
		case m.scheduled[name]:
			why = "after the event " + name + " of a schedule"
		case m.isFound(name):
			why = "after the event " + name + " of a pattern"
		case m.isAlarm(name):
			why = "after the event " + name + " of an alarm"
		}
		steps = append(steps, freeStep{trigger: trigger{name: name}, why: why})
	}
	return steps
}

// invocationEndNames are names for the ends of activities: any, and those that the
// chart mentions.
func invocationEndNames(names []string) []string {
	ends := []string{doneInvoke + fresh, errorInvoke + fresh}
	for _, name := range names {
		if isInvocationEnd(name) {
			ends = append(ends, name)
		}
	}
	return ends
}

// nameOfState is a state as a person would name it.
func nameOfState(s *state) string {
	if s.path == "" {
		return "the chart"
	}
	return s.path
}
