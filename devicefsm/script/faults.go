package script

import (
	"slices"

	"devicetwin/device"
)

// explain notes what is wrong with a message, as the service does: if it can change
// nothing, why nobody has a use for it, or else the `when` that failed on it; and the
// words in it that mean nothing. step steps it; what fails there again is noted once.
func (d *player) explain(m device.Message, step func()) {
	var explained []string
	if d.model.Relevant(m) {
		explained = d.model.WhenFaults(m)
	} else {
		for _, f := range d.model.Explain(m) {
			explained = append(explained, faultText(f))
		}
	}
	for _, f := range d.model.WordFaults(m) {
		explained = append(explained, faultText(f))
	}
	before := d.found.faults
	d.found.faults = nil
	step()
	again := slices.DeleteFunc(d.found.faults, func(text string) bool { return slices.Contains(explained, text) })
	d.found.faults = slices.Concat(before, explained, again)
	d.found.bound()
}

// faultText is a fault on a line of a script: most are of expressions, whose text says
// so.
func faultText(f device.Fault) string {
	if f.Reason == device.FaultExpression {
		return f.Detail
	}
	return string(f.Reason) + ": " + f.Detail
}
