package devicefsm

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"devicetwin/device"
)

// compareFiltered runs a random device with all messages, and with only those
// that the analysis calls relevant, and reports the difference.
func compareFiltered(t *rapid.T, relevant func(*Model, device.Message) bool) error {
	m, src := loadRandom(t)
	if _, out := m.Start(t0); strings.Contains(strings.Join(out.Faults, " "), "endless") {
		t.Skip("a chart that never comes to rest has no relevance")
	}
	life := randomLife(t)
	left := 0
	runs := m.Edition(rapid.IntRange(EditionFirst, EditionNow).Draw(t, "edition")) // which the filter does not know
	all := live(runs, life, nil, nil)
	filtered := live(runs, life, func(msg device.Message) bool {
		ok := relevant(m, msg)
		if !ok {
			left++
		}
		return ok
	}, nil)
	if a, b := all.json(), filtered.json(); a != b {
		return fmt.Errorf("with all messages:\n%s\nwithout the %d irrelevant:\n%s\nmodel:\n%s", a, left, b, src)
	}
	return nil
}

func TestRelevanceLosesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		if err := compareFiltered(t, (*Model).Relevant); err != nil {
			t.Fatal(err)
		}
	})
}

// TestWrongRelevanceIsCaught makes the analysis forget one thing at a time: the
// property above has to notice each, within its default number of runs.
func TestWrongRelevanceIsCaught(t *testing.T) {
	for name, wrong := range map[string]func(*Model) *Model{
		"always that reads the event": func(m *Model) *Model {
			for _, s := range m.states {
				s.always = nil
			}
			return m
		},
		"wildcards": func(m *Model) *Model {
			for _, s := range m.states {
				for i, t := range s.on {
					if t.event.wild {
						c := *t
						c.event = descriptor{name: "nothing"}
						s.on[i] = &c
					}
				}
			}
			return m
		},
		"patterns": func(m *Model) *Model { m.patterns = nil; return m },
		"every second candidate": func(m *Model) *Model {
			for _, s := range m.states {
				if len(s.on) > 1 {
					s.on = s.on[:1]
				}
			}
			return m
		},
	} {
		t.Run(name, func(t *testing.T) {
			analyses := map[*Model]*Model{}
			relevant := func(m *Model, msg device.Message) bool {
				if analyses[m] == nil {
					analyses[m] = wrong(copyForAnalysis(m))
					analyses[m].classes = newClassTable(analyses[m], freeSources)
				}
				return analyses[m].Relevant(msg)
			}
			gen := rapid.Custom(func(t *rapid.T) error { return compareFiltered(t, relevant) })
			for seed := range 100 {
				if gen.Example(seed) != nil {
					t.Logf("caught in run %d", seed+1)
					return
				}
			}
			t.Error("not caught in 100 runs")
		})
	}
}

// copyForAnalysis is a model whose states can be mutilated.
func copyForAnalysis(m *Model) *Model {
	c := *m
	c.states = nil
	for _, s := range m.states {
		d := *s
		d.on = append([]*transition(nil), s.on...)
		c.states = append(c.states, &d)
	}
	return &c
}

// TestRelevanceIsNotTrivial: an analysis that says yes to everything would pass.
func TestRelevanceIsNotTrivial(t *testing.T) {
	gen := rapid.Custom(func(t *rapid.T) [2]int {
		m, _ := loadRandom(t)
		var n [2]int
		for _, h := range randomLife(t) {
			if h.msg != nil {
				if m.Relevant(*h.msg) {
					n[1]++
				} else {
					n[0]++
				}
			}
		}
		return n
	})
	var sum [2]int
	for seed := range 50 {
		n := gen.Example(seed)
		sum[0], sum[1] = sum[0]+n[0], sum[1]+n[1]
	}
	t.Logf("%d irrelevant, %d relevant", sum[0], sum[1])
	if sum[0] < sum[1]/20 {
		t.Error("hardly any message was irrelevant")
	}
}

// What decides on every message of every device needs no memory for it.
func TestDecisionsAllocateNothing(t *testing.T) {
	m := load(t, benchModel)
	for name, msg := range map[string]device.Message{
		"irrelevant": {Channel: device.ChannelTelemetry, Data: obj{"temperature": 50.0}},
		"relevant":   {Channel: device.ChannelTelemetry, Data: obj{"code": 117.0}},
	} {
		var f Filter
		for what, decide := range map[string]func(){
			"Relevant": func() { m.Relevant(msg) },
			"Pass":     func() { m.Pass(&f, msg) },
			"Class":    func() { m.Class(msg) },
			"Classify": func() { m.Classify(msg) },
		} {
			if n := testing.AllocsPerRun(1000, decide); n > 0 {
				t.Errorf("%s of an %s message: %v allocations", what, name, n)
			}
		}
	}
}
