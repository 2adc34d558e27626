package devicefsm

import (
	"fmt"
	"slices"
	"strings"

	"devicetwin/device"
	"devicetwin/source"
)

// eventKeys are the keys of a step under which events are named.
var eventKeys = []string{"event", "notNext", "notFollowedBy", "until"}

// eventsIn are the events that an element of a sequence names, those in groups and in until
// included.
func eventsIn(n source.Node) []descriptor {
	var all []descriptor
	add := func(at source.Node) {
		if d, ok := parseDescriptor(at.String()); ok && !slices.Contains(all, d) {
			all = append(all, d)
		}
	}
	var look func(at source.Node)
	look = func(at source.Node) {
		switch {
		case at.IsString():
			add(at)
		case at.IsList():
			for _, x := range at.List() {
				look(x)
			}
		case at.IsMap():
			for _, e := range at.Entries() {
				if e.Key == "group" || slices.Contains(eventKeys, e.Key) {
					look(e.Value)
				}
			}
		}
	}
	look(n)
	slices.SortFunc(all, func(a, b descriptor) int { return strings.Compare(a.text(), b.text()) })
	return all
}

// sameMeaning reports whether two models mean the same by events: whether the same messages,
// matches, windows and alarms are these events. What the charts raise is not compared.
func sameMeaning(a, b *Model, events ...descriptor) bool {
	return a.meaningOf(events) == b.meaningOf(events)
}

// meaningOf is what a model says about events, down to the messages that they are, as a string to
// be compared: what is written differently may still mean the same.
func (m *Model) meaningOf(events []descriptor) string {
	w := meaning{m: m, written: map[string]bool{}}
	for _, d := range events {
		w.event(d)
	}
	return w.b.String()
}

// meaning writes each definition once: a pattern may be a step of another one, and so on.
type meaning struct {
	m       *Model
	b       strings.Builder
	written map[string]bool
}

func (w *meaning) event(d descriptor) {
	if w.written[d.text()] {
		return
	}
	w.written[d.text()] = true
	fmt.Fprintf(&w.b, "event %q\n", d.text())
	for _, channel := range channels {
		w.rules(device.Channel(channel), d)
	}
	for i, of := range w.m.windows {
		if d.matches(of.closes) {
			fmt.Fprintf(&w.b, "  zone %q\n", of.zone)
			w.section("window", w.m.written.windows[i], of.event)
		}
	}
	for i, of := range w.m.alarms {
		if d.matches(of.name) || d.matches(of.endedEvent()) {
			w.section("alarm", w.m.written.alarms[i], slices.Concat(of.begins, of.ends)...)
		}
	}
	for i, of := range w.m.patterns {
		if d.matches(of.name) || of.timeout != "" && d.matches(of.timeout) {
			s := w.m.written.patterns[i]
			w.section("pattern", s, slices.Concat(s.events...)...)
		}
	}
	if d.matches(device.EventSilent) || d.matches(device.EventAlive) {
		fmt.Fprintf(&w.b, "  silent after %v\n", w.m.silentAfter)
	}
}

// rules writes which messages of a channel are the event: by its own rules, with those before them,
// which take messages away, and by the message's own name, if no rule takes it away.
func (w *meaning) rules(channel device.Channel, d descriptor) {
	var rules []*rule
	for i := range w.m.rules {
		if w.m.rules[i].channel == channel {
			rules = append(rules, &w.m.rules[i])
		}
	}
	for i, r := range rules {
		sign := "-"
		switch {
		case d.matches(r.event):
			sign = "+"
		case takesOwnName(r, d):
		case !slices.ContainsFunc(rules[i+1:], func(later *rule) bool { return d.matches(later.event) && meet(r, later) }):
			continue
		}
		when := ""
		if r.when != nil {
			when = r.when.source
		}
		fmt.Fprintf(&w.b, "  %s %s %q when %q\n", sign, channel, r.name, when)
	}
}

// meet reports whether a message may fit both of two rules of a channel, by its name.
func meet(a, b *rule) bool { return a.name == "" || b.name == "" || a.name == b.name }

// takesOwnName reports whether a rule may take a message that would be the event by its own name.
func takesOwnName(r *rule, d descriptor) bool {
	switch r.channel {
	case device.ChannelEvents, device.ChannelSystem:
		return r.name == "" || d.matches(r.name)
	case device.ChannelAck: // the name and the status: "reprovision.rejected"
		return r.name == "" || strings.HasPrefix(d.name, r.name+".") || d.wild && (d.name == "" || d.name == r.name || strings.HasPrefix(r.name, d.name+"."))
	}
	return false
}

// section writes a definition, and what it is made of. How long windows wait for late events does
// not count.
func (w *meaning) section(what string, s Section, events ...descriptor) {
	name := what + " " + s.Name
	if w.written[name] {
		return
	}
	w.written[name] = true
	fmt.Fprintf(&w.b, "  %s %q\n", what, s.Name)
	for _, f := range s.Settings {
		if f.Name != "grace" {
			fmt.Fprintf(&w.b, "    %s: %q\n", f.Name, f.Text)
		}
	}
	for _, step := range s.Steps {
		fmt.Fprintf(&w.b, "    - %s\n", step)
	}
	for _, d := range events {
		w.event(d)
	}
}
