package devicefsm

import (
	"math"
	"slices"
	"time"

	"devicetwin/device"
)

// A device has two clocks. That of the service goes by arrivals and by what the
// service does itself; that of the device goes by what its messages say. Neither runs
// back. Whatever is waited for has a time on both: it happens before the first event
// that is later on the device's clock, or when its time is up on the service's.

// noTime is before every time that clampMillis gives.
const noTime = -limitSeconds*1000 - 1

// What becomes due at a moment, in the order in which it happens.
const (
	dueNothing = iota
	dueTimer
	duePattern
	dueAlarm
	dueWindow
	dueSilence
	dueSchedule
)

// due is something that becomes due.
type due struct {
	wall  int64 // on the service's clock
	at    int64 // as an event
	what  int
	index int // of the timer, the pattern, the alarm, the window or the schedule
}

// nextDue is what becomes due first on the service's clock, and what as an event.
// Silence counts by arrivals only, and windows close by the events that they count: see
// dueByEvent.
func (s *Snapshot) nextDue() (wall, event due) {
	wall, event = due{wall: math.MaxInt64}, due{at: math.MaxInt64}
	if s.done {
		return wall, event
	}
	for i := range s.timers {
		t := &s.timers[i]
		if t.wall < wall.wall {
			wall = due{t.wall, t.due, dueTimer, i}
		}
	}
	if len(s.timers) > 0 {
		event = due{s.timers[0].wall, s.timers[0].due, dueTimer, 0}
	}
	for i, p := range s.patterns {
		if p.IsZero() {
			continue
		}
		d, ok := s.model.patterns[i].matcher.Deadlines(p)
		if !ok {
			continue
		}
		if d.Arrival < wall.wall {
			wall = due{d.Arrival, d.At, duePattern, i}
		}
		if d.Event < event.at {
			event = due{d.Arrival, d.Event, duePattern, i}
		}
	}
	wall, event = s.nextTrouble(wall, event)
	for i, w := range s.windows {
		if rule := s.model.windows[i]; rule.heard {
			if d, ok := rule.in(s.zones).Deadlines(w); ok && d.Arrival < wall.wall {
				wall = due{d.Arrival, d.Event, dueWindow, i}
			}
		}
	}
	if s.model.silentAfter > 0 && !s.silent {
		if d := s.aliveAt + (s.model.silentAfter + s.model.tolerance).Milliseconds(); d < wall.wall {
			wall = due{d, d - s.lag, dueSilence, 0}
		}
	}
	for i := range s.schedules {
		if d := s.schedules[i].due; d < wall.wall {
			wall = due{d, d - s.lag, dueSchedule, i}
		}
	}
	return wall, event
}

// arrive moves the clocks to an event, and fires what is due before it.
func (r *run) arrive(ev Event) {
	s := &r.s
	r.coming.at, r.windowTime = noTime, noTime
	timed, arrived := !ev.Time.IsZero(), !ev.Arrived.IsZero()
	switch {
	case timed && arrived:
		service, at := clampMillis(ev.Arrived), clampMillis(ev.Time)
		dated := at != service && !r.m.byArrival
		if !dated {
			at = service
		}
		service = max(s.service, service)
		r.coming.at, r.coming.dated = service, false
		if dated && at <= service {
			r.coming.at, r.coming.dated = at, true
		}
		at = max(s.clock, at)
		r.advance(at, at, service)
		r.clock.now = at
		if dated {
			s.clock = at
		}
		s.lag = service - at
	case timed: // there is but one clock
		at := max(s.clock, s.service, clampMillis(ev.Time))
		r.coming.at = at
		r.advance(at, at, at)
		r.clock.now = at
		s.lag = 0
	case arrived:
		service := max(s.service, clampMillis(ev.Arrived))
		at := max(s.clock, service-s.lag)
		to := at
		if ev.Name == "" {
			to = s.clock // no event that anything would have to come before
		}
		r.advance(to, at, service)
		r.clock.now = service
	default:
		r.at = s.now()
		r.clock.now = s.service
	}
	r.windowTime = r.coming.at
}

// advance fires what is due up to a time on the service's clock, in that order, then what
// is due up to a time as an event, in that order, each at its time, and then closes the
// windows that the event of the step closes; now is the time of what comes after it.
//
// Windows close last because nothing but what they count closes them: any message in
// between fires what is due before it, and leaves them open. If the end of a window came
// before the other times, it would depend on such messages, which bridges may leave out,
// what comes first.
func (r *run) advance(to, now, service int64) {
	r.leaveOutMissed(service)
	clock := r.s.clock
	for fired := 0; fired <= 2*maxFirings; fired++ {
		d, event := r.s.nextDue()
		if d.what == dueNothing || d.wall > service {
			r.s.service = service
			if d = event; d.what == dueNothing || d.at > to {
				if d = r.dueByEvent(); d.what == dueNothing {
					break
				}
				clock = to // whatever is due up to it has come
			}
		}
		r.s.service, r.at = max(r.s.service, min(service, d.wall)), max(clock, d.at)
		if d.what == dueWindow {
			r.at = d.at // whatever else has moved the clock
		}
		if fired == maxFirings {
			r.fault("more than %d timers were due up to %v; the rest fire now", maxFirings, fromMillis(now).Format(time.RFC3339))
		}
		if fired >= maxFirings {
			r.s.service, r.at = service, max(now, d.at)
		}
		if r.windowTime = noTime; r.coming.dated && d.wall > service {
			r.windowTime = min(d.at, r.coming.at)
		}
		r.clock.now = r.at
		r.fire(d)
	}
	r.s.service, r.at = service, now
}

func (r *run) fire(d due) {
	switch d.what {
	case dueTimer:
		r.fireTimer(d.index)
	case duePattern:
		r.expirePattern(d.index)
	case dueAlarm:
		r.settleTroubles(d.index)
	case dueWindow:
		r.closeWindow(d.index)
	case dueSchedule:
		r.fireSchedule(d.index)
	case dueSilence:
		r.s.silent, r.clock.now = true, r.s.service
		r.ofService(device.EventSilent)
	}
}

func (r *run) fireTimer(index int) {
	r.changed = true
	t := r.s.timers[index]
	r.s.timers = slices.Delete(slices.Clone(r.s.timers), index, index+1)
	if t.state < 0 {
		r.macrostep(trigger{name: t.event, data: t.data})
		return
	}
	s := r.m.states[t.state]
	r.macrostep(trigger{name: triggerAfter, of: s, only: s.after[t.index].transitions})
}

// now is where the device's clock is when the service's is where it is.
func (s *Snapshot) now() int64 { return max(s.clock, s.service-s.lag) }

// NextDeadline is the earliest time, on the service's clock, at which something
// happens without an event: an `after`, a delayed raise, the end of a pattern or of a
// window, an alarm that has waited, a schedule, or silence. Calling Step with an Event that has that time as Arrived, and no name,
// makes it happen.
func (m *Model) NextDeadline(s *Snapshot) (time.Time, bool) {
	s, err := m.bind(s)
	if err != nil {
		return time.Time{}, false
	}
	d, _ := s.nextDue()
	if d.what == dueNothing {
		return time.Time{}, false
	}
	return fromMillis(d.wall), true
}

// limitSeconds bounds times to years in which a sum of delays cannot overflow: about
// 4,000 BC to 8,000 AD.
const limitSeconds = 190_000_000_000

// clampMillis is unix milliseconds within limitSeconds.
func clampMillis(t time.Time) int64 {
	switch s := t.Unix(); {
	case s > limitSeconds:
		return limitSeconds * 1000
	case s < -limitSeconds:
		return -limitSeconds * 1000
	}
	return t.UnixMilli()
}

func fromMillis(ms int64) time.Time { return time.UnixMilli(ms).UTC() }
