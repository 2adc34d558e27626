package pattern

import (
	"cmp"
	"slices"
)

// moment is when something happens: the number that the next event taken will
// have, and the time.
type moment struct{ next, at int64 }

// conclude ends a moment: it reports the complete matches as the skip strategy
// allows, merges and bounds what is open, and returns that as the new state. It
// owns parts and found, but not held.
func (m *Matcher) conclude(parts []partial, held, found []track, now moment, res *Result) State {
	parts, held = m.emit(parts, held, found, now.at, res)
	parts = m.merge(parts)
	for len(parts) > 0 && len(parts)+len(held) > m.maxParts {
		n := min(len(parts), len(parts)+len(held)-m.maxParts)
		parts = m.drop(parts, n)
		res.Dropped += n
		parts, held = m.emit(parts, held, nil, now.at, res)
	}
	if len(parts) == 0 {
		// Nothing is left that held could wait for, either.
		return State{}
	}
	return State{&data{next: now.next, parts: parts, held: held, due: m.due(parts)}}
}

// emit reports matches in the order of their first events. With a skip strategy
// a match waits for the partial matches that began before it, and each one that
// is reported discards others, open and complete alike.
func (m *Matcher) emit(parts []partial, held, found []track, at int64, res *Result) ([]partial, []track) {
	if m.skip == SkipNone {
		for i := range found {
			res.Matches = append(res.Matches, m.match(&found[i], at))
		}
		return parts, nil
	}
	if len(held)+len(found) == 0 {
		return parts, nil
	}
	all := found
	if len(held) > 0 {
		all = slices.Concat(held, found)
	}
	slices.SortStableFunc(all, func(a, b track) int { return cmp.Compare(a.start, b.start) })
	for len(all) > 0 && (len(parts) == 0 || all[0].start <= parts[0].start) {
		first := &all[0]
		res.Matches = append(res.Matches, m.match(first, at))
		limit := m.limit(first)
		all = slices.DeleteFunc(all[1:], func(t track) bool { return t.start <= limit })
		parts = since(parts, limit)
	}
	if len(all) == 0 {
		all = nil
	}
	return parts, all
}

// since takes away the partial matches whose first event is not after the limit.
func since(parts []partial, limit int64) []partial {
	n := 0
	for n < len(parts) && parts[n].start <= limit {
		n++
	}
	clear(parts[:n])
	return parts[n:]
}

// limit is the last first event that a match discards.
func (m *Matcher) limit(t *track) int64 {
	switch m.skip {
	case SkipToNext:
		return t.start
	case SkipToFirst, SkipToLast:
		return t.mark - 1 // below any number if the step took nothing
	}
	return t.last
}

// merge takes away what can no longer make a difference. Where conditions read
// only the event, two partial matches that are at the same step and wait for
// the same thing complete at the same event. If they have the same first event,
// the second is then discarded by the first, which is preferred (past last
// event, to next). If nothing expires, this holds for any later first event, too
// (past last event).
func (m *Matcher) merge(parts []partial) []partial {
	if !m.mergeSameStart {
		return parts
	}
	out := parts[:0]
	for j := range parts {
		p := &parts[j] // out is in the same place, but never beyond it
		for i := len(out) - 1; i >= 0; i-- {
			q := &out[i]
			if q.start != p.start && !m.mergeAnyStart {
				break
			}
			if q.step != p.step || q.fresh != p.fresh || q.over != p.over || m.hasGap && q.last != p.last || !sameRounds(q, p) {
				continue
			}
			common := p.wait & q.wait
			if p.count != q.count {
				common &^= 1 << m.steps[p.step].arc
			}
			if common != 0 {
				p.wait &^= common
				q.renewed = max(q.renewed, p.renewed)
				q.arrived.renewed = max(q.arrived.renewed, p.arrived.renewed)
			}
		}
		switch {
		case p.wait == 0:
		case len(out) == j:
			out = parts[:j+1]
		default:
			out = append(out, *p)
		}
	}
	return out
}

// sameRounds reports whether two partial matches are in the same rounds.
func sameRounds(p, q *partial) bool {
	return p.rounds == q.rounds || slices.Equal(p.inRounds(), q.inRounds())
}

// place is the step of partial matches that wait for the same thing.
type place struct {
	step, count int32
	rounds      *[]int
	wait        uint64
	size        int
}

// holds reports whether a partial match is there.
func (a *place) holds(p *partial) bool {
	return a.step == p.step && a.count == p.count && a.wait == p.wait && (a.rounds == p.rounds || slices.Equal(*a.rounds, *p.rounds))
}

// before orders places by how far a partial match has come there.
func (m *Matcher) before(a, b *place) bool {
	for level := range min(m.steps[a.step].depth, m.steps[b.step].depth) {
		if m.around(a.step, level) != m.around(b.step, level) {
			break
		}
		if c := cmp.Compare((*a.rounds)[level], (*b.rounds)[level]); c != 0 {
			return c < 0
		}
	}
	return cmp.Or(cmp.Compare(a.step, b.step), cmp.Compare(a.count, b.count)) < 0
}

// around is the group of a level that a step is in, the outermost one first.
func (m *Matcher) around(step int32, level int) int {
	g := m.steps[step].group
	for range m.steps[step].depth - 1 - level {
		g = m.groups[g].parent
	}
	return g
}

// drop takes away n partial matches: one after the other the oldest of those at
// the most crowded place; among equally crowded ones, at the one that is the
// least advanced. It changes parts.
func (m *Matcher) drop(parts []partial, n int) []partial {
	// Most of the time there are few of either.
	var somePlaces [8]place
	var someExcess [8]int
	var someAt [2 * DefaultMaxPartials]int32
	places, at := somePlaces[:0], slices.Grow(someAt[:0], len(parts))
	for i := range parts {
		p := &parts[i]
		j := 0
		for j < len(places) && !places[j].holds(p) {
			j++
		}
		if j == len(places) {
			places = append(places, place{p.step, p.count, p.rounds, p.wait, 0})
		}
		places[j].size++
		at = append(at, int32(j))
	}
	excess := append(someExcess[:0], make([]int, len(places))...)
	for range n {
		best := 0
		for j := range places {
			if d := places[j].size - places[best].size; d > 0 || d == 0 && m.before(&places[j], &places[best]) {
				best = j
			}
		}
		places[best].size--
		excess[best]++
	}
	out := parts[:0]
	for i := range parts {
		if excess[at[i]] > 0 {
			excess[at[i]]--
			continue
		}
		if len(out) == i {
			out = parts[:i+1]
		} else {
			out = append(out, parts[i])
		}
	}
	return out
}

// match is the public form of a complete or expired match.
func (m *Matcher) match(t *track, at int64) Match {
	out := Match{Start: fromMillis(t.t0), End: fromMillis(t.tl), At: fromMillis(at), Events: t.events}
	if len(t.kept) > 0 {
		out.Matched = make(map[string][]any)
		for _, k := range t.kept {
			name := m.nameOf(k.step)
			out.Matched[name] = append(out.Matched[name], k.value)
		}
	}
	return out
}
