package pattern

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// foundIn feeds a stream and returns all that is found, then lets an hour pass.
func foundIn(t *rapid.T, m *Matcher, stream []Event) (text []string) {
	var s State
	add := func(res Result) {
		if len(res.Matches)+len(res.Timeouts) > 0 || res.Dropped > 0 {
			line, err := json.Marshal(res)
			if err != nil {
				t.Fatal(err)
			}
			text = append(text, string(line))
		}
	}
	for _, ev := range stream {
		var res Result
		s, res = m.Step(s, ev)
		add(res)
		s = throughJSON(t, s)
	}
	_, res := m.Advance(s, stream[len(stream)-1].Time.Add(time.Hour))
	add(res)
	return text
}

// TestArrivalsChangeNoMatch: a stream that arrives all at one time, or each event at
// its own, gives what it gives without arrivals.
func TestArrivalsChangeNoMatch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, err := Compile(drawSpec(t))
		if err != nil {
			t.Fatal(err)
		}
		stream := drawStream(t, 12)
		want := foundIn(t, m, stream)
		live, upload := slices.Clone(stream), slices.Clone(stream)
		for i := range stream {
			live[i].Arrived = stream[i].Time
			upload[i].Arrived = epoch.Add(3 * time.Hour)
		}
		if got := foundIn(t, m, live); !slices.Equal(got, want) {
			t.Fatalf("live %v, want %v", got, want)
		}
		if got := foundIn(t, m, upload); !slices.Equal(got, want) {
			t.Fatalf("as an upload %v, want %v", got, want)
		}
	})
}

// TestDeadlinesOfArrivals: where all events are late by the same, so are the deadlines.
func TestDeadlinesOfArrivals(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, err := Compile(drawSpec(t))
		if err != nil {
			t.Fatal(err)
		}
		lag := time.Duration(rapid.Int64Range(0, 100_000).Draw(t, "lag")) * time.Millisecond
		var s State
		for _, ev := range drawStream(t, 12) {
			ev.Arrived = ev.Time.Add(lag)
			s, _ = m.Step(s, ev)
			s = throughJSON(t, s)
			d, ok := m.Deadlines(s)
			if ok && (d.At != d.Event || d.Arrival != d.Event+lag.Milliseconds()) {
				t.Fatalf("deadlines %+v with a lag of %v", d, lag)
			}
			if at, has := m.Deadline(s); has != ok || ok && at.UnixMilli() != d.Event {
				t.Fatalf("deadline %v, deadlines %+v", at, d)
			}
		}
	})
}

// TestOlderEvents: an event of an earlier time is within as one of a later time is.
func TestOlderEvents(t *testing.T) {
	m := compile(t, Spec{Name: "p", Steps: []Step{of("a", times(3, 3))}, Within: 10 * time.Second})
	for name, tc := range map[string]struct {
		seconds []int
		want    int
	}{
		"within":                  {[]int{100, 95, 92}, 1},
		"too early":               {[]int{100, 90, 95}, 0},
		"too early, then in time": {[]int{100, 50, 101, 102}, 1},
		"from the earliest":       {[]int{100, 95, 105}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var s State
			n := 0
			for _, second := range tc.seconds {
				var res Result
				s, res = m.Step(s, Event{Name: "a", Time: at(time.Duration(second) * time.Second)})
				n += len(res.Matches)
				s = throughJSON(t, s)
			}
			if n != tc.want {
				t.Errorf("%d matches, want %d", n, tc.want)
			}
		})
	}
}

func TestLagsOfAnotherStateAreRefused(t *testing.T) {
	for _, text := range []string{
		`{"n":1,"t":0,"p":[[0,0,-1,0,0,0,1,0,1,1,0]],"l":[[1,1,1],[1,1,1]]}`,
		`{"n":1,"t":0,"p":[[0,0,-1,0,0,0,1,0,1,1,0]],"l":[[9007199254740993,0,0]]}`,
	} {
		var s State
		if json.Unmarshal([]byte(text), &s) == nil {
			t.Errorf("read %s", text)
		}
	}
}
