package devicefsm

import (
	"testing"
	"time"

	"devicetwin/device"
)

type obj = map[string]any

func crash(d *driver) *driver {
	for range 3 {
		d.send("boot", obj{"status": "boot"})
	}
	return d.send("fault", obj{"code": 117.0})
}

func TestPumpIsReprovisioned(t *testing.T) {
	d := start(t, loadFile(t, "../models/pump.yaml")).in("online")
	crash(d).in("reprovisioning").actions("invoke reprovision").noFaults()
	if len(d.out.Matched) != 1 || d.out.Matched[0] != "crash_loop" {
		t.Fatalf("matched %q", d.out.Matched)
	}
	id := d.out.Actions[0].ID
	d.step(DoneEvent(id, obj{"credential": "c1", "command": "c1"}, d.now)).in("awaiting_birth")
	d.send("boot", obj{"credential": "old"}).in("awaiting_birth")
	d.send("boot", obj{"credential": "c1"}).in("online").noFaults()
	if got := d.s.Context()["attempts"]; got != 0.0 {
		t.Fatalf("attempts %v", got)
	}
}

func TestPumpAnswersBeforeTheActivity(t *testing.T) {
	d := crash(start(t, loadFile(t, "../models/pump.yaml"))).in("reprovisioning")
	id := d.out.Actions[0].ID
	d.send("boot", obj{"credential": "c1"}).in("reprovisioning")
	d.step(DoneEvent(id, obj{"credential": "c1"}, d.now)).in("online").noFaults()

	crash(d).in("reprovisioning")
	d.send("reprovision.rejected", obj{"id": "c2"})
	d.step(DoneEvent(d.s.invocations[0].id, obj{"credential": "c2"}, d.now)).in("reprovisioning").actions("invoke reprovision").noFaults()
}

func TestPumpIsQuarantined(t *testing.T) {
	d := crash(start(t, loadFile(t, "../models/pump.yaml")))
	for range 3 {
		d.in("reprovisioning")
		d.step(DoneEvent(d.s.invocations[0].id, obj{"credential": "c"}, d.now)).in("awaiting_birth")
		d.advance(15 * time.Second)
	}
	d.in("quarantined").actions("gave up after 3 attempts to reprovision").noFaults()
	// A match where no transition waits for it is dropped.
	crash(d).in("quarantined")
}

func TestPumpOverheats(t *testing.T) {
	d := start(t, loadFile(t, "../models/pump.yaml"))
	d.send("reading", obj{"temperature": 50.0}).in("online")
	d.send("reading", obj{"temperature": 91.0}).in("overheated")
	d.advance(9 * time.Second).in("overheated")
	d.advance(time.Second).in("online").noFaults()
}

func TestPumpRelevance(t *testing.T) {
	m := loadFile(t, "../models/pump.yaml")
	for _, c := range []struct {
		msg  device.Message
		want bool
	}{
		{device.Message{Channel: device.ChannelTelemetry, Data: obj{"temperature": 50.0}}, false},
		{device.Message{Channel: device.ChannelTelemetry, Data: obj{"temperature": 91.0}}, true},
		{device.Message{Channel: device.ChannelTelemetry, Data: obj{"code": 117.0}}, true},
		{device.Message{Channel: device.ChannelTelemetry, Data: obj{"code": 118.0}}, false},
		{device.Message{Channel: device.ChannelTelemetry, Data: obj{"vibration": 1.0}}, false},
		{device.Message{Channel: device.ChannelStatus, Data: obj{"status": "online"}}, true},
		{device.Message{Channel: device.ChannelAck, Name: "reprovision", Data: obj{"status": "rejected", "id": "x"}}, true},
		{device.Message{Channel: device.ChannelAck, Name: "reprovision", Data: obj{"status": "accepted", "id": "x"}}, true},
		{device.Message{Channel: device.ChannelEvents, Name: "door", Data: nil}, false},
		{device.Message{Channel: device.ChannelSystem, Name: device.MessageSeen}, false},
		{device.Message{Channel: device.ChannelSystem, Name: device.EventSequenceGap}, false},
	} {
		if got := m.Relevant(c.msg); got != c.want {
			t.Errorf("Relevant(%+v) = %v", c.msg, got)
		}
	}
}

func TestLiveness(t *testing.T) {
	m := load(t, `
liveness: {silent_after: 5m, tolerance: 30s}
initial: up
states:
  up: {on: {device.silent: down}}
  down: {on: {device.alive: up, x: lost}}
  lost: {}
`)
	d := start(t, m)
	d.advance(5 * time.Minute).in("up")
	d.advance(29 * time.Second).in("up")
	d.advance(time.Second).in("down")
	if _, ok := m.NextDeadline(d.s); ok {
		t.Fatal("a silent device has no deadline")
	}
	d.advance(time.Hour).in("down")
	d.step(Event{Name: "x", Time: d.now, Alive: true}).in("up") // alive comes first
	d.now = d.now.Add(time.Minute)
	d.step(Event{Time: d.now, Alive: true})
	at, ok := m.NextDeadline(d.s)
	if want := d.now.Add(5*time.Minute + 30*time.Second); !ok || !at.Equal(want) {
		t.Fatalf("deadline %v %v, want %v", at, ok, want)
	}
}
