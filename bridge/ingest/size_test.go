package ingest

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"devicetwin/device"
	"devicetwin/wire"
)

// FuzzSize looks for messages whose JSON is longer than the bound.
func FuzzSize(f *testing.F) {
	for _, seed := range []string{
		`{"epoch":1,"seq":2,"ts":3,"a":{"b":[1,"x",null,true]}}`, `[{"a":1},{"seq":9}]`, `{"a":"\u00e4\n<>&"}`,
		`[[`, `{"seq":1e3}`, "{\"\u2028\":\"\x7f\"}", `{"a":-1.5e-300}`, `{"a":"\ud800"}`,
	} {
		f.Add("devices/d/telemetry", []byte(seed))
	}
	f.Add("devices/d/events/e", []byte(`{}`))
	f.Fuzz(func(t *testing.T, topic string, payload []byte) {
		at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		cfg := wire.DefaultConfig()
		cfg.MaxPayload, cfg.MaxDepth, cfg.MaxObjects = 4096, 8, 50
		dialect, err := wire.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		received, err := dialect.Decode(topic, payload, false, at)
		if err != nil {
			return
		}
		for _, r := range received {
			text, err := json.Marshal(r.Message)
			if err != nil {
				t.Fatalf("message %+v: %v", r.Message, err)
			}
			if bound := messageSize(r.Message); len(text) > bound {
				t.Fatalf("%d bytes, the bound says %d: %s", len(text), bound, text)
			}
		}
	})
}

func TestSizeIsAnUpperBound(t *testing.T) {
	for _, data := range []map[string]any{
		nil,
		{},
		{"a": 1.0, "b": -1.7976931348623157e308, "c": 5e-324, "d": 123456789012345680000.0},
		{"<>&": "\u2028\u2029\x00\x1f\x7f\"\\", "ä": "日本"},
		{"a": []any{nil, true, false, "x", map[string]any{"y": []any{}}}},
		{strings.Repeat("&", 100): strings.Repeat("\x01", 100)},
	} {
		m := device.Message{
			Channel: device.ChannelTelemetry, Name: "x", Data: data, Time: time.Now().UTC(),
			Epoch: 1<<53 - 1, Seq: 1<<53 - 1, Digest: "0123456789abcdef", Redelivered: true, SenderID: "0123456789abcdef", Pos: math.MaxInt64,
			Twin: &device.TwinRequest{
				Shadow: strings.Repeat("s", 64), Reply: "$aws/things/<&>/shadow", Payload: []byte(strings.Repeat("x", 100)), Reports: true,
			},
			LeftOut: &device.LeftOut{
				Spans:   []device.Span{{Epoch: 1<<63 - 1, From: 1<<64 - 1, To: 1<<64 - 1}, {Epoch: 1<<63 - 1, From: 1<<64 - 1, To: 1<<64 - 1}},
				Digests: []string{"0123456789abcdef", "0123456789abcdef"},
			},
			Restart: &device.Restart{
				Epoch: 1<<63 - 1, Seq: 1<<64 - 1, LastEpoch: 1<<63 - 1, LastSeq: 1<<64 - 1,
				LeftOut: []device.Span{{Epoch: 1<<63 - 1, From: 1<<64 - 1, To: 1<<64 - 1}},
			},
			From: &device.Address{Dialect: "a-dialect", ID: "<{x}>", Vars: map[string]string{"a": "\"&", "bb": ""}, Awake: math.MinInt64},
		}
		checkSize(t, m)
	}
}

// What has no size of its own fits into that of the envelope: there is nothing else here
// whose bound may be generous.
func TestTheEnvelopeIsAnUpperBound(t *testing.T) {
	latest := time.Date(9999, 12, 31, 23, 59, 59, 999_000_000, time.UTC) // in milliseconds, like all times of a Message
	for _, id := range []string{"", "0123456789abcdef"} {
		checkSize(t, device.Message{
			Channel: device.ChannelTelemetry, Name: "x", Data: map[string]any{"a": true}, Time: latest, Sent: latest, Connection: device.ConnectionUnknown,
			Epoch: math.MinInt64, Seq: math.MaxUint64, Digest: "0123456789abcdef", Redelivered: true, Pos: math.MaxInt64,
			Stale: true, Relayed: true, SenderID: id,
		})
	}
}

// checkSize counts the comma behind the message in a list.
func checkSize(t *testing.T, m device.Message) {
	t.Helper()
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	if bound := messageSize(m); len(text)+1 > bound {
		t.Errorf("%d bytes, the bound says %d: %s", len(text), bound, text)
	}
}
