package wire

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// An event needs no data. An empty payload on the status topic is how a retained message
// is cleared, and elsewhere it is a mistake.
func TestEmptyPayloads(t *testing.T) {
	d, err := New(DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	for topic, want := range map[string]string{
		"devices/d/events/door":      "taken",
		"devices/d/status":           "not input",
		"devices/d/telemetry":        "refused",
		"devices/d/commands/x/ack":   "refused",
		"devices/d/events/door/more": "refused",
	} {
		for _, payload := range []string{"", " \n", "\ufeff"} {
			want := want
			if topic == "devices/d/status" && payload != "" {
				want = "refused"
			}
			received, err := d.Decode(topic, []byte(payload), false, time.Now())
			got := "taken"
			var refused *Refused
			switch {
			case errors.Is(err, ErrNotInput):
				got = "not input"
			case errors.As(err, &refused):
				got = "refused"
			}
			if got != want {
				t.Errorf("%q on %s: %s (%v), want %s", payload, topic, got, err, want)
			}
			if got != "taken" {
				continue
			}
			received[0].Complete()
			received[0].Identify()
			if m := received[0].Message; len(received) != 1 || m.Name != "door" || len(m.Data) != 0 || m.Digest == "" || string(received[0].Object) != "{}" {
				t.Errorf("%q on %s: %+v", payload, topic, m)
			}
		}
	}
}

// The byte order mark of UTF-8 is passed over (RFC 8259, section 8.1), and that of another
// encoding is named.
func TestByteOrderMarks(t *testing.T) {
	d, err := New(DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	for _, payload := range []string{`{"a":1}`, `[{"a":1}]`, " {\"a\":1}"} {
		received, err := d.Decode("devices/d/telemetry", []byte("\ufeff"+payload), false, time.Now())
		if err != nil || len(received) != 1 || string(received[0].Object) != `{"a":1}` {
			t.Errorf("%s: %v, %v", payload, received, err)
		}
	}
	received, err := d.Decode("$aws/things/d/shadow/update", []byte("\ufeff{}"), false, time.Now())
	if err != nil || string(received[0].Message.Twin.Payload) != "{}" {
		t.Errorf("a request: %v, %v", received, err)
	}
	for _, payload := range []string{"\xff\xfe{\x00}\x00", "\xfe\xff\x00{\x00}"} {
		if _, err := d.Decode("devices/d/telemetry", []byte(payload), false, time.Now()); err == nil || !strings.Contains(err.Error(), "byte order mark (BOM) of UTF-16") {
			t.Errorf("%q: %v", payload, err)
		}
	}
	if _, err := d.Decode("devices/d/telemetry", []byte("\xff"), false, time.Now()); err == nil || strings.Contains(err.Error(), "BOM") {
		t.Errorf("no mark: %v", err)
	}
}
