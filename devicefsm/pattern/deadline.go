package pattern

import (
	"math"
	"math/bits"
	"time"
)

// fireAt is when the absence at the end of the pattern is certain, on the clock
// that t is of.
func (m *Matcher) fireAt(p *partial, t *instants) int64 {
	if !m.absence || p.wait&m.end() == 0 {
		return never
	}
	at := int64(never)
	if m.within > 0 {
		at = t.t0 + m.within
	}
	if m.endGap > 0 {
		at = min(at, t.tl+m.endGap)
	}
	return at
}

// deadAt is when a partial match has no way left to go on; idle says that this
// is because of MaxIdle, a bound of ours and not of the pattern.
func (m *Matcher) deadAt(p *partial, t *instants) (at int64, idle bool) {
	at = never
	if m.hasGap {
		at = m.gapEnd(p, t)
	}
	if m.within > 0 {
		return min(at, t.t0+m.within), false
	}
	if end := t.renewed + m.idle; end < at {
		return end, true
	}
	return at, false
}

// gapEnd is when the gaps of all the steps that p waits for are over.
func (m *Matcher) gapEnd(p *partial, t *instants) int64 {
	at := int64(math.MinInt64)
	for rest := p.wait; rest != 0; rest &= rest - 1 {
		gap := m.endGap
		if a := bits.TrailingZeros64(rest); a < len(m.arcs) {
			gap = m.steps[m.arcs[a].to].gap
		}
		if gap == 0 {
			return never
		}
		at = max(at, t.tl+gap)
	}
	return at
}

// foundAt is when Advance finds something in p without another event, on the clock
// that t is of. What only goes in silence is not waited for: it goes with a later
// event, by the time of that.
func (m *Matcher) foundAt(p *partial, t *instants, held bool) int64 {
	at := m.fireAt(p, t)
	if dead, idle := m.deadAt(p, t); held || m.timeouts && !idle {
		at = min(at, dead)
	}
	return at
}

// Deadlines are when something is found without another event: an absence, an
// expiry that was asked for, or a match that waits for an earlier one. All are unix
// milliseconds.
type Deadlines struct {
	// Event is the earliest on the clock of the events: an event that is as late, or
	// Advance to that time, comes after it.
	Event int64
	// Arrival is the earliest on the clock of the arrivals, counted from those of the
	// events that were taken. Advance to At, the time of the same thing on the clock
	// of the events, finds it.
	Arrival, At int64
}

// Deadlines reports false if there is nothing to wait for.
func (m *Matcher) Deadlines(s State) (d Deadlines, ok bool) {
	if s.d == nil {
		return d, false
	}
	d = Deadlines{never, never, never}
	for i := range s.d.parts {
		p := &s.d.parts[i]
		if !m.fits(p) {
			continue
		}
		event := m.foundAt(p, &p.instants, len(s.d.held) > 0)
		if event == never {
			continue
		}
		arrival := event
		if p.arrived != p.instants {
			arrival = m.foundAt(p, &p.arrived, len(s.d.held) > 0)
		}
		d.Event = min(d.Event, event)
		if arrival < d.Arrival || arrival == d.Arrival && event < d.At {
			d.Arrival, d.At = arrival, event
		}
	}
	return d, d.Event != never
}

// Deadline is the earliest time on the clock of the events at which Advance would
// find something without another event: see Deadlines.
func (m *Matcher) Deadline(s State) (time.Time, bool) {
	d, ok := m.Deadlines(s)
	if !ok {
		return time.Time{}, false
	}
	return fromMillis(d.Event), true
}
