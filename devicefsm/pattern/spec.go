package pattern

import "time"

// Bounds that hold where a Spec says nothing else.
const (
	DefaultMaxPartials = 32
	DefaultMaxKept     = 8
	DefaultMaxIdle     = 7 * 24 * time.Hour

	// MaxSteps is the largest number of steps of a pattern, negated ones and those in
	// groups included.
	MaxSteps = 32
	// MaxGroupDepth is how deep groups may be nested.
	MaxGroupDepth = 4
	// MaxPartialsLimit is the largest MaxPartials and MaxKept.
	MaxPartialsLimit = 256
)

// Event is one input: its name, its data (a JSON object: nil, bool, float64,
// string, []any, map[string]any), and when it happened.
type Event struct {
	Name string
	Data map[string]any
	Time time.Time
	// Arrived is when it arrived, on another clock: zero means the same as Time.
	Arrived time.Time
	// Edition says by whose rules the event is processed, and is passed on to the
	// conditions and to Keep: 0 is the newest. Before 2, a greedy step leaves events to an
	// absence at the end.
	Edition int
	// Host is passed on to the conditions and to Keep: who hears what they could not do.
	Host any
}

// Before reports whether the event goes by the rules before an edition.
func (ev *Event) Before(edition int) bool { return ev.Edition > 0 && ev.Edition < edition }

// Contiguity says what may lie between an event that was taken and the next.
type Contiguity int

// The contiguities of Flink CEP: next, followedBy, followedByAny.
const (
	ContiguityDefault Contiguity = iota // what the pattern says; for a pattern: relaxed
	Strict                              // nothing
	Relaxed                             // what the awaited step does not take
	RelaxedAny                          // anything
)

// Not makes a step an absence.
type Not int

// The negations of Flink CEP.
const (
	NotNegated    Not = iota
	NotNext           // the very next event must not satisfy the condition
	NotFollowedBy     // no event until the next one that is taken may satisfy it
)

// Skip is what happens to overlapping matches after a match was found. Every
// strategy but SkipNone discards the partial and waiting matches whose first
// event lies before a certain point.
type Skip int

// The strategies of Flink CEP.
const (
	SkipPastLastEvent Skip = iota // up to and including the last event of the match
	SkipNone                      // nothing is discarded
	SkipToNext                    // up to and including the first event of the match
	SkipToFirst                   // before the first event of the step SkipTo
	SkipToLast                    // before the last event of the step SkipTo
)

// Unbounded is the Max of Times without an upper end.
const Unbounded = -1

// Times is how many events a step takes. The zero value means once; Max 0 means
// exactly Min; Min 0 with a Max makes the step optional.
type Times struct{ Min, Max int }

// OneOrMore is the quantifier +.
var OneOrMore = Times{Min: 1, Max: Unbounded}

// Step is one position of a pattern: it takes one or more events, or, negated,
// none. With a Group it is a sequence of its own.
type Step struct {
	// Name is unique in the pattern.
	Name string
	// Group makes the step a group: its steps are taken in their order, as often as Times
	// says. It has nothing but Group, Name, Times, Optional, Consecutive, Combinations,
	// Contiguity and Until. The contiguity into a group is that into its first step;
	// Consecutive and Combinations are about what lies between its rounds.
	Group []Step
	// Match reports whether the step takes the event (or, negated, is broken by
	// it). It must depend on nothing but its arguments. Bindings gives what was
	// kept of the events taken so far; a Match that reads it has Refs set.
	Match func(ev Event, matched Bindings) bool
	// Refs marks a Match that reads Bindings. It is then called again for
	// each partial match, and no partial matches are merged in this pattern.
	Refs bool
	// Keep returns what to remember of an event that the step took, as a JSON
	// value that nobody changes afterwards; it is part of the State. Nil: nothing.
	Keep func(ev Event) any

	Times    Times
	Optional bool
	// Consecutive and Combinations change the contiguity between the events of
	// this step from relaxed to strict or to any.
	Consecutive  bool
	Combinations bool
	// Greedy never leaves to later steps what this step could take.
	Greedy bool
	// Until ends a step or a group without an upper end of Times: it takes no more events
	// once one satisfies the condition, that one included, and no longer waits. A group
	// that has not come to the end of a round does not come to it anymore.
	// UntilRefs marks a condition that reads Bindings.
	Until     func(ev Event, matched Bindings) bool
	UntilRefs bool
	// Contiguity is that from the step before into this one. It cannot be given
	// for the first step or a negated one.
	Contiguity Contiguity
	// Gap bounds the time from the event taken before to each event of this
	// step; for NotFollowedBy at the end of a pattern, it is how long the absence
	// has to last. 0: none.
	Gap time.Duration
	Not Not
}

// Spec is a pattern, as Compile reads it.
type Spec struct {
	Name       string
	Steps      []Step
	Contiguity Contiguity    // into each step that names none; default relaxed
	Within     time.Duration // from the first to the last event; 0: no bound
	Skip       Skip
	SkipTo     string // a step, for SkipToFirst and SkipToLast
	// Timeouts asks for expired partial matches in Result.Timeouts. Without it
	// their expiry needs no timer, and Deadline names none.
	Timeouts bool

	MaxPartials int           // 0: DefaultMaxPartials
	MaxKept     int           // kept values per step and match: the first ones and the latest; 0: DefaultMaxKept
	MaxIdle     time.Duration // for a pattern without Within; 0: DefaultMaxIdle
}

// Match is a complete match or, among timeouts, one that expired.
type Match struct {
	Start time.Time // of its first event
	End   time.Time // of its last event
	// At is when the match was found: the time of the event that completed it, or
	// the deadline at which an absence became certain, the partial match expired,
	// or the earlier partial match expired for which this match had to wait.
	At     time.Time
	Events int // how many events it holds
	// Matched has what was kept of its events, by step. A step that keeps nothing
	// or took nothing is not in it.
	Matched map[string][]any
}

// Result is what one call of Step or Advance found, each list in order.
type Result struct {
	Matches  []Match
	Timeouts []Match
	// Dropped counts the partial matches given up because of MaxPartials or
	// MaxIdle.
	Dropped int
	// Displaced names the steps that took an event although they had as many as MaxKept
	// allows: what was kept of the one before is gone.
	Displaced []string
}
