package device

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"devicetwin/internal/measure"
	"devicetwin/twin/command"
)

const obeyingModel = `
model: obeying
context: {log: []}
initial: idle
states:
  idle:
    on:
      go: {actions: [{command: {name: move, data: {to: "3"}, ttl: 1m}}, {command: {name: blink}}, {command: {name: move, ttl: 1m}}]}
      newest: {actions: [{command: {name: move, data: {to: "9"}, ttl: 1m, replace: true}}]}
      move.*: {actions: [{assign: {log: "context.log + [event.status]"}}]}
`

func order(name string) Operation { return Operation{Command: &Order{Name: name}} }

// answering makes the device acknowledge every command with a status.
func answering(h *twinHarness, status string) {
	h.wire.hear = func(topic string, payload []byte) {
		name, ok := strings.CutPrefix(topic, "devices/pump-1/commands/")
		if !ok {
			return
		}
		var c struct{ ID string }
		_ = json.Unmarshal(payload, &c)
		h.RegisterDelayedCallback(func() { h.signal(ack(name, c.ID, status)) }, time.Second)
	}
}

func names(list []command.Command) string {
	var s []string
	for _, c := range list {
		s = append(s, c.Name+" "+string(c.Status))
	}
	return strings.Join(s, ", ")
}

// Commands of operators and of the model leave one at a time, each after the
// answer to the one before.
func TestCommandsLeaveOneAtATime(t *testing.T) {
	h := newTwinHarness(t, obeyingModel, 0)
	answering(h, "succeeded")
	a := h.operate(time.Second, order("first"), order("second"))
	h.at(1500*time.Millisecond, event("go"))
	var early string
	h.RegisterDelayedCallback(func() { early = h.wire.topics() }, 1700*time.Millisecond)
	view := h.runUntil(20 * time.Second)
	const p = "devices/pump-1/commands/"
	if want := lines(p+"first", p+"blink"); early != want {
		t.Errorf("sent at first\n%s\nwant\n%s", early, want)
	}
	if got, want := h.wire.topics(), lines(p+"first", p+"blink", p+"second", p+"move", p+"move"); got != want {
		t.Errorf("sent\n%s\nwant\n%s", got, want)
	}
	if got := names(view.Commands.Ended); got != "first succeeded, second succeeded, move succeeded, move succeeded" {
		t.Errorf("ended: %s", got)
	}
	if got := view.Snapshot.Context()["log"]; !reflect.DeepEqual(got, []any{"succeeded", "succeeded"}) {
		t.Errorf("the model heard %v", got)
	}
	if len(a.results) != 2 || a.results[0].Command.ID == "" || a.results[0].Command.By != "ann" || a.results[0].Command.Status != command.Waiting {
		t.Errorf("results %+v", a.results)
	}
}

// While the device is offline, commands wait; what was under way is sent again
// when it is back, with the same id.
func TestCommandsWaitForTheDevice(t *testing.T) {
	h := newTwinHarness(t, obeyingModel, 0)
	h.operate(time.Second, order("first"), order("second"))
	h.at(2*time.Second, status("offline"))
	h.RegisterDelayedCallback(h.wire.forget, 3*time.Second)
	var offline string
	h.RegisterDelayedCallback(func() { offline = h.wire.topics() }, time.Hour)
	h.at(time.Hour+time.Second, status("boot"), status("online"))
	view := h.runUntil(2 * time.Hour)
	if offline != "" {
		t.Errorf("sent to an offline device: %s", offline)
	}
	if got := h.wire.topics(); got != "devices/pump-1/commands/first" {
		t.Errorf("sent after the birth:\n%s\nwant first, once", got)
	}
	if f := view.Commands.Flight; f == nil || f.Deliveries != 2 {
		t.Errorf("under way: %+v, want first, delivered twice", f)
	}
}

// A command that the device has accepted is not sent again.
func TestAnAcceptedCommandIsNotSentAgain(t *testing.T) {
	h := newTwinHarness(t, obeyingModel, 0)
	answering(h, "accepted")
	h.operate(time.Second, order("first"))
	h.at(10*time.Second, status("boot"))
	view := h.runUntil(20 * time.Second)
	if got := h.wire.topics(); got != "devices/pump-1/commands/first" || view.Commands.Flight.Status != command.Accepted {
		t.Errorf("sent %s, under way %+v", got, view.Commands.Flight)
	}
}

// Without an answer the next command leaves when the time of this one is over,
// and the model hears of it.
func TestCommandsExpire(t *testing.T) {
	h := newTwinHarness(t, obeyingModel, 0)
	h.at(time.Second, event("go"))
	h.at(30*time.Second, event("go"))
	view := h.runUntil(75 * time.Second)
	if got := names(view.Commands.Ended); got != "move expired, move expired" {
		t.Errorf("ended: %s", got)
	}
	if view.Commands.Flight == nil || len(view.Commands.Waiting) != 1 {
		t.Errorf("under way %v, %d wait; want one each", view.Commands.Flight, len(view.Commands.Waiting))
	}
	if got := view.Snapshot.Context()["log"]; !reflect.DeepEqual(got, []any{"expired", "expired"}) {
		t.Errorf("the model heard %v", got)
	}
}

func TestAReplacementSupersedes(t *testing.T) {
	h := newTwinHarness(t, obeyingModel, 0)
	h.at(time.Second, event("go"), event("newest"))
	view := h.runUntil(5 * time.Second)
	// None had been sent yet: both of the first batch are superseded.
	if got := names(view.Commands.Ended); got != "move superseded, move superseded" {
		t.Errorf("ended: %s", got)
	}
	if data := h.wire.payload(t, "devices/pump-1/commands/move")["data"]; !reflect.DeepEqual(data, map[string]any{"to": 9.0}) {
		t.Errorf("sent %v", data)
	}
	if p := h.world.last(measure.Commands); p.Tags[measure.TagStatus] != "superseded" {
		t.Errorf("point of the end: %+v", p)
	}
}

func TestCommandsAreCancelled(t *testing.T) {
	h := newTwinHarness(t, obeyingModel, 0)
	a := h.operate(time.Second, order("move"), order("move"))
	b := &asked{}
	h.RegisterDelayedCallback(func() {
		h.operateNow(b,
			Operation{Cancel: &CancelOperation{Command: a.results[1].Command.ID}},
			Operation{Cancel: &CancelOperation{Command: a.results[1].Command.ID}},
			Operation{Cancel: &CancelOperation{Command: "nobody"}})
	}, 2*time.Second)
	view := h.runUntil(5 * time.Second)
	if len(b.results) != 3 || code(b.results[0]) != 0 || code(b.results[1]) != 409 || code(b.results[2]) != 404 {
		t.Errorf("results %+v, want done, 409, 404", b.results)
	}
	if got := view.Snapshot.Context()["log"]; !reflect.DeepEqual(got, []any{"cancelled"}) {
		t.Errorf("the model heard %v", got)
	}
	if r := view.Commands.Ended[0]; r.Reason != "by ann" {
		t.Errorf("reason %q", r.Reason)
	}
}

// Any JSON can be a command's data, and keeps its digits.
func TestACommandsDataIsAnyJSON(t *testing.T) {
	h := newTwinHarness(t, obeyingModel, 0)
	h.operate(time.Second, Operation{Command: &Order{Name: "move", Data: json.RawMessage(`[9007199254740993,"x"]`), TTL: time.Minute}})
	h.runUntil(5 * time.Second)
	if got := h.wire.sent[0].payload; !strings.Contains(got, `"data":[9007199254740993,"x"]`) || !strings.Contains(got, `"ttl_ms":60000`) {
		t.Errorf("sent %s", got)
	}
}
