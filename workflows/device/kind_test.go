package device

import (
	"slices"
	"strings"
	"testing"
	"time"

	"devicetwin/device"
	"devicetwin/internal/measure"
	"devicetwin/twin/command"
)

// A customer who has the name of a device, pump-1.
const loyalty = `
model: loyalty
kind: customer
liveness: {silent_after: 1h}
context: {last: null}
initial: new
states:
  new:
    on: {purchase: regular}
  regular:
    entry:
      - command: {name: thank, data: {text: "'thank you'"}}
      - command: {name: remind, ttl: 5m}
      - publish: {topic: "devices/{id}/commands/reset"}
      - desire: {channel: "'mail'"}
    on:
      remind.succeeded: {actions: [{assign: {last: "event.status"}}]}
      device.silent: gone
  gone: {}
`

func purchase() device.Message {
	return device.Message{Channel: device.ChannelEvents, Name: "purchase"}
}

// What an entity without a connection is sent is in its record, and nothing of it is
// published, above all not to the device of its name.
func TestAnEntityWithoutAConnection(t *testing.T) {
	h := newTwinHarness(t, loyalty, 0)
	h.id = "customer/" + testDevice
	h.activities.Topics = []string{"devices/{id}/#"}
	h.activities.OfDevices = func(topic string) bool { return strings.HasPrefix(topic, "devices/") }
	h.at(time.Second, device.Message{Channel: device.ChannelTelemetry, Data: map[string]any{"a": 1.0}}, purchase())
	h.at(2*time.Second, device.Message{Channel: device.ChannelStatus, Connection: device.Offline})
	asked := h.operate(3*time.Second,
		orderOf("coupon", "1"), Operation{Desire: &Desire{Patch: []byte(`{"language":"de"}`)}}, Operation{Reprovision: &ReprovisionReason{}})
	view := h.runUntil(2 * time.Hour)
	if view.StateName != "gone" {
		t.Errorf("state %s: silence is of events", view.StateName)
	}
	if view.Connection != "" || view.Attributes.Connection != "" {
		t.Errorf("connection %q", view.Connection)
	}
	if got := names(view.Commands.Ended); got != "thank succeeded, remind succeeded, coupon succeeded" {
		t.Errorf("commands: %s", got)
	}
	if data := string(view.Commands.Ended[0].Data); data != `{"text":"thank you"}` {
		t.Errorf("data of the command in the stream: %s", data)
	}
	if last := view.Snapshot.Context()["last"]; last != string(command.Succeeded) {
		t.Errorf("the model heard %v of its command", last)
	}
	if len(view.Twins) != 1 || !strings.Contains(text(view.Twins[0].Document), `"channel":"mail"`) {
		t.Errorf("twin %s", text(view.Twins))
	}
	if len(h.wire.sent) > 0 {
		t.Errorf("published: %+v", h.wire.sent)
	}
	if len(view.Reports) != 1 || !strings.Contains(view.Reports[0].Detail, "devices/pump-1/commands/reset: it is a topic of devices, and this is customer pump-1") {
		t.Errorf("reports %+v", view.Reports)
	}
	if r := asked.results[2].Refused; r == nil || r.Code != 409 || r.Message != "customer pump-1 cannot be reprovisioned: only devices have credentials" {
		t.Errorf("reprovision: %+v", asked.results[2])
	}
	for _, p := range h.world.points {
		if p.Tags[measure.TagDevice] != "customer/pump-1" || p.Tags[measure.TagKind] != "customer" {
			t.Errorf("point %+v", p)
		}
	}
	if h.world.count(measure.Transitions) != 2 || h.world.count(measure.Commands) == 0 {
		t.Errorf("points %+v", h.world.points)
	}
}

// The worker also refuses it of a model that it was given nevertheless.
func TestReprovisionIsOfDevicesOnly(t *testing.T) {
	model := loadPump(t)
	w := &world{}
	a := &Activities{Dialect: standardDialect(), Publisher: w, Points: w, Models: NewRegistry(model)}
	_, err := a.Reprovision(t.Context(), Invocation{Device: "customer/pump-1", Model: model.Hash(), ID: "1"})
	if err == nil || !strings.Contains(err.Error(), "only devices have credentials") || len(w.commands) > 0 {
		t.Errorf("%v, sent %v", err, w.commands)
	}
}

// Of a model of another kind nothing is applied: the entity waits, as without a model.
func TestAModelOfAnotherKindIsNotRun(t *testing.T) {
	customers := modelOf(t, loyalty)
	for id, want := range map[device.ID]string{
		"pump-1":       "device pump-1 cannot run model loyalty",
		"order/pump-1": "order pump-1 cannot run model loyalty",
	} {
		h := newHarnessFor(t, customers, 0)
		h.id = id
		h.ExecuteWorkflow(WorkflowType, Input{Device: id, Model: customers.Hash()})
		if err := h.GetWorkflowError(); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "which is of kind customer") {
			t.Errorf("%s: %v", id, err)
		}
	}
}

// Who starts an entity need not know its model: the worker does.
func TestAnEntityThatIsStartedWithoutAModel(t *testing.T) {
	h := newTwinHarness(t, loyalty, 0)
	h.workflow.NewModel = func(kind device.Kind) (string, bool) { return h.model.Hash(), kind == "customer" }
	h.at(time.Second, purchase())
	var view View
	h.RegisterDelayedCallback(func() { view = h.view(); h.CancelWorkflow() }, time.Minute)
	h.run(Input{Device: "customer/1"})
	if view.StateName != "regular" || view.Model != h.model.Hash() {
		t.Errorf("state %s, model %s", view.StateName, view.Model)
	}
	other := newTwinHarness(t, loyalty, 0)
	other.ExecuteWorkflow(WorkflowType, Input{Device: "order/1"})
	if err := other.GetWorkflowError(); err == nil || !strings.Contains(err.Error(), "order 1: this worker has no model for new entities of kind order") {
		t.Errorf("without a model: %v", err)
	}
}

// An event that is refused makes no entity: the workflow ends, and has done nothing.
func TestARefusedEventMakesNoEntity(t *testing.T) {
	purchase := func(id, name string) *Operation {
		return &Operation{ID: id, Who: "shop", Event: &OperatorEvent{Name: name, Source: true}}
	}
	begin := func() *twinHarness {
		h := newTwinHarness(t, strings.Replace(loyalty, "initial: new\nstates:\n  new:\n", "initial: new\nstates:\n  new:\n    entry: [{command: {name: welcome}}]\n", 1), 0)
		h.workflow.NewModel = func(device.Kind) (string, bool) { return h.model.Hash(), true }
		return h
	}
	in := func(name string) Input { return Input{Device: "customer/1", First: purchase("1", name)} }

	h := begin()
	h.run(in("purchse"))
	var end Deletion
	if err := h.GetWorkflowResult(&end); err != nil {
		t.Fatal(err)
	}
	if same, is := end.Of(*purchase("1", "purchse")); !same || !is || end.Refused == nil || end.Refused.Code != 422 || !strings.Contains(end.Refused.Message, "purchse") {
		t.Errorf("result %s", text(end))
	}
	if len(h.world.points)+len(h.wire.sent) > 0 {
		t.Errorf("points %+v, sent %+v", h.world.points, h.wire.sent)
	}

	h = begin()
	again := &asked{}
	h.RegisterDelayedCallback(func() {
		h.UpdateWorkflow(UpdateOperate, "", again, Operations{List: []Operation{*purchase("1", "purchase"), *purchase("2", "purchse")}})
	}, time.Second)
	var view View
	h.RegisterDelayedCallback(func() { view = h.view(); h.CancelWorkflow() }, time.Minute)
	h.run(in("purchase"))
	if view.StateName != "regular" || len(again.results) != 2 || again.results[0].Taken == nil || again.results[0].Taken.From != "new" || code(again.results[1]) != 422 {
		t.Errorf("state %s, then %s", view.StateName, text(again.results))
	}
	if got := names(view.Commands.Ended); !strings.HasPrefix(got, "welcome succeeded, thank succeeded") {
		t.Errorf("commands: %s", got)
	}
	for name, other := range map[string]func(*twinHarness){ // something else comes at the same time
		"a message": func(h *twinHarness) { h.at(0, device.Message{Channel: device.ChannelEvents, Name: "purchase"}) },
		"an event": func(h *twinHarness) {
			h.RegisterDelayedCallback(func() {
				h.UpdateWorkflow(UpdateOperate, "", &asked{}, Operations{List: []Operation{*purchase("2", "purchase")}})
			}, 0)
		},
	} {
		h := begin()
		other(h)
		var view View
		h.RegisterDelayedCallback(func() { view = h.view(); h.CancelWorkflow() }, time.Minute)
		h.run(in("purchse"))
		if view.StateName != "regular" {
			t.Errorf("%s: state %s", name, view.StateName)
		}
	}
}

func TestWorkflowIDs(t *testing.T) {
	for id, want := range map[device.ID]string{"pump-1": "device/pump-1", "customer/pump-1": "customer/pump-1"} {
		if got := WorkflowID(id); got != want || EntityOf(got) != id {
			t.Errorf("%s: %s, and back %s", id, got, EntityOf(got))
		}
	}
}

// Messages that the API hands over for an entity are its own: rules of the model apply, and
// they are signs of life. What an operator sends is not, and a device has no such source.
func TestMessagesBySourceAPI(t *testing.T) {
	const ruled = `
kind: customer
liveness: {silent_after: 1h}
events:
  large: {channel: events, name: purchase, when: "msg.amount > 100"}
  small: {channel: events, name: purchase}
initial: new
states:
  new: {on: {large: vip, small: regular, call: called}}
  vip: {on: {device.silent: lost}}
  regular: {}
  called: {}
  lost: {}
`
	event := func(name string, amount float64, source bool) Operation {
		return Operation{Event: &OperatorEvent{Name: name, Data: map[string]any{"amount": amount}, Source: source}}
	}
	h := newTwinHarness(t, ruled, 0)
	h.id = "customer/1"
	a := h.operate(time.Second, event("purchase", 300, false), event("purchase", 300, true), event("purchse", 1, true),
		event("device.silent", 1, true), event("a b", 1, true))
	late := h.operate(50*time.Minute, event("purchase", 300, true))
	var at90 View
	h.RegisterDelayedCallback(func() { at90 = h.view() }, 90*time.Minute)
	view := h.runUntil(3 * time.Hour)
	var codes []int
	for _, r := range append(a.results, late.results...) {
		codes = append(codes, code(r))
	}
	if want := []int{422, 0, 422, 409, 400, 0}; !slices.Equal(codes, want) {
		t.Errorf("codes %v, want %v: %s", codes, want, text(a.results))
	}
	if taken := a.results[1].Taken; taken == nil || taken.From != "new" || taken.To != "vip" {
		t.Errorf("taken %+v", taken)
	}
	if at90.StateName != "vip" || view.StateName != "lost" {
		t.Errorf("states %s, %s: each event is a sign of life", at90.StateName, view.StateName)
	}
	if last := at90.Why[len(at90.Why)-1].Cause; last.Kind != CauseOperation {
		t.Errorf("cause %+v", last)
	}
	d := newTwinHarness(t, strings.Replace(ruled, "kind: customer", "", 1), 0)
	b := d.operate(time.Second, event("purchase", 300, true))
	d.runUntil(time.Minute)
	if code(b.results[0]) != 422 {
		t.Errorf("of a device: %s", text(b.results))
	}
}
