package devicefsm

import (
	"errors"
	"slices"
	"strconv"
	"strings"
)

// This file follows a chart without knowing what its guards will say. Of a
// device only the configuration is looked at: the active states, and what
// history states remember. A guard holds, does not hold, or may do either; what
// may be is followed both ways. Selection, conflicts, exits and entries are
// those of the interpreter itself.

// configuration is where the chart of a device can be between two events.
type configuration struct {
	active  stateSet
	leaves  []*state
	history map[int][]int
	done    bool
	// watch is a timer or an activity that is followed, too; nil: none. Runs says that it may run.
	watch *watched
	runs  bool
}

// watched is a timer or an activity.
type watched struct {
	activity bool
	timerKey
}

func (c *configuration) key() string {
	var b strings.Builder
	for _, w := range c.active {
		b.WriteString(strconv.FormatUint(w, 36))
		b.WriteByte(' ')
	}
	keys := make([]int, 0, len(c.history))
	for h := range c.history { //workflowcheck:ignore // sorted below
		keys = append(keys, h)
	}
	slices.Sort(keys)
	for _, h := range keys {
		b.WriteByte('h')
		b.WriteString(strconv.Itoa(h))
		for _, i := range c.history[h] {
			b.WriteByte(',')
			b.WriteString(strconv.Itoa(i))
		}
	}
	if c.runs {
		b.WriteByte('w')
	}
	return b.String()
}

// truth is what can be said of a guard without running the device.
type truth uint8

const (
	maybe truth = iota
	no
	yes
)

func truthOf(b bool) truth {
	if b {
		return yes
	}
	return no
}

// known is what is known of the event that a guard looks at: its class, or that
// it has no data; nil is nothing.
type known struct {
	of    *eventClasses // nil: an event without data
	class uint64
}

// noData is known of the start and of the end of a delay.
var noData = &known{}

// truthOfGuard is what is known of a guard in a configuration.
func truthOfGuard(g *expr, c *configuration, k *known) truth {
	switch {
	case g == nil:
		return yes
	case g.readsOnly("event"):
		return k.whole(g)
	case g.readsOnly(fnStateIn):
		return g.truthInAll(&scope{active: c.active})
	}
	all := yes
	for i, part := range g.conjuncts {
		switch truthOfConjunct(g, i, part, c, k) {
		case no:
			return no
		case maybe:
			all = maybe
		}
	}
	if g.fast == nil {
		// The whole may fail where its parts do not: evaluation is bounded.
		return maybe
	}
	return all
}

func truthOfConjunct(g *expr, i int, part conjunct, c *configuration, k *known) truth {
	switch {
	case part.fast == nil:
		return maybe
	case readsOnly(part.reads, "event"):
		return k.part(g, i)
	case readsOnly(part.reads, fnStateIn):
		return part.truthInAll(&scope{active: c.active})
	}
	return maybe
}

// alwaysRests reports whether an eventless guard, which did not hold when the
// chart came to rest, can't hold now. Only the event, the twin, windows and the time are new.
func alwaysRests(g *expr) bool {
	return g != nil && !g.reads["event"] && !g.reads["twin"] && !g.reads[varWindows] && !g.readsClock()
}

// The bounds of the search, which keep it at a fraction of a second and a few
// megabytes. A chart beyond them runs as any other, but none of its classes is
// settled.
const (
	maxConfigurations = 4096
	maxChoices        = 1024   // sets of transitions that one event may enable together
	maxWork           = 50_000 // moments looked at for one question
)

var errTooMany = errors.New("the chart has too many configurations to analyse")

// order gives the candidates of an atomic state in the order of choice of an edition.
type order func(leaf *state, edition int) []*transition

// choices are the sets of transitions that may be enabled together, in any edition: what
// was begun under the first one shares the analysis. One of them may be empty. Rests says
// that the chart has come to rest in c, so that of eventless transitions only those that
// read what is new can be enabled.
func choices(c *configuration, candidates order, k *known, rests bool) ([][]*transition, error) {
	sets := [][]*transition{nil}
	for _, leaf := range c.leaves {
		now := candidates(leaf, EditionNow)
		options := optionsOf(now, c, k, rests)
		if first := candidates(leaf, EditionFirst); !slices.Equal(now, first) {
			for _, t := range optionsOf(first, c, k, rests) {
				if !slices.Contains(options, t) {
					options = append(options, t)
				}
			}
		}
		if len(options) == 1 && options[0] == nil {
			continue
		}
		var next [][]*transition
		for _, set := range sets {
			for _, t := range options {
				if t == nil || slices.Contains(set, t) {
					next = append(next, set)
					continue
				}
				next = append(next, append(slices.Clip(set), t))
			}
		}
		if len(next) > maxChoices {
			return nil, errTooMany
		}
		sets = next
	}
	return sets, nil
}

// optionsOf are the candidates that may be the first whose guard holds; nil
// among them says that it may be none.
func optionsOf(candidates []*transition, c *configuration, k *known, rests bool) []*transition {
	var options []*transition
	for _, t := range candidates {
		if rests && alwaysRests(t.guard) {
			continue
		}
		switch truthOfGuard(t.guard, c, k) {
		case yes:
			return append(options, t)
		case maybe:
			options = append(options, t)
		}
	}
	return append(options, nil)
}

func (c *configuration) hasAlways() bool {
	return slices.ContainsFunc(c.leaves, func(l *state) bool { return len(l.alwaysHere) > 0 })
}
