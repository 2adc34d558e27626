package pattern

import (
	"math"
	"math/bits"
	"time"
)

// Matcher is a compiled pattern. It never changes.
type Matcher struct {
	name  string
	steps []step
	nots  []negation

	entry uint64 // steps that may take the first event
	wait  uint64 // every bit that a partial match of this pattern may wait for

	within   int64 // ms; 0: none
	idle     int64 // ms
	endGap   int64 // Gap of NotFollowedBy at the end; 0: none
	absence  bool  // ends with NotFollowedBy: the end comes by time
	timeouts bool

	skip     Skip
	skipTo   int
	maxParts int
	maxKept  int

	// What may be merged; see reduce.
	mergeSameStart bool
	mergeAnyStart  bool
	hasGap         bool
	breakable      bool
}

// step is a step that takes events.
type step struct {
	name     string
	match    func(Event, Bindings) bool
	refs     bool
	keep     func(Event) any
	min, max int
	optional bool
	greedy   bool
	enter    Contiguity
	inner    Contiguity
	gap      int64 // ms; 0: none

	after     uint64 // what may follow once min events were taken
	complete  bool   // the pattern is complete then
	notFollow []int  // negations in force after this step, indexes of nots
	notNext   []int
}

// negation is a negated step.
type negation struct {
	match func(Event, Bindings) bool
	refs  bool
}

// Name returns the name of the pattern.
func (m *Matcher) Name() string { return m.name }

// Breakable reports whether an event that satisfies no condition of the pattern
// can still change its state: because of strict contiguity, or of NotNext, which
// any event decides.
func (m *Matcher) Breakable() bool { return m.breakable }

func (m *Matcher) nameOf(step int) string {
	if step < 0 || step >= len(m.steps) {
		return ""
	}
	return m.steps[step].name
}

// end is the bit that stands for the end of the pattern.
func (m *Matcher) end() uint64 { return 1 << len(m.steps) }

// fits reports whether a partial match is one of this pattern, and not one read
// from the state of another.
func (m *Matcher) fits(p *partial) bool {
	return p.step >= 0 && p.step < len(m.steps) && p.wait&^m.wait == 0 && p.wait != 0
}

// fireAt is when the absence at the end of the pattern is certain.
func (m *Matcher) fireAt(p *partial) int64 {
	if !m.absence || p.wait&m.end() == 0 {
		return never
	}
	at := int64(never)
	if m.within > 0 {
		at = p.t0 + m.within
	}
	if m.endGap > 0 {
		at = min(at, p.tl+m.endGap)
	}
	return at
}

// deadAt is when a partial match has no way left to go on; idle says that this
// is because of MaxIdle, a bound of ours and not of the pattern.
func (m *Matcher) deadAt(p *partial) (at int64, idle bool) {
	at = never
	if m.hasGap {
		at = m.gapEnd(p)
	}
	if m.within > 0 {
		return min(at, p.t0+m.within), false
	}
	if end := p.renewed + m.idle; end < at {
		return end, true
	}
	return at, false
}

// gapEnd is when the gaps of all the steps that p waits for are over.
func (m *Matcher) gapEnd(p *partial) int64 {
	at := int64(math.MinInt64)
	for rest := p.wait; rest != 0; rest &= rest - 1 {
		gap := m.endGap
		if j := bits.TrailingZeros64(rest); j < len(m.steps) {
			gap = m.steps[j].gap
		}
		if gap == 0 {
			return never
		}
		at = max(at, p.tl+gap)
	}
	return at
}

// Deadline is the earliest time at which Advance would find something without
// another event: an absence, an expiry that was asked for, or a match that waits
// for an earlier one.
func (m *Matcher) Deadline(s State) (time.Time, bool) {
	if s.d == nil {
		return time.Time{}, false
	}
	at := int64(never)
	for i := range s.d.parts {
		p := &s.d.parts[i]
		if !m.fits(p) {
			continue
		}
		at = min(at, m.fireAt(p))
		if dead, idle := m.deadAt(p); len(s.d.held) > 0 || m.timeouts && !idle {
			at = min(at, dead)
		}
	}
	if at == never {
		return time.Time{}, false
	}
	return fromMillis(at), true
}

// The widest times that are distinguished, some 140,000 years around 1970, so that
// adding a duration never overflows.
const (
	maxSeconds = 1 << 42
	msPerSec   = 1000
)

// millis rounds down to the whole milliseconds in which a matcher counts.
func millis(t time.Time) int64 {
	if s := t.Unix(); s > maxSeconds || s < -maxSeconds {
		return max(-maxSeconds, min(maxSeconds, s)) * msPerSec
	}
	return t.UnixMilli()
}

func fromMillis(ms int64) time.Time { return time.UnixMilli(ms).UTC() }
