package service

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"devicetwin/api"
	"devicetwin/device"
	"devicetwin/devicefsm"
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

func TestTheGroupsOfADeviceAreShown(t *testing.T) {
	var view deviceworkflow.View
	state := `{"parent": "hub-1", "groups": [{"kind": "site", "name": "north"}, {"kind": "line", "name": "l2", "heard": {"state": "up"}}]}`
	if err := json.Unmarshal([]byte(state), &view); err != nil {
		t.Fatal(err)
	}
	d := shownDevice("p", view, time.Now())
	if want := []device.ID{"site/north", "line/l2"}; !slices.Equal(d.Groups, want) || d.Parent != "hub-1" {
		t.Errorf("groups %q, parent %q; want %q", d.Groups, d.Parent, want)
	}
}

func TestTheAlarmsOfAGroupAreShown(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	d := shownDevice("site/north", deviceworkflow.View{
		Alarms:       []devicefsm.Alarms{{Alarm: "outage", Raised: 1}, {Alarm: "silence", Waiting: 1, Explained: 2}, {Alarm: "failure"}},
		ActiveAlarms: []devicefsm.ActiveAlarm{{Alarm: "outage", Key: "gateway-1", Since: at, Explains: 2}},
	}, time.Now())
	if want := []api.Alarm{{Name: "outage", Key: "gateway-1", Since: at, Explains: 2}}; !slices.Equal(d.Alarms, want) {
		t.Errorf("alarms %+v, want %+v", d.Alarms, want)
	}
	if want := []api.AlarmCount{{Name: "outage", Raised: 1}, {Name: "silence", Waiting: 1, Explained: 2}}; !slices.Equal(d.Counts, want) {
		t.Errorf("counts %+v, want %+v", d.Counts, want)
	}
}

func TestTheWindowsOfADeviceAreShown(t *testing.T) {
	at, value := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), 4.5
	view := deviceworkflow.View{Windows: []devicefsm.WindowView{
		{Name: "heat", Aggregate: "mean", Start: at, End: at.Add(time.Hour), Count: 2, Value: &value, Late: 1, Closes: at.Add(time.Hour)},
		{Name: "peak", Aggregate: "max"},
	}}
	shown := shownDevice("d", view, time.Now()).Windows
	if len(shown) != 2 || shown[1].Closes != nil || shown[1].Value != nil {
		t.Fatalf("%+v", shown)
	}
	if w := shown[0]; w.Name != "heat" || w.Aggregate != "mean" || *w.Value != value || w.Count != 2 || w.Late != 1 || !w.Start.Equal(at) || !w.End.Equal(*w.Closes) {
		t.Errorf("%+v", w)
	}
}
