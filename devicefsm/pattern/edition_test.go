package pattern

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// What a greedy step could take is never left to what follows it, at the end of a
// pattern too. Before edition 2 it was: then there are the shorter matches as well.
func TestGreedyBeforeANegationAtTheEnd(t *testing.T) {
	for _, c := range []struct {
		name, stream string
		spec         Spec
		want, first  []string
	}{
		{"notFollowedBy", "a b1 b2 -", seq(of("a"), of("b", plus, greedy), of("c", notFollowedBy)),
			[]string{"a b1 b2"}, []string{"a b1 b2", "a b1"}},
		{"notFollowedBy, broken", "a b1 b2 c -", seq(of("a"), of("b", plus, greedy), of("c", notFollowedBy)), nil, nil},
		{"notFollowedBy, zero or more", "a b1 b2 d -", seq(of("a"), of("b", star, greedy), of("d"), of("c", notFollowedBy)),
			[]string{"a b1 b2 d"}, []string{"a b1 b2 d"}},
		{"notNext", "a b1 b2 d", seq(of("a"), of("b", plus, greedy), of("c", notNext)),
			[]string{"a b1 b2"}, []string{"a b1", "a b1 b2"}},
		{"notNext, broken", "a b1 b2 c", seq(of("a"), of("b", plus, greedy), of("c", notNext)), nil, []string{"a b1"}},
		{"not greedy", "a b1 b2 -", seq(of("a"), of("b", plus), of("c", notFollowedBy)),
			[]string{"a b1 b2", "a b1"}, []string{"a b1 b2", "a b1"}},
	} {
		c.spec.Within = time.Minute
		m := compile(t, c.spec)
		for edition, want := range map[int][]string{0: c.want, 1: c.first, 2: c.want} {
			var s State
			var got []string
			for i, name := range strings.Fields(c.stream) {
				var res Result
				if name == "-" {
					s, res = m.Advance(s, at(time.Minute))
				} else {
					s, res = m.Step(s, Event{Name: name, Time: at(time.Duration(i) * time.Second), Edition: edition})
				}
				got = append(got, names(m, res.Matches)...)
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s, edition %d: got %q, want %q", c.name, edition, got, want)
			}
		}
	}
}
