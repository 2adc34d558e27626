package device

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"devicetwin/device"
	"devicetwin/twin/command"
)

// sample is one of every kind of operations, and another one of its kind.
type sample struct{ one, other Operation }

// samples are by the names of their kinds. The commands to cancel are known by
// their ids.
func samples(first, second string) map[string]sample {
	desire := func(patch string) Operation { return Operation{Desire: &Desire{Patch: json.RawMessage(patch)}} }
	order := func(data string) Operation {
		return Operation{Command: &Order{Name: "move", Data: json.RawMessage(data)}}
	}
	cancel := func(id string) Operation { return Operation{Cancel: &CancelOperation{Command: id}} }
	event := func(n float64) Operation {
		return Operation{Event: &OperatorEvent{Name: "open", Data: map[string]any{"n": n}}}
	}
	tags := func(value string) Operation {
		return Operation{Tags: &TagChanges{Set: map[string]*string{"a": &value}, Replace: true}}
	}
	reprovision := func(reason string) Operation { return Operation{Reprovision: &ReprovisionReason{Reason: reason}} }
	return map[string]sample{
		"desire":      {desire(`{"a":1}`), desire(`{"a":2}`)},
		"command":     {order(`{"to":1}`), order(`{"to":2}`)},
		"cancel":      {cancel(first), cancel(second)},
		"event":       {event(0), event(1)},
		"tags":        {tags("x"), tags("y")},
		"reprovision": {reprovision("lost"), reprovision("stolen")},
		"delete":      {Operation{Delete: true}, Operation{Delete: true, Who: "bob"}},
	}
}

func withID(id string, op Operation) Operation { op.ID = id; return op }

// An id belongs to one operation: for all pairs of operations, the second one with the
// id of the first is refused and changes nothing, and the first one again gets its
// result.
func TestAnIDBelongsToOneOperation(t *testing.T) {
	kinds := slices.Sorted(maps.Keys(samples("", "")))
	for _, a := range kinds {
		for _, b := range kinds {
			if a == "delete" {
				continue // nothing is left to compare with: TestADeletedDeviceAnswers
			}
			t.Run(a+" then "+b, func(t *testing.T) {
				h := newTwinHarness(t, operatedModel, 0)
				orders := h.operate(time.Second, Operation{Command: &Order{Name: "one"}}, Operation{Command: &Order{Name: "two"}})
				var first, again, second, last asked
				var before, after View
				h.RegisterDelayedCallback(func() {
					all := samples(orders.results[0].Command.ID, orders.results[1].Command.ID)
					h.operateNow(&first, withID("k", all[a].one))
					h.RegisterDelayedCallback(func() {
						before = h.view()
						h.operateNow(&second, withID("k", all[b].other))
						h.operateNow(&again, withID("k", all[a].one))
					}, time.Second)
					h.RegisterDelayedCallback(func() {
						after = h.view()
						h.operateNow(&last, withID("l", all[b].other))
					}, 2*time.Second)
				}, 2*time.Second)
				h.RegisterDelayedCallback(h.CancelWorkflow, 10*time.Second)
				h.run(Input{Device: testDevice, Model: h.model.Hash()})
				if r := second.only(t); code(r) != 422 || !strings.Contains(r.Refused.Message, "key") {
					t.Errorf("the other operation: %s, want 422", text(r))
				}
				if got, want := text(again.only(t)), text(first.only(t)); code(first.only(t)) != 0 || got != want {
					t.Errorf("the same operation again: %s\nwant %s", got, want)
				}
				if text(after.State) != text(before.State) {
					t.Errorf("the refused operation changed\n%s\nto\n%s", text(before.State), text(after.State))
				}
				if r := last.only(t); code(r) != 0 {
					t.Errorf("the other operation with an id of its own: %s", text(r))
				}
			})
		}
	}
}

// One that was refused keeps its id, and its refusal.
func TestTheIDOfARefusedOperation(t *testing.T) {
	h := newTwinHarness(t, operatedModel, 0)
	stale := Operation{ID: "k", Desire: &Desire{Patch: json.RawMessage(`{"a":1}`), Version: pointer(int64(7))}}
	a := h.operate(time.Second, stale, stale, withID("k", samples("", "")["tags"].one))
	h.runUntil(3 * time.Second)
	var codes []int
	for _, r := range a.results {
		codes = append(codes, code(r))
	}
	if want := []int{412, 412, 422}; !slices.Equal(codes, want) {
		t.Errorf("codes %v, want %v", codes, want)
	}
}

// The workflow of a deleted device, and its result afterwards, distinguish the
// deletion asked for again from anything else.
func TestADeletedDeviceAnswers(t *testing.T) {
	all := samples("x", "y")
	list := []Operation{withID("k", Operation{Delete: true}), withID("k", Operation{Delete: true, Who: "bob"})}
	want := []int{0, 0}
	for _, kind := range slices.Sorted(maps.Keys(all)) {
		if kind != "delete" {
			list, want = append(list, withID("k", all[kind].one), withID("l", all[kind].one)), append(want, 422, 404)
		}
	}
	list, want = append(list, withID("l", Operation{Delete: true})), append(want, 404)
	h := newTwinHarness(t, operatedModel, 0)
	a := h.operate(time.Second, list...)
	h.run(Input{Device: testDevice, Model: h.model.Hash()})
	for i, r := range a.results {
		if code(r) != want[i] {
			t.Errorf("%s: %s, want %d", text(list[i]), text(r), want[i])
		}
	}
	var by Deletion
	if err := h.GetWorkflowResult(&by); err != nil {
		t.Fatal(err)
	}
	for i, op := range list {
		sameID, same := by.Of(op)
		if same != (want[i] == 0) || sameID != (op.ID == "k") {
			t.Errorf("%+v deleted by %s: same id %v, the same %v", by, text(op), sameID, same)
		}
	}
	if sameID, same := (Deletion{}).Of(Operation{Delete: true}); sameID || same {
		t.Error("an operation without an id deleted a device of an earlier release")
	}
}

// Operations that were applied before there were prints are compared by their results.
func TestIDsOfOperationsWithoutAPrint(t *testing.T) {
	results := map[string]OperationResult{
		"desire": {Desired: &Desired{Version: 1}}, "command": {Command: &command.Command{ID: "x"}}, "event": {Taken: &EventTaken{}},
		"tags": {}, "reprovision": {Reprovisioning: &Reprovisioning{}},
	}
	all := samples("", "")
	for applied, result := range results {
		for kind, s := range all {
			h := newTwinHarness(t, operatedModel, 0)
			h.state = &State{
				Version: stateVersion, Device: testDevice, Model: h.model.Hash(), Instance: "test",
				Requests: []appliedOperation{{ID: "k", Result: result}},
			}
			throughJSON(t, *h.state)
			a := h.operate(time.Second, withID("k", s.one))
			h.runUntil(3 * time.Second)
			fits := applied == kind || applied == "command" && kind == "cancel"
			if r := a.only(t); (code(r) == 422) == fits || !fits && r.Refused == nil {
				t.Errorf("%s after %s: %s", kind, applied, text(r))
			}
		}
	}
}

// A print stays the same over releases, because it is kept with the state: the same
// JSON value has the same, whoever asks for it.
func TestPrints(t *testing.T) {
	prints := map[string]string{}
	for kind, s := range samples("x", "y") {
		prints[kind] = s.one.print()
		if kind != "delete" && s.other.print() == s.one.print() {
			t.Errorf("%s: another one has the same print", kind)
		}
	}
	want := map[string]string{
		"cancel": "udpkQSSAvKM1W1_c", "command": "E7ZXQBBnJKmFsHDz", "delete": "C3AbcrCHXV55NHEm", "desire": "ztrX4xQ3rdvahqRt",
		"event": "SLCKSlNKiGIKh4yn", "reprovision": "bfRNuglCYH3zQdmA", "tags": "Nv_nyh8O6BSauj17",
	}
	if !reflect.DeepEqual(prints, want) {
		t.Errorf("prints %q\nwant %q", prints, want)
	}
	of := func(who, patch string) string {
		return Operation{ID: who, Who: who, Desire: &Desire{Patch: json.RawMessage(patch)}}.print()
	}
	if of("ann", `{"a":1,"b":{"c":2,"d":[3]}}`) != of("bob", "{ \"b\": {\"d\": [3], \"c\":2},\n\"a\":1 }") {
		t.Error("the order of the keys matters")
	}
	different := map[string]string{}
	for _, patch := range []string{`{"a":12345678901234567890}`, `{"a":12345678901234567891}`, `{"a":"1"}`, `{"a":1}`, `{"a":null}`, `{"a"`, `{}`, `{} {}`} {
		if other, ok := different[of("ann", patch)]; ok {
			t.Errorf("%s and %s have the same print", patch, other)
		}
		different[of("ann", patch)] = patch
	}
}

// What is kept of a result is bounded, and as much as callers need of it.
func TestWhatIsKeptOfResults(t *testing.T) {
	few := OperationResult{Desired: &Desired{Version: 3, Changed: []string{"a", "b.c"}, Open: []string{"a"}}}
	if got := few.short(); !reflect.DeepEqual(got, few) {
		t.Errorf("kept %s of %s", text(got), text(few))
	}
	many := few
	for i := range 200 {
		many.Desired = &Desired{Version: 3, Changed: append(many.Desired.Changed, fmt.Sprint("path-", i))}
	}
	if got := many.short().Desired; got.Version != 3 || len(text(got)) > keptPaths+100 {
		t.Errorf("kept %s", text(got))
	}
	c := command.Command{ID: "1", Name: "move", Status: device.CommandWaiting, Data: json.RawMessage(`"long"`), Created: time.Unix(1, 0), Expires: time.Unix(2, 0)}
	got := OperationResult{Command: &c}.short().Command
	if c.Data = nil; !reflect.DeepEqual(*got, c) {
		t.Errorf("kept %s of %s", text(got), text(c))
	}
}
