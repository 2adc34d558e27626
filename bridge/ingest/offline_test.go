package ingest

import (
	"testing"

	"devicetwin/device"
)

// The last will of the connection before may come when the device is back: what it
// says then reaches its workflow at once, though the model has no use for it.
func TestTheFirstMessageAfterAnOfflineIsSignalled(t *testing.T) {
	r := newReadings(t, nil)
	r.bench = newBench(DefaultConfig(), modelOf(t, "model: still\ninitial: on\nstates: {on: {}}\n"))
	say := func(topic, payload string) string {
		r.deliver("devices/d/"+topic, payload, "", false)
		r.acceptAll()
		return r.signalled()
	}
	say("status", `{"status":"boot"}`)
	say("status", `{"status":"offline"}`)
	if got := say("telemetry", `{"t":20}`); got != device.MessageSeen {
		t.Errorf("after the last will: signalled %q, want %s", got, device.MessageSeen)
	}
	if got := say("telemetry", `{"t":20}`); got != "" {
		t.Errorf("once is enough, signalled %q", got)
	}
}

func TestABirthBeginsANumberingForGaps(t *testing.T) {
	birth := func(seq uint64) device.Message {
		return device.Message{Channel: device.ChannelStatus, Seq: seq, Data: map[string]any{"status": "boot"}}
	}
	reading := func(seq uint64) device.Message {
		return device.Message{Channel: device.ChannelTelemetry, Seq: seq}
	}
	var s filterState
	for i, step := range []struct {
		m   device.Message
		gap bool
	}{{birth(4), false}, {reading(5), false}, {birth(1), false}, {reading(2), false}, {reading(4), true}} {
		s.restart(step.m)
		if s.before(step.m) {
			t.Errorf("message %d is before all that is known", i)
		}
		if _, gap := s.gap(step.m, false); gap != step.gap {
			t.Errorf("message %d: gap %v", i, gap)
		}
	}
}
