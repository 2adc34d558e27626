package pattern

import (
	"encoding/json"
	"testing"
	"time"
)

// FuzzStep gives any state and any events, also with times that run backwards or
// far away, to patterns of every kind: no panic, nothing beyond the bounds, and
// what comes out can be written and read.
func FuzzStep(f *testing.F) {
	f.Add([]byte(`null`), []byte("a1b2c3"), int64(1000))
	f.Add([]byte(`{"n":4,"t":1767225602000,"p":[[2,2,2,0,0,0,1,0,1,1,0,0]],"k":[[0,"b3"]]}`), []byte("bca"), int64(-5))
	f.Add([]byte(`{"n":4,"t":1767225602000,"p":[[2,2,2,0,0,0,1,0,1,1,0,0]],"k":[[0,"b3"]],"l":[[5000,1,-7]]}`), []byte("bca"), int64(3))
	f.Add([]byte(`{"n":9,"t":1,"p":[[2,2,-1,0,0,0,1,1,1,4,1]],"h":[[3,3,-1,0,0,0,1]]}`), []byte("\xff\x00ccc"), int64(1<<62))
	f.Add([]byte(`{"n":4,"t":1767225602000,"p":[[2,2,-1,0,0,0,1,1,1,4,3],[3,3,-1,0,0,0,1,3,1,8,0]],"r":[[1],[2,1]]}`), []byte("abcbcbd"), int64(7))
	specs := []Spec{
		seq(of("a"), of("b", plus), of("c")),
		seq(of("a", plus, consecutive), of("b", star, greedy), of("c", into(RelaxedAny))),
		seq(of("a"), of("b", notNext), of("c", optional), of("d", into(Strict))),
		seq(of("a", times(2, 4), combinations), of("b", notFollowedBy, gap(time.Minute))),
		seq(of("a"), of("c", notNext)),
		seq(of("a"), grouped("g", plus, of("b"), grouped("h", times(1, 2), of("c", star, greedy), of("b", named("b2")))), of("d", notFollowedBy, gap(time.Minute))),
		seq(grouped("g", plus, of("a", plus, until("d")), of("b", optional), of("c"), of("d", notNext), of("a", named("a2"))), of("e", notFollowedBy), of("c", named("c2"))),
	}
	var matchers []*Matcher
	for i, spec := range specs {
		spec.Skip, spec.MaxPartials, spec.Timeouts = Skip(i)%3, 6, i%2 == 0
		if i > 1 {
			spec.Within = time.Hour
		}
		matchers = append(matchers, compile(f, spec))
	}
	f.Fuzz(func(t *testing.T, state, names []byte, pace int64) {
		var from State
		if json.Unmarshal(state, &from) != nil {
			from = State{}
		}
		for _, m := range matchers {
			s, now := from, time.UnixMilli(pace)
			for _, c := range names {
				now = now.Add(time.Duration(pace)).Add(time.Duration(c) * time.Second)
				if deadline, ok := m.Deadline(s); ok && c%5 == 0 {
					s, _ = m.Advance(s, deadline)
				}
				ev := Event{Name: string([]byte{c}), Time: now}
				if c%3 == 0 {
					ev.Arrived = time.UnixMilli(pace).Add(time.Duration(c) * time.Hour)
				}
				var res Result
				s, res = m.Step(s, ev)
				if s != from && s.Partials() > 6 {
					t.Fatalf("%d partial matches", s.Partials())
				}
				if len(res.Matches) > 64*(len(from.parts())+8) {
					t.Fatalf("%d matches", len(res.Matches))
				}
			}
			text, err := json.Marshal(s)
			if err != nil {
				t.Fatal(err)
			}
			var back State
			if err := json.Unmarshal(text, &back); err != nil {
				t.Fatalf("%s: %v", text, err)
			}
		}
	})
}

func (s State) parts() []partial {
	if s.d == nil {
		return nil
	}
	return s.d.parts
}
