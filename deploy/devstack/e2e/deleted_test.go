package e2e

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"devicetwin/deploy/devstack/stack"
	"devicetwin/device"
	"devicetwin/service"
)

// A device that was deleted, and goes on sending what the bridge leaves out as a
// repetition, is in the state of its readings soon again: with a message that the bridge
// knows to begin another workflow, and without one.
func TestADeletedDeviceLearnsWhatIsRepeated(t *testing.T) {
	for name, every := range map[string]time.Duration{"by the list of Temporal": time.Second, "by the next delivery": 0} {
		t.Run(name, func(t *testing.T) {
			s := startSystemWriting(t, stack.Options{}, nil, 10_000, func(c *service.Config) {
				c.Model.Model, c.Bridge.DeletedEvery = "testdata/tank.yaml", every
			})
			d := connect(t, s.MQTT.URL(), "deleted")
			seq := 0
			reading := func() {
				seq++
				d.publish("devices/t1/telemetry", fmt.Sprintf(`{"epoch":1,"seq":%d,"t":95}`, seq))
			}
			state := func(ctx context.Context) string {
				view, err := s.twins.Describe(ctx, "t1")
				if errors.Is(err, device.ErrUnknown) {
					return "deleted"
				}
				return view.StateName
			}
			reading()
			eventually(t, "the first life", func(ctx context.Context) bool { return state(ctx) == "hot" })
			reading()
			if err := s.twins.Delete(t.Context(), "t1", device.By{Who: "test", ID: "delete-1"}); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the end", func(ctx context.Context) bool { return state(ctx) == "deleted" })
			if every == 0 { // what begins the next workflow has nothing to do with readings
				d.publish("devices/t1/twin/update", `{"state":{"reported":{"a":1}}}`)
				eventually(t, "the next workflow", func(ctx context.Context) bool { return state(ctx) == "cool" })
			}
			eventually(t, "the second life", func(ctx context.Context) bool {
				reading()
				time.Sleep(200 * time.Millisecond)
				return state(ctx) == "hot"
			})
		})
	}
}
