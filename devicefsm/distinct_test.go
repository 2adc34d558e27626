package devicefsm

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const outage = `
model: site
patterns:
  outage: {sequence: [{event: silent, times: 3}], within: 5m, distinct: device}
initial: up
states: {up: {on: {outage: {actions: {log: "event.matched.silent.map(e, e.device)"}}}}}
`

func TestDistinctTakesEachValueOnce(t *testing.T) {
	d := start(t, load(t, outage))
	silent := func(id string) { d.send("silent", obj{"device": id, "model": "pump"}) }
	silent("a")
	silent("a")
	silent("b")
	silent("b")
	silent("a")
	d.actions().noFaults() // two devices, five times
	silent("c")
	d.actions(`["a","b","c"]`).noFaults()
}

// An event without the value, or with one that does not compare, is not taken.
func TestDistinctNeedsAValue(t *testing.T) {
	d := start(t, load(t, outage))
	for _, v := range []any{nil, obj{"id": "a"}, []any{"a"}, strings.Repeat("a", maxDistinct+1)} {
		d.send("silent", obj{"device": v})
	}
	d.send("silent", nil)
	d.send("silent", obj{"device": 1.0}).send("silent", obj{"device": true}).actions().noFaults()
	d.send("silent", obj{"device": "1"}).actions(`[1,true,"1"]`).noFaults()
}

// The value is kept whatever else expressions read of the events.
func TestDistinctIsKeptFirst(t *testing.T) {
	d := start(t, load(t, strings.Replace(outage, "e.device", "e.a", 1)))
	for _, id := range []string{"a", "a", "a", "b", "b"} {
		d.send("silent", obj{"device": id + strings.Repeat("-", 100), "a": strings.Repeat("x", 150)})
	}
	d.actions() // two devices
	if p := len(d.s.patterns); p != 1 || d.s.patterns[0].IsZero() {
		t.Error("nothing is open")
	}
}

func TestFaultsOfDistinct(t *testing.T) {
	for step, want := range map[string]string{
		"{event: silent, oneOrMore: true}":                  "any number of events",
		"{event: silent, times: 9}":                         "takes up to 9 events, and the values of 8 are kept",
		"{group: [silent, {event: x, times: 3}], times: 3}": "takes up to 9 events",
	} {
		src := strings.Replace(outage, "{event: silent, times: 3}", step, 1)
		if _, err := Load("m.yaml", []byte(src)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", step, err, want)
		}
	}
	if _, err := Load("m.yaml", []byte(strings.Replace(outage, "distinct: device", "distinct: ''", 1))); err == nil {
		t.Error("an empty key is accepted")
	}
	src := strings.Replace(outage, "{event: silent, times: 3}], within: 5m", "{event: silent, times: 12}], within: 5m, max_kept: 12", 1)
	if _, err := Load("m.yaml", []byte(src)); err != nil {
		t.Error(err)
	}
}

// TestDistinctIsACount: a match is found exactly when the events of some five minutes are of
// three devices, through snapshots as JSON.
func TestDistinctIsACount(t *testing.T) {
	m, err := Load("m.yaml", []byte(outage))
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		s, _ := m.Start(t0)
		last := map[string]time.Time{} // since the last match
		now := t0
		for range rapid.IntRange(1, 30).Draw(t, "events") {
			now = now.Add(time.Duration(rapid.IntRange(1, 150).Draw(t, "seconds")) * time.Second)
			id := fmt.Sprintf("pump-%d", rapid.IntRange(1, 5).Draw(t, "device"))
			var out Outcome
			s, out = m.Step(s, Event{Name: "silent", Data: obj{"device": id}, Time: now})
			last[id] = now
			recent := 0
			for _, at := range last {
				if now.Sub(at) < 5*time.Minute {
					recent++
				}
			}
			if want := recent >= 3; want != (len(out.Matched) == 1) {
				t.Fatalf("%d devices within five minutes, and the matches are %v", recent, out.Matched)
			}
			if len(out.Matched) > 0 {
				clear(last)
			}
			back := &Snapshot{}
			if text, err := json.Marshal(s); err != nil || json.Unmarshal(text, back) != nil {
				t.Fatal("the snapshot cannot be read back")
			}
			s = back
		}
	})
}
