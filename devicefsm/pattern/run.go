package pattern

import (
	"math/bits"
	"slices"
)

// Step processes an event. What is due before or at the time of the event happens
// first, as in Advance. It returns s itself if nothing changed; that costs no
// allocation.
func (m *Matcher) Step(s State, ev Event) (State, Result) {
	var res Result
	now := millis(ev.Time)
	arrived := now
	if !ev.Arrived.IsZero() {
		arrived = millis(ev.Arrived)
	}
	if s.d != nil && s.d.due <= now {
		s = m.expire(s, now, &res)
	}
	r := run{m: m, ev: ev, now: now, arrived: arrived}
	var held []track
	if s.d != nil {
		r.old, r.seq, held = s.d.parts, s.d.next, s.d.held
	}
	for i := range r.old {
		r.follow(i)
	}
	r.begin()
	if !r.changed {
		return s, res
	}
	if r.took {
		r.seq++
	}
	res.Displaced = r.displaced
	return m.conclude(r.out, held, r.found, moment{r.seq, now}, &res), res
}

// run is the work of one event.
type run struct {
	m   *Matcher
	ev  Event
	now int64
	// arrived is now on the clock of arrivals.
	arrived int64
	seq     int64 // the number of the event, if anything takes it

	// What is known about conditions that read only the event.
	steps, nots answers

	old     []partial
	out     []partial // once changed
	changed bool
	took    bool
	found   []track
	kept    []*kept // of this event, by step

	displaced []string // steps
}

// editionGreedyEnd is the edition from which on a greedy step also takes what it can
// before a negation at the end of the pattern.
const editionGreedyEnd = 2

// answers are what conditions said of the event, by their place among the steps or nots:
// whether they were asked, and whether they hold.
type answers struct{ known, holds uint64 }

// ask reports whether the i-th condition holds. One that reads only the event is evaluated
// once.
func (r *run) ask(c *condition, have *answers, i int, matched []*kept) bool {
	if c.refs {
		return c.match(r.ev, Bindings{r.m, matched})
	}
	bit := uint64(1) << i
	if have.known&bit == 0 {
		have.known |= bit
		if c.match(r.ev, Bindings{m: r.m}) {
			have.holds |= bit
		}
	}
	return have.holds&bit != 0
}

// takes reports whether the condition of step j holds.
func (r *run) takes(j int, matched []*kept) bool {
	return r.ask(&r.m.steps[j].condition, &r.steps, j, matched)
}

// negated reports whether the n-th of nots holds.
func (r *run) negated(n int, matched []*kept) bool {
	return r.ask(&r.m.nots[n], &r.nots, n, matched)
}

// broken reports whether one of the negations holds.
func (r *run) broken(nots []int, matched []*kept) bool {
	for _, n := range nots {
		if r.negated(n, matched) {
			return true
		}
	}
	return false
}

// outgrown reports whether a greedy step that the arc leaves, or leaves out, would take
// the event, so that the arc may neither take it nor pass over it. p is nil at the
// beginning.
func (r *run) outgrown(p *partial, a int, matched []*kept) bool {
	from := 0
	if p != nil {
		from = int(p.step) + 1
	}
	for rest := r.m.passed[from][a]; rest != 0; rest &= rest - 1 {
		g := bits.TrailingZeros64(rest)
		if p != nil && p.over && g == int(p.step) || r.ended(g, matched) {
			continue
		}
		if r.takes(g, matched) {
			return true
		}
	}
	return false
}

// ended reports whether the event satisfies the Until of a step.
func (r *run) ended(step int, matched []*kept) bool {
	n := r.m.steps[step].until
	return n != noUntil && r.negated(n, matched)
}

// groupEnded reports whether the event satisfies the Until of a group that the step is in.
func (r *run) groupEnded(step int, matched []*kept) bool {
	for g := r.m.steps[step].group; g != noGroup; g = r.m.groups[g].parent {
		if n := r.m.groups[g].until; n != noUntil && r.negated(n, matched) {
			return true
		}
	}
	return false
}

// groupBroken reports whether a negation after a group holds: it is in force when a round
// of the group is complete.
func (r *run) groupBroken(p *partial) bool {
	s := &r.m.steps[p.step]
	if int(p.count) < s.min {
		return false
	}
	group, at, rounds := s.group, s.at, p.inRounds()
	for group != noGroup {
		g := &r.m.groups[group]
		if slices.ContainsFunc(g.body[at+1:], func(e element) bool { return !e.optional }) {
			return false
		}
		round := rounds[len(rounds)-1]
		if r.broken(g.notFollow, p.kept) || p.fresh && round >= g.min && r.broken(g.notNext, p.kept) {
			return true
		}
		if round < g.min {
			return false
		}
		group, at, rounds = g.parent, g.at, rounds[:len(rounds)-1]
	}
	return false
}

// change makes out hold the partial matches before the i-th.
func (r *run) change(i int) {
	if !r.changed {
		r.changed = true
		r.out = append(make([]partial, 0, len(r.old)+2), r.old[:i]...)
	}
}

// follow gives the event to the i-th partial match: each step that it waits for
// takes the event, passes over it, or is no longer awaited. What takes it goes on as a partial
// match of its own, in the order of the steps; what waits stays together as far
// as no other comes between.
func (r *run) follow(i int) {
	p := &r.old[i]
	if !r.m.fits(p) {
		r.change(i)
		return
	}
	if r.m.within > 0 && p.tl-r.now >= r.m.within {
		// The event is of long before: nothing to this partial match.
		if r.changed {
			r.out = append(r.out, *p)
		}
		return
	}
	s := &r.m.steps[p.step]
	if r.broken(s.notFollow, p.kept) || p.fresh && r.broken(s.notNext, p.kept) || r.m.groupNots && r.groupBroken(p) {
		r.change(i)
		return
	}
	var waiting, same uint64 // arcs to earlier steps, and to this one
	step := 0
	over := p.over || s.greedy && p.wait&(1<<s.arc) != 0 && r.ended(int(p.step), p.kept)
	for rest := p.wait; rest != 0; rest &= rest - 1 {
		a := bits.TrailingZeros64(rest)
		if to := r.m.stepOf(a); to != step {
			step, waiting, same = to, waiting|same, 0
		}
		stays, takes := r.decide(p, a)
		if takes {
			r.change(i)
			r.keep(p, waiting, over)
			waiting = 0
			r.take(p, a)
		}
		if stays {
			same |= 1 << a
		}
	}
	waiting |= same
	if waiting != p.wait || p.fresh {
		r.change(i)
	}
	if r.changed {
		r.keep(p, waiting, over)
	}
}

// decide says whether an arc, which p waits for, takes the event, and whether p
// goes on waiting for it.
func (r *run) decide(p *partial, a int) (stays, takes bool) {
	if a == len(r.m.arcs) {
		// The end: an absence is certain by time only, NotNext with any event.
		if !r.ev.Before(editionGreedyEnd) && r.outgrown(p, a, p.kept) {
			return false, false
		}
		return r.m.absence, !r.m.absence
	}
	j := r.m.arcs[a].to
	s := &r.m.steps[j]
	again := j == int(p.step) && a == s.arc // of the same step, in the same round
	if s.gap > 0 && max(r.now-p.tl, p.tl-r.now) >= s.gap || r.m.passed[p.step+1][a] != 0 && r.outgrown(p, a, p.kept) {
		return false, false
	}
	if s.group != noGroup && r.groupEnded(j, p.kept) || again && s.until != noUntil && r.ended(j, p.kept) {
		return false, false
	}
	contiguity := r.m.arcs[a].contiguity
	if again {
		contiguity = s.inner
	}
	takes = r.takes(j, p.kept)
	stays = contiguity == RelaxedAny || contiguity == Relaxed && !takes
	return stays, takes && (s.until == noUntil || !r.ended(j, p.kept))
}

// keep keeps p open for the given arcs.
func (r *run) keep(p *partial, waiting uint64, over bool) {
	if waiting != 0 {
		r.out = append(r.out, *p)
		q := &r.out[len(r.out)-1]
		q.wait, q.fresh, q.over = waiting, false, over
	}
}

// take appends the event to p by an arc.
func (r *run) take(p *partial, a int) {
	if a == len(r.m.arcs) {
		r.found = append(r.found, p.track)
		return
	}
	count := 1
	if a == r.m.steps[p.step].arc {
		count += int(p.count)
	}
	r.open(&p.track, r.m.arcs[a].to, count, r.m.rounds(p, a))
}

// begin lets the event begin matches.
func (r *run) begin() {
	for rest := r.m.entry; rest != 0; rest &= rest - 1 {
		a := bits.TrailingZeros64(rest)
		j := r.m.arcs[a].to
		if r.takes(j, nil) && !(r.m.passed[0][a] != 0 && r.outgrown(nil, a, nil)) && !r.ended(j, nil) && !r.groupEnded(j, nil) {
			r.change(len(r.old))
			r.open(&track{
				start: r.seq, mark: -1, instants: instants{t0: r.now, tl: r.now}, arrived: instants{t0: r.arrived, tl: r.arrived},
			}, j, 1, r.m.rounds(nil, a))
		}
	}
}

// open adds the event to a track as the count-th one of step j: a match, a
// partial match, or both.
func (r *run) open(from *track, j, count int, rounds *[]int) {
	s := &r.m.steps[j]
	var wait uint64
	var complete, fresh bool
	if s.max == Unbounded || count < s.max {
		wait = 1 << s.arc
	}
	if count >= s.min {
		after := s.after
		complete, fresh = s.complete, len(s.notNext) > 0
		if s.group != noGroup {
			after, complete, fresh = r.m.following(j, *rounds)
		}
		wait |= after
	}
	if s.max == Unbounded {
		count = min(count, s.min)
	}
	r.took = true
	if wait == 0 {
		r.found = append(r.found, *from)
		r.grow(&r.found[len(r.found)-1], j)
		return
	}
	r.out = append(r.out, partial{track: *from, step: int32(j), count: int32(count), wait: wait, fresh: fresh, rounds: rounds})
	t := &r.out[len(r.out)-1].track
	r.grow(t, j)
	if complete {
		r.found = append(r.found, *t)
	}
}

// grow adds the event to a track as one of step j.
func (r *run) grow(t *track, j int) {
	t.last = r.seq
	t.instants.add(r.now)
	t.arrived.add(r.arrived)
	t.events++
	if j == r.m.skipTo && (r.m.skip == SkipToLast || t.mark < 0) {
		t.mark = r.seq
	}
	if r.m.steps[j].keep != nil {
		t.kept = r.remember(t.kept, j)
	}
}

// remember appends what step j keeps of the event. Beyond MaxKept the latest
// value takes the place of the one before.
func (r *run) remember(list []*kept, j int) []*kept {
	var k *kept
	for _, have := range r.kept {
		if have.step == j {
			k = have
		}
	}
	if k == nil {
		k = &kept{step: j, value: r.m.steps[j].keep(r.ev)}
		r.kept = append(r.kept, k)
	}
	n, latest := 0, 0
	for i := range list {
		if list[i].step == j {
			n, latest = n+1, i
		}
	}
	if n < r.m.maxKept {
		return append(list[:len(list):len(list)], k)
	}
	list = append([]*kept(nil), list...)
	list[latest] = k
	if name := r.m.steps[j].name; !slices.Contains(r.displaced, name) {
		r.displaced = append(r.displaced, name)
	}
	return list
}
