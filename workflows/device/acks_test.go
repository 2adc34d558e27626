package device

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"devicetwin/device"
	"devicetwin/internal/measure"
	"devicetwin/twin/command"
)

// reports are the faults in a view, in short.
func reports(v View) []string {
	var list []string
	for _, f := range v.Reports {
		list = append(list, fmt.Sprintf("%s %s %s %s", f.Topic, f.Reason, f.Detail, f.Value))
	}
	return list
}

func sameTexts(t *testing.T, got, want []string) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
}

// The words of an acknowledgement count in upper and lower case; the model hears them
// in lower case.
func TestAcknowledgementsCountInAnyCase(t *testing.T) {
	for _, word := range []string{"succeeded", "SUCCEEDED", "Failed", "REJECTED"} {
		t.Run(word, func(t *testing.T) {
			lower, _ := device.AckStatus(word)
			h := newTwinHarness(t, `
model: m
initial: idle
states:
  idle: {on: {move.`+string(lower)+`: heard}}
  heard: {}
`, 0)
			answering(h, word)
			h.operate(time.Second, order("move"))
			h.at(10*time.Second, device.Message{Channel: device.ChannelTelemetry})
			view := h.runUntil(20 * time.Second)
			if got := names(view.Commands.Ended); got != "move "+string(lower) || view.StateName != "heard" || len(view.Reports) != 0 {
				t.Errorf("ended %q, state %s, reports %v", got, view.StateName, view.Reports)
			}
			if p := h.world.last(measure.Commands); p.Tags[measure.TagStatus] != string(lower) {
				t.Errorf("point %+v", p)
			}
		})
	}
}

// An acknowledgement with a word that means nothing ends nothing, and is reported.
func TestUnknownAcknowledgementsAreReported(t *testing.T) {
	const model = `
model: m
initial: idle
states:
  idle: {on: {move.progress: {actions: [{log: "'on its way'"}]}, move.*: {actions: [{log: "'something'"}]}}}
`
	h := newTwinHarness(t, model, 0)
	answering(h, "done")
	h.operate(time.Second, order("move"))
	h.at(5*time.Second,
		device.Message{Channel: device.ChannelAck, Name: "move", Data: map[string]any{"id": "x"}},
		device.Message{Channel: device.ChannelAck, Name: "move", Data: map[string]any{"id": "x", "status": 3.0}},
		ack("move", "x", "progress"), ack("move", "x", "expired"))
	view := h.runUntil(20 * time.Second)
	const expected = "commands/move/ack unknown_ack expected the status accepted, succeeded, failed or rejected"
	sameTexts(t, reports(view), []string{
		expected + ` "done"`, expected + "; found none ", expected + "; found a number 3", expected + ` "expired"`,
	})
	if f := view.Commands.Flight; f == nil || f.Status != command.Sent {
		t.Errorf("under way: %+v", f)
	}
}

func TestAcknowledgementsOfUnknownCommandsAreReported(t *testing.T) {
	h := newTwinHarness(t, obeyingModel, 0)
	h.operate(time.Second, order("first"), order("second"))
	h.at(2*time.Second, event("go"))
	h.RegisterDelayedCallback(func() {
		view := h.view()
		waiting := view.Commands.Waiting[0].ID
		h.signal(ack("first", "nobody", "succeeded"), ack("second", waiting, "succeeded"),
			device.Message{Channel: device.ChannelAck, Name: "first", Data: map[string]any{"status": "failed"}},
			device.Message{Channel: device.ChannelAck, Name: "first", Data: map[string]any{"status": "failed", "id": 7.0}},
			ack("blink", h.wire.payload(t, "devices/pump-1/commands/blink")["id"].(string), "succeeded")) // has no time to live
	}, 3*time.Second)
	view := h.runUntil(4 * time.Second)
	second := view.Commands.Waiting[0].ID
	sameTexts(t, reports(view), []string{
		`commands/first/ack unknown_command expected the id of a command "nobody"`,
		`commands/second/ack unknown_command the command has not been sent yet "` + second + `"`,
		"commands/first/ack unknown_command expected the id of a command; found none ",
		"commands/first/ack unknown_command expected the id of a command; found a number 7",
	})
	if view.Commands.Flight == nil || view.Commands.Flight.Status != command.Sent || len(view.Commands.Ended) != 0 {
		t.Errorf("commands %+v", view.Commands)
	}
}

// A late acknowledgement is kept at its command, which stays as it ended; one that
// only says the same once more is not a fault.
func TestLateAcknowledgementsAreRecordedAtTheirCommand(t *testing.T) {
	h := newTwinHarness(t, obeyingModel, 0)
	short := order("move")
	short.Command.TTL = time.Minute
	a := h.operate(time.Second, short)
	var done string
	h.RegisterDelayedCallback(func() {
		id := a.results[0].Command.ID
		late := ack("move", id, "Failed")
		late.Data["reason"] = "jammed"
		h.signal(ack("move", id, "accepted"), late)
		answering(h, "succeeded")
	}, 2*time.Minute)
	h.operate(3*time.Minute, order("blow"))
	h.RegisterDelayedCallback(func() {
		done = h.view().Commands.Ended[1].ID
		h.signal(ack("blow", done, "accepted"), ack("blow", done, "succeeded"))
	}, 4*time.Minute)
	view := h.runUntil(5 * time.Minute)
	if got := names(view.Commands.Ended); got != "move expired, blow succeeded" {
		t.Fatalf("ended: %s", got)
	}
	moved := view.Commands.Ended[0]
	late := moved.Late
	if late == nil || late.Status != command.Failed || late.Reason != "jammed" || !late.At.After(moved.Ended) {
		t.Errorf("late %+v, of %+v", late, moved)
	}
	if view.Commands.Ended[1].Late != nil {
		t.Errorf("late %+v of a command that the device had done", view.Commands.Ended[1].Late)
	}
	detail := "commands/move/ack late_ack command " + moved.ID + " had ended before: expired"
	sameTexts(t, reports(view), []string{detail + ` "Failed"`})
	if view.ReportCount != 2 {
		t.Errorf("%d reports, want 2: accepted and failed", view.ReportCount)
	}
}

// A run that was begun under earlier rules keeps to the exact words.
func TestEarlierRunsTakeTheExactWords(t *testing.T) {
	d := &run{model: loadPump(t)}
	if s, ok := d.ackStatus(ack("move", "x", "SUCCEEDED")); ok || s != "SUCCEEDED" {
		t.Errorf("%s, %t", s, ok)
	}
	if name, _ := d.classify(ack("move", "x", "SUCCEEDED")); name != "move.SUCCEEDED" {
		t.Errorf("event %s", name)
	}
	if !d.says(ack("move", "x", "failed"), command.Failed) {
		t.Error("the exact word does not count")
	}
}
