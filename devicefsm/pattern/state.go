package pattern

import (
	"math"
	"slices"
)

// State is what is open of one pattern for one device: an immutable value that
// may be copied, compared with == for identity, and written as JSON. Its zero
// value has nothing open; giving a device the zero State resets its pattern.
type State struct{ d *data }

// IsZero reports whether nothing is open.
func (s State) IsZero() bool { return s.d == nil }

// Partials is the number of partial matches, and of matches that wait for an
// earlier one to be decided.
func (s State) Partials() int {
	if s.d == nil {
		return 0
	}
	return len(s.d.parts) + len(s.d.held)
}

// data is never changed once a State refers to it.
type data struct {
	next  int64     // sequence number of the next event that is taken
	parts []partial // in the order of their first events, then of preference
	held  []track   // complete, waiting for an earlier partial match
	due   int64     // no part is due before; dueUnknown: look
}

const (
	never      = math.MaxInt64
	dueUnknown = math.MinInt64
)

// track is what partial and complete matches have in common. Sequence numbers
// count the events that were taken by anything.
type track struct {
	start, last int64    // sequence numbers of the first and the last event
	mark        int64    // that of the event that SkipTo means; -1: none
	instants             // by the events
	arrived     instants // and by their arrivals
	events      int      // number of events
	kept        []*kept
}

// instants are when things happened to a track, on one clock, in unix ms.
type instants struct {
	t0, tl  int64 // the earliest and the latest event: the first and the last where time does not run back
	renewed int64 // tl, or that of a later partial match merged into this one
}

// add notes another event. It was taken after the last one, whatever its time is.
func (t *instants) add(now int64) {
	t.t0, t.tl = min(t.t0, now), max(t.tl, now)
	t.renewed = t.tl
}

// kept is what Keep returned for one event. Tracks share it.
type kept struct {
	step  int
	value any
}

// partial is a sequence of events that were taken, with the steps that may take
// the next: a set, since what may follow "a b1" in "a b+ c? d" is b, c or d.
type partial struct {
	track
	step  int32  // that took the last event
	count int32  // events that it took; counts no further than Min without a Max
	wait  uint64 // arcs that may take the next event; bit len(arcs): the end
	fresh bool   // no event since the last one, and NotNext has to look at it
	over  bool   // Until has ended the greedy step: it no longer holds back what follows
	// rounds are those of the groups that the step is in, the outermost first: counted like
	// count. They are never changed; nil outside of groups.
	rounds *[]int
}

// inRounds are the rounds of a partial match.
func (p *partial) inRounds() []int {
	if p.rounds == nil {
		return nil
	}
	return *p.rounds
}

// Bindings is what was kept of the events taken so far, for conditions.
type Bindings struct {
	m    *Matcher
	kept []*kept
}

// Step returns what was kept of the events that the named step took, in order.
func (b Bindings) Step(name string) []any {
	var values []any
	for _, k := range b.kept {
		if b.m.nameOf(k.step) == name {
			values = append(values, k.value)
		}
	}
	return values
}

// Any reports whether f holds for something that was kept, of whatever step.
func (b Bindings) Any(f func(kept any) bool) bool {
	return slices.ContainsFunc(b.kept, func(k *kept) bool { return f(k.value) })
}

// Map returns what was kept by step: every step that keeps anything is in it,
// as a []any that is empty as long as the step took nothing.
func (b Bindings) Map() map[string]any {
	if b.m == nil {
		return map[string]any{}
	}
	values := make(map[string]any, len(b.m.steps))
	for i := range b.m.steps {
		if b.m.steps[i].keep != nil {
			values[b.m.steps[i].name] = []any{}
		}
	}
	for _, k := range b.kept {
		name := b.m.nameOf(k.step)
		list, _ := values[name].([]any)
		values[name] = append(list, k.value)
	}
	return values
}
