package dialect

import (
	"slices"

	"devicetwin/source"
)

// By its number or its id, a message is known again: of two with one, the second one is taken for a copy of
// the first. What is checked here is written so that they have one; what only a payload shows,
// setNumber refuses.

// checkNumber notes a number that all elements of each have, for one device.
func (m *message) checkNumber(f map[string]source.Node) {
	if m.number.by() == nil || m.each == nil || m.id == nil || f["when"].Exists() && m.when == nil {
		return // it has none, or there are other faults
	}
	ofItem := m.readsItem(m.when) || m.readsItem(m.number.by()) || m.readsItem(m.number.epoch)
	telling := m.varsOf(m.id.variables())
	if m.number.id != nil && m.name != nil { // events of two names are two, also with one id
		telling = append(telling, m.varsOf(m.name.variables())...)
	}
	for _, v := range telling {
		ofItem = ofItem || v.value == nil || m.readsItem(v.value)
	}
	if !ofItem {
		f["number"].Faultf("number: all elements of each have the same one: expected item in it, in the id, or in when")
	}
}

// checkNumbers notes messages of one topic that have one number, of one device, without a condition
// by which there is one of them.
func checkNumbers(messages []*message) {
	for i, m := range messages {
		if slices.ContainsFunc(messages[:i], m.numberedAs) {
			m.at.FaultHint("give it to one of them, or when to each", "number: another message of the topic has the same one")
		}
	}
}

// numberedAs reports whether both messages are made of a payload, with one number.
func (m *message) numberedAs(other *message) bool {
	switch {
	case m.number.by() == nil || other.number.by() == nil || m.id == nil || other.id == nil:
		return false
	case (m.number.id == nil) != (other.number.id == nil):
		return false
	case m.number.id != nil && (m.channel != other.channel || !m.name.same(other.name)):
		return false
	}
	always := m.when == nil && other.when == nil && m.each == nil && other.each == nil
	return always && m.id.text == other.id.text && slices.EqualFunc(m.varsOf(m.id.variables()), other.varsOf(other.id.variables()), variable.same) &&
		m.number.by().same(other.number.by()) && m.number.epoch.same(other.number.epoch)
}

// varsOf are those of its variables that have one of the names.
func (m *message) varsOf(names []string) []variable {
	return slices.DeleteFunc(slices.Clone(m.vars), func(v variable) bool { return !slices.Contains(names, v.name) })
}

// same reports whether two names are written the same. Nil: there is no name.
func (t *textTemplate) same(other *textTemplate) bool {
	if t == nil || other == nil {
		return t == other
	}
	return t.text == other.text
}

func (v variable) same(other variable) bool { return v.name == other.name && v.value.same(other.value) }

// same reports whether two formulas are written the same.
func (f *formula) same(other *formula) bool {
	if f == nil || other == nil {
		return f == other
	}
	return f.program.Checked().Source == other.program.Checked().Source
}
