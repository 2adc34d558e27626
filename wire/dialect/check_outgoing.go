package dialect

import (
	"fmt"
	"slices"
	"strings"

	"devicetwin/source"
)

// checkOutgoing notes what cannot be sent, given what devices send.
func (d *Dialect) checkOutgoing() {
	for _, o := range d.outgoing() {
		if o.topic == nil || o.id == nil && d.asksDevices(o) { // it has faults
			continue
		}
		d.checkKnown(o)
		d.checkEcho(o)
	}
	for i, c := range d.commands {
		for _, earlier := range d.commands[:i] {
			if c.sameDevices(&earlier.outgoing) {
				c.checkReached("command", c.names, earlier.names, earlier.at)
			}
		}
	}
	for i, p := range d.desired {
		for _, earlier := range d.desired[:i] {
			takes := earlier.properties
			if takes == nil {
				takes = earlier.only
			}
			if p.sameDevices(&earlier.outgoing) && earlier.omit == nil {
				p.checkReached("property", slices.Concat(p.properties, p.only), takes, earlier.at)
			}
		}
	}
}

// asksDevices reports whether it is for one device at a time.
func (d *Dialect) asksDevices(o *outgoing) bool {
	return !slices.ContainsFunc(d.openings, func(q *question) bool { return &q.outgoing == o })
}

// checkKnown notes variables that nobody knows, or that may stand for more than their places
// in the topic.
func (d *Dialect) checkKnown(o *outgoing) {
	if o.id == nil {
		o.checkFormulas(nil, "what is asked at a start is for all devices")
		return
	}
	if !slices.ContainsFunc(d.messages(), func(m *message) bool { return m.id != nil && m.id.text == o.id.text }) {
		o.at.FaultHint(source.DidYouMean(o.id.text, d.ids()), "device id %q: no topic has devices with it; those that there are: %s", o.id.text, strings.Join(d.ids(), ", "))
		return
	}
	known := d.knownOf(o.id)
	for _, v := range o.vars {
		if v.name == o.own || slices.Contains(known, v.name) {
			o.at.Faultf("variable %q: expected another name: it is known without vars", v.name)
		}
	}
	if slices.Contains(o.id.variables(), o.own) && o.own != "" {
		o.at.Faultf("device id %q: {%s} is what is sent; expected another name in the id", o.id.text, o.own)
	}
	names := slices.Clone(known)
	for _, v := range o.vars {
		names = append(names, v.name)
	}
	if o.own != "" {
		names = append(names, o.own)
	}
	for i, name := range o.topic.names {
		switch {
		case !slices.Contains(names, name):
			o.topicAt.FaultHint(source.DidYouMean(name, names), "topic %q: {%s} is neither in the id %q, nor in a topic or in vars of such devices, nor in vars here", o.topic.text, name, o.id.text)
		case !o.has(name) && d.severalLevels(o.id, name) && !o.topic.several(i):
			o.topicAt.Faultf("topic %q: {%s} may stand for several levels, as in topics of the devices: expected {%s...} in a level of its own", o.topic.text, name, name)
		}
	}
	if o.own != "" {
		known = append(known, o.own)
	}
	o.checkFormulas(known, fmt.Sprintf("neither in the id %q, nor in a topic or in vars of such devices", o.id.text))
}

// checkFormulas notes what formulas read of topics and nobody knows.
func (o *outgoing) checkFormulas(known []string, why string) {
	for _, f := range o.formulas() {
		names, _ := f.program.Checked().Members(varTopic)
		for _, name := range names {
			if !slices.Contains(known, name) {
				f.at.FaultHint(source.DidYouMean(name, known), "topic.%s: %s", name, why)
			}
		}
	}
}

// ids are the templates of ids of messages, each once.
func (d *Dialect) ids() (texts []string) {
	for _, m := range d.messages() {
		if m.id != nil && !slices.Contains(texts, m.id.text) {
			texts = append(texts, m.id.text)
		}
	}
	return texts
}

// severalLevels reports whether a variable of devices with an id may stand for several levels of
// a topic.
func (d *Dialect) severalLevels(id *idTemplate, name string) bool {
	return slices.ContainsFunc(d.rules, func(r *rule) bool {
		return r.topic.many >= 0 && r.topic.names[r.topic.levels[r.topic.many].variable] == name &&
			slices.ContainsFunc(r.messages, func(m *message) bool { return m.id != nil && m.id.text == id.text })
	})
}

// several reports whether a variable of the template stands for several levels.
func (t *template) several(variable int) bool {
	return t.many >= 0 && t.levels[t.many].variable == variable
}

// sameDevices reports whether both are for devices with one template of ids.
func (o *outgoing) sameDevices(other *outgoing) bool {
	return o.id != nil && other.id != nil && o.id.text == other.id.text
}

// checkReached notes names of which an earlier entry takes everything. Nil is all names.
func (o *outgoing) checkReached(what string, names, earlier memberNames, at source.Node) {
	line, _ := at.Position()
	switch {
	case earlier == nil:
		o.at.Faultf("it is never used: the entry at line %d takes every %s", line, what)
	case names != nil:
		for _, name := range names {
			if earlier.covers(name) {
				o.at.Faultf("%s %q: the entry at line %d takes it before this one", what, name, line)
			}
		}
	}
}

// covers reports whether all that a name or a beginning with * matches are among the names.
func (names memberNames) covers(name string) bool {
	before, open := strings.CutSuffix(name, "*")
	if !open {
		return names.has(name)
	}
	return slices.ContainsFunc(names, func(n string) bool {
		shorter, all := strings.CutSuffix(n, "*")
		return all && strings.HasPrefix(before, shorter)
	})
}
