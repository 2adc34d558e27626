package bridge

import (
	"strings"
	"testing"
)

func TestDefaultsAreValid(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
	if err := DefaultInfluxConfig().Validate(); err != nil {
		t.Error(err)
	}
}

func TestAllFaultsAtOnce(t *testing.T) {
	c := DefaultConfig()
	c.ID = "a b"
	c.Prefix = "devices/#"
	c.Subscribe = []string{"devices/+x", "$share/devices", "bridge/#", "#"}
	c.MaxPayload = 1 << 20
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
	i := InfluxConfig{URL: "ftp://x"}
	if err := i.Validate(); err == nil || strings.Count(err.Error(), "\n") != 7 {
		t.Errorf("influxdb: %v", err)
	}
	if _, err := NewPublisher(MQTTConfig{}, nil); err == nil || !strings.Contains(err.Error(), "client id") {
		t.Errorf("publisher: %v", err)
	}
	m := DefaultMQTTConfig()
	m.CAFile, m.CertFile, m.KeyFile = "/nowhere/ca.pem", "/nowhere/c.pem", "/nowhere/k.pem"
	if _, err := m.opener(); err == nil || !strings.Contains(err.Error(), "ca.pem") || !strings.Contains(err.Error(), "c.pem") {
		t.Errorf("files: %v", err)
	}
}

func TestFilters(t *testing.T) {
	for filter, ok := range map[string]bool{
		"devices/#": true, "#": true, "+/+/x": true, "$share/g/devices/+/telemetry": true,
		"": false, "a/#/b": false, "a#": false, "a/b+": false, "$share/g": false, "$share//x": false, "$share/+/x": false, "a\x00": false,
	} {
		if err := checkFilter(filter); (err == nil) != ok {
			t.Errorf("%q: %v", filter, err)
		}
	}
	for _, test := range []struct {
		filter, topic string
		want          bool
	}{
		{"devices/#", "devices/a/b", true},
		{"devices/#", "devices", true},
		{"devices/#", "bridge/b/deadletter", false},
		{"#", "bridge/b/deadletter", true},
		{"+/+/deadletter", "bridge/b/deadletter", true},
		{"+/deadletter", "bridge/b/deadletter", false},
		{"bridge/b", "bridge/b/deadletter", false},
		{"bridge/b/deadletter/+", "bridge/b/deadletter", false},
		{"$share/g/bridge/#", "bridge/b/deadletter", true},
	} {
		if got := filterMatches(test.filter, test.topic); got != test.want {
			t.Errorf("%s matches %s: %v", test.filter, test.topic, got)
		}
	}
}
