package dialect

import (
	"fmt"
	"slices"
	"strings"
)

// Sends are what devices are sent in the words of the dialect, for people: a line for each entry.
func (d *Dialect) Sends() (lines []string) {
	for _, c := range d.commands {
		names := "every command"
		switch {
		case c.names != nil:
			names = "command " + strings.Join(c.names, ", ")
		case slices.ContainsFunc(d.commands, func(other *command) bool { return other != c && other.sameDevices(&c.outgoing) }):
			names = "every other command"
		}
		lines = append(lines, d.line(names, &c.outgoing)+", done when "+map[string]string{
			endAnswered: "it is answered", endSent: "it is sent", endReported: "the device reports it",
		}[c.ends])
	}
	for _, p := range d.desired {
		what := "desired properties"
		switch {
		case p.properties != nil:
			what = "desired " + strings.Join(p.properties, ", ")
		case p.only != nil:
			what = "desired " + strings.Join(p.only, ", ") + " together"
		}
		lines = append(lines, d.line(what, &p.outgoing))
	}
	for _, q := range d.questions {
		lines = append(lines, d.line("question after a birth", &q.outgoing))
	}
	for _, q := range d.openings {
		lines = append(lines, d.line("question at a start", &q.outgoing))
	}
	return lines
}

// line is an entry in one line.
func (d *Dialect) line(what string, o *outgoing) string {
	line := fmt.Sprintf("%s: %s", what, o.topic.text)
	if o.id != nil && o.id.text != d.id.text {
		line += " of " + o.id.text
	}
	return line
}
