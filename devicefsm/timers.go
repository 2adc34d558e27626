package devicefsm

import (
	"fmt"
	"math"
	"slices"
	"time"

	"cel.dev/cel-go/common/types"

	"devicetwin/internal/expression"
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
		r.insert(timer{state: s.index, index: i, due: r.at + d, wall: r.s.service + d})
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
			return 0, fmt.Errorf("a delay of %s milliseconds is out of range", expression.NumberText(ms))
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
