package simulator

import (
	"testing"

	"devicetwin/device"
)

func TestCrossing(t *testing.T) {
	reading := func(v any) device.Message {
		return device.Message{Channel: device.ChannelTelemetry, Data: map[string]any{"temperature": v}}
	}
	status := reading(99.0)
	status.Channel = device.ChannelStatus
	c := crossing{level: Level{Field: "temperature", Above: 68, Below: 56}}
	for i, step := range []struct {
		message device.Message
		want    bool
	}{
		{reading(50.0), false}, {reading(68.0), false}, {status, false}, {reading("99"), false}, {reading(nil), false},
		{reading(68.5), true}, {reading(80.0), false}, {reading(60.0), false}, {reading(70.0), false}, {reading(56.0), false},
		{reading(55.0), true}, {reading(40.0), false}, {reading(60.0), false}, {reading(69.0), true},
	} {
		if got := c.take(step.message); got != step.want {
			t.Errorf("message %d %v: crosses %t, want %t", i, step.message.Data, got, step.want)
		}
	}
	none := crossing{}
	if none.take(reading(99.0)) {
		t.Error("no level, and it is crossed")
	}
}
