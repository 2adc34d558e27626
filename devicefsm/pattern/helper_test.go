package pattern

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func at(d time.Duration) time.Time { return epoch.Add(d) }

// of makes a step that takes the events whose names begin with one of the given
// letters, and keeps their names.
func of(letters string, change ...func(*Step)) Step {
	s := Step{
		Name:  letters,
		Match: func(ev Event, _ Bindings) bool { return strings.Contains(letters, ev.Name[:1]) },
		Keep:  func(ev Event) any { return ev.Name },
	}
	for _, c := range change {
		c(&s)
	}
	return s
}

func named(name string) func(*Step)         { return func(s *Step) { s.Name = name } }
func times(from, to int) func(*Step)        { return func(s *Step) { s.Times = Times{from, to} } }
func into(c Contiguity) func(*Step)         { return func(s *Step) { s.Contiguity = c } }
func gap(d time.Duration) func(*Step)       { return func(s *Step) { s.Gap = d } }
func plus(s *Step)                          { s.Times = OneOrMore }
func star(s *Step)                          { s.Times, s.Optional = OneOrMore, true }
func optional(s *Step)                      { s.Optional = true }
func consecutive(s *Step)                   { s.Consecutive = true }
func combinations(s *Step)                  { s.Combinations = true }
func greedy(s *Step)                        { s.Greedy = true }
func notNext(s *Step)                       { s.Not, s.Keep, s.Name = NotNext, nil, "not "+s.Name }
func notFollowedBy(s *Step)                 { s.Not, s.Keep, s.Name = NotFollowedBy, nil, "not "+s.Name }
func until(letters string) func(*Step)      { return func(s *Step) { s.Until = of(letters).Match } }
func seq(steps ...Step) Spec                { return Spec{Name: "p", Steps: steps, Skip: SkipNone} }
func (s Spec) with(change func(*Spec)) Spec { change(&s); return s }

// grouped makes a group of steps.
func grouped(name string, change func(*Step), steps ...Step) Step {
	s := Step{Name: name, Group: steps}
	change(&s)
	return s
}

func compile(t testing.TB, spec Spec) *Matcher {
	t.Helper()
	m, err := Compile(spec)
	if err != nil {
		t.Fatalf("compile: %v", err)
	}
	return m
}

// play gives event names to a matcher, one each second. A name of "-" lets a second
// pass. The state goes through JSON after each.
func play(t testing.TB, m *Matcher, stream []string) (matches []Match, dropped int) {
	t.Helper()
	var s State
	for i, name := range stream {
		now := at(time.Duration(i) * time.Second)
		var res Result
		if name == "-" {
			s, res = m.Advance(s, now)
		} else {
			s, res = m.Step(s, Event{Name: name, Time: now})
		}
		matches, dropped = append(matches, res.Matches...), dropped+res.Dropped
		s = throughJSON(t, s)
	}
	return matches, dropped
}

// feed plays a stream, and returns the matches as the names of their events.
func feed(t testing.TB, m *Matcher, stream string) []string {
	t.Helper()
	matches, dropped := play(t, m, strings.Fields(stream))
	if dropped > 0 {
		t.Fatalf("%d partial matches dropped", dropped)
	}
	return names(m, matches)
}

func names(m *Matcher, matches []Match) []string {
	var out []string
	for _, match := range matches {
		out = append(out, contents(m, match))
	}
	return out
}

func contents(m *Matcher, match Match) string {
	var words []string
	for i := range m.steps {
		for _, v := range match.Matched[m.steps[i].name] {
			words = append(words, v.(string))
		}
	}
	return strings.Join(words, " ")
}

// fataler is what *testing.T and *rapid.T have in common.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

// throughJSON writes and reads a state, and fails if that changes it.
func throughJSON(t fataler, s State) State {
	t.Helper()
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatalf("write state: %v", err)
	}
	var back State
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatalf("read state %s: %v", text, err)
	}
	again, err := json.Marshal(back)
	if err != nil || string(again) != string(text) {
		t.Fatalf("state changed through JSON:\n%s\n%s (%v)", text, again, err)
	}
	if s.d != nil && !(reflect.DeepEqual(s.d.parts, back.d.parts) && reflect.DeepEqual(s.d.held, back.d.held)) {
		t.Fatalf("state changed through JSON: %s", text)
	}
	return back
}
