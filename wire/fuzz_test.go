package wire

import (
	"encoding/json"
	"errors"
	"testing"
	"time"
	"unicode/utf8"
)

// FuzzDecode looks for payloads that break the decoder, or its promises about
// what it accepts.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`{"epoch":1,"seq":2,"ts":3,"a":{"b":[1,"x",null,true]}}`, `[{"a":1},{"seq":9}]`, `{"a":"\u00e4\n<>&"}`,
		`[[`, `{"seq":1e3}`, "{\"\u2028\":\"\x7f\"}", `{"a":-1.5e-300}`, `{"a":"\ud800"}`,
	} {
		f.Add("devices/d/telemetry", []byte(seed))
	}
	f.Add("devices/d/events/e", []byte(`{}`))
	f.Fuzz(func(t *testing.T, topic string, payload []byte) {
		at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		cfg := DefaultConfig()
		cfg.MaxPayload, cfg.MaxDepth, cfg.MaxObjects, cfg.ShadowTopics = 4096, 8, 50, nil
		d, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		received, err := d.Decode(topic, payload, false, at)
		if refused := (*Refused)(nil); errors.As(err, &refused) {
			if refused.Reason == "" || !utf8.ValidString(refused.Detail) {
				t.Fatalf("refused: %+v", refused)
			}
			return
		}
		if errors.Is(err, ErrNotInput) {
			return
		}
		if len(received) == 0 || len(received) > cfg.MaxObjects {
			t.Fatalf("%d messages", len(received))
		}
		for _, r := range received {
			if _, err := json.Marshal(r.Message); err != nil {
				t.Fatalf("message %+v: %v", r.Message, err)
			}
			if r.Message.Seq == 0 && r.Message.Digest == "" {
				t.Fatalf("neither number nor digest: %+v", r.Message)
			}
			if !r.ID.Valid() {
				t.Fatalf("id %q", r.ID)
			}
			if r.PointTime.IsZero() || r.PointTime.After(at.Add(cfg.MaxClockAhead+time.Millisecond)) {
				t.Fatalf("time %v", r.PointTime)
			}
		}
	})
}
