package simulator

import (
	"slices"
	"time"

	"devicetwin/device"
)

// matcher watches one device's messages for the expected sequence. Other
// messages may come between the steps, a match may not take longer than
// within, and after a match the search starts again.
//
// It asks only whether a match exists, and that needs little: of all the ways to
// have come through the first k messages of the sequence, the one that began
// last is the best, because it has the most time left.
type matcher struct {
	steps  []Step // each with Times 1
	within time.Duration
	began  []time.Time // began[k]: start of the best way through steps 0 to k; zero: there is none
}

func newMatcher(e Expect) *matcher {
	m := &matcher{within: e.Within}
	for _, s := range e.Sequence {
		for range s.Times {
			m.steps = append(m.steps, s)
		}
	}
	m.began = make([]time.Time, len(m.steps))
	return m
}

// counts reports whether the message can be a step.
func (m *matcher) counts(msg device.Message) bool {
	return slices.ContainsFunc(m.steps, func(s Step) bool { return s.is(msg) })
}

// take reports whether the message completes the sequence; at is its time as an
// event.
func (m *matcher) take(msg device.Message, at time.Time) bool {
	last := len(m.steps) - 1
	// From the end to the start, so that a message serves as one step only.
	for k := last; k >= 0; k-- {
		if !m.steps[k].is(msg) {
			continue
		}
		if k == 0 {
			m.began[0] = at
		} else if !m.began[k-1].IsZero() {
			m.began[k] = m.began[k-1]
		}
		if k == last && !m.began[last].IsZero() {
			if at.Sub(m.began[last]) <= m.within {
				clear(m.began)
				return true
			}
			m.began[last] = time.Time{}
		}
	}
	return false
}

// is reports whether the message can be this step.
func (s Step) is(msg device.Message) bool {
	if msg.Channel != s.Channel || msg.Name != s.Name {
		return false
	}
	for key, want := range s.Equals {
		if got, ok := msg.Data[key]; !ok || got != want {
			return false
		}
	}
	return true
}
