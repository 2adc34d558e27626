package devicefsm

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"devicetwin/device"
	"devicetwin/source"
)

// Takes reports whether a rule, a transition, a step of a pattern, a window, an alarm or process is for
// the event, also by a wildcard. An event that could do no more than break a pattern is not taken.
func (m *Model) Takes(event string) bool {
	return m.events[event] || slices.ContainsFunc(m.descriptors(), func(d descriptor) bool { return d.matches(event) })
}

// OperatorEvents are the events that others than the device and the service may send
// to its state machine, sorted: those that the model Takes, without those that are
// MessageOnly, and without wildcards.
func (m *Model) OperatorEvents() []string {
	names := make(map[string]bool, len(m.events))
	maps.Copy(names, m.events)
	for _, d := range m.descriptors() {
		names[d.name] = d.name != ""
	}
	raises := m.raises()
	return slices.DeleteFunc(sortedKeys(names), func(name string) bool {
		return name == "" || device.ReservedName(name) || m.messageOnly(name, raises)
	})
}

// descriptors are those of all transitions, steps of patterns, windows and alarms, and of process.
func (m *Model) descriptors() []descriptor {
	var list []descriptor
	for _, s := range m.states {
		for _, t := range s.on {
			list = append(list, t.event)
		}
	}
	for _, p := range m.patterns {
		for i := range p.steps {
			list = append(list, p.steps[i].event)
		}
	}
	for _, w := range m.windows {
		list = append(list, w.event)
	}
	if m.process != nil {
		list = append(list, m.process.events...)
	}
	for _, a := range m.alarms {
		list = append(append(list, a.begins...), a.ends...)
	}
	return list
}

// shownEvents is how many events are named for people.
const shownEvents = 20

// WhyUnknown says for people that the model does not take the event, and which ones it
// takes of others than the device; "" if it takes the event.
func (m *Model) WhyUnknown(event string) string {
	if m.Takes(event) {
		return ""
	}
	text := fmt.Sprintf("model %s does not know the event %q", m.name, clip(event))
	names := m.OperatorEvents()
	if hint := source.DidYouMean(event, names); hint != "" {
		text += " (" + hint + ")"
	}
	if len(names) == 0 {
		return text + "; it takes no event of an operator"
	}
	shown := strings.Join(names[:min(len(names), shownEvents)], ", ")
	if more := len(names) - shownEvents; more > 0 {
		shown += fmt.Sprintf(" and %d more", more)
	}
	return text + "; an operator can send " + shown
}
