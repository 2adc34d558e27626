package wire

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"devicetwin/device"
	"devicetwin/twin"
)

func TestCommandsAreReadAsTheyWereWritten(t *testing.T) {
	s := standard(t, func(c *Config) { c.Prefix = "plant/7" })
	c := Command{ID: "c1", Name: "reboot", At: time.UnixMilli(1772366399123), TTL: 90 * time.Second, Data: map[string]any{"hard": true}}
	sending, err := s.Encode("pump-1", nil, c)
	if err != nil || len(sending.Publications) != 1 || sending.Done || len(sending.Shows) > 0 {
		t.Fatalf("%+v, %v", sending, err)
	}
	topic, payload := sending.Publications[0].Topic, sending.Publications[0].Payload
	if err != nil || topic != "plant/7/pump-1/commands/reboot" ||
		string(payload) != `{"id":"c1","name":"reboot","ts":1772366399123,"ttl_ms":90000,"data":{"hard":true}}` {
		t.Fatalf("%s %s, %v", topic, payload, err)
	}
	id, got, err := s.DecodeCommand(topic, payload)
	if err != nil || id != "pump-1" || got.ID != c.ID || got.Name != c.Name || !got.At.Equal(c.At) || got.TTL != c.TTL ||
		string(got.Data.(json.RawMessage)) != `{"hard":true}` {
		t.Errorf("%s %+v, %v", id, got, err)
	}
	if _, err := s.Decode(topic, payload, false, time.Now()); !errors.Is(err, ErrNotInput) {
		t.Errorf("a command that comes back: %v", err)
	}
	for topic, payload := range map[string]string{
		"plant/7/pump-1/commands/reboot":     `{"ts":1}`,
		"plant/7/pump-1/commands/reboot/":    `{"id":"1"}`,
		"plant/7/pump-1/commands/reboot/ack": `{"id":"1"}`,
		"plant/7/pump-2/commands/reboot":     `{"id"`,
	} {
		if _, c, err := s.DecodeCommand(topic, []byte(payload)); err == nil {
			t.Errorf("%s %s is read as %+v", topic, payload, c)
		}
	}
	other := &device.Address{Dialect: "other"}
	if _, err := s.Encode("pump-1", other, c); !errors.Is(err, ErrUnknownDialect) || !strings.Contains(err.Error(), "other") {
		t.Errorf("a device of another dialect: %v", err)
	}
	if _, err := s.EncodeDesired("pump-1", other, []byte(`{"on":true}`)); !errors.Is(err, ErrUnknownDialect) {
		t.Errorf("the desired state of a device of another dialect: %v", err)
	}
	if list, err := s.EncodeDesired("pump-1", nil, []byte(`{"on":true}`)); len(list) > 0 || err != nil {
		t.Errorf("the desired state has words of its own: %v, %v", list, err)
	}
	var refused *Refused
	if _, err := s.Encode("pump-1", nil, Command{ID: "c2", Name: "x", Data: func() {}}); !errors.As(err, &refused) || !strings.Contains(err.Error(), "c2") {
		t.Errorf("what is not JSON: %v", err)
	}
}

func TestMessagesAreReadAsTheyWereWritten(t *testing.T) {
	s := standard(t, nil)
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for want, m := range map[string]device.Message{
		"devices/d/telemetry":      {Channel: device.ChannelTelemetry, Data: map[string]any{"a": 1.0}, Epoch: 7, Seq: 9},
		"devices/d/status":         {Channel: device.ChannelStatus, Data: map[string]any{"status": "boot"}, Seq: 1},
		"devices/d/events/door":    {Channel: device.ChannelEvents, Name: "door", Data: map[string]any{}, Epoch: 1, Seq: 2},
		"devices/d/commands/x/ack": {Channel: device.ChannelAck, Name: "x", Data: map[string]any{"id": "c1"}, Epoch: 1, Seq: 3},
	} {
		topic, payload, err := s.EncodeMessage("d", m, at.Add(-time.Second))
		if err != nil || topic != want || s.Topic("d", m.Channel, m.Name) != want {
			t.Errorf("%s, want %s: %v", topic, want, err)
		}
		got, err := s.Decode(topic, payload, true, at)
		if err != nil || len(got) != 1 {
			t.Fatalf("%s: %v, %v", topic, got, err)
		}
		r := got[0]
		if r.ID != "d" || r.Message.Channel != m.Channel || r.Message.Name != m.Name || r.Message.Epoch != m.Epoch || r.Message.Seq != m.Seq ||
			len(r.Message.Data) != len(m.Data) || !r.Message.Redelivered || !r.PointTime.Equal(at.Add(-time.Second)) || !r.Dated {
			t.Errorf("%s: %+v", topic, r)
		}
	}
}

func TestShadowTopics(t *testing.T) {
	s := standard(t, nil)
	for _, tt := range []struct {
		document ShadowDocument
		want     []string
	}{
		{ShadowDocument{Rest: "update/delta"}, []string{"$aws/things/d/shadow/update/delta", "devices/d/twin/update/delta"}},
		{ShadowDocument{Shadow: "cfg", Rest: "update/delta"}, []string{"$aws/things/d/shadow/name/cfg/update/delta", "devices/d/twin/cfg/update/delta"}},
		{ShadowDocument{Rest: twin.RestCurrent, Retained: true}, []string{"devices/d/twin/documents/current"}},
		{ShadowDocument{Shadow: "cfg", Rest: twin.RestCurrent, Retained: true}, []string{"devices/d/twin/cfg/documents/current"}},
	} {
		got := s.ShadowTopics("d", tt.document)
		if !slices.Equal(got, tt.want) {
			t.Errorf("%+v: %q, want %q", tt.document, got, tt.want)
		}
		for _, topic := range got {
			if _, err := s.Decode(topic, []byte(`{}`), false, time.Now()); !errors.Is(err, ErrNotInput) {
				t.Errorf("%s that comes back: %v", topic, err)
			}
		}
	}
	got, err := s.Decode("$aws/things/d/shadow/name/cfg/get", nil, false, time.Now())
	if err != nil || ReplyTopic(got[0].Message, "rejected") != "$aws/things/d/shadow/name/cfg/get/rejected" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestFiltersOfTheStandardDialect(t *testing.T) {
	s := standard(t, nil)
	if got := s.Filters(); !slices.Equal(got, []string{"devices/#", "$aws/things/+/shadow/#"}) || !s.WholeDevices(got) {
		t.Errorf("filters: %q", got)
	}
	for filter, whole := range map[string]bool{"#": true, "devices/#": true, "devices/+/#": true, "devices/+/telemetry": false, "devices/d/telemetry/#": false, "$share/g/devices/#": false} {
		if s.WholeDevices([]string{filter}) != whole {
			t.Errorf("%s brings in whole devices: %v", filter, !whole)
		}
	}
	cfg := DefaultConfig()
	cfg.ShadowTopics = []string{"things/{id}", "bad"}
	if err := cfg.Validate(); err == nil || strings.Count(err.Error(), "topic template") != 2 {
		t.Errorf("bad templates: %v", err)
	}
	cfg.ShadowTopics = []string{"devices/{id}[/{shadow}]"}
	if err := cfg.Validate(); err == nil || strings.Count(err.Error(), "it takes in") != 4 {
		t.Errorf("templates that match other topics: %v", err)
	}
}

func TestDevicesOfOthersArePassedOver(t *testing.T) {
	s := standard(t, func(c *Config) { c.Mine = func(name string) bool { return name == "mine" } })
	for topic, want := range map[string]error{
		"devices/mine/status":              nil,
		"devices/other/status":             ErrForeign,
		"devices/not an id/status":         ErrForeign, // one of all refuses it
		"devices/other/telemetri":          ErrForeign,
		"nonsense":                         ErrForeign,
		"devices/other/commands/x":         ErrNotInput,
		"$aws/things/other/shadow/get":     ErrForeign,
		"$aws/things/mine/shadow/get":      nil,
		"$aws/things/other/shadow/unknown": ErrForeign,
	} {
		if _, err := s.Decode(topic, []byte(`{}`), false, time.Now()); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", topic, err, want)
		}
	}
}
