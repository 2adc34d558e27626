package devicefsm

import (
	"slices"

	"devicetwin/device"
	"devicetwin/source"
)

const (
	maxAlarms = 32
	// keyDevice is the key of the events' data that says what an alarm is of, where the
	// model does not name another.
	keyDevice = "device"
)

var alarmKeys = []string{"begins", "ends", "by", "settle", "explained_by", "description"}

// alarmRules reads `alarms:`.
func (l *loader) alarmRules(n source.Node) {
	if !n.Exists() {
		return
	}
	entries := n.Entries()
	if len(entries) > maxAlarms {
		n.Faultf("more than %d alarms", maxAlarms)
		return
	}
	for _, e := range entries {
		l.m.alarms = append(l.m.alarms, l.alarm(e))
	}
	for i, e := range entries {
		l.explanation(i, e.Value.Fields(alarmKeys...)["explained_by"])
	}
	for _, a := range l.m.alarms {
		l.m.events[a.name], l.m.events[a.endedEvent()] = true, true
	}
}

func (l *loader) alarm(e source.Entry) *alarmRule {
	a := &alarmRule{name: e.Key, by: keyDevice, explainedBy: -1}
	switch {
	case !validEventName(a.name) || device.ReservedName(a.name):
		e.KeyAt.Faultf("alarm name %q: expected an event name without *, and not one that is reserved for the service", a.name)
	case l.m.events[a.name] || l.m.events[a.endedEvent()]:
		e.KeyAt.Faultf("alarm %q has the name of another event: an alarm raises events with its name, and its name and .ended", a.name)
	}
	fields := e.Value.Fields(alarmKeys...)
	e.Value.Require(fields, "begins", "ends")
	a.begins, a.ends = l.alarmEvents(fields["begins"]), l.alarmEvents(fields["ends"])
	if by := fields["by"]; by.Exists() {
		a.by = eventKey(by, "by")
	}
	a.settle = fields["settle"].Duration()
	return a
}

// alarmEvents is an event, or a list of them.
func (l *loader) alarmEvents(n source.Node) []descriptor {
	nodes := n.OneOrList()
	if len(nodes) == 0 {
		n.Faultf("expected an event, or a list of events")
	}
	var list []descriptor
	for _, at := range nodes {
		if d := l.stepEvent(at); d != (descriptor{}) {
			list = append(list, d)
		}
	}
	return list
}

// explanation finds the alarm that explains the one of this index.
func (l *loader) explanation(alarm int, n source.Node) {
	name := n.String() // notes the fault of anything else than a string
	if !n.IsString() {
		return
	}
	var names []string
	for _, a := range l.m.alarms {
		names = append(names, a.name)
	}
	by := slices.Index(names, name)
	if by < 0 {
		n.FaultHint(source.DidYouMean(name, names), "unknown alarm %q", name)
		return
	}
	for at := by; at >= 0; at = l.m.alarms[at].explainedBy {
		if at == alarm {
			n.Faultf("alarm %q would explain itself", names[alarm])
			return
		}
	}
	l.m.alarms[alarm].explainedBy = by
}
