package devicefsm

import (
	"maps"
	"slices"
	"time"

	"devicetwin/device"
	"devicetwin/devicefsm/calendar"
	"devicetwin/devicefsm/pattern"
	"devicetwin/devicefsm/window"
)

// Start enters the initial states at a time of the service's clock. The device counts
// as seen then; what time it is on its own clock its first messages say.
func (m *Model) Start(at time.Time) (*Snapshot, Outcome) { return m.StartIn(nil, at) }

// StartIn is Start of a model that goes by time zones: zones are those that Zones names.
func (m *Model) StartIn(zones calendar.Zones, at time.Time) (*Snapshot, Outcome) {
	return m.start(&Snapshot{clock: noTime, service: noTime, shown: noTime, zones: zones}, at)
}

// StartAfter starts the chart of a device that ran another model until now. Clocks and
// the numbers of actions go on from there; all else begins as in Start. The outcome begins
// with the cancellations of the activities that ran.
func (m *Model) StartAfter(other *Model, before *Snapshot, zones calendar.Zones, at time.Time) (*Snapshot, Outcome) {
	bound, err := other.bind(before)
	if err != nil {
		s, out := m.StartIn(zones, at)
		out.Faults = append([]string{err.Error()}, out.Faults...)
		return s, out
	}
	var cancelled []Action
	for _, inv := range bound.invocations {
		cancelled = append(cancelled, Action{Type: ActionCancel, ID: inv.id})
	}
	from := *bound
	from.zones = zones
	s, out := m.start(&from, at)
	out.Actions = append(cancelled, out.Actions...)
	return s, out
}

// start is Start, with clocks and numbers that go on from before.
func (m *Model) start(before *Snapshot, at time.Time) (*Snapshot, Outcome) {
	r := &run{m: m, at: max(clampMillis(at), before.service)}
	r.scope.edition = m.edition
	r.s = Snapshot{
		model: m, clock: before.clock, service: r.at, shown: before.shown, counter: before.counter, context: maps.Clone(m.context),
		active: newStateSet(len(m.states)), patterns: make([]pattern.State, len(m.patterns)), windows: make([]window.State, len(m.windows)),
		troubles: make([]troubleList, len(m.alarms)), zones: before.zones,
	}
	r.setClock(r.at)
	r.missingZones()
	if m.silentAfter > 0 {
		r.s.aliveAt = r.at
	}
	r.scope.context, r.scope.active, r.scope.run, r.windowTime = r.s.context, r.s.active, r, noTime
	r.begin()
	e := entry{r: r, enter: newStateSet(len(m.states)), byDefault: newStateSet(len(m.states))}
	e.addDescendants(m.root)
	r.enterStates(&e)
	entered, actions, faults := r.s, len(r.out.Actions), len(r.out.Faults)
	r.owned = false // or what follows would change the copy, too
	if !r.complete() {
		r.s, r.out.Actions = entered, r.out.Actions[:actions]
		r.leftOut(faults, "more than %d transitions at the start without coming to rest: is there an endless loop of always or raise?", maxMicrosteps)
	}
	r.moved = false // there is nothing that it came from
	r.finish(&Snapshot{}, trigger{})
	return r.result(nil)
}

// Step processes an event of a device. Timers that are due before the event fire
// first, each at its own time: see Event for the two clocks. It returns the snapshot afterwards, which is s
// itself if nothing in it changed; a snapshot is never changed. A snapshot that
// the model does not accept is returned with a fault.
func (m *Model) Step(s *Snapshot, ev Event) (*Snapshot, Outcome) {
	bound, err := m.bind(s)
	if err != nil {
		return s, Outcome{Faults: []string{err.Error()}}
	}
	if bound.done {
		return s, Outcome{}
	}
	r := &run{m: m, s: *bound}
	r.setClock(bound.service)
	r.scope.edition = m.edition
	r.scope.context, r.scope.active, r.scope.twin, r.scope.run = bound.context, bound.active, ev.Twin, r
	r.coming.takes = r.takenBy(ev.Name, ev.Data)
	r.arrive(ev)
	if ev.Alive && m.silentAfter > 0 {
		r.s.aliveAt = r.s.service
		if r.s.silent {
			r.s.silent = false
			r.ofService(device.EventAlive)
		}
	}
	switch {
	case ev.Name == "":
	case isInvocationEnd(ev.Name):
		if t, ok := r.invocationEnded(ev); ok {
			r.macrostep(t)
		}
	case isProcessEnd(ev.Name):
		r.macrostep(trigger{name: ev.Name, data: ev.Data})
	default:
		r.external(ev.Name, ev.Data, r.coming)
	}
	return r.result(bound)
}

// setClock gives expressions the time.
func (r *run) setClock(now int64) {
	r.clock = wallClock{m: r.m, now: now, zones: r.s.zones}
	r.scope.clock = &r.clock
}

// ofService is an event that the machine itself makes of what it knows.
func (r *run) ofService(name string) {
	r.external(name, nil, r.ownTime(name, nil))
}

// ownTime is an event of the machine's own, as windows see it.
func (r *run) ownTime(name string, data map[string]any) coming {
	return coming{takes: r.takenBy(name, data), at: noTime}
}

// external is an event from outside: it is observed, and then what alarms raise of it.
func (r *run) external(name string, data map[string]any, c coming) {
	if r.s.done {
		return
	}
	raised := r.trackAlarms(name, data)
	r.observe(name, data, c)
	r.observeRaised(raised)
}

func (r *run) observeRaised(events []alarmEvent) {
	for _, e := range events {
		r.observe(e.name, e.data, r.ownTime(e.name, e.data))
	}
}

// observe shows an event to all but the alarms: windows count it first, then patterns see
// it, then the chart, then it is queued to be processed, then the chart sees what the
// patterns found. One that the chart leaves out is not counted.
func (r *run) observe(name string, data map[string]any, c coming) {
	if r.s.done {
		return
	}
	at := c.at
	if at == noTime {
		at = r.s.service
	}
	r.closeBefore(c.takes, at, c.dated)
	if r.s.done {
		return
	}
	before := r.s.windows
	late := r.count(c.takes, at, c.dated)
	found := r.matchPatterns(name, data)
	if r.macrostep(trigger{name: name, data: data}) {
		r.out.Late = append(r.out.Late, late...)
	} else {
		r.s.windows, r.windowValues = before, nil
	}
	r.toProcess(name, data)
	r.raiseFound(found)
}

// result returns the given snapshot itself if nothing happened to it.
func (r *run) result(given *Snapshot) (*Snapshot, Outcome) {
	if given != nil && r.s.clock == given.clock && r.s.service == given.service && r.s.lag == given.lag && r.s.aliveAt == given.aliveAt && r.s.silent == given.silent &&
		r.s.counter == given.counter && !r.changed && slices.Equal(r.s.patterns, given.patterns) {
		return given, r.out
	}
	s := r.s
	return &s, r.out
}
