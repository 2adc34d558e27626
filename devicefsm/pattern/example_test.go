package pattern_test

import (
	"encoding/json"
	"fmt"
	"log"
	"time"

	"devicetwin/devicefsm/pattern"
)

var t0 = time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)

// named is a condition on the name of an event.
func named(name string) func(pattern.Event, pattern.Bindings) bool {
	return func(ev pattern.Event, _ pattern.Bindings) bool { return ev.Name == name }
}

// Three boots and then a fault, within ten minutes.
func Example() {
	m, err := pattern.Compile(pattern.Spec{
		Name: "crash loop",
		Steps: []pattern.Step{
			{Name: "boot", Match: named("boot"), Times: pattern.Times{Min: 3}},
			{Name: "fault", Match: named("fault"), Keep: func(ev pattern.Event) any { return ev.Data["code"] }},
		},
		Within: 10 * time.Minute,
	})
	if err != nil {
		log.Fatal(err)
	}
	var s pattern.State // nothing open
	for i, name := range []string{"boot", "reading", "boot", "boot", "fault"} {
		ev := pattern.Event{Name: name, Data: map[string]any{"code": 117.0}, Time: t0.Add(time.Duration(i) * time.Minute)}
		var result pattern.Result
		s, result = m.Step(s, ev)
		fmt.Println(name, s.Partials())
		for _, match := range result.Matches {
			fmt.Println(match.Events, "events in", match.End.Sub(match.Start), match.Matched)
		}
	}
	// Output:
	// boot 1
	// reading 1
	// boot 2
	// boot 3
	// fault 0
	// 4 events in 4m0s map[fault:[117]]
}

// An absence is certain by time alone: Advance finds it at the Deadline.
func ExampleMatcher_Advance() {
	m, err := pattern.Compile(pattern.Spec{
		Name: "door left open",
		Steps: []pattern.Step{
			{Name: "opened", Match: named("opened")},
			{Name: "closed", Match: named("closed"), Not: pattern.NotFollowedBy},
		},
		Within: 5 * time.Minute,
	})
	if err != nil {
		log.Fatal(err)
	}
	var s pattern.State
	s, _ = m.Step(s, pattern.Event{Name: "opened", Time: t0})
	at, ok := m.Deadline(s)
	fmt.Println(at.Sub(t0), ok)
	s, result := m.Advance(s, at)
	fmt.Println(len(result.Matches), s.IsZero())
	// Output:
	// 5m0s true
	// 1 true
}

// Compile reports every fault, and its step.
func ExampleCompile() {
	_, err := pattern.Compile(pattern.Spec{
		Name: "p",
		Steps: []pattern.Step{
			{Name: "a", Match: named("a"), Times: pattern.Times{Min: 3, Max: 2}},
			{Name: "b", Match: named("b"), Not: pattern.NotFollowedBy},
		},
	})
	fmt.Println(err)
	// Output:
	// pattern "p": step "a": 3 to 2 times is not a valid range
	// pattern "p": step "b": notFollowedBy at the end of a pattern needs within or a gap: without one it never matches
}

// A state is stored as JSON, without the pattern.
func ExampleState() {
	m, err := pattern.Compile(pattern.Spec{Name: "p", Steps: []pattern.Step{{Name: "a", Match: named("a")}, {Name: "b", Match: named("b")}}})
	if err != nil {
		log.Fatal(err)
	}
	s, _ := m.Step(pattern.State{}, pattern.Event{Name: "a", Time: t0})
	stored, err := json.Marshal(s)
	if err != nil {
		log.Fatal(err)
	}
	var again pattern.State
	if err := json.Unmarshal(stored, &again); err != nil {
		log.Fatal(err)
	}
	_, result := m.Step(again, pattern.Event{Name: "b", Time: t0.Add(time.Second)})
	fmt.Println(len(result.Matches))
	// Output:
	// 1
}
