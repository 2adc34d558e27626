package pattern

import (
	"cmp"
	"slices"
)

// The reference knows no rounds: it writes a group out as often as it may be taken.

// longestStream is more events than any test gives the reference.
const longestStream = 10

// node is a step in one of the copies of its groups.
type node struct {
	step       int
	contiguity Contiguity // into it
	next       options
	untils     []Step // groups around it
}

// entry is a way to a node; passed are the greedy steps that it leaves, or leaves out.
type entry struct {
	node   *node // nil: the end
	passed []int
	again  bool // the same node once more
}

// options are what may come next.
type options struct {
	entries []entry
	end     bool
	passed  []int // on the way to the end
	ends    []ending
}

// ending is the end of a round of a group that a negation follows.
type ending struct {
	follow, next []int
	leaves       bool // there were enough rounds
}

func (o options) and(other options) options {
	out := options{entries: append(slices.Clone(o.entries), other.entries...), end: o.end || other.end, ends: append(slices.Clone(o.ends), other.ends...)}
	out.passed = o.passed
	if other.end {
		out.passed = other.passed
	}
	return out
}

// past are the options behind a greedy step that is left or left out.
func (o options) past(step int) options {
	out := o
	out.entries = slices.Clone(o.entries)
	for i := range out.entries {
		out.entries[i].passed = append(slices.Clone(out.entries[i].passed), step)
	}
	out.passed = append(slices.Clone(o.passed), step)
	return out
}

func boundsOf(s Step) (lo, hi int) {
	t := s.Times
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

func isOptional(s Step) bool { return s.Optional || s.Times.Min == 0 && s.Times.Max != 0 }

func innerOf(s Step) Contiguity {
	switch {
	case s.Consecutive:
		return Strict
	case s.Combinations:
		return RelaxedAny
	}
	return Relaxed
}

// number is the index of a step among those that take events.
func (r *reference) number(s Step) int {
	return slices.IndexFunc(r.steps, func(x Step) bool { return x.Name == s.Name })
}

// unroll is what may come at the beginning of a sequence that is followed by after. The
// first element is entered with the contiguity of what the sequence is in, if any.
func (r *reference) unroll(steps []Step, after options, into Contiguity, untils []Step) options {
	var follow, next []int
	for i, s := range slices.Backward(steps) {
		if s.Not != NotNegated {
			n := len(r.negated)
			r.negated = append(r.negated, s)
			if s.Not == NotFollowedBy {
				follow = append(follow, n)
			} else {
				next = append(next, n)
			}
			continue
		}
		contiguity := cmp.Or(s.Contiguity, r.spec.Contiguity, Relaxed)
		if i == 0 && into != ContiguityDefault {
			contiguity = into
		}
		entering := options{}
		if s.Group != nil {
			entering = r.unrollGroup(s, after, contiguity, follow, next, untils)
		} else {
			step := r.number(s)
			r.follow[step], r.next[step] = follow, next
			n := &node{step: step, contiguity: contiguity, next: after, untils: untils}
			if s.Greedy {
				n.next = after.past(step)
			}
			entering.entries = []entry{{node: n}}
		}
		if isOptional(s) {
			if s.Greedy {
				after = after.past(r.number(s))
			}
			entering = entering.and(after)
		}
		after = entering
		follow, next = nil, nil
	}
	return after
}

func (r *reference) unrollGroup(s Step, after options, contiguity Contiguity, follow, next []int, untils []Step) options {
	if s.Until != nil {
		untils = append(slices.Clone(untils), s)
	}
	lo, hi := boundsOf(s)
	var further options // the next round
	for round := min(hi, longestStream); round >= 1; round-- {
		behind := further
		if round >= lo {
			behind = behind.and(after)
		}
		if len(follow)+len(next) > 0 {
			behind.ends = append(slices.Clone(behind.ends), ending{follow, next, round >= lo})
		}
		into := innerOf(s)
		if round == 1 {
			into = contiguity
		}
		further = r.unroll(s.Group, behind, into, untils)
	}
	return further
}
