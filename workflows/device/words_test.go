package device

import (
	"fmt"
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

// A status that says neither online nor offline is reported, unless the model knows
// it: models may have words of their own.
func TestUnknownStatusIsReported(t *testing.T) {
	const model = `
model: pump
events:
  serviced: {channel: status, when: "msg.status == 'maintenance'"}
initial: idle
states:
  idle:     {on: {serviced: serviced}}
  serviced: {}
`
	h := newTwinHarness(t, model, 0)
	unknown := func(data map[string]any) device.Message {
		return device.Message{Channel: device.ChannelStatus, Data: data, Connection: device.ConnectionUnknown}
	}
	online := status("boot")
	online.Connection = device.Online
	h.at(time.Second, online, unknown(map[string]any{"status": "maintenance"}), unknown(map[string]any{"status": "dozing"}),
		unknown(map[string]any{"firmware": "2"}), unknown(map[string]any{"status": 1.0}), unknown(map[string]any{"status": nil}), status("asleep"))
	view := h.runUntil(2 * time.Second)
	if view.StateName != "serviced" {
		t.Errorf("state %s: the model does not get its own word", view.StateName)
	}
	var got []string
	for _, f := range view.Reports {
		if f.Reason != device.FaultUnknownStatus || f.Topic != "status" || f.At.IsZero() {
			t.Errorf("reported %+v", f)
		}
		got = append(got, f.Detail+" "+f.Value)
	}
	want := []string{
		`expected a status word, or a rule of the model that knows this one "dozing"`, "expected a status; found none ",
		"expected a status word; found a number 1", "expected a status; found none null",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("reported %q, want %q", got, want)
	}
}
