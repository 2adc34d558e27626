package pattern

import (
	"strings"
	"testing"
	"time"
)

func TestCompileFaults(t *testing.T) {
	for name, c := range map[string]struct {
		spec Spec
		want []string // parts of the faults, all at once
	}{
		"nothing":        {Spec{Name: "p"}, []string{`pattern "p": a pattern needs at least one step`}},
		"names":          {seq(of("a"), of("a"), of("b", named(""))), []string{`step "a": the name is not unique`, "step 3 needs a name"}},
		"no condition":   {seq(Step{Name: "a"}), []string{`step "a" needs a condition`}},
		"too many steps": {Spec{Steps: make([]Step, MaxSteps+1)}, []string{"at most 32 steps, not 33"}},
		"times":          {seq(of("a", times(3, 2)), of("b", times(-1, 2)), of("c", times(0, -2))), []string{`"a": 3 to 2 times`, `"b": -1 to 2 times`, `"c": 0 to -2 times`}},
		"inner": {seq(of("a", consecutive), of("b", plus, consecutive, combinations)),
			[]string{`"a": consecutive and combinations need`, `"b": consecutive and combinations exclude`}},
		"greedy":     {seq(of("a", greedy), of("b", times(2, 2), greedy)), []string{`"a": greedy needs`, `"b": greedy needs`}},
		"first step": {seq(of("a", into(Strict), gap(time.Second))), []string{"cannot have a contiguity", "cannot have a gap"}},
		"contiguity": {seq(of("a"), of("b", into(9))).with(func(s *Spec) { s.Contiguity = -1 }), []string{"contiguity 9", "contiguity -1"}},
		"negation first": {seq(of("a", notNext), of("b")), []string{
			"cannot begin with a negated step"}},
		"negation after optional": {seq(of("a"), of("b", optional), of("c", notNext), of("d")), []string{"two patterns"}},
		"negation with": {seq(of("a"), of("b", notNext, plus, into(Strict), gap(time.Second), func(s *Step) { s.Keep = func(Event) any { return 1 } })),
			[]string{"cannot have a quantifier", "cannot have a contiguity", "cannot keep events", "cannot have a gap"}},
		"endless absence": {seq(of("a"), of("b", notFollowedBy)), []string{"needs within or a gap"}},
		"unknown not":     {seq(of("a"), of("b", func(s *Step) { s.Not = 7 })), []string{"negation 7"}},
		"skip": {seq(of("a")).with(func(s *Spec) { s.Skip, s.SkipTo = SkipToFirst, "x" }),
			[]string{`skip to step "x"`}},
		"skip to nothing": {seq(of("a")).with(func(s *Spec) { s.SkipTo = "a" }), []string{"takes no step"}},
		"unknown skip":    {seq(of("a")).with(func(s *Spec) { s.Skip = 12 }), []string{"skip strategy 12"}},
		"bounds": {seq(of("a")).with(func(s *Spec) {
			s.Within, s.MaxIdle, s.MaxPartials, s.MaxKept = -1, time.Microsecond, -1, MaxPartialsLimit+1
		}), []string{"within must be", "max idle must be", "max partials must be", "max kept must be"}},
	} {
		m, err := Compile(c.spec)
		if err == nil || m != nil {
			t.Errorf("%s: compiled", name)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q is not in:\n%v", name, want, err)
			}
		}
		if got := strings.Count(err.Error(), "\n") + 1; got != len(c.want) {
			t.Errorf("%s: %d faults, want %d:\n%v", name, got, len(c.want), err)
		}
	}
}

func TestBreakable(t *testing.T) {
	for name, c := range map[string]struct {
		spec Spec
		want bool
	}{
		"relaxed":          {seq(of("a"), of("b", plus)), false},
		"strict":           {seq(of("a"), of("b", into(Strict))), true},
		"consecutive":      {seq(of("a", plus, consecutive), of("b")), true},
		"notNext":          {seq(of("a"), of("c", notNext), of("b")), true},
		"notNext last":     {seq(of("a"), of("c", notNext)), true},
		"notFollowed last": {seq(of("a"), of("c", notFollowedBy, gap(time.Second))), false},
	} {
		if got := compile(t, c.spec).Breakable(); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
