package pattern

import (
	"cmp"
	"slices"
)

// reference finds the matches of a stream from their definition: after every
// event, and at every time at which something could become due, it enumerates
// all sequences of the whole stream so far. It shares no code and no idea of a
// state with Matcher, only the words of doc.go.
type reference struct {
	spec     Spec
	steps    []Step  // those that take events
	follow   [][]int // per step, the NotFollowedBy after it, as indexes of spec.Steps
	next     [][]int
	stream   []Event
	times    []int64
	killed   int // first events up to here were skipped
	waiting  [][]taken
	out      []found
	timeouts []found
}

// taken is one event of a sequence: its index in the stream, and its step.
type taken struct{ event, step int }

// found is a match: its sequence, and when it was found.
type found struct {
	seq []taken
	at  int64
}

func newReference(spec Spec) *reference {
	r := &reference{spec: spec, killed: -1}
	for i, s := range spec.Steps {
		switch s.Not {
		case NotNegated:
			r.steps = append(r.steps, s)
			r.follow, r.next = append(r.follow, nil), append(r.next, nil)
		case NotFollowedBy:
			r.follow[len(r.steps)-1] = append(r.follow[len(r.steps)-1], i)
		case NotNext:
			r.next[len(r.steps)-1] = append(r.next[len(r.steps)-1], i)
		}
	}
	return r
}

func (r *reference) bounds(step int) (lo, hi int) {
	t := r.steps[step].Times
	switch {
	case t == Times{}:
		return 1, 1
	case t.Max == Unbounded:
		return max(t.Min, 1), 1 << 30
	case t.Max == 0:
		return t.Min, t.Min
	}
	return max(t.Min, 1), t.Max
}

func (r *reference) optional(step int) bool {
	t := r.steps[step].Times
	return r.steps[step].Optional || t.Min == 0 && t.Max != 0
}

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

func count(seq []taken) int {
	n := 0
	for i := len(seq) - 1; i >= 0 && seq[i].step == seq[len(seq)-1].step; i-- {
		n++
	}
	return n
}

// broken reports whether a negation ends seq at the event.
func (r *reference) broken(seq []taken, event int) bool {
	last := seq[len(seq)-1]
	nots := r.follow[last.step]
	if lo, _ := r.bounds(last.step); event == last.event+1 && count(seq) >= lo {
		nots = append(slices.Clone(nots), r.next[last.step]...)
	}
	for _, n := range nots {
		if r.spec.Steps[n].Match(r.stream[event], r.bindings(seq)) {
			return true
		}
	}
	return false
}

// outgrown: a greedy step at or after from, before step, would take the event.
func (r *reference) outgrown(seq []taken, from, step, event int) bool {
	for g := max(from, 0); g < step; g++ {
		if r.steps[g].Greedy && r.holds(g, event, seq) {
			return true
		}
	}
	return false
}

// reachable: after seq (or at the beginning), the step may come next. The end is
// the step after the last.
func (r *reference) reachable(seq []taken, step int) bool {
	from := 0
	if len(seq) > 0 {
		last := seq[len(seq)-1].step
		lo, hi := r.bounds(last)
		if step == last {
			return count(seq) < hi
		}
		if step < last || count(seq) < lo {
			return false
		}
		from = last + 1
	}
	for i := from; i < step; i++ {
		if !r.optional(i) {
			return false
		}
	}
	return true
}

// waits reports whether, after seq, step may still come, once the events before
// end have passed and at the given time.
func (r *reference) waits(seq []taken, step, end int, now int64) bool {
	last := seq[len(seq)-1]
	if !r.reachable(seq, step) {
		return false
	}
	if w := r.spec.Within.Milliseconds(); w > 0 && now-r.times[seq[0].event] >= w {
		return false
	}
	gap := r.spec.Steps[len(r.spec.Steps)-1].Gap.Milliseconds()
	contiguity := RelaxedAny
	if step < len(r.steps) {
		s := r.steps[step]
		gap, contiguity = s.Gap.Milliseconds(), s.Contiguity
		if contiguity == ContiguityDefault {
			contiguity = cmp.Or(r.spec.Contiguity, Relaxed)
		}
		if step == last.step {
			contiguity = Relaxed
			if s.Consecutive {
				contiguity = Strict
			}
			if s.Combinations {
				contiguity = RelaxedAny
			}
		}
	} else if !r.absence() {
		gap, contiguity = 0, Strict
	}
	if gap > 0 && now-r.times[last.event] >= gap {
		return false
	}
	for x := last.event + 1; x < end; x++ {
		if r.broken(seq, x) || contiguity == Strict {
			return false
		}
		if r.outgrown(seq, last.step, step, x) || step < len(r.steps) && contiguity == Relaxed && r.holds(step, x, seq) {
			return false
		}
	}
	return true
}

// absence: the pattern ends with NotFollowedBy.
func (r *reference) absence() bool { return len(r.follow[len(r.steps)-1]) > 0 }

// closing: the pattern ends with a negation of either kind.
func (r *reference) closing() bool { return r.absence() || len(r.next[len(r.steps)-1]) > 0 }

// sequences enumerates all that the events before end make possible.
func (r *reference) sequences(end int) [][]taken {
	var all [][]taken
	var grow func(seq []taken)
	grow = func(seq []taken) {
		all = append(all, slices.Clone(seq))
		for x := seq[len(seq)-1].event + 1; x < end; x++ {
			for j := range r.steps {
				if r.waits(seq, j, x, r.times[x]) && !r.broken(seq, x) &&
					!r.outgrown(seq, seq[len(seq)-1].step, j, x) && r.holds(j, x, seq) {
					grow(append(slices.Clone(seq), taken{x, j}))
				}
			}
		}
	}
	for x := range end {
		for j := range r.steps {
			if r.reachable(nil, j) && r.holds(j, x, nil) && !r.outgrown(nil, 0, j, x) {
				grow([]taken{{x, j}})
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
		switch {
		case !r.reachable(seq, len(r.steps)):
		case !r.closing() && last.event == x:
			complete = append(complete, seq)
		case r.closing() && !r.absence() && last.event == x-1 && r.waits(seq, len(r.steps), x, now) && !r.broken(seq, x) &&
			!r.outgrown(seq, last.step, len(r.steps), x):
			complete = append(complete, seq)
		}
	}
	r.report(complete, now)
}

// open reports the first events of the sequences that something may follow.
func (r *reference) open(now int64) map[int]bool {
	starts := map[int]bool{}
	for _, seq := range r.sequences(len(r.stream)) {
		for j := range len(r.steps) + 1 {
			if j == len(r.steps) && !r.closing() {
				continue
			}
			if seq[0].event > r.killed && r.waits(seq, j, len(r.stream), now) {
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
	durations := []int64{r.spec.Within.Milliseconds()}
	for _, s := range r.spec.Steps {
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
	if r.absence() {
		for _, seq := range r.sequences(end) {
			if seq[0].event > r.killed && r.reachable(seq, len(r.steps)) && r.fires(seq) == at && r.waits(seq, len(r.steps), end, at-1) {
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
// they first differ, is at the earlier step, or took the earlier event; or that
// goes on where the other ends.
func prefer(a, b []taken) int {
	if c := cmp.Compare(a[0].event, b[0].event); c != 0 {
		return c
	}
	for i := range min(len(a), len(b)) {
		if c := cmp.Or(cmp.Compare(a[i].step, b[i].step), cmp.Compare(a[i].event, b[i].event)); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(b), len(a))
}
