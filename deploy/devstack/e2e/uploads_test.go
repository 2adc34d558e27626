package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	"devicetwin/device"
)

// TestUploadsCountAtTheirTimes: two pumps send what they kept, three boots in one
// payload, and then fault 117. One kept it for three hours, an hour between each, the
// other for three minutes: only that is a crash loop.
func TestUploadsCountAtTheirTimes(t *testing.T) {
	s := startSystem(t, 1000)
	now := time.Now()
	d := connect(t, s.MQTT.URL(), "uploads")
	for name, unit := range map[string]time.Duration{"slow": time.Hour, "fast": time.Minute} {
		at := func(before int) int64 { return now.Add(-time.Duration(before) * unit).UnixMilli() }
		d.publish("devices/"+name+"/status", fmt.Sprintf(
			`[{"status":"boot","ts":%d},{"status":"boot","ts":%d},{"status":"boot","ts":%d}]`, at(3), at(2), at(1)))
		d.publish("devices/"+name+"/telemetry", fmt.Sprintf(`{"code":117,"ts":%d}`, at(0)))
	}
	defer d.disconnect()
	for name, want := range map[string]string{"slow": "online", "fast": "awaiting_birth"} {
		eventually(t, name+" in state "+want, func(ctx context.Context) bool {
			view, err := s.twins.Snapshot(ctx, device.ID(name))
			return err == nil && view.Delivery.Applied == 4 && view.StateName == want
		})
	}
	view, err := s.twins.Snapshot(t.Context(), "slow")
	if err != nil {
		t.Fatal(err)
	}
	if len(view.Why) != 0 || !view.Snapshot.EventTime().Equal(now.Truncate(time.Millisecond)) {
		t.Errorf("transitions %+v, the device's clock at %v; want none, and %v", view.Why, view.Snapshot.EventTime(), now)
	}
}
