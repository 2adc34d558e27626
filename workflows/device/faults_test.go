package device

import (
	"fmt"
	"testing"
	"time"

	"devicetwin/device"
	"devicetwin/devicefsm"
)

func TestFaultsReachTheStateOfTheDevice(t *testing.T) {
	const src = `
model: m
initial: a
states: {a: {on: {door: {guard: "event.open > 1", target: b}}}, b: {}}
`
	model, err := devicefsm.Load("m.yaml", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	h := newHarnessFor(t, model, 0)
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	h.at(time.Second,
		device.Message{Channel: device.ChannelSystem, Name: device.MessageFault, Time: at, Faults: []device.Fault{
			{At: at, Topic: "events/dor", Reason: device.FaultUnknownEvent, Detail: "unknown", Count: 3},
		}},
		device.Message{Channel: device.ChannelEvents, Name: "door", Time: at.Add(time.Second), Data: map[string]any{"open": "2"},
			Faults: []device.Fault{{Reason: device.FaultTime, Detail: "ts"}}},
	)
	view := h.runUntil(10 * time.Second)
	var got []string
	for _, f := range view.Reports {
		got = append(got, fmt.Sprintf("%s %s %s %d", f.Topic, f.Reason, f.Detail, f.Count))
		if f.At.IsZero() {
			t.Errorf("%+v has no time", f)
		}
	}
	want := []string{
		"events/dor unknown_event unknown 3", "events/door time ts 0",
		`events/door expression guard "event.open > 1" of state "a": event.open is a string ("2"), expected a number 0`,
	}
	if fmt.Sprint(got) != fmt.Sprint(want) || view.ReportCount != 5 || view.StateName != "a" {
		t.Errorf("%q, %d, want %q", got, view.ReportCount, want)
	}
}
