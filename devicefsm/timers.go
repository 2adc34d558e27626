package devicefsm

import (
	"fmt"
	"math"
	"slices"
	"time"

	"cel.dev/cel-go/common/types"

	"devicetwin/device"
	"devicetwin/source"
)

const (
	// maxDelay is the longest `after`: a hundred years.
	maxDelay = 100 * 365 * 24 * time.Hour
	// maxRaises and maxRaisedSize bound the delayed raises that wait at one time,
	// and about the bytes of each one's data.
	maxRaises     = 64
	maxRaisedSize = 1024
	// maxFirings bounds the timers that one step fires at their own time. Beyond
	// it, those that are due fire once, now: a device that ticks every second
	// and was stopped for a year is not replayed second by second.
	maxFirings = 1000
)

// startTimers starts the delays of a state that was entered.
func (r *run) startTimers(s *state) {
	for i := range s.after {
		d, err := s.after[i].length(&r.scope)
		if err != nil {
			r.fault("after in state %q: %v", s.path, err)
			continue
		}
		r.insert(timer{state: s.index, index: i, due: r.s.clock + d})
	}
}

func (r *run) stopTimers(s *state) {
	if len(s.after) == 0 {
		return
	}
	r.s.timers = slices.DeleteFunc(slices.Clone(r.s.timers), func(t timer) bool { return t.state == s.index })
}

// schedule starts the timer of a delayed raise.
func (r *run) schedule(t timer) error {
	waiting := 0
	for _, o := range r.s.timers {
		if o.state < 0 {
			waiting++
		}
	}
	if waiting >= maxRaises {
		return fmt.Errorf("raise %q: %d delayed events are already waiting", t.event, waiting)
	}
	if jsonSize(t.data, maxRaisedSize) > maxRaisedSize {
		return fmt.Errorf("raise %q: the data of a delayed event is larger than %d bytes", t.event, maxRaisedSize)
	}
	r.insert(t)
	return nil
}

// insert keeps timers by due time; those of one time in the order of starting.
func (r *run) insert(t timer) {
	at, _ := slices.BinarySearchFunc(r.s.timers, t.due+1, func(o timer, due int64) int {
		return int(max(-1, min(1, o.due-due)))
	})
	r.s.timers = slices.Insert(slices.Clone(r.s.timers), at, t)
}

// length is the delay in milliseconds, at least 1, so that two states with a
// delay of zero to each other cannot run forever at one moment.
func (d *delay) length(s *scope) (int64, error) {
	length := d.fixed
	if d.expr != nil {
		v, err := d.expr.slow(s)
		if err != nil {
			return 0, fmt.Errorf("%q: %w", d.expr.source, err)
		}
		if length, err = durationOf(v); err != nil {
			return 0, fmt.Errorf("%q: %w", d.expr.source, err)
		}
	}
	return max(1, length.Milliseconds()), nil
}

func durationOf(v any) (time.Duration, error) {
	var d time.Duration
	switch x := v.(type) {
	case types.Duration:
		d = x.Duration
	case types.Double:
		if ms := float64(x); !(math.Abs(ms) <= float64(maxDelay.Milliseconds())) {
			return 0, fmt.Errorf("a delay of %v milliseconds is out of range", ms)
		}
		d = time.Duration(float64(x) * float64(time.Millisecond))
	case types.String:
		parsed, err := source.ParseDuration(string(x))
		if err != nil {
			return 0, err
		}
		d = parsed
	default:
		return 0, fmt.Errorf("expected a duration, a string such as '90s', or milliseconds, found %v", v)
	}
	if d < 0 || d > maxDelay {
		return 0, fmt.Errorf("a delay of %v is out of range", d)
	}
	return d, nil
}

// What becomes due at a moment, in the order in which it happens.
const (
	dueTimer = iota
	duePattern
	dueSilence
	dueNothing
)

// nextDue is what becomes due first, and when.
func (s *Snapshot) nextDue() (at int64, what, index int) {
	at, what = math.MaxInt64, dueNothing
	if s.done {
		return at, what, 0
	}
	if len(s.timers) > 0 {
		at, what = s.timers[0].due, dueTimer
	}
	for i, p := range s.patterns {
		if p.IsZero() {
			continue
		}
		if d, ok := s.model.patterns[i].matcher.Deadline(p); ok && d.UnixMilli() < at {
			at, what, index = d.UnixMilli(), duePattern, i
		}
	}
	if s.model.silentAfter > 0 && !s.silent {
		if d := s.aliveAt + (s.model.silentAfter + s.model.tolerance).Milliseconds(); d < at {
			at, what = d, dueSilence
		}
	}
	return at, what, index
}

// advance moves the clock and fires what is due on the way, each at its time.
func (r *run) advance(to int64) {
	for fired := 0; ; fired++ {
		at, what, index := r.s.nextDue()
		if what == dueNothing || at > to || fired > 2*maxFirings {
			break
		}
		if fired == maxFirings {
			r.fault("more than %d timers were due up to %v; the rest fire now", maxFirings, time.UnixMilli(to).UTC().Format(time.RFC3339))
		}
		if fired >= maxFirings {
			at = to
		}
		r.s.clock = max(r.s.clock, at)
		switch what {
		case dueTimer:
			r.fire()
		case duePattern:
			r.expirePattern(index)
		case dueSilence:
			r.s.silent = true
			r.external(device.EventSilent, nil)
		}
	}
	r.s.clock = max(r.s.clock, to)
}

func (r *run) fire() {
	r.changed = true
	t := r.s.timers[0]
	r.s.timers = slices.Clone(r.s.timers[1:])
	if t.state < 0 {
		r.macrostep(trigger{name: t.event, data: t.data})
		return
	}
	s := r.m.states[t.state]
	r.macrostep(trigger{name: triggerAfter, of: s, only: s.after[t.index].transitions})
}

// NextDeadline is the earliest time at which something happens without an
// event: an `after`, a delayed raise, the end of a pattern, or silence. Calling
// Step with an Event without a name at that time makes it happen.
func (m *Model) NextDeadline(s *Snapshot) (time.Time, bool) {
	s, err := m.bind(s)
	if err != nil {
		return time.Time{}, false
	}
	at, what, _ := s.nextDue()
	if what == dueNothing {
		return time.Time{}, false
	}
	return time.UnixMilli(at).UTC(), true
}
