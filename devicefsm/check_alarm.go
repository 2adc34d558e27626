package devicefsm

import (
	"maps"
	"slices"

	"devicetwin/source"
)

// alarmEvents finds events of alarms that nothing makes, and those that begin an alarm and
// end it: they begin it.
func (c *checker) alarmEvents() {
	n := c.root.Fields(slices.Concat(modelKeys, chartKeys)...)["alarms"]
	if !n.Exists() {
		return
	}
	made := c.made()
	names := slices.Sorted(maps.Keys(made))
	for i, e := range n.Entries() {
		fields := e.Value.Fields(alarmKeys...)
		for _, key := range []string{"begins", "ends"} {
			for _, at := range fields[key].OneOrList() {
				switch name := at.String(); {
				case (c.m.isFound(name) || c.m.isAlarm(name)) && !c.m.hasRule(name):
					at.Faultf("event %q never occurs here: alarms do not see the events that patterns and alarms raise", name)
				case key == "ends" && slices.Contains(c.m.alarms[i].begins, descriptor{name: name}):
					at.Faultf("event %q ends nothing: it begins the alarm", name)
				default:
					c.event(source.Entry{Key: name, KeyAt: at}, made, names)
				}
			}
		}
		if f := fields["settle"]; f.Exists() && f.Duration() == 0 {
			f.Faultf("settle of 0 waits for nothing; expected at least 1ms")
		}
	}
}
