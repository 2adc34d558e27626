package e2e

import (
	"context"
	"testing"

	"devicetwin/deploy/devstack/stack"
	"devicetwin/device"
	"devicetwin/service"
)

// With models from births, a device that speaks before its birth, and one that misspells
// its model at first, end with their own model.
func TestDevicesEndWithTheModelThatTheyName(t *testing.T) {
	s := startSystemWriting(t, stack.Options{}, nil, 10_000, func(c *service.Config) {
		c.Model.Models, c.Bridge.ModelFromBirth = []string{"testdata/tank.yaml"}, true
	})
	d := connect(t, s.MQTT.URL(), "named")
	runs := func(id device.ID, model, state string) {
		t.Helper()
		eventually(t, string(id)+" runs "+model, func(ctx context.Context) bool {
			view, err := s.twins.Describe(ctx, id)
			return err == nil && view.ModelName == model && view.StateName == state
		})
	}
	d.publish("devices/early/telemetry", `{"epoch":1,"seq":1,"t":95}`)
	runs("early", "pump", "online")
	d.publish("devices/early/status", `{"epoch":1,"seq":2,"status":"boot","model":"tank"}`)
	runs("early", "tank", "cool")
	d.publish("devices/early/telemetry", `{"epoch":1,"seq":3,"t":95}`)
	runs("early", "tank", "hot")

	d.publish("devices/typo/status", `{"epoch":1,"seq":1,"status":"boot","model":"tnak"}`)
	runs("typo", "pump", "online")
	d.publish("devices/typo/status", `{"epoch":1,"seq":2,"status":"boot","model":"tank"}`)
	runs("typo", "tank", "cool")
	d.publish("devices/typo/status", `{"epoch":1,"seq":3,"status":"boot","model":"pump"}`)
	eventually(t, "the fault is reported", func(ctx context.Context) bool {
		view, err := s.twins.Describe(ctx, "typo")
		return err == nil && view.ModelName == "tank" && len(view.Reports) == 2 && view.Reports[1].Reason == device.FaultModelKept
	})
	eventually(t, "it is found by its model", func(ctx context.Context) bool {
		page, err := s.twins.ListDevices(ctx, "DeviceModel = 'tank'", 10, nil)
		return err == nil && len(page.Devices) == 2
	})
}
