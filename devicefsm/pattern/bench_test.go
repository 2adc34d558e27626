package pattern

import (
	"encoding/json"
	"testing"
	"time"
)

func crashLoop(b *testing.B) *Matcher {
	exactly := func(name string) func(*Step) {
		return func(s *Step) {
			s.Name, s.Keep = name, nil
			s.Match = func(ev Event, _ Bindings) bool { return ev.Name == name }
		}
	}
	return compile(b, seq(of("b", exactly("boot"), times(3, 3)), of("f", exactly("fault"))).with(func(s *Spec) {
		s.Skip, s.Within = SkipPastLastEvent, 10*time.Minute
	}))
}

func BenchmarkStep(b *testing.B) {
	m := crashLoop(b)
	event := func(name string, i int) Event { return Event{Name: name, Time: at(time.Duration(i) * time.Second)} }
	var open State
	for i := range 3 {
		open, _ = m.Step(open, event("boot", i))
	}
	b.Run("nothing open, no match", func(b *testing.B) {
		b.ReportAllocs()
		ev := event("reading", 3)
		for b.Loop() {
			m.Step(State{}, ev)
		}
	})
	b.Run("open, no match", func(b *testing.B) {
		b.ReportAllocs()
		ev := event("reading", 3)
		for b.Loop() {
			m.Step(open, ev)
		}
	})
	b.Run("taken", func(b *testing.B) {
		b.ReportAllocs()
		ev := event("boot", 3)
		for b.Loop() {
			m.Step(open, ev)
		}
	})
	b.Run("match", func(b *testing.B) {
		b.ReportAllocs()
		ev := event("fault", 3)
		for b.Loop() {
			m.Step(open, ev)
		}
	})
	b.Run("flood", func(b *testing.B) {
		b.ReportAllocs()
		var s State
		for i := 0; b.Loop(); i++ {
			s, _ = m.Step(s, event("boot", i/10))
		}
	})
}

func BenchmarkJSON(b *testing.B) {
	m := crashLoop(b)
	var s State
	for i := range 3 {
		s, _ = m.Step(s, Event{Name: "boot", Time: at(time.Duration(i) * time.Second)})
	}
	b.Run("write", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := json.Marshal(s); err != nil {
				b.Fatal(err)
			}
		}
	})
	text, _ := json.Marshal(s)
	b.Run("read", func(b *testing.B) {
		b.ReportAllocs()
		b.ReportMetric(float64(len(text)), "B/state")
		for b.Loop() {
			var back State
			if err := json.Unmarshal(text, &back); err != nil {
				b.Fatal(err)
			}
		}
	})
}
