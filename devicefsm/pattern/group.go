package pattern

import "slices"

const (
	noGroup = -1
	noUntil = -1

	// maxArcs keeps a set of arcs and the end within the integers that JSON is exact for.
	maxArcs = 52
	maxNots = 64
)

// group is a sequence of steps that is taken several times.
type group struct {
	name      string
	parent    int // noGroup: the pattern
	at        int // its place in the sequence of the parent
	lo, hi    int // its steps are those from lo on, before hi
	body      []element
	min, max  int
	optional  bool
	enter     Contiguity
	inner     Contiguity // between its rounds
	until     int
	notFollow []int // negations in force after each round
	notNext   []int
	loops     uint64 // arcs that begin a further round
}

// element is a step or a group of a sequence.
type element struct {
	step, group int // one of them is set
	optional    bool
	first       uint64 // arcs by which it may begin, from outside
}

// arc is a way to take an event.
type arc struct {
	to         int // the step
	loop       int // it begins a further round of this group; noGroup: it does not
	contiguity Contiguity
}

// group reads a group.
func (c *compiler) group(s *Step, parent, at, depth int) element {
	if depth >= MaxGroupDepth {
		c.fault("step %q: groups are nested deeper than %d", s.Name, MaxGroupDepth)
		return element{group: noGroup}
	}
	if s.Match != nil || s.Keep != nil || s.Gap != 0 {
		c.fault("step %q: a group cannot have a condition or a gap; its steps can", s.Name)
	}
	if s.Greedy || s.Not != NotNegated {
		c.fault("step %q: a group can neither be greedy nor negated", s.Name)
	}
	p := step{inner: Relaxed}
	c.quantifier(s, &p)
	n := len(c.m.groups)
	c.m.groups = append(c.m.groups, group{
		name: s.Name, parent: parent, at: at, lo: len(c.m.steps), min: p.min, max: p.max, optional: p.optional,
		enter: c.contiguity(s, at == 0), inner: p.inner, until: c.until(s),
	})
	body := c.sequence(s.Group, n, depth+1)
	g := &c.m.groups[n]
	g.body, g.hi = body, len(c.m.steps)
	if len(s.Group) > 0 && s.Group[len(s.Group)-1].Not != NotNegated {
		c.fault("step %q: a group cannot end with a negated step; put it after the group", s.Group[len(s.Group)-1].Name)
	}
	if !slices.ContainsFunc(body, func(e element) bool { return !e.optional }) {
		c.fault("step %q: a group needs a step that is not optional", s.Name)
	}
	return element{step: -1, group: n, optional: p.optional}
}

func (m *Matcher) nameOfElement(e *element) string {
	if e.group != noGroup {
		return m.groups[e.group].name
	}
	return m.steps[e.step].name
}

// negationsOf are those that follow a step or a group.
func (m *Matcher) negationsOf(e *element) (notNext, notFollow *[]int) {
	if e.group != noGroup {
		g := &m.groups[e.group]
		return &g.notNext, &g.notFollow
	}
	s := &m.steps[e.step]
	return &s.notNext, &s.notFollow
}

func (m *Matcher) bodyOf(g int) []element {
	if g == noGroup {
		return m.body
	}
	return m.groups[g].body
}

// depth is how many groups a group is in, itself included.
func (m *Matcher) depth(g int) int {
	n := 0
	for ; g != noGroup; g = m.groups[g].parent {
		n++
	}
	return n
}

// link makes the arcs, and finds what may follow each step.
func (m *Matcher) link() {
	for i := range m.steps {
		m.steps[i].depth = m.depth(m.steps[i].group)
	}
	m.makeArcs()
	m.entry = m.begins(m.body)
	for i, a := range m.arcs {
		if a.loop != noGroup {
			m.groups[a.loop].loops |= 1 << i
		}
	}
	m.passed = make([][]uint64, len(m.steps)+1)
	for i := range m.passed {
		m.passed[i] = make([]uint64, len(m.arcs)+1)
		m.pass(i-1, m.passed[i])
	}
	m.wait = m.end() - 1
	if m.closing {
		m.wait |= m.end()
	}
	for i := range m.steps {
		if s := &m.steps[i]; s.group == noGroup {
			s.after, s.complete, _ = m.following(i, nil)
		}
	}
}

// makeArcs makes the arcs in the order of the steps that they lead to: that is the order
// of preference.
func (m *Matcher) makeArcs() {
	for i := range m.steps {
		m.steps[i].arc = len(m.arcs)
		m.arcs = append(m.arcs, arc{to: i, loop: noGroup, contiguity: m.entering(i)})
		for g := len(m.groups) - 1; g >= 0; g-- { // inner ones first
			group := &m.groups[g]
			m.groupNots = m.groupNots || len(group.notNext)+len(group.notFollow) > 0
			if group.max == 1 || !slices.Contains(m.heads(g), i) {
				continue
			}
			a := arc{to: i, loop: g, contiguity: group.inner}
			if i != group.lo { // what is before it in the group was left out
				a.contiguity = m.entering(i)
			}
			m.arcs = append(m.arcs, a)
		}
	}
}

// begins sets the arcs by which each element may begin, and returns those of the first
// ones.
func (m *Matcher) begins(body []element) uint64 {
	var all uint64
	first := true
	for i := range body {
		e := &body[i]
		if e.group != noGroup {
			e.first = m.begins(m.groups[e.group].body)
		} else {
			e.first = 1 << m.steps[e.step].arc
		}
		if first {
			all |= e.first
		}
		first = first && e.optional
	}
	return all
}

// heads are the steps that may be the first of a group.
func (m *Matcher) heads(g int) []int {
	var list []int
	for _, e := range m.groups[g].body {
		if e.group != noGroup {
			list = append(list, m.heads(e.group)...)
		} else {
			list = append(list, e.step)
		}
		if !e.optional {
			break
		}
	}
	return list
}

// entering is the contiguity into a step from before it: that of the outermost group that
// it is the first step of, if any.
func (m *Matcher) entering(step int) Contiguity {
	s := &m.steps[step]
	contiguity := s.enter
	for at, g := s.at, s.group; g != noGroup && at == 0; at, g = m.groups[g].at, m.groups[g].parent {
		contiguity = m.groups[g].enter
	}
	return contiguity
}

// pass finds the greedy steps that are left or left out on each way from a step; -1 is the
// beginning.
func (m *Matcher) pass(from int, to []uint64) {
	var passed uint64
	group, at := noGroup, -1
	if from >= 0 {
		group, at = m.steps[from].group, m.steps[from].at
		passed = m.greedy(element{step: from, group: noGroup})
	}
	var over func(body []element, by func(step int) int) bool
	over = func(body []element, by func(step int) int) (through bool) {
		for _, e := range body {
			if e.group != noGroup {
				before := passed
				over(m.groups[e.group].body, by)
				passed = before
			} else if i := by(e.step); i >= 0 {
				to[i] = passed
			}
			if !e.optional {
				return false
			}
			passed |= m.greedy(e)
		}
		return true
	}
	forward := func(step int) int { return m.steps[step].arc }
	for over(m.bodyOf(group)[at+1:], forward) {
		if group == noGroup {
			to[len(m.arcs)] = passed
			return
		}
		before := passed
		over(m.groups[group].body, func(step int) int {
			return slices.IndexFunc(m.arcs, func(a arc) bool { return a.to == step && a.loop == group })
		})
		passed = before
		group, at = m.groups[group].parent, m.groups[group].at
	}
}

// greedy is the bit of a greedy step; that of any other, and of a group, is 0.
func (m *Matcher) greedy(e element) uint64 {
	if e.group == noGroup && m.steps[e.step].greedy {
		return 1 << e.step
	}
	return 0
}

// following is what may follow a step that took enough events, in these rounds of its
// groups: whether the pattern is complete, or which arcs are next. Fresh says that a
// NotNext looks at the next event.
func (m *Matcher) following(step int, rounds []int) (after uint64, complete, fresh bool) {
	s := &m.steps[step]
	group, at := s.group, s.at
	fresh = len(s.notNext) > 0
	for {
		for _, e := range m.bodyOf(group)[at+1:] {
			after |= e.first
			if !e.optional {
				return after, false, fresh
			}
		}
		if group == noGroup {
			if m.closing {
				return after | m.end(), false, fresh
			}
			return after, true, fresh
		}
		g := &m.groups[group]
		round := rounds[len(rounds)-1]
		if g.max == Unbounded || round < g.max {
			after |= g.loops
		}
		if round < g.min {
			return after, false, fresh
		}
		fresh = fresh || len(g.notNext) > 0
		group, at, rounds = g.parent, g.at, rounds[:len(rounds)-1]
	}
}

// rounds are those after an arc.
func (m *Matcher) rounds(p *partial, a int) *[]int {
	if m.steps[m.arcs[a].to].depth == 0 {
		return nil
	}
	return m.roundsOf(p, a)
}

// roundsOf are the rounds after an arc into a group.
func (m *Matcher) roundsOf(p *partial, a int) *[]int {
	to := m.arcs[a].to
	depth := m.steps[to].depth
	list := make([]int, depth)
	level := depth - 1
	for g := m.steps[to].group; g != noGroup; g = m.groups[g].parent {
		group := &m.groups[g]
		list[level] = 1
		if p != nil && int(p.step) >= group.lo && int(p.step) < group.hi {
			list[level] = (*p.rounds)[level]
		}
		level--
	}
	if loop := m.arcs[a].loop; loop != noGroup {
		level = m.depth(loop) - 1
		g := &m.groups[loop]
		if list[level]++; g.max == Unbounded {
			list[level] = min(list[level], g.min)
		}
		for i := level + 1; i < depth; i++ {
			list[i] = 1
		}
	}
	return &list
}
