package pattern

import (
	"errors"
	"fmt"
	"time"
)

// Compile checks a pattern and prepares it. The error joins every fault that
// was found (errors.Join), each naming the pattern and the step.
func Compile(spec Spec) (*Matcher, error) {
	c := compiler{spec: spec, m: &Matcher{name: spec.Name, skip: spec.Skip, timeouts: spec.Timeouts}}
	c.bounds()
	c.allSteps()
	c.ending()
	c.skipping()
	if len(c.faults) > 0 {
		return nil, errors.Join(c.faults...)
	}
	c.link()
	c.derive()
	return c.m, nil
}

type compiler struct {
	spec   Spec
	m      *Matcher
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
	if len(c.spec.Steps) > MaxSteps {
		c.fault("a pattern has at most %d steps, not %d", MaxSteps, len(c.spec.Steps))
		return
	}
	names := map[string]bool{}
	for i := range c.spec.Steps {
		s := &c.spec.Steps[i]
		switch {
		case s.Name == "":
			c.fault("step %d needs a name", i+1)
		case names[s.Name]:
			c.fault("step %q: the name is not unique", s.Name)
		}
		names[s.Name] = true
		if s.Match == nil {
			c.fault("step %q needs a condition", s.Name)
		}
		switch s.Not {
		case NotNegated:
			c.positive(s)
		case NotNext, NotFollowedBy:
			c.negative(s, i)
		default:
			c.fault("step %q: unknown negation %d", s.Name, s.Not)
		}
	}
}

func (c *compiler) positive(s *Step) {
	first := len(c.m.steps) == 0
	p := step{
		name: s.Name, match: s.Match, refs: s.Refs, keep: s.Keep, greedy: s.Greedy,
		enter: s.Contiguity, inner: Relaxed,
		gap: c.millis("gap of step "+s.Name, s.Gap),
	}
	c.quantifier(s, &p)
	switch {
	case s.Contiguity < ContiguityDefault || s.Contiguity > RelaxedAny:
		c.fault("step %q: unknown contiguity %d", s.Name, s.Contiguity)
	case first && s.Contiguity != ContiguityDefault:
		c.fault("step %q: the first step cannot have a contiguity: nothing comes before it", s.Name)
	case s.Contiguity == ContiguityDefault:
		p.enter = c.spec.Contiguity
	}
	if p.enter == ContiguityDefault {
		p.enter = Relaxed
	}
	if first && s.Gap > 0 && p.max == 1 {
		c.fault("step %q: the first step cannot have a gap: nothing comes before it", s.Name)
	}
	c.m.steps = append(c.m.steps, p)
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

func (c *compiler) negative(s *Step, i int) {
	if s.Times != (Times{}) || s.Optional || s.Consecutive || s.Combinations || s.Greedy {
		c.fault("step %q: a negated step cannot have a quantifier", s.Name)
	}
	if s.Contiguity != ContiguityDefault {
		c.fault("step %q: a negated step cannot have a contiguity; use notNext or notFollowedBy", s.Name)
	}
	if s.Keep != nil {
		c.fault("step %q: a negated step cannot keep events", s.Name)
	}
	last := i == len(c.spec.Steps)-1
	if s.Gap != 0 && !(last && s.Not == NotFollowedBy) {
		c.fault("step %q: a negated step cannot have a gap, except notFollowedBy at the end of a pattern", s.Name)
	}
	if len(c.m.steps) == 0 {
		c.fault("step %q: a pattern cannot begin with a negated step", s.Name)
		return
	}
	before := &c.m.steps[len(c.m.steps)-1]
	if before.optional {
		c.fault("step %q: a negated step cannot follow the optional step %q; write two patterns, with and without it",
			s.Name, before.name)
	}
	c.m.nots = append(c.m.nots, negation{match: s.Match, refs: s.Refs})
	if n := len(c.m.nots) - 1; s.Not == NotNext {
		before.notNext = append(before.notNext, n)
	} else {
		before.notFollow = append(before.notFollow, n)
	}
}

// ending checks negations at the end of the pattern.
func (c *compiler) ending() {
	if len(c.spec.Steps) == 0 || len(c.m.steps) == 0 {
		return
	}
	s := &c.spec.Steps[len(c.spec.Steps)-1]
	c.m.absence = len(c.m.steps[len(c.m.steps)-1].notFollow) > 0
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

// link finds, for each step, what may follow it.
func (c *compiler) link() {
	m := c.m
	n := len(m.steps)
	last := &m.steps[n-1]
	closing := len(last.notFollow)+len(last.notNext) > 0
	for i := -1; i < n; i++ {
		var after uint64
		j := i + 1
		for ; j < n; j++ {
			after |= 1 << j
			if !m.steps[j].optional {
				break
			}
		}
		if i < 0 {
			m.entry = after
			continue
		}
		m.steps[i].after = after
		if j == n {
			m.steps[i].complete = !closing
			if closing {
				m.steps[i].after |= m.end()
			}
		}
	}
	for i := range m.steps {
		m.wait |= m.steps[i].after
		if m.steps[i].max != 1 {
			m.wait |= 1 << i
		}
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
		m.breakable = m.breakable || i > 0 && s.enter == Strict || s.inner == Strict || len(s.notNext) > 0
	}
	for _, n := range m.nots {
		refs = refs || n.refs
	}
	m.mergeSameStart = !refs && (m.skip == SkipPastLastEvent || m.skip == SkipToNext)
	m.mergeAnyStart = !refs && m.skip == SkipPastLastEvent && m.within == 0 && !m.hasGap
}
