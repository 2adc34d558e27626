package pattern

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// drawSpec makes a valid pattern over events whose names are a letter and a
// digit. Steps keep the names of all their events.
func drawSpec(t *rapid.T) Spec {
	for {
		spec := drawAnySpec(t)
		if _, err := Compile(spec); err == nil {
			return spec
		}
	}
}

func drawAnySpec(t *rapid.T) Spec {
	seconds := func(from, to int, label string) time.Duration {
		return time.Duration(rapid.IntRange(from, to).Draw(t, label)) * time.Second
	}
	spec := Spec{
		Name:        "p",
		Skip:        Skip(rapid.IntRange(0, 4).Draw(t, "skip")),
		Contiguity:  Contiguity(rapid.IntRange(0, 3).Draw(t, "contiguity")),
		Timeouts:    true,
		MaxPartials: MaxPartialsLimit,
		MaxKept:     MaxPartialsLimit,
		MaxIdle:     1000 * time.Hour,
	}
	if rapid.Bool().Draw(t, "bounded") {
		spec.Within = seconds(2, 8, "within")
	}
	n := rapid.IntRange(1, 4).Draw(t, "steps")
	var names []string
	refs := rapid.Bool().Draw(t, "refs")
	for i := range n {
		s := drawStep(t, i, refs && i > 0)
		if i > 0 && rapid.IntRange(0, 4).Draw(t, "negated") == 0 {
			s = Step{Name: s.Name, Match: s.Match, Refs: s.Refs, Not: Not(rapid.IntRange(1, 2).Draw(t, "not"))}
			if i == n-1 && s.Not == NotFollowedBy && rapid.Bool().Draw(t, "end gap") {
				s.Gap = seconds(1, 4, "gap")
			}
		} else if i > 0 && rapid.IntRange(0, 3).Draw(t, "gapped") == 0 {
			s.Gap = seconds(1, 4, "gap")
		}
		spec.Steps = append(spec.Steps, s)
		names = append(names, s.Name)
	}
	for range rapid.IntRange(0, 2).Draw(t, "groups") {
		drawGroup(t, &spec)
	}
	if spec.Skip == SkipToFirst || spec.Skip == SkipToLast {
		spec.SkipTo = names[rapid.IntRange(0, n-1).Draw(t, "skip to")]
	}
	return spec
}

func drawStep(t *rapid.T, i int, refs bool) Step {
	letters := rapid.SampledFrom([]string{"a", "b", "c", "ab", "bc", "ac"}).Draw(t, "letters")
	s := of(letters, named(fmt.Sprintf("%d%s", i, letters)))
	drawTimes(t, &s)
	if i > 0 {
		s.Contiguity = Contiguity(rapid.IntRange(0, 3).Draw(t, "into"))
	}
	if refs && rapid.Bool().Draw(t, "ref") {
		match := s.Match
		s.Refs = true
		s.Match = func(ev Event, matched Bindings) bool { return matched.notAbove(ev.Name) && match(ev, matched) }
		if until := s.Until; until != nil {
			s.UntilRefs = true
			s.Until = func(ev Event, matched Bindings) bool { return !matched.notAbove(ev.Name) || until(ev, matched) }
		}
	}
	return s
}

// notAbove reports whether no event that was taken has a higher number.
func (b Bindings) notAbove(name string) bool {
	for _, k := range b.kept {
		if k.value.(string)[1:] > name[1:] {
			return false
		}
	}
	return true
}

// drawTimes draws the quantifier of a step or a group.
func drawTimes(t *rapid.T, s *Step) {
	switch rapid.IntRange(0, 5).Draw(t, "quantifier") {
	case 0:
		s.Times = OneOrMore
	case 1:
		s.Times = Times{rapid.IntRange(1, 2).Draw(t, "min"), rapid.IntRange(2, 3).Draw(t, "max")}
	case 2:
		s.Times = Times{Min: 2}
	case 3:
		s.Times = Times{Min: rapid.IntRange(2, 3).Draw(t, "min"), Max: Unbounded}
	}
	s.Optional = rapid.IntRange(0, 3).Draw(t, "optional") == 0
	if s.Times != (Times{}) {
		switch rapid.IntRange(0, 3).Draw(t, "inner") {
		case 0:
			s.Consecutive = true
		case 1:
			s.Combinations = true
		}
		s.Greedy = (s.Optional || s.Times.Max != 0) && rapid.IntRange(0, 3).Draw(t, "greedy") == 0
	}
	if s.Times.Max == Unbounded && rapid.IntRange(0, 2).Draw(t, "until") == 0 {
		s.Until = of(rapid.SampledFrom([]string{"a", "b", "c", "d", "cd"}).Draw(t, "until letters")).Match
	}
}

// drawGroup makes a group of some neighbouring steps, or groups.
func drawGroup(t *rapid.T, spec *Spec) {
	n := len(spec.Steps)
	from := rapid.IntRange(0, n-1).Draw(t, "from")
	to := rapid.IntRange(from+1, n).Draw(t, "to")
	g := Step{Name: fmt.Sprintf("g%d", countSteps(spec.Steps)*10+from*3+to), Group: slices.Clone(spec.Steps[from:to])}
	g.Contiguity, g.Group[0].Contiguity = g.Group[0].Contiguity, ContiguityDefault
	drawTimes(t, &g)
	g.Greedy = false
	spec.Steps = slices.Concat(spec.Steps[:from:from], []Step{g}, spec.Steps[to:])
}

func drawStream(t *rapid.T, longest int) []Event {
	now := epoch
	return rapid.Custom(func(t *rapid.T) []Event {
		names := rapid.SliceOfN(rapid.SampledFrom([]string{"a1", "a2", "b1", "b2", "c1", "c2", "d1"}), 1, longest).Draw(t, "names")
		var events []Event
		for i, name := range names {
			now = now.Add(time.Duration(rapid.IntRange(0, 3).Draw(t, "seconds")) * time.Second)
			events = append(events, Event{Name: name, Time: now, Data: map[string]any{"i": float64(i)}})
		}
		return events
	}).Draw(t, "stream")
}

func describe(spec Spec) string {
	var b strings.Builder
	describeSteps(&b, "\n\t", spec.Steps)
	return fmt.Sprintf("skip %d %s, contiguity %d, within %v%s", spec.Skip, spec.SkipTo, spec.Contiguity, spec.Within, b.String())
}

func describeSteps(b *strings.Builder, indent string, steps []Step) {
	for _, s := range steps {
		fmt.Fprintf(b, "%s%+v", indent, struct {
			Name                                        string
			Refs                                        bool
			Times                                       Times
			Optional, Consecutive, Combinations, Greedy bool
			Contiguity                                  Contiguity
			Gap                                         time.Duration
			Not                                         Not
			Until                                       bool
		}{s.Name, s.Refs, s.Times, s.Optional, s.Consecutive, s.Combinations, s.Greedy, s.Contiguity, s.Gap, s.Not, s.Until != nil})
		describeSteps(b, indent+"\t", s.Group)
	}
}

// The matcher finds what the definition says, in the same order and at the same
// times, and so do timeouts; and no state is changed by writing it as JSON.
func TestReference(t *testing.T) {
	for range 20 { // some corners take a thousand patterns to come up
		rapid.Check(t, checkReference)
	}
}

func checkReference(t *rapid.T) {
	spec := drawSpec(t)
	m, err := Compile(spec)
	if err != nil {
		t.Fatal(err)
	}
	ref := newReference(spec)
	// The reference needs the events by number to distinguish equal names.
	keepNumbers(&spec)
	if m, err = Compile(spec); err != nil {
		t.Fatal(err)
	}
	var s State
	var got, gotOut []string
	add := func(res Result) {
		for _, x := range res.Matches {
			got = append(got, fmt.Sprint(numbers(m, x), " at ", x.At.UnixMilli()))
		}
		for _, x := range res.Timeouts {
			gotOut = append(gotOut, fmt.Sprint(numbers(m, x)[0].event, " at ", x.At.UnixMilli()))
		}
		if res.Dropped > 0 {
			t.Skip("too many partial matches")
		}
	}
	stream := drawStream(t, 9)
	for _, ev := range stream {
		var res Result
		if rapid.Bool().Draw(t, "advance first") {
			s, res = m.Advance(s, ev.Time)
			add(res)
		}
		s, res = m.Step(s, ev)
		add(res)
		ref.event(ev)
		s = throughJSON(t, s)
	}
	last := stream[len(stream)-1].Time.Add(time.Hour)
	for {
		at, ok := m.Deadline(s)
		if !ok {
			break
		}
		var res Result
		before := s
		if s, res = m.Advance(s, at.Add(-time.Millisecond)); s != before && (len(res.Matches) > 0 || len(res.Timeouts) > 0) {
			t.Fatalf("found something before the deadline %v: %+v", at, res)
		}
		s, res = m.Advance(s, at)
		add(res)
	}
	ref.advance(last.UnixMilli())
	var want, wantOut []string
	for _, f := range ref.out {
		want = append(want, fmt.Sprint(f.seq, " at ", f.at))
	}
	for _, f := range ref.timeouts {
		wantOut = append(wantOut, fmt.Sprint(f.seq[0].event, " at ", f.at))
	}
	if !slices.Equal(got, want) {
		t.Fatalf("%s\nstream %s\ngot  %q\nwant %q", describe(spec), text(stream), got, want)
	}
	if !slices.Equal(gotOut, wantOut) {
		t.Fatalf("%s\nstream %s\ntimeouts:\ngot  %q\nwant %q", describe(spec), text(stream), gotOut, wantOut)
	}
}

func text(stream []Event) string {
	var words []string
	for _, ev := range stream {
		words = append(words, fmt.Sprintf("%s@%v", ev.Name, ev.Time.Sub(epoch)))
	}
	return strings.Join(words, " ")
}

// keepNumbers makes the steps keep "name/number" instead of the name.
func keepNumbers(spec *Spec) { spec.Steps = keepingNumbers(spec.Steps) }

func keepingNumbers(steps []Step) []Step {
	steps = slices.Clone(steps)
	for i := range steps {
		s := &steps[i]
		if s.Group != nil {
			s.Group = keepingNumbers(s.Group)
		} else if s.Not == NotNegated {
			s.Keep = func(ev Event) any { return fmt.Sprintf("%s/%v", ev.Name, ev.Data["i"]) }
		}
		s.Match, s.Until = onNames(s.Match), onNames(s.Until)
	}
	return steps
}

func onNames(match func(Event, Bindings) bool) func(Event, Bindings) bool {
	if match == nil {
		return nil
	}
	return func(ev Event, matched Bindings) bool {
		plain := Bindings{m: matched.m}
		for _, k := range matched.kept {
			name, _, _ := strings.Cut(k.value.(string), "/")
			plain.kept = append(plain.kept, &kept{k.step, name})
		}
		return match(ev, plain)
	}
}

// numbers reads a match back as what the reference finds.
func numbers(m *Matcher, x Match) []taken {
	var seq []taken
	for i := range m.steps {
		for _, v := range x.Matched[m.steps[i].name] {
			var n int
			_, number, _ := strings.Cut(v.(string), "/")
			fmt.Sscan(number, &n)
			seq = append(seq, taken{event: n, step: i})
		}
	}
	slices.SortStableFunc(seq, func(a, b taken) int { return cmp.Compare(a.event, b.event) })
	return seq
}
