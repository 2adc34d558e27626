package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"devicetwin/api"
	"devicetwin/api/client"
	"devicetwin/deploy/devstack/stack"
	"devicetwin/device"
	"devicetwin/internal/testfile"
	"devicetwin/service"
)

// crashingModel sends a command that crashes its device, and gives up on it.
const crashingModel = `
model: crashing
initial: running
states:
  running:
    on:
      fault.reported: {actions: [{command: {name: clean, ttl: 1d, max_deliveries: 2}}]}
      clean.exhausted: crash_loop
  crash_loop: {}
`

// A device that restarts on a command, and never answers it, gets it as often as it
// may be sent, and not at each birth without end.
func TestADeviceThatRestartsOnACommand(t *testing.T) {
	file := testfile.Write(t, "crashing.yaml", crashingModel)
	s := startSystemWriting(t, stack.Options{}, nil, 10_000, func(c *service.Config) {
		c.Model.Model, c.Worker.MaxDeliveries = file, 3
	})
	operator := operatorOf(t, s, "")
	crashing := connect(t, s.MQTT.URL(), "crashing-1")
	crashing.subscribe("devices/crashing-1/commands/+")
	born := 0
	birth := func() {
		born++
		crashing.publish("devices/crashing-1/status", fmt.Sprintf(`{"status":"boot","birth":%d}`, born))
	}
	birth()
	sendTo(t, operator, "crashing-1", api.NewCommand{Name: "reboot"})
	last := sendTo(t, operator, "crashing-1", api.NewCommand{Name: "blink", MaxDeliveries: 1})

	// The device restarts over each command that it gets.
	got := map[string]int{}
	restart := func(command string) {
		t.Helper()
		if m := crashing.next(); m.topic != "devices/crashing-1/commands/"+command {
			t.Fatalf("got %s %s, want %s", m.topic, m.payload, command)
		}
		got[command]++
		birth()
	}
	for range 3 {
		restart("reboot")
	}
	restart("blink")
	ended := func(id, name string, deliveries int) {
		t.Helper()
		eventually(t, "command "+name+" ends", func(ctx context.Context) bool {
			c, err := operator.Command(ctx, "crashing-1", id)
			return err == nil && c.Status == device.CommandExhausted && c.Deliveries == deliveries && c.MaxDeliveries == deliveries &&
				c.Done != nil && strings.Contains(c.Reason, "without an answer")
		})
	}
	ended(last.ID, "blink", 1)

	// The model's own command has the model's cap, and the model its event.
	crashing.publish("devices/crashing-1/events/fault.reported", `{}`)
	restart("clean")
	restart("clean")
	var d api.Device
	eventually(t, "the model gives up", func(ctx context.Context) bool {
		var err error
		d, err = operator.Device(ctx, "crashing-1")
		return err == nil && d.State == "crash_loop"
	})
	for i, want := range []string{"reboot 3", "blink 1", "clean 2"} {
		if c := d.Commands[i]; fmt.Sprint(c.Name, " ", c.Deliveries) != want || c.Status != device.CommandExhausted {
			t.Errorf("command %d: %+v, want %s, exhausted", i, c, want)
		}
	}
	why, err := operator.Why(t.Context(), "crashing-1", 1)
	if err != nil || len(why.Transitions) != 1 || why.Transitions[0].Event != "clean.exhausted" || why.Transitions[0].Cause.Kind != "command" {
		t.Errorf("why: %+v, %v", why, err)
	}

	// Nothing more comes: what the device gets next is what is sent next.
	birth()
	sendTo(t, operator, "crashing-1", api.NewCommand{Name: "after"})
	if m := crashing.next(); m.topic != "devices/crashing-1/commands/after" {
		t.Errorf("got %s %s after its commands had ended", m.topic, m.payload)
	}
}

func sendTo(t *testing.T, operator *client.Client, id device.ID, c api.NewCommand) api.Command {
	t.Helper()
	var sent api.Command
	eventually(t, "command "+c.Name+" is taken", func(ctx context.Context) (ok bool) {
		var err error
		sent, err = operator.SendCommand(ctx, id, c)
		return err == nil
	})
	return sent
}
