package dialect

import (
	"slices"

	"devicetwin/source"
	"devicetwin/wire/format"
)

// Names of the variables of formulas about what is sent, in addition to topic and item.
const (
	varCommand = "command"
	varValue   = "value"   // of a desired property
	varDesired = "desired" // the object of them
)

// Variables of topics to which something is sent.
const (
	variableCommand  = "command"  // its name
	variableProperty = "property" // its name
)

// The languages of formulas of commands, of desired properties, and of questions.
var (
	commandLanguage  = newLanguage(varCommand, varTopic, varItem)
	propertyLanguage = newLanguage(varValue, varTopic, varItem)
	desiredLanguage  = newLanguage(varDesired, varTopic, varItem)
	questionLanguage = newLanguage(varTopic)
)

// outgoing says how a message to devices is made: one for each element, if there is each.
type outgoing struct {
	at       source.Node
	topicAt  source.Node
	id       *idTemplate // by which their ids were made; nil: it is for all
	topic    *template
	own      string // a variable of the topic that the occasion has: command or property
	vars     []variable
	each     *formula
	payload  *format.Format
	data     data // neither: what the occasion has
	retained bool
	qos      byte
	reports  data // of endReported: what the device reports then
}

// command says how commands are sent, and what ends them.
type command struct {
	outgoing
	names memberNames // nil: all
	ends  string      // see the constants
}

// What ends a command.
const (
	endAnswered = "answered" // an answer
	endSent     = "sent"     // the broker's acknowledgement
	endReported = "reported" // what the device reports
)

var ends = []string{endAnswered, endSent, endReported}

// desired says how desired properties are sent.
type desired struct {
	outgoing
	properties memberNames // one publication for each that matches; nil: one for all
	selection              // without properties: of those that are in it
}

// question is what devices are asked.
type question struct{ outgoing }

// outgoing are all that is sent.
func (d *Dialect) outgoing() (all []*outgoing) {
	for _, c := range d.commands {
		all = append(all, &c.outgoing)
	}
	for _, c := range d.desired {
		all = append(all, &c.outgoing)
	}
	for _, c := range slices.Concat(d.questions, d.openings) {
		all = append(all, &c.outgoing)
	}
	return all
}

// formulas are all that say what is sent.
func (o *outgoing) formulas() (all []*formula) {
	all = append(slices.Concat(o.data.formulas(), o.reports.formulas()), o.each)
	for _, v := range o.vars {
		all = append(all, v.value)
	}
	return slices.DeleteFunc(all, func(f *formula) bool { return f == nil })
}

func (d *data) formulas() (all []*formula) {
	all = []*formula{d.whole}
	for _, m := range d.members {
		all = append(all, m.value)
	}
	return all
}

// has reports whether a variable is one of its own.
func (o *outgoing) has(name string) bool {
	return name == o.own || slices.ContainsFunc(o.vars, func(v variable) bool { return v.name == name })
}

// needs are the variables that it takes from elsewhere: those in its topic, and those of
// topics that its formulas read, of which all that are known may be read together.
func (o *outgoing) needs(known []string) (names []string) {
	for _, name := range o.topic.names {
		if !o.has(name) {
			names = append(names, name)
		}
	}
	for _, f := range o.formulas() {
		read, all := f.program.Checked().Members(varTopic)
		if !all {
			read = known
		}
		names = append(names, read...)
	}
	return slices.DeleteFunc(names, func(name string) bool { return name == o.own })
}
