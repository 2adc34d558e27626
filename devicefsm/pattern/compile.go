package pattern

import (
	"cmp"
	"errors"
	"fmt"
	"time"
)

// Compile checks a pattern and prepares it. The error joins every fault that
// was found (errors.Join), each naming the pattern and the step.
func Compile(spec Spec) (*Matcher, error) {
	c := compiler{spec: spec, m: &Matcher{name: spec.Name, skip: spec.Skip, timeouts: spec.Timeouts}, names: map[string]bool{}}
	c.bounds()
	c.allSteps()
	c.ending()
	c.skipping()
	if len(c.faults) > 0 {
		return nil, errors.Join(c.faults...)
	}
	c.m.link()
	if len(c.m.arcs) > maxArcs || len(c.m.nots) > maxNots {
		c.fault("more than %d steps and beginnings of groups", maxArcs)
		return nil, errors.Join(c.faults...)
	}
	c.derive()
	return c.m, nil
}

type compiler struct {
	spec   Spec
	m      *Matcher
	names  map[string]bool
	faults []error
}

func (c *compiler) fault(format string, args ...any) {
	c.faults = append(c.faults, fmt.Errorf("pattern %q: %w", c.spec.Name, fmt.Errorf(format, args...)))
}

func (c *compiler) bounds() {
	c.m.within = c.millis("within", c.spec.Within)
	c.m.idle = c.millis("max idle", c.spec.MaxIdle)
	if c.m.idle == 0 {
		c.m.idle = DefaultMaxIdle.Milliseconds()
	}
	c.m.maxParts = c.bound("max partials", c.spec.MaxPartials, DefaultMaxPartials)
	c.m.maxKept = c.bound("max kept", c.spec.MaxKept, DefaultMaxKept)
	if c.spec.Contiguity < ContiguityDefault || c.spec.Contiguity > RelaxedAny {
		c.fault("unknown contiguity %d", c.spec.Contiguity)
	}
}

func (c *compiler) bound(what string, n, byDefault int) int {
	if n == 0 {
		return byDefault
	}
	if n < 0 || n > MaxPartialsLimit {
		c.fault("%s must be between 1 and %d, not %d", what, MaxPartialsLimit, n)
	}
	return n
}

func (c *compiler) millis(what string, d time.Duration) int64 {
	if d != 0 && d < time.Millisecond {
		c.fault("%s must be at least 1ms, not %v", what, d)
	}
	return d.Milliseconds()
}

func (c *compiler) allSteps() {
	if len(c.spec.Steps) == 0 {
		c.fault("a pattern needs at least one step")
	}
	if n := countSteps(c.spec.Steps); n > MaxSteps {
		c.fault("a pattern has at most %d steps, not %d", MaxSteps, n)
		return
	}
	c.m.body = c.sequence(c.spec.Steps, noGroup, 0)
}

func countSteps(steps []Step) int {
	n := 0
	for i := range steps {
		n += max(1, countSteps(steps[i].Group))
	}
	return n
}

// sequence reads the steps of the pattern or of a group.
func (c *compiler) sequence(steps []Step, group, depth int) []element {
	var body []element
	for i := range steps {
		s := &steps[i]
		switch {
		case s.Name == "":
			c.fault("step %d needs a name", i+1)
		case c.names[s.Name]:
			c.fault("step %q: the name is not unique", s.Name)
		}
		c.names[s.Name] = true
		switch {
		case s.Not != NotNegated && s.Not != NotNext && s.Not != NotFollowedBy:
			c.fault("step %q: unknown negation %d", s.Name, s.Not)
		case s.Group != nil:
			body = append(body, c.group(s, group, len(body), depth))
		case s.Match == nil:
			c.fault("step %q needs a condition", s.Name)
		case s.Not == NotNegated:
			body = append(body, c.positive(s, group, len(body)))
		default:
			c.negative(s, body, group == noGroup && i == len(steps)-1)
		}
	}
	return body
}

func (c *compiler) positive(s *Step, group, at int) element {
	first := len(c.m.steps) == 0
	p := step{
		condition: condition{s.Match, s.Refs}, name: s.Name, keep: s.Keep, greedy: s.Greedy,
		inner: Relaxed, group: group, at: at, until: c.until(s),
		gap: c.millis("gap of step "+s.Name, s.Gap),
	}
	c.quantifier(s, &p)
	p.enter = c.contiguity(s, at == 0)
	if first && s.Gap > 0 && p.max == 1 {
		c.fault("step %q: the first step cannot have a gap: nothing comes before it", s.Name)
	}
	c.m.steps = append(c.m.steps, p)
	return element{step: len(c.m.steps) - 1, group: noGroup, optional: p.optional}
}

// contiguity is that into a step or a group; the first one of a group has the group's,
// see link.
func (c *compiler) contiguity(s *Step, first bool) Contiguity {
	switch {
	case s.Contiguity < ContiguityDefault || s.Contiguity > RelaxedAny:
		c.fault("step %q: unknown contiguity %d", s.Name, s.Contiguity)
	case first && s.Contiguity != ContiguityDefault:
		c.fault("step %q: the first step cannot have a contiguity: nothing comes before it", s.Name)
	}
	return cmp.Or(s.Contiguity, c.spec.Contiguity, Relaxed)
}

// until adds the condition that ends a step or a group.
func (c *compiler) until(s *Step) int {
	if s.Until == nil {
		return noUntil
	}
	if s.Times.Max != Unbounded {
		c.fault("step %q: until needs a step or a group without an upper end of times", s.Name)
	}
	c.m.nots = append(c.m.nots, condition{s.Until, s.UntilRefs})
	return len(c.m.nots) - 1
}

func (c *compiler) quantifier(s *Step, p *step) {
	p.min, p.max, p.optional = s.Times.Min, s.Times.Max, s.Optional
	switch {
	case s.Times == Times{}:
		p.min, p.max = 1, 1
	case p.min < 0 || p.max < Unbounded || p.max > 0 && p.max < p.min:
		c.fault("step %q: %d to %d times is not a valid range", s.Name, p.min, p.max)
	case p.max == 0:
		p.max = p.min
	case p.min == 0:
		p.min, p.optional = 1, true
	}
	if s.Consecutive && s.Combinations {
		c.fault("step %q: consecutive and combinations exclude each other", s.Name)
	}
	if p.max == 1 && (s.Consecutive || s.Combinations) {
		c.fault("step %q: consecutive and combinations need a step that takes several events", s.Name)
	}
	if s.Greedy && p.min == p.max && !p.optional {
		c.fault("step %q: greedy needs a step that may take more or fewer events", s.Name)
	}
	if s.Consecutive {
		p.inner = Strict
	}
	if s.Combinations {
		p.inner = RelaxedAny
	}
}

// negative adds a negated step to what is before it.
func (c *compiler) negative(s *Step, body []element, last bool) {
	if s.Times != (Times{}) || s.Optional || s.Consecutive || s.Combinations || s.Greedy || s.Until != nil {
		c.fault("step %q: a negated step cannot have a quantifier", s.Name)
	}
	if s.Contiguity != ContiguityDefault {
		c.fault("step %q: a negated step cannot have a contiguity; use notNext or notFollowedBy", s.Name)
	}
	if s.Keep != nil {
		c.fault("step %q: a negated step cannot keep events", s.Name)
	}
	if s.Gap != 0 && !(last && s.Not == NotFollowedBy) {
		c.fault("step %q: a negated step cannot have a gap, except notFollowedBy at the end of a pattern", s.Name)
	}
	if len(body) == 0 {
		c.fault("step %q: a pattern cannot begin with a negated step", s.Name)
		return
	}
	before := &body[len(body)-1]
	if before.optional {
		c.fault("step %q: a negated step cannot follow the optional step %q; write two patterns, with and without it",
			s.Name, c.m.nameOfElement(before))
	}
	c.m.nots = append(c.m.nots, condition{s.Match, s.Refs})
	notNext, notFollow := c.m.negationsOf(before)
	if n := len(c.m.nots) - 1; s.Not == NotNext {
		*notNext = append(*notNext, n)
	} else {
		*notFollow = append(*notFollow, n)
	}
}

// ending checks negations at the end of the pattern.
func (c *compiler) ending() {
	if len(c.spec.Steps) == 0 || len(c.m.body) == 0 {
		return
	}
	s := &c.spec.Steps[len(c.spec.Steps)-1]
	notNext, notFollow := c.m.negationsOf(&c.m.body[len(c.m.body)-1])
	c.m.absence = len(*notFollow) > 0
	c.m.closing = len(*notFollow)+len(*notNext) > 0
	if s.Not == NotFollowedBy {
		c.m.endGap = c.millis("gap of step "+s.Name, s.Gap)
	}
	if c.m.absence && c.m.within == 0 && c.m.endGap == 0 {
		c.fault("step %q: notFollowedBy at the end of a pattern needs within or a gap: without one it never matches", s.Name)
	}
}

func (c *compiler) skipping() {
	c.m.skipTo = -1
	switch c.spec.Skip {
	case SkipPastLastEvent, SkipNone, SkipToNext:
		if c.spec.SkipTo != "" {
			c.fault("skip strategy %d takes no step, but %q is given", c.spec.Skip, c.spec.SkipTo)
		}
	case SkipToFirst, SkipToLast:
		for i := range c.m.steps {
			if c.m.steps[i].name == c.spec.SkipTo {
				c.m.skipTo = i
			}
		}
		if c.m.skipTo < 0 {
			c.fault("skip to step %q: no step that takes events has this name", c.spec.SkipTo)
		}
	default:
		c.fault("unknown skip strategy %d", c.spec.Skip)
	}
}

// derive determines which partial matches can be merged.
func (c *compiler) derive() {
	m := c.m
	refs := false
	m.hasGap = m.endGap > 0
	for i := range m.steps {
		s := &m.steps[i]
		refs = refs || s.refs
		m.hasGap = m.hasGap || s.gap > 0
		m.breakable = m.breakable || s.inner == Strict || len(s.notNext) > 0
	}
	for _, n := range m.nots {
		refs = refs || n.refs
	}
	for _, a := range m.arcs {
		m.breakable = m.breakable || a.contiguity == Strict && (a.loop != noGroup || a.to > 0)
	}
	for i := range m.groups {
		m.breakable = m.breakable || len(m.groups[i].notNext) > 0
	}
	m.mergeSameStart = !refs && (m.skip == SkipPastLastEvent || m.skip == SkipToNext)
	m.mergeAnyStart = !refs && m.skip == SkipPastLastEvent && m.within == 0 && !m.hasGap
}
