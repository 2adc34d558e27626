package devicefsm

import "slices"

// alarms keeps the troubles of alarms.
func (m *mover) alarms() error {
	for i, image := range m.g.alarms {
		if image.from >= 0 {
			m.r.s.troubles[i] = m.from.troubles[image.from]
		}
	}
	for i := range m.g.new.alarms {
		m.explainKept(i)
	}
	for i, a := range m.g.old.alarms {
		to := slices.IndexFunc(m.g.alarms, func(image itemImage) bool { return image.from == i })
		switch {
		case to < 0 && m.from.troubles[i].size > 0:
			m.lose("%d troubles of alarm %q", m.from.troubles[i].size, a.name)
			m.changeAlarms(a.name, true, m.from.troubles[i])
		case to >= 0 && m.g.new.alarms[to].name != a.name:
			m.changeAlarms(a.name, true, m.from.troubles[i])
			m.changeAlarms(m.g.new.alarms[to].name, false, m.from.troubles[i])
		}
	}
	return nil
}

// changeAlarms says that the raised ones of an alarm have ended, or are raised, now: under the
// name that nobody else will end. The chart gets no events of it.
func (m *mover) changeAlarms(name string, ended bool, of troubleList) {
	for t := range of.all() {
		if t.status == troubleRaised {
			m.r.out.Alarms = append(m.r.out.Alarms, AlarmChange{Alarm: name, Key: t.key, Ended: ended, At: fromMillis(m.r.at), Since: fromMillis(t.since)})
		}
	}
}

// explainKept looks again at what explains the troubles of an alarm: what did may be gone, or be
// of no concern to it any more, and nothing else would look at them before it changes. A trouble
// that would be raised by that is due now, so that the first step raises it, as all that is due.
func (m *mover) explainKept(alarm int) {
	r := m.r
	mayChange := func(c *troubleChunk) bool { return !c.isRaised() }
	r.setTroubles(alarm, r.s.troubles[alarm].changed(mayChange, func(t *trouble) {
		if r.explain(r.m.alarms[alarm], t) {
			t.status, t.due, t.wall = troubleWaiting, r.at, r.s.service
		}
	}))
}
