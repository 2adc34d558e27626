package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"devicetwin/device"
	"devicetwin/internal/text"
)

// plainPayload is decodePayload in the plain way: every object is decoded into a map
// by encoding/json, and what is reserved is taken out of the map.
func (s *Standard) plainPayload(a address, payload []byte, dup bool, at time.Time) ([]Received, *Refused) {
	if len(payload) > s.cfg.MaxPayload {
		return nil, Refuse(ReasonTooLarge, "%d bytes, the limit is %d", len(payload), s.cfg.MaxPayload)
	}
	if !utf8.Valid(payload) {
		return nil, notUTF8(payload)
	}
	payload = bytes.TrimSpace([]byte(strings.TrimPrefix(string(payload), "\ufeff")))
	if len(payload) == 0 {
		if a.channel == device.ChannelEvents {
			return s.plainPayload(a, []byte("{}"), dup, at)
		}
		return nil, Refuse(ReasonBadPayload, "empty: expected a JSON object or an array of objects")
	}
	if depth(payload) > s.cfg.MaxDepth {
		return nil, Refuse(ReasonBadPayload, "nested deeper than %d", s.cfg.MaxDepth)
	}
	objects, refused := plainSplit(payload, s.cfg.MaxObjects)
	if refused != nil {
		return nil, refused
	}
	out := make([]Received, len(objects))
	for i, object := range objects {
		if refused := s.plainObject(&out[i], a, object, i, dup, at); refused != nil {
			if payload[0] == '[' {
				refused.Detail = fmt.Sprintf("object %d of %d: %s", i+1, len(objects), refused.Detail)
			}
			return nil, refused
		}
	}
	return out, nil
}

func plainSplit(payload []byte, limit int) ([]json.RawMessage, *Refused) {
	switch payload[0] {
	case '{':
		return []json.RawMessage{payload}, nil
	case '[':
	default:
		return nil, Refuse(ReasonBadPayload, "expected a JSON object or an array of objects, found %q", text.Clip(string(payload), 40))
	}
	var objects []json.RawMessage
	if err := json.Unmarshal(payload, &objects); err != nil {
		return nil, Refuse(ReasonBadPayload, "not JSON: %v", err)
	}
	if len(objects) == 0 {
		return nil, Refuse(ReasonBadPayload, "empty array: expected objects")
	}
	if len(objects) > limit {
		return nil, Refuse(ReasonBadPayload, "array of %d objects, the limit is %d", len(objects), limit)
	}
	return objects, nil
}

func (s *Standard) plainObject(to *Received, a address, object json.RawMessage, place int, dup bool, at time.Time) *Refused {
	if object[0] != '{' {
		return Refuse(ReasonBadPayload, "expected a JSON object, found %q", text.Clip(string(object), 40))
	}
	var data map[string]any
	if err := json.Unmarshal(object, &data); err != nil {
		return Refuse(ReasonBadPayload, "not JSON: %v", err)
	}
	var encoded map[string]json.RawMessage
	if err := json.Unmarshal(object, &encoded); err != nil {
		return Refuse(ReasonBadPayload, "not JSON: %v", err)
	}
	epoch, refused := plainInt(data, "epoch", 0)
	if refused != nil {
		return refused
	}
	seq, refused := plainInt(data, "seq", 1)
	if refused != nil {
		return refused
	}
	if epoch > 0 && seq == 0 {
		return Refuse(ReasonBadPayload, "epoch without seq")
	}
	to.ID, to.Object, to.Place, to.PointTime = a.id, object, place, at
	to.Message = device.Message{
		Channel: a.channel, Name: a.name, Data: data, Time: at, Epoch: epoch, Seq: uint64(seq), Redelivered: dup,
	}
	if a.channel == device.ChannelStatus {
		to.Message.Connection = s.cfg.StatusWords.Connection(data["status"])
	}
	if seq == 0 {
		to.Message.Digest = digest(a.channel, a.name, object, place)
	}
	if ts, ok := encoded["ts"]; ok {
		delete(data, "ts")
		s.setTime(to, []byte(ts))
	}
	return nil
}

func plainInt(data map[string]any, key string, least float64) (int64, *Refused) {
	v, ok := data[key]
	if !ok {
		return 0, nil
	}
	delete(data, key)
	f, ok := v.(float64)
	if !ok || f < least || f > MaxInteger || f != float64(int64(f)) {
		return 0, Refuse(ReasonBadPayload, "%s: expected an integer from %.0f to %d", key, least, int64(MaxInteger))
	}
	return int64(f), nil
}

// FuzzDecodeAsThePlainWay compares what is read of a payload with the plain way: the
// messages, or the refusal, byte for byte.
func FuzzDecodeAsThePlainWay(f *testing.F) {
	for _, seed := range []string{
		`{"epoch":1,"seq":2,"ts":1772366399,"a":{"b":[1,"x",null,true]}}`, `[{"a":1},{"seq":9}, {"ts":"noon"} ]`, `{"a":"\u00e4\n<>&"}`,
		`{"seq":1e3,"seq":2}`, `{"\u0073eq":1.0,"Seq":"x"}`, `{"seq":-0}`, `{"seq":900719925474099100}`, `{"a":1e999}`, `[{"a":1e999}]`,
		`[1]`, `[[`, `{"seq":1,"epoch":null}`, `{"a":1,"a":{"b":2},"a":"\ud800"}`, `{"ts":17723663981234567,"ts":{}}`, "\u00a0{}\f", `[{},{}]x`,
	} {
		f.Add([]byte(seed))
	}
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, payload []byte) {
		for _, a := range []address{
			{id: "d", channel: device.ChannelTelemetry}, {id: "d", channel: device.ChannelEvents, name: "e"},
			{id: "d", channel: device.ChannelStatus}, {id: "d", channel: device.ChannelAck, name: "c"},
		} {
			s := standard(t, func(c *Config) { small(c); c.MaxObjects = 5 })
			want, wantRefused := s.plainPayload(a, payload, true, at)
			for _, lazy := range []bool{false, true} {
				s.cfg.Lazy = lazy
				got, refused := s.decodePayload(a, payload, true, at)
				if !reflect.DeepEqual(refused, wantRefused) {
					t.Fatalf("%s: refused %v, want %v", payload, refused, wantRefused)
				}
				for i := range got {
					compareSelected(t, got[i], want[i].Message.Data)
					got[i].Complete()
				}
				if refused == nil && !reflect.DeepEqual(got, want) {
					t.Fatalf("%s: %+v, want %+v", payload, got, want)
				}
			}
		}
	})
}

// compareSelected selects each member alone.
func compareSelected(t *testing.T, r Received, all map[string]any) {
	if into := map[string]any{}; r.Select(map[string]bool{"epoch": true, "seq": true, "ts": true}, into) && len(into) != 0 {
		t.Fatalf("reserved keys of %s are in its data: %v", r.Object, into)
	}
	for key, want := range all {
		into := map[string]any{}
		if !r.Select(map[string]bool{key: true}, into) {
			if r.Message.Data == nil {
				t.Fatalf("%s of %s is not to be had", key, r.Object)
			}
			continue
		}
		if len(into) != 1 || !reflect.DeepEqual(into[key], want) {
			t.Fatalf("%q of %s: %v, want %v", key, r.Object, into, want)
		}
	}
}
