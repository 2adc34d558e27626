package device

import (
	"testing"
	"time"

	"devicetwin/device"
)

// What a status message says of the connection is what its source read in it, not
// its word. One that says neither changes nothing, but shows that the device is up.
func TestConnectionFollowsTheWordsOfTheSource(t *testing.T) {
	says := func(word, connection string) device.Message {
		m := status(word)
		m.Connection = connection
		return m
	}
	for _, test := range []struct {
		name     string
		messages []device.Message
		want     string
		seen     bool
	}{
		{"another word for online", []device.Message{says("READY", device.Online)}, device.Online, true},
		{"another word for offline", []device.Message{says("boot", device.Online), says("OFFLINE", device.Offline)}, device.Offline, true},
		{"a last will alone", []device.Message{says("LOST", device.Offline)}, device.Offline, false},
		{"an unknown word, first", []device.Message{says("maintenance", device.ConnectionUnknown)}, "", true},
		{"an unknown word, online", []device.Message{says("boot", device.Online), says("maintenance", device.ConnectionUnknown)}, device.Online, true},
		{"an unknown word, offline", []device.Message{says("offline", device.Offline), says("maintenance", device.ConnectionUnknown)}, device.Offline, true},
		{"from a source without words", []device.Message{says("boot", ""), says("offline", "")}, device.Offline, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newTwinHarness(t, obeyingModel, 0)
			h.at(time.Second, test.messages...)
			view := h.runUntil(2 * time.Second)
			if view.Connection != test.want || view.Seen.IsZero() == test.seen {
				t.Errorf("connection %q, want %q; last seen %v", view.Connection, test.want, view.Seen)
			}
		})
	}
}
