package pattern

import "time"

// Advance lets time pass without an event: absences become certain, partial
// matches expire, and matches that waited for them are found, each at its own
// time and in that order. It returns s itself if nothing was due.
func (m *Matcher) Advance(s State, now time.Time) (State, Result) {
	var res Result
	if ms := millis(now); s.d != nil && s.d.due <= ms {
		s = m.expire(s, ms, &res)
	}
	return s, res
}

// expire does what is due by now, one moment after the other.
func (m *Matcher) expire(s State, now int64, res *Result) State {
	for s.d != nil {
		at := m.due(s.d.parts)
		if at > now {
			return s
		}
		s = m.expireAt(s.d, at, res)
	}
	return s
}

// due is the earliest moment at which time alone changes one of the parts.
func (m *Matcher) due(parts []partial) int64 {
	at := int64(never)
	for i := range parts {
		if !m.fits(&parts[i]) {
			continue
		}
		p := &parts[i]
		dead, _ := m.deadAt(p, &p.instants)
		at = min(at, dead, m.fireAt(p, &p.instants))
	}
	return at
}

// expireAt does what is due at one moment.
func (m *Matcher) expireAt(d *data, at int64, res *Result) State {
	parts := make([]partial, 0, len(d.parts))
	var found, expired []track
	for i := range d.parts {
		p := d.parts[i]
		if !m.fits(&p) {
			continue
		}
		fired := m.fireAt(&p, &p.instants) <= at
		dead, idle := m.deadAt(&p, &p.instants)
		if fired {
			found = append(found, p.track)
			p.wait &^= m.end()
		}
		switch {
		case dead > at && p.wait != 0:
			parts = append(parts, p)
		case dead > at || fired:
		case idle:
			res.Dropped++
		default:
			expired = append(expired, p.track)
		}
	}
	if m.timeouts {
		m.report(expired, parts, found, at, res)
	}
	return m.conclude(parts, d.held, found, moment{d.next, at}, res)
}

// report reports the expired partial matches: one for each first event, and
// none if it lives on otherwise or just led to a match.
func (m *Matcher) report(expired []track, parts []partial, found []track, at int64, res *Result) {
	for i := range expired {
		e := &expired[i]
		again := i > 0 && expired[i-1].start == e.start
		for j := range parts {
			again = again || parts[j].start == e.start
		}
		for j := range found {
			again = again || found[j].start == e.start
		}
		if !again {
			res.Timeouts = append(res.Timeouts, m.match(e, at))
		}
	}
}
