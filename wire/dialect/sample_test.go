package dialect

import (
	"strings"
	"testing"
)

func TestSamplesWithFaults(t *testing.T) {
	for text, want := range map[string]string{
		"{topic: x, payload: {t: 1}, outcome: ignored}":                               `s.yaml:1:31: payload: expected a string, found a mapping (JSON goes into quotes: '{"t": 1}')`,
		"{topic: x, payload: 1, outcome: ignore}":                                     `s.yaml:1:43: outcome "ignore": expected one of ignored, unmapped, bad_topic, bad_device_id, too_large, bad_payload`,
		"{topic: x, payload: 1, gives: {device: a, channel: event}}":                  `s.yaml:1:62: "event": expected one of telemetry, events, status, reported`,
		"{topic: x, payload: 1, gives: {device: a, channel: status, connection: up}}": `s.yaml:1:82: "up": expected one of online, offline, unknown`,
		"{topic: x, payload: 1, gives: {device: a, channel: ignored}}":                `s.yaml:1:62: "ignored": expected one of telemetry, events, status, reported`,
	} {
		if _, err := LoadSamples("s.yaml", []byte("samples: ["+text+"]")); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v\nwant %s", text, err, want)
		}
	}
}
