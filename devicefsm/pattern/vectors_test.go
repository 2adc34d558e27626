package pattern

import (
	"slices"
	"testing"
	"time"
)

// The published results of Flink CEP: its documentation ("Combining Patterns",
// "Contiguity within looping patterns", "After Match Skip Strategy") and the
// integration tests of its NFA. Sets of matches are compared in our order.
func TestFlinkVectors(t *testing.T) {
	skip := func(k Skip, to string) func(*Spec) {
		return func(s *Spec) { s.Skip, s.SkipTo = k, to }
	}
	within := func(d time.Duration) func(*Spec) { return func(s *Spec) { s.Within = d } }
	bPlusC := seq(of("b", plus, consecutive, greedy), of("c", into(Strict)))
	loose := seq(of("b", plus), of("c", into(Strict)))
	cAd := func(a Step) Spec { return seq(of("c"), a, of("b")) }
	const cdStream = "c d a1 a2 a3 d a4 b"
	abab := seq(of("a", times(2, 2)), of("a", named("end"), times(2, 2), into(Strict)))
	aBPlus := seq(of("a"), of("b", plus, consecutive, into(Strict)))
	missed := seq(of("a"), of("b", star, consecutive, into(Strict)), of("c", into(Strict)))
	abc := seq(of("abc"), of("bc"), of("c", named("c+"), plus, greedy), of("d"))

	for _, c := range []struct {
		name, stream string
		spec         Spec
		want         []string
	}{
		{"a b strict", "a c b1 b2", seq(of("a"), of("b", into(Strict))), nil},
		{"a b relaxed", "a c b1 b2", seq(of("a"), of("b")), []string{"a b1"}},
		{"a b any", "a c b1 b2", seq(of("a"), of("b", into(RelaxedAny))), []string{"a b1", "a b2"}},
		{"pattern strict", "a c b1 a b2", seq(of("a"), of("b")).with(func(s *Spec) { s.Contiguity = Strict }), []string{"a b2"}},

		{"a b+ c consecutive", "a b1 d1 b2 d2 b3 c",
			seq(of("a"), of("b", plus, consecutive, into(RelaxedAny)), of("c", into(Strict))), []string{"a b3 c"}},
		{"a b+ c relaxed", "a b1 d1 b2 d2 b3 c", seq(of("a"), of("b", plus, into(RelaxedAny)), of("c")),
			[]string{"a b1 b2 b3 c", "a b1 b2 c", "a b1 c", "a b2 b3 c", "a b2 c", "a b3 c"}},
		{"a b+ c combinations", "a b1 d1 b2 d2 b3 c", seq(of("a"), of("b", plus, combinations, into(RelaxedAny)), of("c")),
			[]string{"a b1 b2 b3 c", "a b1 b2 c", "a b1 b3 c", "a b1 c", "a b2 b3 c", "a b2 c", "a b3 c"}},
		{"consecutive()", cdStream, cAd(of("a", plus, consecutive)), []string{"c a1 a2 a3 b", "c a1 a2 b", "c a1 b"}},
		{"not consecutive()", cdStream, cAd(of("a", plus)), []string{"c a1 a2 a3 a4 b", "c a1 a2 a3 b", "c a1 a2 b", "c a1 b"}},
		{"times(2)", cdStream, cAd(of("a", times(2, 2))), []string{"c a1 a2 b"}},
		{"times(2, 3)", cdStream, cAd(of("a", times(2, 3))), []string{"c a1 a2 a3 b", "c a1 a2 b"}},
		{"times(3) consecutive over d", "c a1 a2 d a3 b", cAd(of("a", times(3, 3), consecutive)), nil},
		{"timesOrMore(4)", cdStream, cAd(of("a", times(4, Unbounded))), []string{"c a1 a2 a3 a4 b"}},
		{"optional", "c d a1 b", cAd(of("a", optional)), []string{"c a1 b", "c b"}},
		{"zeroOrMore", "c a1 a2 b", cAd(of("a", star)), []string{"c a1 a2 b", "c a1 b", "c b"}},
		{"greedy zeroOrMore", "c a1 a2 a3 b", cAd(of("a", star, greedy)), []string{"c a1 a2 a3 b"}},
		{"greedy zeroOrMore, none", "c b", cAd(of("a", star, greedy)), []string{"c b"}},
		{"greedy times(2, 5)", "c a1 a2 a3 b", cAd(of("a", times(2, 5), greedy)), []string{"c a1 a2 a3 b"}},

		{"b+ c none", "b1 b2 b3 c", bPlusC, []string{"b1 b2 b3 c", "b2 b3 c", "b3 c"}},
		{"b+ c past last", "b1 b2 b3 c", bPlusC.with(skip(SkipPastLastEvent, "")), []string{"b1 b2 b3 c"}},
		{"b+ c not greedy, none", "b1 b2 b3 c", loose, []string{"b1 b2 b3 c", "b2 b3 c", "b3 c"}},
		{"b+ c not greedy, past last", "b1 b2 b3 c", loose.with(skip(SkipPastLastEvent, "")), []string{"b1 b2 b3 c"}},
		{"b+ c relaxed, past last", "b1 b2 b3 c", seq(of("b", plus), of("c")).with(skip(SkipPastLastEvent, "")), []string{"b1 b2 b3 c"}},
		{"b+ c to next", "b1 b2 b3 c", bPlusC.with(skip(SkipToNext, "")), []string{"b1 b2 b3 c", "b2 b3 c", "b3 c"}},
		{"b+ c to first b", "b1 b2 b3 c", bPlusC.with(skip(SkipToFirst, "b")), []string{"b1 b2 b3 c", "b2 b3 c", "b3 c"}},
		{"b+ c to last b", "b1 b2 b3 c", bPlusC.with(skip(SkipToLast, "b")), []string{"b1 b2 b3 c", "b3 c"}},
		{"abc none", "a b c1 c2 c3 d", abc, []string{"a b c1 c2 c3 d", "b c1 c2 c3 d", "c1 c2 c3 d"}},
		{"abc to first c", "a b c1 c2 c3 d", abc.with(skip(SkipToFirst, "c+")), []string{"a b c1 c2 c3 d", "c1 c2 c3 d"}},
		{"a b+ none", "a b1 b2 b3", seq(of("a"), of("b", plus)), []string{"a b1", "a b1 b2", "a b1 b2 b3"}},
		{"a b+ to next", "a b1 b2 b3", seq(of("a"), of("b", plus)).with(skip(SkipToNext, "")), []string{"a b1"}},
		{"ab{2} ab{2} to first", "a1 a2 a3 a4 a5 a6", abab.with(skip(SkipToFirst, "end")), []string{"a1 a2 a3 a4", "a3 a4 a5 a6"}},
		{"ab{2} ab{2} to last", "a1 a2 a3 a4 a5 a6 a7", abab.with(skip(SkipToLast, "end")), []string{"a1 a2 a3 a4", "a4 a5 a6 a7"}},
		{"a b+ to first b", "a1 b1 a2 b2 b3 a3 b4", aBPlus.with(skip(SkipToFirst, "b")), []string{"a1 b1", "a2 b2", "a3 b4"}},
		{"a b+ to last b", "a1 b1 a2 b2 b3 a3 b4", aBPlus.with(skip(SkipToLast, "b")), []string{"a1 b1", "a2 b2", "a3 b4"}},
		{"a b* c to first b, none there", "a c", missed.with(skip(SkipToFirst, "b")), []string{"a c"}},
		{"any, past last", "a1 a2 b1 b2 c1 c2 d1 d2",
			seq(of("a"), of("b", into(RelaxedAny)), of("c", into(RelaxedAny)), of("d")).with(skip(SkipPastLastEvent, "")),
			[]string{"a1 b1 c1 d1"}},
		{"a{3} past last", "a1 a2 a3 a4 a5 a6", seq(of("a", times(3, 3))).with(skip(SkipPastLastEvent, "")),
			[]string{"a1 a2 a3", "a4 a5 a6"}},
		{"a{3} none", "a1 a2 a3 a4 a5 a6", seq(of("a", times(3, 3))),
			[]string{"a1 a2 a3", "a2 a3 a4", "a3 a4 a5", "a4 a5 a6"}},

		{"notNext", "a1 c1 b1 a2 d1 b2", seq(of("a"), of("c", notNext), of("b")), []string{"a2 b2"}},
		{"notNext far", "a d c b", seq(of("a"), of("c", notNext), of("b")), []string{"a b"}},
		{"notFollowedBy", "a1 d c b1 a2 d b2", seq(of("a"), of("c", notFollowedBy), of("b")), []string{"a2 b2"}},
		{"notFollowedBy, optional taken", "a c b d", seq(of("a"), of("b", notFollowedBy), of("c", optional), of("d")), []string{"a c d"}},
		{"notFollowedBy, optional left out", "a b d", seq(of("a"), of("b", notFollowedBy), of("c", optional), of("d")), nil},
		{"notFollowedBy before oneOrMore", "a b1 c b4 b5 b6 d", seq(of("a"), of("c", notFollowedBy), of("b", plus), of("d")),
			[]string{"a b1 b4 b5 b6 d", "a b1 b4 b5 d", "a b1 b4 d", "a b1 d"}},
		{"notFollowedBy after oneOrMore", "a b1 c b2 d", seq(of("a"), of("b", plus), of("c", notFollowedBy), of("d")), nil},
		{"notNext last", "a1 b a2 c", seq(of("a"), of("b", notNext)), []string{"a2"}},
		{"notFollowedBy last", "a1 c - - a2 b - - -", seq(of("a"), of("b", notFollowedBy)).with(within(3 * time.Second)), []string{"a1"}},

		// Partial matches that look alike but must not be merged.
		{"b{2,3} c strict", "b1 b2 b3 b4 c", seq(of("b", times(2, 3)), of("c", into(Strict))).with(skip(SkipPastLastEvent, "")), []string{"b2 b3 b4 c"}},
		{"b+ notNext c d", "a b1 b2 c d", seq(of("a"), of("b", plus), of("c", notNext), of("d")).with(skip(SkipPastLastEvent, "")), []string{"a b1 d"}},

		{"within", "a1 c b1 a2 c c b2", seq(of("a"), of("b")).with(within(3 * time.Second)), []string{"a1 b1"}},
		{"gap", "a1 b1 c c1", seq(of("a"), of("b"), of("c", gap(2*time.Second))), []string{"a1 b1 c"}},
		{"gap too long", "a1 b1 d d c1", seq(of("a"), of("b"), of("c", gap(2*time.Second))), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := feed(t, compile(t, c.spec), c.stream); !slices.Equal(got, c.want) {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}

// The pattern of the pump: three boots, then a fault, within ten minutes.
func TestCrashLoop(t *testing.T) {
	spec := seq(of("b", times(3, 3)), of("f")).with(func(s *Spec) {
		s.Skip, s.Within = SkipPastLastEvent, 10*time.Second
	})
	for stream, want := range map[string][]string{
		"b1 b2 b3 f":                      {"b1 b2 b3 f"},
		"b1 r b2 r b3 r f f":              {"b1 b2 b3 f"},
		"b1 b2 f b3 f":                    {"b1 b2 b3 f"},
		"b1 b2 b3 b4 b5 f f":              {"b1 b2 b3 f"},
		"b1 b2 b3 f b4 b5 f b6 f":         {"b1 b2 b3 f", "b4 b5 b6 f"},
		"b1 b2 b3 r r r r r r r f":        nil,
		"b1 b2 b3 b4 r r r r r r f":       {"b2 b3 b4 f"},
		"b1 r r r r r r r r r b2 b3 b4 f": {"b2 b3 b4 f"},
	} {
		if got := feed(t, compile(t, spec), stream); !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", stream, got, want)
		}
	}
}

// A condition that reads an earlier event, and a match that waits for an earlier
// partial match until that can no longer skip it.
func TestReferences(t *testing.T) {
	same := func(s *Step) {
		s.Refs = true
		match := s.Match
		s.Match = func(ev Event, matched Bindings) bool {
			a := matched.Step("a")
			return match(ev, matched) && len(a) > 0 && a[0].(string)[1:] == ev.Name[1:]
		}
	}
	spec := seq(of("a"), of("b", same)).with(func(s *Spec) { s.Within = 5 * time.Second })
	m := compile(t, spec)
	if got, want := feed(t, m, "a1 a2 b2 b1"), []string{"a2 b2", "a1 b1"}; !slices.Equal(got, want) {
		t.Errorf("skip none: got %q, want %q", got, want)
	}
	m = compile(t, spec.with(func(s *Spec) { s.Skip = SkipPastLastEvent }))
	if got, want := feed(t, m, "a1 a2 b2 b1"), []string{"a1 b1"}; !slices.Equal(got, want) {
		t.Errorf("past last event: got %q, want %q", got, want)
	}
	var s State
	for i, name := range []string{"a1", "a2", "b2"} {
		s, _ = m.Step(s, Event{Name: name, Time: at(time.Duration(i) * time.Second)})
	}
	deadline, ok := m.Deadline(s)
	if want := at(5 * time.Second); !ok || !deadline.Equal(want) {
		t.Fatalf("deadline %v %v, want %v, when a1 expires", deadline, ok, want)
	}
	s, res := m.Advance(s, deadline)
	if got := names(m, res.Matches); !slices.Equal(got, []string{"a2 b2"}) || !res.Matches[0].At.Equal(deadline) {
		t.Errorf("at the deadline: got %+v", res)
	}
	if !s.IsZero() {
		t.Errorf("%d partial matches left", s.Partials())
	}
}
