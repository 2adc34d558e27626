package devicefsm

import (
	"maps"
	"slices"

	"devicetwin/source"
)

// process finds events that are to be processed and never come.
func (c *checker) process() {
	n := c.root.Fields(slices.Concat(modelKeys, chartKeys)...)["process"]
	if !n.Exists() {
		return
	}
	fields := n.Fields(processKeys...)
	made := c.made()
	names := slices.Sorted(maps.Keys(made))
	for _, at := range fields["event"].OneOrList() {
		switch name := at.String(); {
		case c.m.isFound(name) && !c.m.hasRule(name):
			at.Faultf("event %q never occurs here: what patterns and windows raise is not processed", name)
		default:
			c.event(source.Entry{Key: name, KeyAt: at}, made, names)
		}
	}
	if where := fields["where"]; where.Exists() {
		c.constant(where, "where", placeWindow)
	}
}
