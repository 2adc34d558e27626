package device

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"

	"devicetwin/device"
)

const signallingModel = `
model: signalling
events: {heat: {channel: telemetry, when: "has(msg.t)"}}
initial: idle
states:
  idle:
    on:
      heat:
        target: working
        actions:
          - {command: {name: blink}}
          - {command: {name: glow, ttl: 1h}}
          - {notify: {to: on_call}}
  working:
    invoke: {src: reprovision, onDone: waiting}
  waiting:
    after: {20s: late}
  late:
    entry: [{command: {name: knock}}]
`

// sentIDs runs on from a state: a message after some time, which is acknowledged, and a request,
// both with ids. It returns the ids of what left, by what it was.
func sentIDs(t *testing.T, state *State, start time.Time, after time.Duration, request string) map[string]string {
	t.Helper()
	h := newTwinHarness(t, signallingModel, 0)
	if !start.IsZero() {
		h.SetStartTime(start)
	}
	var mu sync.Mutex
	ids := map[string]string{}
	note := func(what, id string) {
		mu.Lock()
		defer mu.Unlock()
		if was, ok := ids[what]; ok && was != id {
			t.Errorf("%s has the ids %s and %s", what, was, id)
		}
		ids[what] = id
	}
	h.wire.hear = func(topic string, payload []byte) {
		var m struct {
			ID   string
			Name string
		}
		if err := json.Unmarshal(payload, &m); err == nil && m.ID != "" {
			note(topic, m.ID)
		}
		if m.Name == "glow" {
			h.RegisterDelayedCallback(func() { h.signalRaw(ack("glow", m.ID, "succeeded")) }, time.Second)
		}
	}
	h.OnActivity(ActivityNotify, mock.Anything, mock.Anything).Return(func(_ context.Context, in Invocation) error {
		note("notify", in.ID)
		return nil
	})
	h.OnActivity(ActivityReprovision, mock.Anything, mock.Anything).Return(func(_ context.Context, in Invocation) (Reprovisioned, error) {
		note("reprovision", in.ID)
		return Reprovisioned{Credential: in.ID, Command: in.ID}, nil
	})
	h.RegisterDelayedCallback(func() {
		h.signalRaw(device.Message{Channel: device.ChannelTelemetry, Data: map[string]any{"t": 1.0}, Time: h.Now().UTC().Truncate(time.Millisecond)})
	}, after)
	asked := h.operate(after+5*time.Second, Operation{ID: request, Command: &Order{Name: "move"}})
	var view View
	h.RegisterDelayedCallback(func() { view = h.view(); h.CancelWorkflow() }, after+time.Minute)
	h.run(Input{Device: testDevice, Model: h.model.Hash(), State: state})
	note("order", asked.only(t).Command.ID)
	if view.StateName != "late" || len(view.Origins) != 0 || view.ReportCount != 0 {
		t.Errorf("state %s, origins %v, faults %v", view.StateName, view.Origins, view.Reports)
	}
	mu.Lock()
	defer mu.Unlock()
	return ids
}

// A workflow that is restored to an earlier time gives no id a second time, unless the same
// happens once more: who has had an id takes what comes under it for a repetition.
func TestARestoredWorkflowGivesNoIDTwice(t *testing.T) {
	first := newTwinHarness(t, signallingModel, 0)
	state := first.runUntil(time.Second).State
	at := func(after time.Duration, request string) map[string]string {
		raw, err := json.Marshal(state)
		if err != nil {
			t.Fatal(err)
		}
		var copied State
		if err := json.Unmarshal(raw, &copied); err != nil {
			t.Fatal(err)
		}
		return sentIDs(t, &copied, first.Now(), after, request)
	}
	lost, restored, same := at(2*time.Second, "one"), at(20*time.Second, "two"), at(2*time.Second, "one")
	what := []string{
		"devices/pump-1/commands/blink", "devices/pump-1/commands/glow", "devices/pump-1/commands/knock",
		"devices/pump-1/commands/move", "notify", "order", "reprovision",
	}
	for _, name := range what {
		switch {
		case lost[name] == "" || !strings.HasPrefix(lost[name], state.Instance+"-"):
			t.Errorf("%s: the id is %q", name, lost[name])
		case slices.ContainsFunc(what, func(other string) bool { return restored[other] == lost[name] }):
			t.Errorf("%s: the id %s is given a second time", name, lost[name])
		case same[name] != lost[name]:
			t.Errorf("%s: the id is %s, and %s for the same", name, lost[name], same[name])
		}
	}
}

// A run that began under earlier rules keeps to the ids that it has given.
func TestIDsOfEarlierRules(t *testing.T) {
	d := &run{state: &State{Instance: "i", Origin: "o"}, settings: runSettings{Rules: rulesOrigin - 1}}
	if got := d.effectID(d.orderID()); got != "i-order-1" {
		t.Errorf("the id is %s", got)
	}
	d.settings.Rules = rulesOrigin
	if got := d.effectID(d.orderID()); got != "i-order-o-2" || !d.issued(got) {
		t.Errorf("the id is %s, issued: %v", got, d.issued(got))
	}
}
