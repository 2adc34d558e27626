package pattern

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
)

// A match is written by step: the events of all rounds of a group are those of its steps.
func TestGroups(t *testing.T) {
	bc := func(change ...func(*Step)) Step {
		s := grouped("g", times(2, 2), of("b"), of("c"))
		for _, c := range change {
			c(&s)
		}
		return s
	}
	for _, c := range []struct {
		name, stream string
		spec         Spec
		want         []string
	}{
		{"twice", "a b1 c1 b2 c2 d", seq(of("a"), bc(), of("d")), []string{"a b1 b2 c1 c2 d"}},
		{"once is not twice", "a b1 c1 d", seq(of("a"), bc(), of("d")), nil},
		{"something between", "a b1 e c1 e b2 e c2 e d", seq(of("a"), bc(), of("d")), []string{"a b1 b2 c1 c2 d"}},
		{"nothing between rounds", "a b1 c1 e b2 c2 d", seq(of("a"), bc(consecutive), of("d")), nil},
		{"something inside", "a b1 e c1 b2 c2 d", seq(of("a"), bc(consecutive), of("d")), []string{"a b1 b2 c1 c2 d"}},
		{"into it", "a e b1 c1 b2 c2 d", seq(of("a"), bc(into(Strict)), of("d")), nil},
		{"left out", "a d", seq(of("a"), bc(optional), of("d")), []string{"a d"}},
		{"half of it", "a b1 d", seq(of("a"), bc(optional), of("d")), []string{"a d"}},
		{"combinations", "a b1 c1 b2 c2 b3 c3 d", seq(of("a"), bc(combinations), of("d")),
			[]string{"a b1 b2 c1 c2 d", "a b1 b3 c1 c3 d"}},
		{"one or more", "a b1 c1 b2 c2 d", seq(of("a"), grouped("g", plus, of("b"), of("c")), of("d")),
			[]string{"a b1 b2 c1 c2 d", "a b1 c1 d"}},
		{"nested", "a b1 b2 c1 b3 c2 d", seq(of("a"), grouped("g", times(2, 2), grouped("h", plus, of("b")), of("c")), of("d")),
			[]string{"a b1 b2 b3 c1 c2 d", "a b1 b3 c1 c2 d"}},
		{"until", "a b1 c1 e b2 c2 d", seq(of("a"), grouped("g", func(s *Step) { plus(s); until("e")(s) }, of("b"), of("c")), of("d")), []string{"a b1 c1 d"}},
		{"until in a round", "a b1 e c1 d", seq(of("a"), grouped("g", func(s *Step) { plus(s); until("e")(s) }, of("b"), of("c")), of("d")), nil},
		{"until of a step", "a e b1 b2 e b3 d", seq(of("a"), of("b", plus, until("e")), of("d")), []string{"a b1 b2 d", "a b1 d"}},
		{"until frees what follows a greedy step", "a b1 e b2 bd d", seq(of("a"), of("b", plus, greedy, until("e")), of("bd")), []string{"a b1 b2"}},
		{"a negation after it", "a b1 c1 e b2 c2 d", seq(of("a"), bc(), of("e", notFollowedBy), of("d")), nil},
		{"not in a round", "a b1 e c1 b2 e c2 d", seq(of("a"), bc(), of("e", notFollowedBy), of("d")), []string{"a b1 b2 c1 c2 d"}},
		{"an absence", "b1 c1 b2 c2 -", seq(bc(), of("e", notFollowedBy, gap(time.Second))).with(func(s *Spec) { s.Within = time.Hour }), []string{"b1 b2 c1 c2"}},
		{"notNext after it", "b1 c1 e b2 c2 d", seq(grouped("g", plus, of("b"), of("c")), of("e", notNext), of("d")), []string{"b2 c2 d"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := feed(t, compile(t, c.spec), c.stream); !slices.Equal(got, c.want) {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}

func TestRoundsAreCountedNotWrittenOut(t *testing.T) {
	m := compile(t, seq(grouped("g", times(1000, 1000), of("b"), of("c")), of("d")).with(func(s *Spec) { s.Skip = SkipPastLastEvent }))
	var s State
	for i := range 2000 {
		s, _ = m.Step(s, Event{Name: []string{"b", "c"}[i%2], Time: at(time.Duration(i) * time.Second)})
		if s.Partials() > DefaultMaxPartials {
			t.Fatalf("%d partial matches", s.Partials())
		}
	}
	if _, res := m.Step(s, Event{Name: "d", Time: at(time.Hour)}); len(res.Matches) != 1 || res.Matches[0].Events != 2001 {
		t.Errorf("found %+v", res.Matches)
	}
}

// TestStatesWithoutGroupsAreWrittenAsBefore: what a release without groups wrote is read,
// goes on, and is written again byte by byte.
func TestStatesWithoutGroupsAreWrittenAsBefore(t *testing.T) {
	const before = `{"n":2,"t":1767225600000,"p":[[0,1,-1,0,1000,1000,2,1,1,6,0,0,1],[0,1,-1,0,1000,1000,2,1,1,8,1,0,1]],"k":[[0,"a"],[1,"b1"]]}`
	m := compile(t, seq(of("a"), of("b", plus), of("c"), of("d")))
	var s State
	if err := json.Unmarshal([]byte(before), &s); err != nil {
		t.Fatal(err)
	}
	if text, err := json.Marshal(s); err != nil || string(text) != before {
		t.Errorf("written again: %s, %v", text, err)
	}
	var got []string
	for i, name := range strings.Fields("b2 c d") {
		var res Result
		s, res = m.Step(s, Event{Name: name, Time: at(time.Duration(2+i) * time.Second)})
		got = append(got, names(m, res.Matches)...)
	}
	if want := []string{"a b1 b2 c d", "a b1 c d", "a b1 d"}; !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

func TestTooManyGroups(t *testing.T) {
	g := grouped("h", plus, of("a"))
	for _, name := range []string{"i", "j", "k"} {
		g = grouped(name, plus, g)
	}
	if _, err := Compile(seq(g)); err != nil {
		t.Errorf("four deep: %v", err)
	}
	if _, err := Compile(seq(grouped("l", plus, g))); err == nil || !strings.Contains(err.Error(), "nested deeper than 4") {
		t.Errorf("five deep: %v", err)
	}
	var steps []Step
	for i := range MaxSteps {
		name := string(rune('A' + i))
		steps = append(steps, grouped("g"+name, plus, of("a", named(name))))
	}
	if _, err := Compile(seq(steps...)); err == nil || !strings.Contains(err.Error(), "more than 52 steps and beginnings of groups") {
		t.Errorf("%d groups: %v", len(steps), err)
	}
	if _, err := Compile(seq(steps[:26]...)); err != nil {
		t.Errorf("26 groups: %v", err)
	}
}
