package dialect

import (
	"slices"

	"devicetwin/source"
)

// By its number, a message is known again: of two with one number, the second one is taken for a copy of
// the first. What is checked here is written so that they have one; what only a payload shows,
// setNumber refuses.

// checkNumber notes a number that all elements of each have, for one device.
func (m *message) checkNumber(f map[string]source.Node) {
	if m.number == nil || m.number.seq == nil || m.each == nil || m.id == nil || f["when"].Exists() && m.when == nil {
		return // it has none, or there are other faults
	}
	ofItem := m.readsItem(m.when) || m.readsItem(m.number.seq) || m.readsItem(m.number.epoch)
	for _, v := range m.varsOfID() {
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
	if m.number == nil || m.number.seq == nil || other.number == nil || m.id == nil || other.id == nil {
		return false
	}
	always := m.when == nil && other.when == nil && m.each == nil && other.each == nil
	return always && m.id.text == other.id.text && slices.EqualFunc(m.varsOfID(), other.varsOfID(), variable.same) &&
		m.number.seq.same(other.number.seq) && m.number.epoch.same(other.number.epoch)
}

// varsOfID are those of its variables that are in the id.
func (m *message) varsOfID() []variable {
	return slices.DeleteFunc(slices.Clone(m.vars), func(v variable) bool { return !slices.Contains(m.id.variables(), v.name) })
}

func (v variable) same(other variable) bool { return v.name == other.name && v.value.same(other.value) }

// same reports whether two formulas are written the same.
func (f *formula) same(other *formula) bool {
	if f == nil || other == nil {
		return f == other
	}
	return f.program.Checked().Source == other.program.Checked().Source
}
