package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"devicetwin/deploy/devstack/stack"
	"devicetwin/device"
	"devicetwin/service"
	"devicetwin/twin/command"
	deviceworkflow "devicetwin/workflows/device"
)

const (
	alarmsModel = "testdata/alarms.yaml"
	birthOf     = `{"status":"boot","epoch":%d,"seq":%d}`
	readingOf   = `{"t":%[2]d,"epoch":%[1]d,"seq":%[2]d}`
	alarmOf     = `{"alarm":%[2]d,"epoch":%[1]d,"seq":%[2]d}`
)

// figures are the values of a device's context.
func (s *system) figures(ctx context.Context, id device.ID) (view deviceworkflow.View, got map[string]any, err error) {
	if view, err = s.twins.Snapshot(ctx, id); err != nil {
		return view, nil, err
	}
	return view, view.Snapshot.Context(), nil
}

// expectFigures waits for values of a device's context, and checks that they stay.
func (s *system) expectFigures(t *testing.T, id device.ID, alarms, restarts float64) {
	t.Helper()
	var got map[string]any
	has := func(ctx context.Context) bool {
		var err error
		_, got, err = s.figures(ctx, id)
		return err == nil && got["alarms"] == alarms && got["restarts"] == restarts && got["silences"] == 0.0
	}
	defer func() { t.Logf("%s: %v", id, got) }()
	eventually(t, fmt.Sprintf("%s has %v alarms, %v restarts and no silence", id, alarms, restarts), has)
}

// TestNumberingsThatBeginAgainCount: devices that count from 1 again, with a birth,
// with an epoch that falls back, with neither, and with one counter per topic. None of
// their alarms is lost, and none of them is silent while it publishes.
func TestNumberingsThatBeginAgainCount(t *testing.T) {
	s := startSystemWriting(t, stack.Options{}, nil, 1000, func(c *service.Config) { c.Model.Model = alarmsModel })
	d := connect(t, s.MQTT.URL(), "numberings")
	say := func(id, topic, format string, epoch, seq int) {
		d.publish("devices/"+id+"/"+topic, fmt.Sprintf(format, epoch, seq))
	}
	readings := func(id string, epoch, from, to, alarm int) {
		for seq := from; seq <= to; seq++ {
			format := readingOf
			if seq == alarm {
				format = alarmOf
			}
			say(id, "telemetry", format, epoch, seq)
		}
	}

	t.Run("a birth", func(t *testing.T) {
		readings("s1", 0, 1, 5, 0)
		say("s1", "status", birthOf, 0, 1)
		readings("s1", 0, 2, 5, 3)
		s.expectFigures(t, "s1", 1, 1)
	})
	t.Run("one counter per topic", func(t *testing.T) {
		say("topics", "status", birthOf, 0, 1)
		readings("topics", 0, 1, 4, 2)
		for seq := 1; seq <= 3; seq++ {
			say("topics", "events/alarm", alarmOf, 0, seq)
		}
		s.expectFigures(t, "topics", 4, 0)
		say("topics", "status", birthOf, 0, 1)
		readings("topics", 0, 1, 2, 2)
		say("topics", "events/alarm", alarmOf, 0, 1)
		s.expectFigures(t, "topics", 6, 1)
	})
	for name, birth := range map[string]bool{"an epoch that falls back": true, "without a birth": false} {
		t.Run(name, func(t *testing.T) {
			id := fmt.Sprintf("clock-%v", birth)
			first := 1
			say(id, "status", birthOf, 1_700_000_000, 1)
			readings(id, 1_700_000_000, 2, 5, 4)
			if birth {
				say(id, "status", birthOf, 1000, 1)
				first = 2
			}
			for seq := first; seq <= 6; seq++ { // for longer than a silence
				say(id, "telemetry", alarmOf, 1000, seq)
				time.Sleep(time.Second)
			}
			s.expectFigures(t, device.ID(id), float64(1+7-first), 1)
		})
	}
}

// TestTheFirstMessageAfterALateWillHeals: the broker publishes the last will of a
// connection that the device has replaced already. What it says next, though no model
// has a use for it, brings it online, and the command that waited is sent.
func TestTheFirstMessageAfterALateWillHeals(t *testing.T) {
	s := startSystem(t, 1000)
	d := connect(t, s.MQTT.URL(), "p1")
	d.subscribe("devices/p1/commands/+")
	d.publish("devices/p1/status", `{"status":"boot"}`)
	d.publish("devices/p1/telemetry", `{"pressure":1}`)
	d.publish("devices/p1/status", `{"status":"offline"}`)
	connection := func(want string) {
		t.Helper()
		eventually(t, "p1 is "+want, func(ctx context.Context) bool {
			view, err := s.twins.Describe(ctx, "p1")
			return err == nil && view.Connection == want
		})
	}
	connection(device.Offline)
	c, err := s.twins.Command(t.Context(), "p1", device.By{Who: "ann"}, deviceworkflow.Order{Name: "reboot", TTL: time.Hour})
	if err != nil || c.Status != command.Waiting {
		t.Fatalf("command %+v, %v", c, err)
	}
	d.nothingFor(500 * time.Millisecond)
	d.publish("devices/p1/telemetry", `{"pressure":2}`)
	connection(device.Online)
	var sent struct{ ID string }
	if m := d.next(); json.Unmarshal([]byte(m.payload), &sent) != nil || sent.ID != c.ID || m.topic != "devices/p1/commands/reboot" {
		t.Errorf("received %s %s, want command %s", m.topic, m.payload, c.ID)
	}
}
