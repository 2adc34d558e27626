package script

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"devicetwin/devicefsm"
	"devicetwin/internal/text"
	"devicetwin/source"
)

// expectation reads a line below an input.
func (p *parser) expectation(c *cursor) {
	column, word := c.at, c.word()
	if !slices.Contains(expectWords, word) {
		p.fault(column, source.DidYouMean(word, expectWords), "expected one of %s, found %q", strings.Join(expectWords, ", "), word)
		return
	}
	if p.step == nil {
		if len(p.faults) == 0 {
			p.fault(column, "", "an expectation has to be below an input or below test")
		}
		return
	}
	want := &p.step.want
	want.lines = append(want.lines, p.n)
	w := wanted{line: p.n}
	switch word {
	case "matched", "state":
		name, ok := p.name(c)
		if word == "state" { // parallel states are joined with commas; there may be spaces between
			name = strings.Join(strings.FieldsFunc(name+c.rest(), func(r rune) bool { return r == ' ' || r == '\t' }), "")
			c.at = len(c.text)
		}
		if !ok || !p.end(c) {
			return
		}
		w.text = word + " " + nameText(name)
		switch {
		case name == "":
			p.fault(column, "", "%s: expected a name", word)
		case word == "matched":
			want.matched = append(want.matched, w)
		case len(want.state) > 0:
			p.fault(column, "", "duplicate state; expected the one after the input")
		default:
			want.state = append(want.state, w)
		}
	case "fault":
		w.text = "fault " + c.rest()
		want.faults = append(want.faults, w)
	case "context":
		p.context(c, column, want)
	case "window":
		p.window(c, column, want)
	case "log":
		w.text = "log " + logText(c)
		want.actions = append(want.actions, w)
	default:
		p.action(c, word, w, want)
	}
}

func (p *parser) context(c *cursor, column int, want *expectation) {
	values, given, ok := p.data(c)
	switch {
	case !ok || !p.end(c):
	case !given:
		p.fault(column, "for example context {attempts: 1}", "expected values of the context in braces")
	case len(want.context) > 0:
		p.fault(column, "", "duplicate context")
	default:
		want.values = values
		want.context = append(want.context, wanted{line: p.n, text: contextText(values)})
	}
}

func (p *parser) window(c *cursor, column int, want *expectation) {
	name, ok := p.name(c)
	if !ok {
		return
	}
	values, given, ok := p.data(c)
	switch {
	case !ok || !p.end(c):
	case name == "" || !given:
		p.fault(column, "for example window faults {count: 3}", "expected the name of a window, and values of it in braces")
	case slices.ContainsFunc(want.windows, func(w wantedWindow) bool { return w.name == name }):
		p.fault(column, "", "duplicate window %s", nameText(name))
	default:
		want.windows = append(want.windows, wantedWindow{wanted{line: p.n, text: windowText(name, values)}, name, values})
	}
}

func (p *parser) action(c *cursor, word string, w wanted, want *expectation) {
	name, ok := p.name(c)
	if !ok {
		return
	}
	data, given, ok := p.data(c)
	if !ok {
		return
	}
	var tail []string
	for _, key := range []string{"ttl", "within"} {
		if !c.peek(key) {
			w.ttl = w.ttl || key == "ttl"
			continue
		}
		c.word()
		at := c.at
		d, err := source.ParseDuration(c.word())
		if err != nil {
			p.fault(at, "", "%s: expected a duration such as 90s", key)
			return
		}
		tail = append(tail, key+" "+source.FormatDuration(d))
	}
	if w.deliveries = !c.peek(deliveriesWord); !w.deliveries {
		c.word()
		at := c.at
		n, err := strconv.Atoi(c.word())
		if err != nil {
			p.fault(at, "", "%s: expected a number", deliveriesWord)
			return
		}
		tail = append(tail, deliveriesText(n))
	}
	for _, flag := range []string{"replace", "retain"} {
		if c.peek(flag) {
			tail = append(tail, c.word())
		}
	}
	if !p.end(c) {
		return
	}
	w.text, w.data = actionText(word, name, data, tail), !given
	want.actions = append(want.actions, w)
}

func logText(c *cursor) string {
	if strings.HasPrefix(c.rest(), `"`) {
		if s, err := (&cursor{text: c.rest()}).name(); err == nil {
			return lineText(s)
		}
	}
	return lineText(c.rest())
}

const deliveriesWord = "max_deliveries"

func deliveriesText(n int) string { return deliveriesWord + " " + strconv.Itoa(n) }

// What is expected and what is found are compared as they are written.

func actionText(kind, name string, data map[string]any, tail []string) string {
	parts := []string{kind}
	if name != "" {
		parts = append(parts, nameText(name))
	}
	if len(data) > 0 {
		parts = append(parts, text.YAML(data))
	}
	return strings.Join(append(parts, tail...), " ")
}

// textOf writes an action as the line that expects it would be written.
func textOf(a devicefsm.Action, not omitted) string {
	if message, ok := a.Data["message"].(string); ok && a.Type == devicefsm.ActionLog {
		return "log " + lineText(message)
	}
	var tail []string
	if a.TTL > 0 && !not.ttl {
		tail = append(tail, "ttl "+source.FormatDuration(a.TTL))
	}
	if a.Within > 0 {
		tail = append(tail, "within "+source.FormatDuration(a.Within))
	}
	if a.MaxDeliveries > 0 && !not.deliveries {
		tail = append(tail, deliveriesText(a.MaxDeliveries))
	}
	if a.Replace {
		tail = append(tail, "replace")
	}
	if a.Retain {
		tail = append(tail, "retain")
	}
	data := a.Data
	if not.data {
		data = nil
	}
	return actionText(a.Type, a.Name, data, tail)
}

func windowText(name string, values map[string]any) string {
	return "window " + nameText(name) + " " + text.YAML(values)
}

func contextText(values map[string]any) string { return "context " + text.YAML(values) }

var plainName = regexp.MustCompile(`^[^\s"{}#]+$`)

func nameText(name string) string {
	if plainName.MatchString(name) {
		return name
	}
	return jsonText(name)
}

// lineText writes a string that takes the rest of a line.
func lineText(s string) string {
	if s == "" || s != strings.TrimSpace(s) || strings.ContainsAny(s, "\n\r\"#\\{}[]") {
		return jsonText(s)
	}
	return s
}

// failureText writes why an activity failed, which a line may do without.
func failureText(s string) string {
	if s == "" {
		return ""
	}
	return lineText(s)
}

func jsonText(s string) string {
	quoted, err := text.JSON(s)
	if err != nil { // a string is always JSON
		return `""`
	}
	return quoted
}
