package devicefsm

import (
	"encoding/json"
	"testing"
	"time"
)

// A device that goes over to another model keeps its clocks and the numbers of its actions,
// also from a snapshot that was stored.
func TestStartAfterAnotherModel(t *testing.T) {
	load := func(text string) *Model {
		m, err := Load("m.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	a := load("model: a\ninitial: on\nstates: {on: {entry: [{command: {name: hello}}], invoke: {src: work}}}\n")
	b := load("model: b\ninitial: on\ncontext: {n: 1}\nstates: {on: {entry: [{command: {name: hello}}]}}\n")
	before, _ := a.Start(t0)
	before, _ = a.Step(before, Event{Name: "x", Time: t0.Add(time.Minute)})
	raw, err := json.Marshal(before)
	if err != nil {
		t.Fatal(err)
	}
	stored := new(Snapshot)
	if err := json.Unmarshal(raw, stored); err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]*Snapshot{"as it is": before, "stored": stored} {
		after, out := b.StartAfter(a, s, nil, t0)
		if len(out.Faults) > 0 || len(out.Actions) != 2 {
			t.Fatalf("%s: %+v", name, out)
		}
		if cancel := out.Actions[0]; cancel.Type != ActionCancel || cancel.ID != "work-2" {
			t.Errorf("%s: the activity goes on: %+v", name, cancel)
		}
		if hello := out.Actions[1]; hello.Type != ActionCommand || hello.ID != "hello-3" {
			t.Errorf("%s: %+v, whose id may be taken", name, hello)
		}
		if !after.Time().Equal(t0.Add(time.Minute)) || after.Context()["n"] != 1.0 || b.StateName(after) != "on" {
			t.Errorf("%s: at %v in %s with %v", name, after.Time(), b.StateName(after), after.Context())
		}
	}
	if _, out := b.StartAfter(b, before, nil, t0); len(out.Faults) != 1 || len(out.Actions) != 1 {
		t.Errorf("a snapshot of another model: %+v", out)
	}
}
