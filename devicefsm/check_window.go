package devicefsm

import (
	"maps"
	"slices"

	"devicetwin/source"
)

// windows finds windows that can't count anything, or that nothing uses.
func (c *checker) windows() {
	n := c.root.Fields(slices.Concat(modelKeys, chartKeys)...)["windows"]
	if !n.Exists() {
		return
	}
	made := c.made()
	names := slices.Sorted(maps.Keys(made))
	for i, e := range n.Entries() {
		w, fields := c.m.windows[i], e.Value.Fields(windowKeys...)
		switch at := fields["event"]; {
		case c.m.isFound(w.event.name) && !w.event.wild && !c.m.hasRule(w.event.name):
			at.Faultf("event %q never occurs here: windows do not count the events that patterns and windows raise", w.event.name)
		default:
			c.event(source.Entry{Key: at.String(), KeyAt: at}, made, names)
		}
		if where := fields["where"]; where.Exists() {
			c.constant(where, "where", placeWindow)
		}
		if !c.m.usesWindow(w) {
			e.KeyAt.FaultHint("read windows."+w.name+", or wait for "+w.closes, "nothing uses window %q: each event that it counts costs a signal", w.name)
		}
	}
}

// usesWindow reports whether an expression reads a window, or a transition waits for it to
// close. What reads windows as a whole may read any.
func (m *Model) usesWindow(w *windowRule) bool {
	return m.waitsToClose(w) || slices.ContainsFunc(m.windowReads, func(read string) bool { return read == "" || read == w.name })
}
