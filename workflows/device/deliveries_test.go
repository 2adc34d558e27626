package device

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"devicetwin/device"
	"devicetwin/twin/command"
)

const restartingModel = `
model: restarting
context: {log: []}
initial: idle
states:
  idle:
    on:
      wear: {actions: [{command: {name: reset, ttl: 1d, max_deliveries: 2}}]}
      reset.*: {actions: [{assign: {log: "context.log + [event.status + ': ' + event.reason]"}}, {command: {name: blink, ttl: 1h}}]}
      reboot.exhausted: given_up
  given_up: {}
`

// births lets the device restart every minute, n times, and never acknowledge.
func births(h *twinHarness, n int) {
	for i := range n {
		h.at(time.Duration(i+1)*time.Minute, status("boot"))
	}
}

func commandsSent(h *twinHarness) string {
	return strings.ReplaceAll(h.wire.topics(), "devices/pump-1/commands/", "")
}

// A device that restarts on a command gets it as often as the service allows, and the
// model learns of the end. What waits behind it is sent.
func TestACommandThatRestartsItsDeviceEnds(t *testing.T) {
	h := newTwinHarness(t, restartingModel, 0)
	h.operate(time.Second, order("reboot"), order("next"))
	births(h, 15)
	view := h.runUntil(14*time.Minute + 30*time.Second)
	want := lines("reboot", "reboot", "reboot", "reboot", "reboot", "reboot", "reboot", "reboot", "reboot", "reboot", "next", "next", "next", "next", "next")
	if got := commandsSent(h); got != want {
		t.Errorf("sent\n%s\nwant\n%s", got, want)
	}
	if view.StateName != "given_up" || names(view.Commands.Ended) != "reboot exhausted" || view.Commands.Ended[0].Deliveries != 10 {
		t.Errorf("state %s, ended %+v", view.StateName, view.Commands.Ended)
	}
	why := view.Why[len(view.Why)-1]
	if why.Event != "reboot.exhausted" || why.Cause.Kind != CauseCommand || why.Cause.Name != "reboot" || why.Cause.ID != view.Commands.Ended[0].ID {
		t.Errorf("why: %+v", why)
	}
	if f := view.Commands.Flight; f == nil || f.Name != "next" || f.Deliveries != 5 {
		t.Errorf("under way: %+v", f)
	}
}

// The cap of one command counts before that of the worker, for operators and for models;
// what the model then does goes out with the same birth.
func TestACommandHasItsOwnCap(t *testing.T) {
	h := newTwinHarness(t, restartingModel, 0)
	h.workflow.MaxDeliveries = 3
	h.operate(time.Second, Operation{Command: &Order{Name: "once", MaxDeliveries: 1}})
	h.at(2*time.Second, event("wear"))
	births(h, 5)
	view := h.runUntil(5*time.Minute + 30*time.Second)
	if got, want := commandsSent(h), lines("once", "reset", "reset", "blink", "blink", "blink"); got != want {
		t.Errorf("sent\n%s\nwant\n%s", got, want)
	}
	if got := names(view.Commands.Ended); got != "once exhausted, reset exhausted" {
		t.Errorf("ended: %s", got)
	}
	if got := view.Snapshot.Context()["log"]; !reflect.DeepEqual(got, []any{"exhausted: sent 2 times without an answer"}) {
		t.Errorf("the model heard %v", got)
	}
	if f := view.Commands.Flight; f == nil || f.MaxDeliveries != 3 {
		t.Errorf("under way: %+v, want one with the worker's cap", f)
	}
}

// An answer that arrives with the birth that would have been one too many counts.
func TestAnAnswerWithTheBirthCounts(t *testing.T) {
	h := newTwinHarness(t, restartingModel, 0)
	a := h.operate(time.Second, Operation{Command: &Order{Name: "reboot", MaxDeliveries: 1}})
	h.RegisterDelayedCallback(func() { h.signal(status("boot"), ack("reboot", a.results[0].Command.ID, "succeeded")) }, time.Minute)
	view := h.runUntil(2 * time.Minute)
	if got := names(view.Commands.Ended); got != "reboot succeeded" || view.StateName != "idle" {
		t.Errorf("ended: %s, state %s", got, view.StateName)
	}
}

// An offline device uses up nothing: its command waits until it is back.
func TestAnOfflineDeviceUsesUpNoDelivery(t *testing.T) {
	h := newTwinHarness(t, restartingModel, 0)
	h.operate(time.Second, Operation{Command: &Order{Name: "reboot", MaxDeliveries: 2}})
	h.at(time.Minute, status("offline"))
	h.at(2*time.Minute, status("boot"), status("offline"))
	h.at(time.Hour, status("boot"))
	view := h.runUntil(2 * time.Hour)
	if got := commandsSent(h); got != lines("reboot", "reboot") || view.Commands.Flight == nil {
		t.Errorf("sent\n%s\nunder way %+v", got, view.Commands.Flight)
	}
}

func TestTheCapOfACommandIsChecked(t *testing.T) {
	h := newTwinHarness(t, restartingModel, 0)
	a := h.operate(time.Second, Operation{Command: &Order{Name: "reboot", MaxDeliveries: device.MaxDeliveries + 1}})
	h.runUntil(time.Minute)
	if r := a.only(t); code(r) != 400 || !strings.Contains(r.Refused.Message, "expected 1 to 100") {
		t.Errorf("%+v", r)
	}
}

// A run that was begun under earlier rules sends a command as often as before: it must
// replay as it was. The run that continues it has the cap, for what it inherits, too.
func TestARunOfEarlierRulesHasNoCap(t *testing.T) {
	for rules, ends := range map[int]bool{rulesMessages: false, rulesCorners: true} {
		d := run{settings: runSettings{Rules: rules}, state: &State{}, back: true, model: loadPump(t)}
		now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		snapshot, _ := d.model.Start(now)
		d.state.Snapshot = snapshot
		d.state.Commands.Flight = &command.Command{ID: "1", Name: "reboot", Status: command.Sent, Deliveries: 7, MaxDeliveries: 3}
		d.exhaust(now)
		if got := d.state.Commands.Flight == nil; got != ends {
			t.Errorf("rules %d: ended %t, want %t", rules, got, ends)
		}
	}
}

// A queue that an earlier version of the service filled has the worker's cap after that
// version's run is over.
func TestAnInheritedCommandGetsTheCap(t *testing.T) {
	h := newTwinHarness(t, restartingModel, 0)
	first := h.operate(time.Second, order("reboot"))
	view := h.runUntil(time.Minute)
	_ = first.only(t)
	inherited := view.State
	inherited.Commands.Flight.MaxDeliveries = 0
	next := newTwinHarness(t, restartingModel, 0)
	next.state = &inherited
	next.workflow.MaxDeliveries = 4
	next.seq = 100
	births(next, 6)
	view = next.runUntil(time.Hour)
	if got := commandsSent(next); got != lines("reboot", "reboot", "reboot") || view.StateName != "given_up" {
		t.Errorf("sent\n%s\n, state %s, %s", got, view.StateName, fmt.Sprint(view.Commands.Ended))
	}
}
