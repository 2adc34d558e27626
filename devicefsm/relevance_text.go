package devicefsm

import (
	"fmt"
	"slices"
	"strings"

	"cel.dev/cel-go/parser"

	"devicetwin/device"
)

// EventRelevance is what the messages of one event can do to a statechart.
type EventRelevance struct {
	Event string
	// Always says why every message of the event is relevant; "" if only some
	// are, or none.
	Always string
	// Conditions are those on the message alone that divide the messages of the
	// event into classes; condition i is bit i of the class. One that is part of
	// several guards may be listed several times.
	Conditions []string
	// Never says why no class of the event is settled; "" if that depends.
	Never string
	// Classes are those that were found by trying messages around the values
	// that the conditions mention. There may be others: each is looked into in
	// the same way when its first message arrives.
	Classes []ClassRelevance
}

// ClassRelevance is what the messages of one class can do.
type ClassRelevance struct {
	Class uint64
	// Example is the data of a message of the class.
	Example  map[string]any
	Relevant bool // some message of it may cause something in some state
	Settled  bool // a repetition of it can't
	Why      string
}

// Relevance explains which messages are worth a signal, for every event that
// the model has a rule for or waits for, in order of name.
func (m *Model) Relevance() []EventRelevance {
	var all []EventRelevance
	table := m.classes
	for _, name := range m.knownNames() {
		ec := table.byName[name]
		if !m.fromMessages(name) || !ec.effects.certain && len(ec.effects.if_) == 0 && !m.hasRule(name) {
			continue
		}
		e := EventRelevance{Event: name, Always: m.whyAlways(name), Never: ec.never}
		for _, c := range ec.conditions {
			e.Conditions = append(e.Conditions, c.text())
		}
		for _, example := range m.examples(ec) {
			s := &scope{event: example}
			class, ok := ec.classInAll(s)
			if !ok || slices.ContainsFunc(e.Classes, func(c ClassRelevance) bool { return c.Class == class }) {
				continue
			}
			v := table.verdict(ec, class)
			e.Classes = append(e.Classes, ClassRelevance{
				Class: class, Example: example, Relevant: ec.effects.possibleInAny(s), Settled: v.settled, Why: v.why,
			})
		}
		all = append(all, e)
	}
	return all
}

// fromMessages reports whether an event can be a message of the device, or of
// the bridge about it.
func (m *Model) fromMessages(name string) bool {
	switch {
	case name == device.EventSequenceGap || m.hasRule(name):
		return true
	case device.ReservedName(name):
		return false
	}
	return !m.isFound(name)
}

// whyAlways says what makes all messages of an event relevant.
func (m *Model) whyAlways(name string) string {
	if rules := m.rulesOf(name); len(rules) > 0 && !slices.ContainsFunc(rules, func(r rule) bool { return r.channel != device.ChannelStatus }) {
		return whyStatus
	}
	free := func(guard *expr) bool {
		var e effects
		e.add(guard)
		return e.certain
	}
	for _, p := range m.patterns {
		if p.matcher.Breakable() {
			return "any event can be a step of pattern " + p.name + ", or break it"
		}
		for _, s := range p.steps {
			if s.event.matches(name) && free(s.where) {
				return "pattern " + p.name + " looks at each of them"
			}
		}
	}
	for _, a := range m.alarms {
		if a.concerns(name) {
			return "alarm " + a.name + " looks at each of them"
		}
	}
	for _, w := range m.windows {
		if w.event.matches(name) && free(w.where) {
			return "window " + w.name + " counts each of them"
		}
	}
	if p := m.process; p.takes(name) && free(p.where) {
		return "each of them is processed by " + p.src
	}
	for _, s := range m.states {
		for _, t := range s.on {
			if t.event.matches(name) && t.acts() && free(t.guard) {
				return "in " + nameOfState(s) + ", whatever its data: " + transitionText(t, name)
			}
		}
		for _, t := range s.always {
			if t.guard != nil && !alwaysRests(t.guard) && free(t.guard) {
				return "after each, " + nameOfState(s) + " looks again: " + transitionText(t, "always")
			}
		}
	}
	return ""
}

func (m *Model) rulesOf(name string) []rule {
	var list []rule
	for _, r := range m.rules {
		if r.event == name {
			list = append(list, r)
		}
	}
	return list
}

// text is the condition as it is written in the model, or nearly so.
func (c classCondition) text() string {
	if c.part < 0 {
		return oneLine(c.of.source)
	}
	written, err := c.of.checked.Written()
	if err != nil {
		return oneLine(c.of.source)
	}
	text, err := parser.Unparse(conjunctsOf(written.Expr())[c.part], written.SourceInfo())
	if err != nil {
		return fmt.Sprintf("part %d of %s", c.part+1, oneLine(c.of.source))
	}
	return oneLine(text)
}

func transitionText(t *transition, event string) string {
	if t.guard != nil {
		event += " [" + oneLine(t.guard.source) + "]"
	}
	for i, target := range t.targets {
		event += [2]string{" leads to ", ", "}[min(i, 1)] + nameOfState(target)
	}
	if len(t.targets) == 0 {
		event += " does something"
		if effects := effectsText(t.actions); effects != "" {
			event += ": " + effects
		}
	}
	return event
}

// explain says how another message of a class could do something.
func (x *explorer) explain(list []reached, at int, t *transition, k *known) string {
	event := k.of.name
	if slices.Contains(t.source.always, t) {
		event = "always"
	}
	where := nameOf(x.configs[list[at].id].leaves)
	if where == "" {
		where = "the chart"
	}
	steps := stepsBefore(list, at)
	if len(steps) == 0 {
		return "a second one may do something in " + where + ", too: " + transitionText(t, event)
	}
	return strings.Join(steps, ", then ") + " it can be in " + where + ", where a second one may do something: " + transitionText(t, event)
}

// RelevanceText is Relevance for people to read.
func (m *Model) RelevanceText() string {
	var b strings.Builder
	for _, e := range m.Relevance() {
		e.write(&b)
	}
	return b.String()
}

const whyStatus = "status messages say who the device is"

func (e *EventRelevance) write(b *strings.Builder) {
	fmt.Fprintf(b, "%s\n", e.Event)
	if e.Always != "" {
		fmt.Fprintf(b, "  always relevant: %s\n", e.Always)
	}
	if e.Always == whyStatus {
		return
	}
	if e.Never != "" {
		fmt.Fprintf(b, "  never settled: %s\n", e.Never)
	}
	for i, c := range e.Conditions {
		if n := e.number(i); n == i {
			fmt.Fprintf(b, "  %s: %s\n", letter(n), c)
		}
	}
	for _, c := range e.Classes {
		fmt.Fprintf(b, "  %s: %s\n", e.className(c.Class), c.text())
	}
}

// number is the place of the first condition of the same text.
func (e *EventRelevance) number(i int) int { return slices.Index(e.Conditions, e.Conditions[i]) }

// letter names a condition: A to Z, then A1.
func letter(n int) string {
	text := string(rune('A' + n%26))
	if n >= 26 {
		text += fmt.Sprint(n / 26)
	}
	return text
}

// className names a class by the truth of its conditions.
func (e *EventRelevance) className(class uint64) string {
	var parts []string
	for i := range e.Conditions {
		switch {
		case e.number(i) != i:
		case class&(1<<i) != 0:
			parts = append(parts, letter(i))
		default:
			parts = append(parts, "not "+letter(i))
		}
	}
	if len(parts) == 0 {
		return "every message"
	}
	return strings.Join(parts, ", ")
}

func (c *ClassRelevance) text() string {
	switch {
	case !c.Relevant:
		return "irrelevant in every state"
	case c.Settled:
		return "settled, so repetitions are left out"
	}
	return "not settled: " + c.Why
}
