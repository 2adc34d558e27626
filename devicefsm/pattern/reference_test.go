package pattern

import (
	"cmp"
	"fmt"
	"slices"
)

// reference finds the matches of a stream from their definition: after every
// event, and at every time at which something could become due, it enumerates
// all sequences of the whole stream so far. It shares no code and no idea of a
// state with Matcher, only the words of doc.go.
type reference struct {
	spec     Spec
	steps    []Step  // those that take events, in groups too
	follow   [][]int // per step, the NotFollowedBy after it, as indexes of negated
	next     [][]int
	negated  []Step
	start    options
	closing  bool // the pattern ends with a negation
	absence  bool // with NotFollowedBy
	stream   []Event
	times    []int64
	killed   int // first events up to here were skipped
	waiting  [][]taken
	out      []found
	timeouts []found
}

// taken is one event of a sequence: its index in the stream, and its step.
type taken struct {
	event, step int
	at          *node
	way         int // which of those that were open
}

func (t taken) String() string { return fmt.Sprintf("{%d %d}", t.event, t.step) }

// found is a match, and when it was found.
type found struct {
	seq []taken
	at  int64
}

func newReference(spec Spec) *reference {
	r := &reference{spec: spec, killed: -1}
	var list func(steps []Step)
	list = func(steps []Step) {
		for _, s := range steps {
			switch {
			case s.Group != nil:
				list(s.Group)
			case s.Not == NotNegated:
				r.steps = append(r.steps, s)
				r.follow, r.next = append(r.follow, nil), append(r.next, nil)
			}
		}
	}
	list(spec.Steps)
	for i := len(spec.Steps) - 1; i > 0 && spec.Steps[i].Not != NotNegated; i-- {
		r.closing = true
		r.absence = r.absence || spec.Steps[i].Not == NotFollowedBy
	}
	r.start = r.unroll(spec.Steps, options{end: true}, ContiguityDefault, nil)
	return r
}

func (r *reference) bounds(step int) (lo, hi int) { return boundsOf(r.steps[step]) }

// bindings are what is kept of a sequence: all of it.
func (r *reference) bindings(seq []taken) Bindings {
	b := Bindings{m: &Matcher{}}
	for _, s := range r.steps {
		b.m.steps = append(b.m.steps, step{name: s.Name, keep: s.Keep})
	}
	for _, t := range seq {
		b.kept = append(b.kept, &kept{t.step, r.stream[t.event].Name})
	}
	return b
}

func (r *reference) holds(step int, event int, seq []taken) bool {
	return r.steps[step].Match(r.stream[event], r.bindings(seq))
}

// ended reports whether the event satisfies the Until of a step.
func (r *reference) ended(step, event int, seq []taken) bool {
	s := r.steps[step]
	return s.Until != nil && s.Until(r.stream[event], r.bindings(seq))
}

// groupEnded reports whether the event satisfies the Until of a group around a node.
func (r *reference) groupEnded(n *node, event int, seq []taken) bool {
	return slices.ContainsFunc(n.untils, func(g Step) bool { return g.Until(r.stream[event], r.bindings(seq)) })
}

func count(seq []taken) int {
	n := 0
	for i := len(seq) - 1; i >= 0 && seq[i].at == seq[len(seq)-1].at; i-- {
		n++
	}
	return n
}

// broken reports whether a negation ends seq at the event.
func (r *reference) broken(seq []taken, event int) bool {
	last := seq[len(seq)-1]
	nots := slices.Clone(r.follow[last.step])
	if lo, _ := r.bounds(last.step); count(seq) >= lo {
		if event == last.event+1 {
			nots = append(nots, r.next[last.step]...)
		}
		for _, e := range last.at.next.ends {
			nots = append(nots, e.follow...)
			if e.leaves && event == last.event+1 {
				nots = append(nots, e.next...)
			}
		}
	}
	for _, n := range nots {
		if r.negated[n].Match(r.stream[event], r.bindings(seq)) {
			return true
		}
	}
	return false
}

// outgrown: one of the greedy steps would take the event.
func (r *reference) outgrown(seq []taken, passed []int, event int) bool {
	for _, g := range passed {
		if len(seq) > 0 && g == seq[len(seq)-1].step && r.over(seq, event) {
			continue
		}
		if !r.ended(g, event, seq) && r.holds(g, event, seq) {
			return true
		}
	}
	return false
}

// over: Until has ended the last step, while it could take more.
func (r *reference) over(seq []taken, event int) bool {
	last := seq[len(seq)-1]
	for x := last.event + 1; x <= event; x++ {
		if r.ended(last.step, x, seq) && r.waits(seq, entry{node: last.at, again: true}, x, r.times[last.event]) {
			return true
		}
	}
	return false
}

// ways are all that may come after seq, or at the beginning; the end is one without a node.
func (r *reference) ways(seq []taken) []entry {
	if len(seq) == 0 {
		return r.start.entries
	}
	last := seq[len(seq)-1]
	lo, hi := r.bounds(last.step)
	var list []entry
	if count(seq) < hi {
		list = append(list, entry{node: last.at, again: true})
	}
	if count(seq) >= lo {
		list = append(list, last.at.next.entries...)
		if last.at.next.end {
			list = append(list, entry{passed: last.at.next.passed})
		}
	}
	return list
}

// waits reports whether, after seq, a way is still open, once the events before
// end have passed and at the given time.
func (r *reference) waits(seq []taken, way entry, end int, now int64) bool {
	last := seq[len(seq)-1]
	if w := r.spec.Within.Milliseconds(); w > 0 && now-r.times[seq[0].event] >= w {
		return false
	}
	gap := r.spec.Steps[len(r.spec.Steps)-1].Gap.Milliseconds()
	contiguity := RelaxedAny
	if way.node != nil {
		s := r.steps[way.node.step]
		gap, contiguity = s.Gap.Milliseconds(), way.node.contiguity
		if way.again {
			contiguity = innerOf(s)
		}
	} else if !r.absence {
		gap, contiguity = 0, Strict
	}
	if gap > 0 && now-r.times[last.event] >= gap {
		return false
	}
	for x := last.event + 1; x < end; x++ {
		if r.broken(seq, x) || contiguity == Strict || r.outgrown(seq, way.passed, x) {
			return false
		}
		if n := way.node; n != nil && (contiguity == Relaxed && r.holds(n.step, x, seq) || r.groupEnded(n, x, seq) || way.again && r.ended(n.step, x, seq)) {
			return false
		}
	}
	return true
}

// takes reports whether a way takes the event.
func (r *reference) takes(seq []taken, way entry, x int) bool {
	return way.node != nil && r.holds(way.node.step, x, seq) && !r.outgrown(seq, way.passed, x) &&
		!r.groupEnded(way.node, x, seq) && !r.ended(way.node.step, x, seq)
}

// completes reports whether the pattern may end after seq, and how.
func (r *reference) completes(seq []taken) (entry, bool) {
	for _, w := range r.ways(seq) {
		if w.node == nil {
			return w, true
		}
	}
	return entry{}, false
}

// sequences enumerates all that the events before end make possible.
func (r *reference) sequences(end int) [][]taken {
	var all [][]taken
	var grow func(seq []taken)
	grow = func(seq []taken) {
		all = append(all, slices.Clone(seq))
		for x := seq[len(seq)-1].event + 1; x < end; x++ {
			for i, w := range r.ways(seq) {
				if r.takes(seq, w, x) && r.waits(seq, w, x, r.times[x]) && !r.broken(seq, x) {
					grow(append(slices.Clone(seq), taken{x, w.node.step, w.node, i}))
				}
			}
		}
	}
	for x := range end {
		for _, w := range r.ways(nil) {
			if r.takes(nil, w, x) {
				grow([]taken{{x, w.node.step, w.node, 0}})
			}
		}
	}
	return all
}

// event gives the reference the next event.
func (r *reference) event(ev Event) {
	now := ev.Time.UnixMilli()
	r.advance(now)
	r.stream, r.times = append(r.stream, ev), append(r.times, now)
	end := len(r.stream)
	x := end - 1
	var complete [][]taken
	for _, seq := range r.sequences(end) {
		last := seq[len(seq)-1]
		way, ends := r.completes(seq)
		switch {
		case !ends:
		case !r.closing && last.event == x:
			complete = append(complete, seq)
		case r.closing && !r.absence && last.event == x-1 && r.waits(seq, way, x, now) && !r.broken(seq, x) &&
			!r.outgrown(seq, way.passed, x):
			complete = append(complete, seq)
		}
	}
	r.report(complete, now)
}

// open reports the first events of the sequences that something may follow.
func (r *reference) open(now int64) map[int]bool {
	starts := map[int]bool{}
	for _, seq := range r.sequences(len(r.stream)) {
		for _, w := range r.ways(seq) {
			if w.node == nil && !r.closing {
				continue
			}
			if seq[0].event > r.killed && r.waits(seq, w, len(r.stream), now) {
				starts[seq[0].event] = true
			}
		}
	}
	return starts
}

// fires is when the absence after seq is certain.
func (r *reference) fires(seq []taken) int64 {
	at := int64(1 << 62)
	if w := r.spec.Within.Milliseconds(); w > 0 {
		at = r.times[seq[0].event] + w
	}
	if g := r.spec.Steps[len(r.spec.Steps)-1].Gap.Milliseconds(); g > 0 {
		at = min(at, r.times[seq[len(seq)-1].event]+g)
	}
	return at
}

// advance lets every moment pass at which anything may be due.
func (r *reference) advance(now int64) {
	if len(r.stream) == 0 {
		return
	}
	var moments []int64
	durations := []int64{r.spec.Within.Milliseconds(), r.spec.Steps[len(r.spec.Steps)-1].Gap.Milliseconds()}
	for _, s := range r.steps {
		durations = append(durations, s.Gap.Milliseconds())
	}
	for _, t := range r.times {
		for _, d := range durations {
			if d > 0 {
				moments = append(moments, t+d)
			}
		}
	}
	slices.Sort(moments)
	for _, at := range slices.Compact(moments) {
		if at > r.times[len(r.times)-1] && at <= now && (len(r.out) == 0 || at > 0) {
			r.moment(at)
		}
	}
}

func (r *reference) moment(at int64) {
	end := len(r.stream)
	before, after := r.open(at-1), r.open(at)
	var complete [][]taken
	fired := map[int]bool{}
	if r.absence {
		for _, seq := range r.sequences(end) {
			way, ends := r.completes(seq)
			if seq[0].event > r.killed && ends && r.fires(seq) == at && r.waits(seq, way, end, at-1) {
				complete = append(complete, seq)
				fired[seq[0].event] = true
			}
		}
	}
	for start := range end {
		if before[start] && !after[start] && !fired[start] {
			r.timeouts = append(r.timeouts, found{[]taken{{event: start}}, at})
		}
	}
	r.report(complete, at)
}

// report applies the skip strategy.
func (r *reference) report(complete [][]taken, at int64) {
	complete = slices.DeleteFunc(complete, func(s []taken) bool { return s[0].event <= r.killed })
	slices.SortFunc(complete, prefer)
	if r.spec.Skip == SkipNone {
		for _, s := range complete {
			r.out = append(r.out, found{s, at})
		}
		return
	}
	r.waiting = append(r.waiting, complete...)
	slices.SortStableFunc(r.waiting, func(a, b []taken) int { return cmp.Compare(a[0].event, b[0].event) })
	for len(r.waiting) > 0 {
		first := r.waiting[0]
		for start := range r.open(at) {
			if start < first[0].event {
				return
			}
		}
		r.out = append(r.out, found{first, at})
		r.waiting = r.waiting[1:]
		r.killed = max(r.killed, r.limit(first))
		r.waiting = slices.DeleteFunc(r.waiting, func(s []taken) bool { return s[0].event <= r.killed })
	}
}

func (r *reference) limit(seq []taken) int {
	switch r.spec.Skip {
	case SkipPastLastEvent:
		return seq[len(seq)-1].event
	case SkipToNext:
		return seq[0].event
	}
	to := 0 // nothing lies before the first event of the stream
	for _, t := range slices.Backward(seq) {
		if r.steps[t.step].Name == r.spec.SkipTo {
			to = t.event
			if r.spec.Skip == SkipToLast {
				break
			}
		}
	}
	return to - 1
}

// prefer orders sequences by first event; then the one comes first that, where
// they first differ, is at the earlier step, or took the earlier event, or is in the
// same round of its groups; or that goes on where the other ends.
func prefer(a, b []taken) int {
	if c := cmp.Compare(a[0].event, b[0].event); c != 0 {
		return c
	}
	for i := range min(len(a), len(b)) {
		if c := cmp.Or(cmp.Compare(a[i].step, b[i].step), cmp.Compare(a[i].event, b[i].event), cmp.Compare(a[i].way, b[i].way)); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(b), len(a))
}
