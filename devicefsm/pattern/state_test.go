package pattern

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func step1(t *testing.T, m *Matcher, s State, name string, after time.Duration) (State, Result) {
	t.Helper()
	s, res := m.Step(s, Event{Name: name, Time: at(after)})
	return throughJSON(t, s), res
}

// An absence is certain on time, at the deadline that was announced, and late
// calls report it with that time.
func TestAbsence(t *testing.T) {
	m := compile(t, seq(of("a"), of("b", notFollowedBy, gap(5*time.Second))).with(func(s *Spec) { s.Skip = SkipPastLastEvent }))
	s, _ := step1(t, m, State{}, "a1", 0)
	s, _ = step1(t, m, s, "c", time.Second)
	deadline, ok := m.Deadline(s)
	if !ok || !deadline.Equal(at(5*time.Second)) {
		t.Fatalf("deadline %v, %v", deadline, ok)
	}
	if same, res := m.Advance(s, deadline.Add(-time.Millisecond)); same != s || len(res.Matches) > 0 {
		t.Fatalf("too early: %+v", res)
	}
	after, res := m.Step(s, Event{Name: "b", Time: at(time.Minute)})
	if !after.IsZero() || len(res.Matches) != 1 || !res.Matches[0].At.Equal(deadline) || !res.Matches[0].End.Equal(at(0)) {
		t.Errorf("late: %+v, %d left", res, after.Partials())
	}
	if after, res = m.Step(s, Event{Name: "b", Time: at(4 * time.Second)}); !after.IsZero() || len(res.Matches) > 0 {
		t.Errorf("in time: %+v, %d left", res, after.Partials())
	}
}

// Timeouts are reported if asked for, once per first event; otherwise an expiry
// needs no deadline.
func TestTimeouts(t *testing.T) {
	spec := seq(of("a"), of("b", plus), of("c")).with(func(s *Spec) { s.Within = 10 * time.Second })
	for _, asked := range []bool{false, true} {
		m := compile(t, spec.with(func(s *Spec) { s.Timeouts = asked }))
		var s State
		for i, name := range []string{"a1", "b1", "b2", "a2"} {
			s, _ = step1(t, m, s, name, time.Duration(i)*time.Second)
		}
		deadline, ok := m.Deadline(s)
		if ok != asked || asked && !deadline.Equal(at(10*time.Second)) {
			t.Errorf("asked %v: deadline %v, %v", asked, deadline, ok)
		}
		s, res := m.Advance(s, at(time.Hour))
		var got []string
		for _, x := range res.Timeouts {
			got = append(got, fmt.Sprint(contents(m, x), " ", x.At.Sub(epoch)))
		}
		want := []string{"a1 b1 b2 10s", "a2 13s"}
		if !asked {
			want = nil
		}
		if !slices.Equal(got, want) || !s.IsZero() || res.Dropped != 0 {
			t.Errorf("asked %v: got %q, want %q, %d left", asked, got, want, s.Partials())
		}
	}
}

// An event that changes nothing gives back the same state, without allocation.
func TestNothingChanges(t *testing.T) {
	m := compile(t, seq(of("b", times(3, 3)), of("f")).with(func(s *Spec) { s.Skip, s.Within = SkipPastLastEvent, time.Hour }))
	var s State
	for i := range 3 {
		s, _ = m.Step(s, Event{Name: "b1", Time: at(time.Duration(i) * time.Second)})
	}
	ev := Event{Name: "r", Time: at(time.Minute)}
	if got, _ := m.Step(s, ev); got != s {
		t.Error("the state changed")
	}
	if n := testing.AllocsPerRun(100, func() { m.Step(s, ev) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if got, _ := m.Step(State{}, ev); got != (State{}) {
		t.Error("the empty state changed")
	}
}

// The given state is not changed by what is made of it.
func TestImmutable(t *testing.T) {
	m := compile(t, seq(of("a", plus), of("b", plus), of("c")).with(func(s *Spec) { s.Skip, s.Within = SkipToNext, 9*time.Second }))
	var s State
	for i, name := range strings.Fields("a1 a2 b1 a3 b2 c1 b3 a4 c2 b4") {
		before, _ := json.Marshal(s)
		next, _ := m.Step(s, Event{Name: name, Time: at(time.Duration(i) * time.Second)})
		m.Step(s, Event{Name: "c9", Time: at(time.Duration(i) * time.Second)})
		m.Advance(s, at(time.Hour))
		if after, _ := json.Marshal(s); string(after) != string(before) {
			t.Fatalf("%s changed %s to %s", name, before, after)
		}
		s = next
	}
}

// Floods stay within the bounds, drop what is least missed, and say so.
func TestBounds(t *testing.T) {
	spec := seq(of("r"), of("f"), of("x")).with(func(s *Spec) { s.Skip, s.Within = SkipPastLastEvent, time.Hour })
	m := compile(t, spec)
	var s State
	dropped := 0
	feed := func(name string, i int) Result {
		var res Result
		s, res = m.Step(s, Event{Name: name, Time: at(time.Duration(i) * time.Millisecond)})
		dropped += res.Dropped
		if s.Partials() > DefaultMaxPartials {
			t.Fatalf("%d partial matches", s.Partials())
		}
		return res
	}
	feed("r0", 0)
	feed("f0", 1)
	for i := range 1000 {
		feed(fmt.Sprint("r", i), 2+i)
	}
	if want := 1001 - DefaultMaxPartials; dropped != want {
		t.Errorf("%d dropped, want %d", dropped, want)
	}
	text, err := json.Marshal(s)
	if err != nil || len(text) > 2048 {
		t.Errorf("%d bytes, %v", len(text), err)
	}
	if got := names(m, feed("x", 2000).Matches); !slices.Equal(got, []string{"r0 f0 x"}) {
		t.Errorf("the partial match that had come far is lost: %q", got)
	}
}

// Without within, a stream of any length needs a partial match per place only.
func TestMerging(t *testing.T) {
	m := compile(t, seq(of("a", plus), of("b", plus), of("c")).with(func(s *Spec) { s.Skip = SkipPastLastEvent }))
	var s State
	for i := range 3000 {
		var res Result
		s, res = m.Step(s, Event{Name: []string{"a1", "b1", "d1"}[i%3], Time: at(time.Duration(i) * time.Hour)})
		if s.Partials() > 2 || res.Dropped > 0 {
			t.Fatalf("event %d: %d partial matches, %d dropped", i, s.Partials(), res.Dropped)
		}
	}
	s, res := m.Step(s, Event{Name: "c1", Time: at(3000 * time.Hour)})
	if len(res.Matches) != 1 || !res.Matches[0].Start.Equal(at(0)) || !s.IsZero() {
		t.Errorf("got %+v, %d left", res, s.Partials())
	}
	if n := len(res.Matches[0].Matched["a"]); n != DefaultMaxKept {
		t.Errorf("%d values kept of a", n)
	}
	// Without anything new, it ends after MaxIdle.
	s, _ = m.Step(s, Event{Name: "a2", Time: at(0)})
	if s, res = m.Advance(s, at(DefaultMaxIdle)); !s.IsZero() || res.Dropped != 1 || len(res.Timeouts) != 0 {
		t.Errorf("after MaxIdle: %+v, %d left", res, s.Partials())
	}
}

// The preferred partial match does not replace another if conditions distinguish
// them.
func TestReferencesAreNotMerged(t *testing.T) {
	rising := func(s *Step) {
		s.Refs = true
		match := s.Match
		s.Match = func(ev Event, matched Bindings) bool {
			for _, v := range matched.Step("b") {
				if v.(string)[1:] > ev.Name[1:] {
					return false
				}
			}
			return match(ev, matched)
		}
	}
	m := compile(t, seq(of("a"), of("b", plus), of("c", rising)).with(func(s *Spec) { s.Skip = SkipPastLastEvent }))
	if got, want := feed(t, m, "a b1 b5 c3"), []string{"a b1 c3"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A state of another pattern, or a broken one, does no harm.
func TestForeignState(t *testing.T) {
	long := compile(t, seq(of("a"), of("b"), of("c"), of("d"), of("e")))
	short := compile(t, seq(of("a"), of("b")))
	var s State
	for i, name := range []string{"a1", "b1", "c1"} {
		s, _ = long.Step(s, Event{Name: name, Time: at(time.Duration(i) * time.Second)})
	}
	if _, ok := short.Deadline(s); ok {
		t.Error("a deadline")
	}
	s, res := short.Step(s, Event{Name: "b1", Time: at(time.Minute)})
	if len(res.Matches) != 0 || !s.IsZero() {
		t.Errorf("got %+v, %d left", res, s.Partials())
	}
	for _, text := range []string{`{}`, `[]`, `{"n":1,"p":[[1]]}`, `{"n":1,"p":[[0,0,-1,0,0,0,1,0,1,2,0,3]]}`,
		`{"n":1,"p":[[0,0,-1,0,0,0,1,99,1,2,0]]}`, `{"n":9,"p":[[2,2,-1,0,0,0,1,0,1,2,0],[1,1,-1,0,0,0,1,0,1,2,0]]}`} {
		if err := json.Unmarshal([]byte(text), &s); err == nil {
			t.Errorf("%s was read", text)
		}
	}
	if err := json.Unmarshal([]byte("null"), &s); err != nil || !s.IsZero() {
		t.Errorf("null: %v", err)
	}
}
