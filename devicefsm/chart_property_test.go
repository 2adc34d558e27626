package devicefsm

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"

	"pgregory.net/rapid"
)

// TestRandomCharts checks after every step of random devices that the
// configuration is legal (never two active children of one compound state,
// never an inactive ancestor of an active state), that timers, invocations and
// history belong to it, and that a snapshot survives JSON.
func TestRandomCharts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, src := loadRandom(t)
		ids, active := map[string]bool{}, map[string]bool{"": true}
		live(m, randomLife(t), nil, func(s *Snapshot, out Outcome) {
			if err := wellFormed(m, s); err != nil {
				t.Fatalf("%v\n%s", err, src)
			}
			for _, a := range out.Actions {
				if a.Type != ActionCancel && ids[a.ID] {
					t.Fatalf("two actions have the id %s\n%s", a.ID, src)
				}
				ids[a.ID] = true
				if a.Type == ActionLog && !s.Done() {
					if err := inOrder(m, active, a.Data["message"].(string)); err != nil {
						t.Fatalf("%v\n%+v\n%s", err, out.Actions, src)
					}
				}
			}
		})
	})
}

// inOrder follows the log of entries and exits: a state is entered after its
// parent, and left after all of its descendants.
func inOrder(m *Model, active map[string]bool, log string) error {
	path := log[1:]
	s := m.byPath[path]
	switch {
	case s == nil:
	case log[0] == '>':
		if active[path] || !active[s.parent.path] {
			return fmt.Errorf("%q entered while %v are active", path, active)
		}
		active[path] = true
	case log[0] == '<':
		delete(active, path)
		for p := range active {
			if m.byPath[p].within(s) {
				return fmt.Errorf("%q left before %q", path, p)
			}
		}
	}
	return nil
}

func wellFormed(m *Model, s *Snapshot) error {
	if !m.legal(s.active) {
		return fmt.Errorf("illegal configuration %s", m.StateName(s))
	}
	for _, t := range s.timers {
		if t.state >= 0 && !s.active.has(t.state) {
			return fmt.Errorf("a timer of the inactive state %q", m.states[t.state].path)
		}
		if t.due <= s.clock {
			return fmt.Errorf("a timer was due %d ms ago", s.clock-t.due)
		}
	}
	for _, i := range s.invocations {
		if !s.active.has(i.state) {
			return fmt.Errorf("an invocation of the inactive state %q", m.states[i.state].path)
		}
	}
	first, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	var decoded Snapshot
	if err := json.Unmarshal(first, &decoded); err != nil {
		return fmt.Errorf("read snapshot: %w", err)
	}
	bound, err := m.bind(&decoded)
	if err != nil {
		return err
	}
	again, err := json.Marshal(bound)
	if err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	if string(first) != string(again) {
		return fmt.Errorf("a snapshot changes on its way through JSON:\n%s\n%s", first, again)
	}
	return nil
}

// TestTwoLoadsStepAlike: the same snapshot and event give the same bytes, in
// models that were loaded separately, with snapshots that went through JSON before
// every step.
func TestTwoLoadsStepAlike(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, src := loadRandom(t)
		n, err := Load("random.yaml", []byte(src))
		if err != nil {
			t.Fatal(err)
		}
		if m.Hash() != n.Hash() {
			t.Fatal("two loads of one file differ in hash")
		}
		life := randomLife(t)
		a, b := live(m, life, nil, nil), live(n, life, nil, nil)
		if a.json() != b.json() {
			t.Fatalf("%s\n%s\n%s", a.json(), b.json(), src)
		}
		var decoded Snapshot
		text, _ := json.Marshal(a.Snapshot)
		if err := json.Unmarshal(text, &decoded); err != nil {
			t.Fatal(err)
		}
		ev := Event{Name: "a", Data: obj{"x": 1.0}, Time: t0.AddDate(0, 0, 1)}
		s1, out1 := m.Step(a.Snapshot, ev)
		s2, out2 := n.Step(&decoded, ev)
		text1, _ := json.Marshal(s1)
		text2, _ := json.Marshal(s2)
		if string(text1) != string(text2) || !reflect.DeepEqual(out1, out2) {
			t.Fatalf("%s\n%s\n%s", text1, text2, src)
		}
	})
}

// TestRandomLiveness: silence is raised once, between silent_after and
// silent_after + tolerance after the device was last seen, and never while it
// is. The bridge renews at most once per tolerance, and may crash and forget
// when it last did.
func TestRandomLiveness(t *testing.T) {
	m := load(t, `
liveness: {silent_after: 60s, tolerance: 10s}
initial: up
states: {up: {on: {device.silent: down}}, down: {on: {device.alive: up}}}
`)
	silentAfter, tolerance := m.Liveness()
	rapid.Check(t, func(t *rapid.T) {
		s, _ := m.Start(t0)
		now, renewed, seen := t0, t0, t0
		silent := false
		for range rapid.IntRange(1, 40).Draw(t, "messages") {
			gap := rapid.SampledFrom([]int{0, 1, 5_000, 9_999, 10_000, 30_000, 59_999, 60_000, 60_001, 69_999, 70_000, 70_001, 500_000}).Draw(t, "gap")
			now = now.Add(msOf(gap))
			// The workflow's timers, up to the time of the message.
			for {
				at, ok := m.NextDeadline(s)
				if !ok || !at.Before(now) {
					break
				}
				var out Outcome
				s, out = m.Step(s, Event{Time: at})
				if len(out.Transitions) != 1 || silent {
					t.Fatalf("deadline without silence, or a second silence: %+v", out)
				}
				silent = true
				if d := at.Sub(seen); d < silentAfter || d > silentAfter+tolerance {
					t.Fatalf("silence raised %v after the device was seen", d)
				}
			}
			if !silent && now.Sub(seen) > silentAfter+tolerance {
				t.Fatalf("no silence %v after the device was seen", now.Sub(seen))
			}
			crashed := rapid.IntRange(0, 9).Draw(t, "crash") == 0
			seen = now
			if crashed || silent || now.Sub(renewed) >= tolerance {
				renewed, silent = now, false
				s, _ = m.Step(s, Event{Time: now, Alive: true})
			}
			if got := m.StateName(s); got != "up" {
				t.Fatalf("state %s right after a message", got)
			}
		}
	})
}
