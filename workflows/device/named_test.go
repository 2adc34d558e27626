package device

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"

	"devicetwin/device"
	"devicetwin/devicefsm"
)

const valveText = `
model: valve
context: {births: 0}
initial: shut
entry: [{command: {name: hello}}]
states:
  shut: {on: {boot: {actions: [{assign: {births: "context.births + 1"}}, {command: {name: welcome}}]}, reading: {guard: "event.temperature > 1", target: open}}}
  open: {}
events:
  boot: {channel: status}
  reading: {channel: telemetry}
`

func loadValve(t *testing.T, change ...string) *devicefsm.Model {
	t.Helper()
	m, err := devicefsm.Load("valve.yaml", []byte(strings.NewReplacer(change...).Replace(valveText)))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// named is a birth that names a model.
func named(m *devicefsm.Model) device.Message {
	return device.Message{Channel: device.ChannelStatus, Data: map[string]any{"status": "boot", "model": m.Name()}, Model: m.Hash()}
}

// newNamed runs the pump for a device that has not named a model, if it is provisional.
func newNamed(t *testing.T, models ...*devicefsm.Model) *harness {
	t.Helper()
	h := newHarness(t, 0)
	h.workflow.Models = NewRegistry(append(models, h.model)...)
	h.activities.Models = h.workflow.Models
	return h
}

func (h *harness) runNamed(provisional bool, after time.Duration) (view View) {
	h.t.Helper()
	h.RegisterDelayedCallback(func() {
		view = h.view()
		h.CancelWorkflow()
	}, after)
	h.run(Input{Device: testDevice, Model: h.model.Hash(), Provisional: provisional})
	return view
}

// A device that speaks before it names its model runs the default one until then, and
// begins with its own in its initial state. What was under way for the other is over.
func TestADeviceTakesTheModelThatItNamesLater(t *testing.T) {
	valve := loadValve(t)
	h := newNamed(t, valve)
	ended := false
	h.OnActivity(ActivityReprovision, mock.Anything, mock.Anything).Return(
		func(_ context.Context, in Invocation) (Reprovisioned, error) {
			ended = true
			return Reprovisioned{Credential: in.ID, Command: in.ID}, nil
		}).After(10 * time.Second)
	h.at(time.Second, crashLoop()...)
	var before View
	h.RegisterDelayedCallback(func() { before = h.view() }, 2*time.Second)
	h.at(3*time.Second, reading(50), named(valve), reading(0))
	h.at(20*time.Second, named(valve), named(h.model), reading(2))
	view := h.runNamed(true, 30*time.Second)
	if before.StateName != "reprovisioning" || !before.Provisional || len(before.Invocations) != 1 {
		t.Errorf("before it names its model: state %s, provisional %t, invocations %v", before.StateName, before.Provisional, before.Invocations)
	}
	if view.Model != valve.Hash() || view.ModelName != "valve" || view.Provisional || view.StateName != "open" || len(view.Invocations) != 0 {
		t.Errorf("model %s, provisional %t, state %s, invocations %v", view.ModelName, view.Provisional, view.StateName, view.Invocations)
	}
	// The birth itself, the one after it, and the one that names another model.
	if n := view.Snapshot.Context()["births"]; n != 3.0 {
		t.Errorf("%v births, want 3", n)
	}
	if view.Attributes.Model != "valve" || view.Attributes.ModelHash != valve.Hash() {
		t.Errorf("found as %+v", view.Attributes)
	}
	if view.Instance != before.Instance || view.Firmware != "1.4" || view.Delivery.Applied != 10 {
		t.Errorf("instance %s, firmware %s, %d messages applied: not those of the device", view.Instance, view.Firmware, view.Delivery.Applied)
	}
	i := 0
	for ; i < len(view.Why) && view.Why[i].Event != eventNamed; i++ {
	}
	if i == len(view.Why) || view.Why[i].From != "reprovisioning" || view.Why[i].To != "shut" || view.Why[i].Model != valve.Hash() {
		t.Errorf("the record does not say so: %+v", view.Why)
	}
	if len(view.Reports) != 1 || view.Reports[0].Reason != device.FaultModelKept || view.Reports[0].Value != `"pump"` {
		t.Errorf("reported %+v, want that it keeps the model that it named first", view.Reports)
	}
	ids := map[string]bool{commandOf(before): true}
	for _, c := range h.world.commands {
		if ids[c.Message.ID] {
			t.Errorf("the id %s is used again", c.Message.ID)
		}
		ids[c.Message.ID] = true
	}
	if len(ids) != 5 { // hello, and a welcome for each birth
		t.Errorf("%d ids: %v, the activity ended: %t", len(ids), ids, ended)
	}
}

func TestADeviceWithAModelKeepsIt(t *testing.T) {
	valve := loadValve(t)
	newer := loadValve(t, "> 1", "> 2")
	for name, c := range map[string]struct {
		provisional bool
		says        func(h *harness) device.Message
		model       string
		faults      int
	}{
		"started with another":          {false, func(*harness) device.Message { return named(valve) }, "pump", 1},
		"the one that runs":             {true, func(h *harness) device.Message { return named(h.model) }, "pump", 0},
		"another version":               {false, func(h *harness) device.Message { m := named(h.model); m.Model = newer.Hash(); return m }, "pump", 0},
		"not loaded by the bridge":      {true, func(*harness) device.Message { m := named(valve); m.Model = ""; return m }, "pump", 0},
		"learned from a retained birth": {true, func(*harness) device.Message { m := reading(5); m.Model = valve.Hash(); return m }, "valve", 0},
	} {
		t.Run(name, func(t *testing.T) {
			h := newNamed(t, valve, newer)
			h.at(time.Second, c.says(h))
			view := h.runNamed(c.provisional, 2*time.Second)
			if view.ModelName != c.model || len(view.Reports) != c.faults {
				t.Errorf("model %s, reports %v; want %s and %d", view.ModelName, view.Reports, c.model, c.faults)
			}
			if still := fmt.Sprint(view.Provisional); still != fmt.Sprint(name == "not loaded by the bridge") {
				t.Errorf("provisional: %s", still)
			}
		})
	}
}

// A run that was begun under earlier rules replays as it was.
func TestARunOfEarlierRulesKeepsItsModel(t *testing.T) {
	pump, valve := loadPump(t), loadValve(t)
	for rules, want := range map[int]*devicefsm.Model{rulesMessages: pump, rulesCorners: valve} {
		snapshot, _ := pump.Start(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
		d := run{
			models: NewRegistry(pump, valve), model: pump, settings: runSettings{Rules: rules},
			state: &State{Model: pump.Hash(), Snapshot: snapshot, Provisional: true},
		}
		d.hearModel(named(valve))
		if d.state.Model != want.Hash() || d.state.Provisional != (want == pump) {
			t.Errorf("rules %d: model %s", rules, d.model.Name())
		}
	}
}
