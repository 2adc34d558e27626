package simulator

import (
	"math"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// acts reads a whole plan.
func acts(s *Scenario, o PlanOptions) []Act {
	p := NewPlan(s, o)
	var all []Act
	for act, ok := p.Next(); ok; act, ok = p.Next() {
		all = append(all, act)
	}
	return all
}

func ofKind(all []Act, kind ActKind) []Act {
	var some []Act
	for _, a := range all {
		if a.Kind == kind {
			a.Repeat, a.RepeatAfter = false, 0
			some = append(some, a)
		}
	}
	return some
}

// anyPlan draws a scenario with all that it can hold, and a place in it.
func anyPlan(t *rapid.T) (*Scenario, PlanOptions) {
	milliseconds := func(name string) Range {
		low := rapid.Int64Range(0, 5000).Draw(t, name)
		return Range{time.Duration(low) * time.Millisecond, time.Duration(low+rapid.Int64Range(0, 5000).Draw(t, name+" more")) * time.Millisecond}
	}
	s := &Scenario{
		Name:   "any",
		Jitter: rapid.Float64Range(0, 1).Draw(t, "jitter"),
		Profiles: []Profile{
			{Name: "a", Weight: 1, Telemetry: []Field{
				{"walk", RandomWalk{Start: 5, Spread: 3, Step: 4, Min: 0, Max: 10}},
				{"mode", Enumerated{Values: []any{"x", "y"}, Weights: []float64{1, 2}, Stay: 0.5}},
			}},
			{Name: "b", Weight: 2, Faults: map[string]float64{"rare": 3}, Telemetry: []Field{
				{"sine", Sine{Mean: 1, Amplitude: 2, Noise: 0.5, Period: time.Minute}},
			}},
		},
		Faults: []FaultSequence{
			{Name: "rare", PerMinute: rapid.Float64Range(0, 30).Draw(t, "rare"), Messages: []FaultMessage{
				{Channel: "status", Data: map[string]any{"status": "boot"}, Times: 3, Gap: milliseconds("gap")},
				{Channel: "telemetry", Data: map[string]any{"code": 117.0}, Times: 1, Gap: milliseconds("last gap")},
			}},
			{Name: "chance", PerMessage: rapid.Float64Range(0, 1).Draw(t, "chance"), Messages: []FaultMessage{
				{Channel: "events", Name: "alarm", Times: 2, Gap: milliseconds("alarm gap")},
			}},
		},
		Repeats:  Repeats{PerMessage: rapid.Float64Range(0, 1).Draw(t, "repeats"), Delay: milliseconds("repeat after")},
		Churn:    Churn{PerMinute: rapid.Float64Range(0, 30).Draw(t, "churn"), Down: milliseconds("down"), Clean: 0.5, LoseCounter: 0.5},
		Backlogs: Backlogs{PerMinute: rapid.Float64Range(0, 30).Draw(t, "backlogs"), Down: milliseconds("offline")},
		Mixed:    rapid.Float64Range(0, 1).Draw(t, "mixed"), Unnumbered: rapid.Float64Range(0, 1).Draw(t, "unnumbered"),
		Clock:  Clock{Skew: time.Second, Wrong: 0.3, None: 0.3},
		Poison: rapid.Float64Range(0, 30).Draw(t, "poison"),
	}
	return s, PlanOptions{
		Seed: rapid.Uint64().Draw(t, "seed"), Device: rapid.IntRange(0, 1_000_000).Draw(t, "device"),
		Rate: rapid.Float64Range(0.1, 20).Draw(t, "rate"), Length: time.Duration(rapid.Int64Range(1, 120).Draw(t, "seconds")) * time.Second,
	}
}

func TestPlanIsAFunctionOfItsOptions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, o := anyPlan(t)
		if first, second := acts(s, o), acts(s, o); !reflect.DeepEqual(first, second) {
			t.Fatalf("the same options gave two plans, of %d and %d acts", len(first), len(second))
		}
	})
}

func TestPlanGoesForwardAndEnds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, o := anyPlan(t)
		last := time.Duration(0)
		for _, act := range acts(s, o) {
			if act.At < last || act.At >= o.Length {
				t.Fatalf("an act at %s after one at %s, in a plan of %s", act.At, last, o.Length)
			}
			last = act.At
		}
	})
}

func TestPlanHasAllReadings(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, o := anyPlan(t)
		want := o.Rate * o.Length.Seconds()
		if got := float64(len(ofKind(acts(s, o), ActReading))); math.Abs(got-want) > 2 {
			t.Fatalf("%g readings, expected %g give or take the first and the last", got, want)
		}
	})
}

func TestPlanPartsDrawFromTheirOwnStreams(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, o := anyPlan(t)
		before := acts(s, o)
		changed := *s
		changed.Churn.PerMinute += 10
		changed.Poison += 10
		changed.Backlogs.PerMinute += 10
		changed.Unnumbered = 1 - changed.Unnumbered
		changed.Clock.Wrong, changed.Clock.None = 0.5, 0
		changed.Repeats.PerMessage = 1 - changed.Repeats.PerMessage
		after := acts(&changed, o)
		for _, kind := range []ActKind{ActReading, ActFault} {
			if !reflect.DeepEqual(ofKind(before, kind), ofKind(after, kind)) {
				t.Fatalf("churn, poison and repetitions changed acts of kind %d", kind)
			}
		}
	})
}

func TestPlanBeginsNoFaultNearItsEnd(t *testing.T) {
	s := pumpScenario(t)
	for device := range 200 {
		o := PlanOptions{Seed: 3, Device: device, Rate: 1, Length: time.Minute}
		begun := map[string]int{}
		for _, act := range ofKind(acts(s, o), ActFault) {
			begun[act.Fault]++
		}
		for _, f := range s.Faults {
			total := 0
			for _, m := range f.Messages {
				total += m.Times
			}
			if begun[f.Name]%total != 0 {
				t.Errorf("device %d: %s broke off: %d messages of %d each", device, f.Name, begun[f.Name], total)
			}
		}
	}
}

func TestPlanDiffersByDeviceAndSeed(t *testing.T) {
	s := pumpScenario(t)
	seen := map[time.Duration]string{}
	for seed := range uint64(20) {
		for device := range 20 {
			act, _ := NewPlan(s, PlanOptions{Seed: seed, Device: device, Rate: 1, Length: time.Minute}).Next()
			if other, ok := seen[act.At]; ok {
				t.Errorf("seed %d, device %d begins at %s, as %s does", seed, device, act.At, other)
			}
			seen[act.At] = "another"
		}
	}
}

// The demo has to show something: `make demo` with its defaults.
func TestDefaultScenarioCrashesOftenEnough(t *testing.T) {
	s := pumpScenario(t)
	for seed := range uint64(10) {
		loops := 0
		for device := range 100 {
			for _, act := range acts(s, PlanOptions{Seed: seed, Device: device, Rate: 1, Length: time.Minute}) {
				if act.Fault == "crash_loop" && act.Data["code"] == 117.0 {
					loops++
				}
			}
		}
		if loops < 35 || loops > 90 {
			t.Errorf("seed %d: %d crash loops, expected about 55", seed, loops)
		}
	}
}

func TestAnswersFollowTheirWeights(t *testing.T) {
	s := &Scenario{Answers: []Answer{
		{Kind: Obey, Weight: 6}, {Kind: ObeyLate, Weight: 3, Delay: Range{time.Second, 2 * time.Second}}, {Kind: Ignore}, {Kind: Refuse, Weight: 1},
	}}
	count := map[AnswerKind]int{}
	for device := range 100 {
		a := newAnswers(s, 1, device)
		for range 100 {
			answer, delay := a.next()
			count[answer.Kind]++
			if late := answer.Kind == ObeyLate; late != (delay >= time.Second) || delay > 2*time.Second {
				t.Fatalf("%s after %s", answer.Kind, delay)
			}
		}
	}
	for kind, want := range map[AnswerKind]int{Obey: 6000, ObeyLate: 3000, Refuse: 1000} {
		if got := count[kind]; got < want*9/10 || got > want*11/10 {
			t.Errorf("%s: %d of 10000, expected about %d", kind, got, want)
		}
	}
	if count[Ignore] != 0 {
		t.Errorf("an answer of weight 0 was given %d times", count[Ignore])
	}
}

func TestGeneratorsStayInBounds(t *testing.T) {
	tests := []struct {
		name      string
		generator Generator
		ok        func(any) bool
		varied    bool
	}{
		{"constant", Constant{"bar"}, func(v any) bool { return v == "bar" }, false},
		{"random walk", RandomWalk{Start: 5, Spread: 20, Step: 3, Min: 4, Max: 6}, func(v any) bool { return v.(float64) >= 4 && v.(float64) <= 6 }, true},
		{"sine", Sine{Mean: 10, Amplitude: 2, Noise: 1, Period: time.Minute}, func(v any) bool { return v.(float64) >= 7 && v.(float64) <= 13 }, true},
		{"enumerated", Enumerated{Values: []any{true, false, 3.0}, Weights: []float64{1, 1, 0}}, func(v any) bool { return v == true || v == false }, true},
		{"enumerated that stays", Enumerated{Values: []any{1.0, 2.0}, Weights: []float64{1, 1}, Stay: 1}, func(any) bool { return true }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			random := stream(1, 1, "test")
			values := tt.generator.series(random)
			seen := map[any]bool{}
			for i := range 1000 {
				v := values(time.Duration(i)*time.Second, random)
				if !tt.ok(v) {
					t.Fatalf("value %d is %v", i, v)
				}
				seen[v] = true
			}
			if (len(seen) > 1) != tt.varied {
				t.Errorf("%d different values", len(seen))
			}
		})
	}
}
