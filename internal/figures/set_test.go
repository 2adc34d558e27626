package figures

import (
	"log/slog"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type colour string

// From one declaration follow the metric, the fields of points, and what tests
// read.
func TestDeclaredOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewSet("x_")
		here := func(name string) Field { return Field{Measurement: "here", Name: name} }
		taken := s.Counter("taken_total", "Taken.", here("taken"), Field{Measurement: "there", Name: "all", Float: true})
		rounds := s.Counter("rounds_total", "Rounds.")
		things := s.Gauge("things", "Things.", here("things"))
		up := s.Flag("up", "Whether it is up.", here("up"))
		pause := s.Duration("pause_seconds", "Pause.", here("pause"))
		oldest := s.Age("oldest_seconds", "Age.", here("oldest"))
		balls := Counters(s, "balls_total", "colour", []colour{"red", "blue"}, "Balls.", here("balls"))
		took := s.Histogram("took_seconds", "Took.", []float64{1, 2}, Field{Measurement: "here", Name: "p50", Quantile: .5})
		s.Ratio(here("taken_a_round"), "taken_total", "rounds_total")

		registry := prometheus.NewRegistry()
		if err := s.Register(registry); err != nil {
			t.Fatal(err)
		}
		if err := s.Register(registry); err == nil {
			t.Error("registered twice")
		}
		var got points
		w := &Writer{
			Gatherer: registry, Points: &got, Log: slog.New(slog.DiscardHandler),
			Groups: []Group{{Measurement: "here", Samples: s.Samples("here")}, {Measurement: "there", Samples: s.Samples("there")}},
		}
		taken.Add(6)
		rounds.Add(2)
		things.Store(-3)
		up.Store(true)
		pause.Store(int64(1500 * time.Millisecond))
		oldest.Store(time.Now().UnixMilli())
		balls["red"].Add(2)
		balls["blue"].Add(3)
		took.Observe(.5)
		time.Sleep(4 * time.Second)
		w.write(time.Now())
		taken.Add(4) // in no round: there is no ratio
		up.Store(false)
		oldest.Store(0)
		w.write(time.Now())

		want := []map[string]any{
			{"taken": int64(6), "things": int64(-3), "up": true, "pause": 1.5, "oldest": 4.0, "balls": int64(5),
				"balls_red": int64(2), "balls_blue": int64(3), "p50": .5, "taken_a_round": 3.0},
			{"all": 6.0},
			{"taken": int64(10), "things": int64(-3), "up": false, "pause": 1.5, "oldest": 0.0, "balls": int64(5),
				"balls_red": int64(2), "balls_blue": int64(3)},
			{"all": 10.0},
		}
		if len(got) != len(want) {
			t.Fatalf("%d points", len(got))
		}
		for i, p := range got {
			if !maps.Equal(p.fields, want[i]) {
				t.Errorf("point %d:\ngot  %v\nwant %v", i, p.fields, want[i])
			}
		}
		if fields := s.Fields("here"); !slices.Equal(slices.Sorted(slices.Values(fields)), slices.Sorted(maps.Keys(want[0]))) {
			t.Errorf("fields %q", fields)
		}
		for name, v := range map[string]float64{"taken_total": 10, "balls_total": 5, "took_seconds": 1, "up": 0} {
			if got := s.Value(name); got != v {
				t.Errorf("%s is %v, want %v", name, got, v)
			}
		}
	})
}

func TestMistakesInDeclarations(t *testing.T) {
	panics := func(what string, f func()) {
		defer func() {
			if recover() == nil {
				t.Errorf("%s: no panic", what)
			}
		}()
		f()
	}
	s := NewSet("x_")
	s.Gauge("things", "Things.")
	panics("declared twice", func() { s.Counter("things", "Things.") })
	panics("not declared", func() { s.Value("thing") })
}

func TestCountingAllocatesNothing(t *testing.T) {
	s := NewSet("x_")
	taken := s.Counter("taken_total", "Taken.")
	took := s.Histogram("took_seconds", "Took.", []float64{1, 2})
	if n := testing.AllocsPerRun(100, func() { taken.Add(1); took.Observe(1.5) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
