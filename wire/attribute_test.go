package wire

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"devicetwin/device"
)

// What cannot be read says whose it was, and whether it shows that the device is
// up.
func TestRefusalsNameTheirDevice(t *testing.T) {
	for topic, tests := range map[string]map[string]string{
		"devices/d/telemetry": {
			`{"temperature": NaN}`: "d telemetry alive", "": "d telemetry alive", `{"seq":0}`: "d telemetry alive",
			strings.Repeat(" ", 1001): "d telemetry alive", `["offline"]`: "d telemetry alive",
		},
		"devices/d/status": {
			"boot": "d status alive", `{"status":"boot"`: "d status alive",
			"offline": "d status", "OFFLINE": "d status", `"Lost"`: "d status", `{"status":"offline","at":NaN}`: "d status",
			`{"status":"offline"}` + strings.Repeat(" ", 1000): "d status",
		},
		"devices/d/events/door":         {"x": "d events/door alive"},
		"devices/d/events/device.alive": {"{}": "d events/device.alive alive"},
		"devices/d/commands/x/ack":      {"x": "d commands/x/ack alive"},
		"devices/d/telemetri":           {"{}": "d telemetri"},
		"devices/d/telemetry/x":         {"{}": "d telemetry/x"},
		"devices/d/x/" + strings.Repeat("y", 200): {
			"{}": "d x/" + strings.Repeat("y", 126) + "…",
		},
		"devices/not an id/telemetry": {"x": " "},
		"nonsense":                    {"x": " "},
	} {
		for payload, want := range tests {
			_, err := standard(t, func(c *Config) { small(c); c.ShadowTopics = nil }).Decode(topic, []byte(payload), false, time.Now())
			var refused *Refused
			if !errors.As(err, &refused) {
				t.Errorf("%s %s: %v", topic, payload, err)
				continue
			}
			got := fmt.Sprintf("%s %s", refused.ID, refused.Topic)
			if refused.Alive {
				got += " alive"
			}
			if got != want {
				t.Errorf("%s %.60q: %q, want %q", topic, payload, got, want)
			}
		}
	}
}

// The words of a status topic are a setting, whatever their case.
func TestStatusSaysWhetherADeviceIsConnected(t *testing.T) {
	s := standard(t, func(c *Config) { c.StatusWords = device.StatusWords{Online: []string{"an"}, Offline: []string{"aus"}} })
	for payload, want := range map[string]string{
		`{"status":"an"}`: device.Online, `{"status":"AUS"}`: device.Offline,
		`{"status":"offline"}`: device.ConnectionUnknown, `{"status":true}`: device.ConnectionUnknown, `{"firmware":"2"}`: device.ConnectionUnknown,
	} {
		received, err := s.Decode("devices/d/status", []byte(payload), false, time.Now())
		if err != nil || received[0].Message.Connection != want || received[0].Message.Alive() != (want != device.Offline) {
			t.Errorf("%s: %+v, %v, want %s", payload, received, err, want)
		}
	}
	if received, err := s.Decode("devices/d/telemetry", []byte(`{"status":"aus"}`), false, time.Now()); err != nil || received[0].Message.Connection != "" {
		t.Errorf("telemetry: %+v, %v", received, err)
	}
	cfg := DefaultConfig()
	cfg.StatusWords = device.StatusWords{Online: []string{"on", "", "x"}, Offline: []string{"ON", " off"}}
	cfg.MaxClockAhead, cfg.MaxClockBehind = -1, MaxClock+1
	if err := cfg.Validate(); err == nil || strings.Count(err.Error(), "status word") != 3 || strings.Count(err.Error(), "device clock") != 2 {
		t.Errorf("bad words: %v", err)
	}
}
