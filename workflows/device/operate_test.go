package device

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"

	"devicetwin/device"
)

const operatedModel = `
model: operated
events: {heat: {channel: telemetry, when: "has(msg.t)"}}
initial: idle
states:
  idle: {on: {open: {target: busy, guard: "event.n > 1"}, heat: busy}}
  busy: {on: {operator.reprovision: {target: idle, actions: [{log: "event.reason"}]}}}
`

func pointer[T any](v T) *T { return &v }

func TestDesiredPropertiesOfAnOperator(t *testing.T) {
	h := newTwinHarness(t, operatedModel, 0)
	a := h.operate(time.Second,
		Operation{Desire: &Desire{Patch: json.RawMessage(`{"fan":"high","id":9007199254740993}`), Version: pointer(int64(0))}},
		Operation{Desire: &Desire{Patch: json.RawMessage(`{"fan":null}`), Version: pointer(int64(1))}},
		Operation{Desire: &Desire{Patch: json.RawMessage(`{"fan":1}`), Version: pointer(int64(1))}},
		Operation{Desire: &Desire{Patch: json.RawMessage(`[1]`)}},
		Operation{Desire: &Desire{Patch: json.RawMessage(`{"a":[null]}`)}},
		Operation{Desire: &Desire{Shadow: "a b", Patch: json.RawMessage(`{"a":1}`)}},
		Operation{Desire: &Desire{Patch: json.RawMessage(`{"a":"` + strings.Repeat("x", 9000) + `"}`)}},
	)
	view := h.runUntil(5 * time.Second)
	var codes []int
	for _, r := range a.results {
		codes = append(codes, code(r))
	}
	if want := []int{0, 0, 412, 400, 400, 400, 413}; !reflect.DeepEqual(codes, want) {
		t.Fatalf("codes %v, want %v: %s", codes, want, text(a.results))
	}
	if got := text(a.results[0].Desired); got != `{"version":1,"changed":["fan","id"],"open":["fan","id"]}` {
		t.Errorf("desired %s", got)
	}
	if doc := text(view.Twins[0].Document); !strings.Contains(doc, `"desired":{"id":9007199254740993}`) {
		t.Errorf("document %s", doc)
	}
	if p := h.wire.payload(t, shadowBase+"/update/delta"); p["version"] != 2.0 {
		t.Errorf("delta %v", p)
	}
}

func TestEventsOfAnOperator(t *testing.T) {
	h := newTwinHarness(t, operatedModel, 0)
	send := func(name string, n float64) Operation {
		return Operation{Event: &OperatorEvent{Name: name, Data: map[string]any{"n": n}}}
	}
	opened := send("open", 2)
	opened.Note = strings.Repeat("x", 2*maxWhy)
	a := h.operate(time.Second, send("open", 1), opened, send("twin.diverged", 0), send("heat", 0), send("reset.rejected", 0), send("", 0), send("opne", 0))
	view := h.runUntil(5 * time.Second)
	var got []string
	for _, r := range a.results {
		got = append(got, fmt.Sprint(code(r), " ", text(r.Taken)))
	}
	want := []string{`0 {"from":"idle","to":"idle"}`, `0 {"from":"idle","to":"busy"}`, "409 null", "409 null", "409 null", "400 null", "422 null"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("results %q\nwant %q", got, want)
	}
	if message := a.results[6].Refused.Message; message != h.model.WhyUnknown("opne") || !strings.Contains(message, `did you mean "open"?`) {
		t.Errorf("an unknown event: %s", message)
	}
	why := view.Why[0]
	if n := len(why.Cause.Note); !strings.HasPrefix(why.Cause.Note, "xxx") || n > maxWhy+len("…") {
		t.Errorf("a note of %d bytes", n)
	}
	if a, b := (Operation{Note: "one", Who: "ann"}), (Operation{Note: "another", Who: "bob"}); a.print() != b.print() {
		t.Error("what an operation is depends on who wants it, and why")
	}
	if why.Cause.Kind != CauseOperation || why.Cause.Who != "ann" || why.Cause.Name != "event" || string(why.Data) != `{"n":2}` || why.Guards[0] != "event.n > 1" || why.Model != h.model.Hash() {
		t.Errorf("why %s", text(why))
	}
}

// The ring names messages with their numbers, and is bounded.
func TestWhyIsBounded(t *testing.T) {
	h := newTwinHarness(t, "context: {big: \"\"}\ninitial: a\nstates:\n"+
		"  a: {on: {flip: {target: b, actions: [{assign: {big: \"event.big\"}}]}}}\n  b: {on: {flip: a}}\n", 0)
	for range 30 {
		m := event("flip")
		m.Data = map[string]any{"big": strings.Repeat("ü", 4000)}
		h.at(time.Second, m)
	}
	view := h.runUntil(5 * time.Second)
	if len(view.Why) != keptReasons {
		t.Fatalf("%d reasons, want %d", len(view.Why), keptReasons)
	}
	last := view.Why[len(view.Why)-1]
	if last.Cause.Seq != 30 || last.Cause.Channel != "events" || last.Cause.Name != "flip" {
		t.Errorf("cause %+v, want that of message 30", last.Cause)
	}
	if raw := text(view.Why); len(raw) > keptReasons*4*(maxReason+500) || !json.Valid([]byte(raw)) {
		t.Errorf("%d bytes", len(raw))
	}
}

// One operation replaces all tags: also one of an older rule, which no key may be
// called by today, and which does not make the device unusable meanwhile.
func TestTagsAreReplaced(t *testing.T) {
	h := newTwinHarness(t, operatedModel, 0)
	replace := func(tags map[string]*string) Operation {
		return Operation{Tags: &TagChanges{Set: tags, Replace: true}}
	}
	h.state = &State{
		Version: stateVersion, Device: testDevice, Model: h.model.Hash(), Instance: "test",
		Tags: map[string]string{"an old key": "", "line": "2"},
	}
	kept := h.operate(time.Second, Operation{Tags: &TagChanges{Set: map[string]*string{"a/b": pointer("1")}}})
	bad := h.operate(2*time.Second, replace(map[string]*string{"a": pointer("")}))
	a := h.operate(3*time.Second, replace(map[string]*string{"a/b": pointer("2"), "c": pointer("3")}))
	none := h.operate(4*time.Second, replace(nil))
	h.runUntil(6 * time.Second)
	if got, want := kept.only(t).Tags, (map[string]string{"an old key": "", "line": "2", "a/b": "1"}); !reflect.DeepEqual(got, want) {
		t.Errorf("one tag was set: %v, want %v", got, want)
	}
	if r := bad.only(t); code(r) != 400 {
		t.Errorf("an empty value: %+v, want 400", r)
	}
	if got, want := a.only(t).Tags, (map[string]string{"a/b": "2", "c": "3"}); !reflect.DeepEqual(got, want) {
		t.Errorf("all were replaced: %v, want %v", got, want)
	}
	if got := none.only(t); got.Refused != nil || len(got.Tags) != 0 {
		t.Errorf("none were wanted: %+v", got)
	}
}

func TestTags(t *testing.T) {
	h := newTwinHarness(t, operatedModel, 0)
	many := map[string]*string{}
	for i := range device.MaxTags + 1 {
		many[fmt.Sprint("k", i)] = pointer("v")
	}
	a := h.operate(time.Second,
		Operation{Tags: &TagChanges{Set: map[string]*string{"site": pointer("north"), "line": pointer("3")}}},
		Operation{Tags: &TagChanges{Set: map[string]*string{"line": nil}}},
		Operation{Tags: &TagChanges{Set: map[string]*string{"no space": pointer("x")}}},
		Operation{Tags: &TagChanges{Set: map[string]*string{"x": pointer("a\nb")}}},
		Operation{Tags: &TagChanges{Set: many}},
	)
	view := h.runUntil(5 * time.Second)
	if !reflect.DeepEqual(view.Tags, map[string]string{"site": "north"}) || !reflect.DeepEqual(view.Attributes.Tags, []string{"site=north"}) {
		t.Errorf("tags %v, indexed %v", view.Tags, view.Attributes.Tags)
	}
	if code(a.results[2]) != 400 || code(a.results[3]) != 400 || code(a.results[4]) != 413 {
		t.Errorf("results %s", text(a.results))
	}
}

// Temporal takes 2048 bytes of all tags together, and would terminate the workflow for
// one more. Tags of an older rule may become fewer.
func TestTagsHaveRoomInASearchAttribute(t *testing.T) {
	value := strings.Repeat("<", 100) // 600 bytes of JSON
	set := func(key string) Operation {
		return Operation{Tags: &TagChanges{Set: map[string]*string{key: &value}}}
	}
	for name, tt := range map[string]struct {
		rules int
		have  map[string]string
		op    Operation
		want  int // 0: carried out
	}{
		"there is room":    {rulesCorners, map[string]string{"a": value, "b": value}, set("c"), 0},
		"there is none":    {rulesCorners, map[string]string{"a": value, "b": value, "c": value}, set("d"), 413},
		"one is removed":   {rulesCorners, map[string]string{"a": value, "b": value, "c": value, "d": value, "e": value}, Operation{Tags: &TagChanges{Set: map[string]*string{"e": nil}}}, 0},
		"all are too many": {rulesCorners, nil, Operation{Tags: &TagChanges{Replace: true, Set: map[string]*string{"a": &value, "b": &value, "c": &value, "d": &value}}}, 413},
		"earlier rules":    {rulesMessages, map[string]string{"a": value, "b": value, "c": value}, set("d"), 0},
	} {
		d := run{settings: runSettings{Rules: tt.rules}, state: &State{Tags: tt.have}}
		if got := d.operateTags(*tt.op.Tags); code(got) != tt.want {
			t.Errorf("%s: %s, want %d", name, text(got), tt.want)
		}
	}
}

// Reprovisioning goes to the model where it takes the event, and is the service's
// own where it does not.
func TestReprovisionOfAnOperator(t *testing.T) {
	h := newTwinHarness(t, operatedModel, 0)
	own := h.operate(time.Second, Operation{Reprovision: &ReprovisionReason{Reason: "lost"}})
	h.operate(2*time.Second, Operation{Event: &OperatorEvent{Name: "open", Data: map[string]any{"n": 5.0}}})
	byModel := h.operate(3*time.Second, Operation{Reprovision: &ReprovisionReason{Reason: "again"}})
	view := h.runUntil(10 * time.Second)
	if r := own.only(t).Reprovisioning; r == nil || r.ByModel {
		t.Errorf("the first: %+v, want the service", r)
	}
	if r := byModel.only(t).Reprovisioning; r == nil || !r.ByModel || r.To != "idle" {
		t.Errorf("the second: %+v, want the model", r)
	}
	if got := h.wire.topics(); got != "devices/pump-1/commands/reprovision" {
		t.Errorf("sent\n%s\nwant one command", got)
	}
	if len(view.Invocations) != 0 || view.ReportCount != 0 {
		t.Errorf("invocations %v, faults %v are left", view.Invocations, view.Reports)
	}
}

// A repeated operation is not executed again, and gets its result.
func TestAnOperationIsCarriedOutOnce(t *testing.T) {
	h := newTwinHarness(t, operatedModel, 0)
	op := Operation{ID: "x", Command: &Order{Name: "move"}}
	keyed := func(id string) Operation { return Operation{ID: id, Command: &Order{Name: "turn", Key: "k"}} }
	a, b := h.operate(time.Second, op, keyed("y")), h.operate(2*time.Second, op, keyed("z"))
	c := h.operate(3*time.Second, Operation{ID: "w", Command: &Order{Name: "other", Key: "k"}})
	view := h.runUntil(5 * time.Second)
	for i := range 2 {
		if a.results[i].Command.ID != b.results[i].Command.ID {
			t.Errorf("operation %d: %s and %s", i, text(a.results[i]), text(b.results[i]))
		}
	}
	if got := names(view.Commands.Waiting); view.Commands.Flight.Name != "move" || got != "turn waiting" {
		t.Errorf("under way %s, waiting: %s", view.Commands.Flight.Name, got)
	}
	if r := c.only(t); code(r) != 422 {
		t.Errorf("another command with the key: %+v", r)
	}
}

func TestWhatIsRememberedOfOperationsIsBounded(t *testing.T) {
	h := newTwinHarness(t, operatedModel, 0)
	for i := range 6 {
		var list []Operation
		for j := range 100 {
			list = append(list, Operation{ID: fmt.Sprint(i, "-", j), Command: &Order{Name: "move", Data: json.RawMessage(`"` + strings.Repeat("x", 2000) + `"`)}})
		}
		h.operate(time.Duration(i+1)*time.Second, list...)
	}
	view := h.runUntil(10 * time.Second)
	if len(view.Requests) != keptRequests {
		t.Errorf("%d are remembered, want %d", len(view.Requests), keptRequests)
	}
	if raw := text(view.State); len(raw) > 1<<20 {
		t.Errorf("the state has %d bytes", len(raw))
	}
	if last := view.Requests[len(view.Requests)-1].Result; code(last) != 429 {
		t.Errorf("the last result is %+v, want 429: the queue is full", last)
	}
}

// A run that ends answers everyone who asked it, and the next goes on with all
// that it knew.
func TestOperationsOverContinueAsNew(t *testing.T) {
	first := newTwinHarness(t, operatedModel, 3)
	first.ask(500*time.Millisecond, "", "update", `{"state":{"reported":{"fan":"high"}}}`)
	a := first.operate(time.Second,
		Operation{ID: "one", Command: &Order{Name: "move"}}, Operation{ID: "two", Command: &Order{Name: "turn"}},
		Operation{ID: "tags", Tags: &TagChanges{Set: map[string]*string{"a": pointer("b")}}})
	first.run(Input{Device: testDevice, Model: first.model.Hash()})
	in := first.nextInput()
	if !a.answered || len(a.results) != 3 {
		t.Fatalf("results %+v: the run ended without an answer", a.results)
	}
	throughJSON(t, *in.State)

	second := newTwinHarness(t, operatedModel, 0)
	second.SetStartTime(first.Now())
	second.seq = first.seq
	b := second.operate(time.Second, Operation{ID: "one", Command: &Order{Name: "move"}})
	second.RegisterDelayedCallback(func() { second.signal(ack("move", a.results[0].Command.ID, "succeeded")) }, 2*time.Second)
	var view View
	second.RegisterDelayedCallback(func() { view = second.view() }, 4*time.Second)
	second.RegisterDelayedCallback(second.CancelWorkflow, 5*time.Second)
	second.run(in)
	if got := b.only(t).Command.ID; got != a.results[0].Command.ID {
		t.Errorf("the repeated order is %s, want %s", got, a.results[0].Command.ID)
	}
	if got := second.wire.topics(); got != "devices/pump-1/commands/turn" {
		t.Errorf("the second run sent\n%s\nwant turn only", got)
	}
	if view.Tags["a"] != "b" || view.Twins[0].Document.Version() != 1 || view.Runs != 1 {
		t.Errorf("tags %v, twins %v, runs %d", view.Tags, view.Twins, view.Runs)
	}
}

func TestADeviceIsDeleted(t *testing.T) {
	h := newTwinHarness(t, operatedModel, 0)
	h.workflow.Twin.Retain = true
	h.ask(time.Second, "", "update", `{"state":{"reported":{"fan":"high"}}}`)
	a := h.operate(2*time.Second, Operation{Delete: true}, order("late"))
	h.run(Input{Device: testDevice, Model: h.model.Hash()})
	if err := h.GetWorkflowError(); err != nil {
		t.Fatal(err)
	}
	if len(a.results) != 2 || code(a.results[0]) != 0 || code(a.results[1]) != 404 {
		t.Errorf("results %s, want done and 404", text(a.results))
	}
	last := h.wire.sent[len(h.wire.sent)-1]
	if last.topic != twinBase+"/documents/current" || !last.retained || last.payload != "" {
		t.Errorf("the last message is %+v, want an empty retained one", last)
	}
}

// The end of a workflow shows whether the device's data are to be erased, too.
func TestADeviceIsDeletedWithItsData(t *testing.T) {
	for _, data := range []bool{false, true} {
		h := newTwinHarness(t, operatedModel, 0)
		var marks []map[string]any
		h.OnUpsertMemo(mock.Anything).Run(func(args mock.Arguments) { marks = append(marks, args.Get(0).(map[string]any)) }).Return(nil).Maybe()
		withData, without := withID("k", Operation{Delete: true, Data: data}), withID("k", Operation{Delete: true, Data: !data})
		a := h.operate(2*time.Second, withData, withData, without)
		h.run(Input{Device: testDevice, Model: h.model.Hash()})
		if err := h.GetWorkflowError(); err != nil {
			t.Fatal(err)
		}
		if len(a.results) != 3 || code(a.results[0]) != 0 || code(a.results[1]) != 0 || code(a.results[2]) != 422 {
			t.Fatalf("data %v: results %s, want done twice and 422", data, text(a.results))
		}
		if a.results[0].Erase != data || a.results[1].Erase != data || !withData.Fits(a.results[0]) {
			t.Errorf("data %v: results %s", data, text(a.results))
		}
		marked := len(marks) == 1 && marks[0][MemoErase] == true
		if marked != data || len(marks) > 1 {
			t.Errorf("data %v: the memo got %v", data, marks)
		}
	}
}

func TestAnUnknownOperationIsRefused(t *testing.T) {
	h := newTwinHarness(t, operatedModel, 0)
	a := h.operate(time.Second, Operation{})
	h.runUntil(5 * time.Second)
	if r := a.only(t); code(r) != 400 {
		t.Errorf("%+v", r)
	}
}
