package service

import (
	"testing"
	"time"

	"devicetwin/device"
	"devicetwin/twin/command"
	deviceworkflow "devicetwin/workflows/device"
)

func TestALateAnswerIsShownWithItsCommand(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	shown := shownCommand(command.Command{
		ID: "c-1", Name: "reboot", Status: device.CommandExpired,
		Late: &command.Late{Status: device.CommandSucceeded, At: at, Reason: "done"},
	})
	if l := shown.Late; shown.Status != device.CommandExpired || l == nil || l.Status != device.CommandSucceeded || !l.At.Equal(at) || l.Reason != "done" {
		t.Errorf("%+v, late %+v", shown, l)
	}
}

func TestTheDialectOfADeviceIsShown(t *testing.T) {
	view := deviceworkflow.View{State: deviceworkflow.State{Address: &device.Address{Dialect: "tasmota"}}}
	if d := shownDevice("d", view, time.Now()); d.Dialect != "tasmota" {
		t.Errorf("dialect %q", d.Dialect)
	}
	if d := shownDevice("d", deviceworkflow.View{}, time.Now()); d.Dialect != "" {
		t.Errorf("one that speaks the service's own: %q", d.Dialect)
	}
}
