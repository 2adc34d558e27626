package pattern

// Migrated is a state of another version of a pattern, as one of this pattern. The two
// sequences begin with the same elements, steps and groups of the outermost sequence, of
// which there are same; where the whole sequences are the same, whole says so. A partial
// match goes on if all elements up to the one that it is in are the same: what it waits for
// beyond them is what this pattern waits for there. The others are lost, as are those that
// would be complete by this pattern already; lost is how many.
func (m *Matcher) Migrated(old *Matcher, s State, same int, whole bool) (next State, lost int) {
	if s.d == nil {
		return s, 0
	}
	whole = whole && m.marksAlike(old)
	d := &data{next: s.d.next, due: dueUnknown}
	for i := range s.d.parts {
		p := s.d.parts[i]
		if !old.fits(&p) || !whole && !m.goesOn(old, &p, same) {
			lost++
			continue
		}
		if m.skipTo < 0 {
			p.mark = -1
		}
		d.parts = append(d.parts, p)
	}
	if whole {
		d.held = s.d.held
	} else {
		lost += len(s.d.held)
	}
	if len(d.parts) == 0 {
		return State{}, lost + len(d.held)
	}
	return State{d}, lost
}

// marksAlike reports whether what a partial match remembers of the event that SkipTo means
// is what this pattern would have remembered.
func (m *Matcher) marksAlike(old *Matcher) bool {
	return m.skipTo < 0 || m.skip == old.skip && m.skipTo == old.skipTo
}

// goesOn makes a partial match one of this pattern, if it can be one.
func (m *Matcher) goesOn(old *Matcher, p *partial, same int) bool {
	if !m.marksAlike(old) || old.elementOf(int(p.step)) >= same {
		return false
	}
	inside := old.arcsBefore(same)
	// Beyond the elements that are the same, the steps of the two patterns cannot be
	// distinguished: either it waits for all that may come there, or for nothing of it.
	beyond, all := p.wait&^inside, old.beyond(p)&^inside
	next := uint64(0)
	switch beyond {
	case all:
		next = m.beyond(p) &^ inside
	case 0:
	default:
		return false
	}
	p.wait = p.wait&inside | next
	return p.wait != 0 && m.fits(p)
}

// beyond are the arcs that may take what follows the events of a partial match, without
// another one of the same step.
func (m *Matcher) beyond(p *partial) uint64 {
	s := &m.steps[p.step]
	if int(p.count) < s.min {
		return 0
	}
	after, _, _ := m.following(int(p.step), p.inRounds())
	return after
}

// elementOf is the place in the outermost sequence of the element that a step is in.
func (m *Matcher) elementOf(step int) int {
	at, group := m.steps[step].at, m.steps[step].group
	for group != noGroup {
		at, group = m.groups[group].at, m.groups[group].parent
	}
	return at
}

// arcsBefore are the arcs to the steps of the first n elements of the outermost sequence.
func (m *Matcher) arcsBefore(n int) uint64 {
	var all uint64
	for i, a := range m.arcs {
		if m.elementOf(a.to) < n {
			all |= 1 << i
		}
	}
	return all
}
