package pattern

import "time"

// Matcher is a compiled pattern. It never changes.
type Matcher struct {
	name   string
	steps  []step
	groups []group
	body   []element   // the sequence of the pattern itself
	nots   []condition // of negated steps, and of Until
	// arcs are the ways to take an event: as one of a step, or as the first one of a
	// further round of a group.
	arcs []arc
	// passed are the greedy steps that are left or left out, by the step before, plus one
	// (0 is the beginning), and the arc; the last arc is the end.
	passed [][]uint64

	entry     uint64 // arcs that may take the first event
	wait      uint64 // every bit that a partial match of this pattern may wait for
	closing   bool   // ends with a negation
	groupNots bool   // a negation follows a group

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
	condition
	name     string
	keep     func(Event) any
	min, max int
	optional bool
	greedy   bool
	enter    Contiguity
	inner    Contiguity
	gap      int64 // ms; 0: none
	until    int   // of nots; noUntil
	group    int   // that it is in; noGroup
	depth    int   // how many groups it is in
	at       int   // its place in the sequence
	arc      int   // into it, or once more in the same round

	after     uint64 // what may follow once min events were taken, outside of groups
	complete  bool   // the pattern is complete then
	notFollow []int  // negations in force after this step, indexes of nots
	notNext   []int
}

// condition is what is asked of an event; refs says that it reads what was kept.
type condition struct {
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
func (m *Matcher) end() uint64 { return 1 << len(m.arcs) }

// stepOf is the step that an arc leads to; after all steps, the end.
func (m *Matcher) stepOf(arc int) int {
	if arc == len(m.arcs) {
		return len(m.steps)
	}
	return m.arcs[arc].to
}

// fits reports whether a partial match is one of this pattern, and not one read
// from the state of another.
func (m *Matcher) fits(p *partial) bool {
	return p.step >= 0 && int(p.step) < len(m.steps) && p.wait&^m.wait == 0 && p.wait != 0 &&
		len(p.inRounds()) == m.steps[p.step].depth
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
