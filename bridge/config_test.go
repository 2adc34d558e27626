package bridge

import (
	"strings"
	"testing"
)

func TestDefaultsAreValid(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
}

func TestAllFaultsAtOnce(t *testing.T) {
	c := DefaultConfig()
	c.ID = "a b"
	c.Wire.Prefix = "devices/#"
	c.Subscribe = []string{"devices/+x", "$share/devices", "bridge/#", "#"}
	c.Wire.MaxPayload = 1 << 20
	c.Window = 70000
	c.SignalTimeout = 0
	c.RetryMax = c.RetryMin / 2
	c.MQTT.Brokers = []string{"localhost:1883", "http://x", "mqtt://"}
	c.MQTT.Password = "secret"
	c.MQTT.CertFile = "x"
	c.MQTT.KeepAlive = 1500e6
	err := c.Validate()
	if err == nil {
		t.Fatal("accepted")
	}
	for _, part := range []string{
		"bridge id", "topic prefix", `"devices/+x"`, `"$share/devices"`, `"bridge/#"`, "largest payload", "window 70000",
		"signal timeout", "before a signal is repeated", `"localhost"`, "http://x", "broker mqtt:", "without a username", "both or neither", "keep alive",
	} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("not told: %s", part)
		}
	}
	if n := strings.Count(err.Error(), "\n") + 1; n != 16 {
		t.Errorf("%d faults:\n%v", n, err)
	}
}
