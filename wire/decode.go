package wire

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"devicetwin/device"
	"devicetwin/internal/jsonobject"
	"devicetwin/internal/text"
)

// maxInteger is the largest integer that every JSON implementation keeps
// exactly (RFC 8259, section 6).
const maxInteger = 1<<53 - 1

// decodePayload turns a payload, a JSON object or an array of objects, into
// messages. It takes epoch, seq and ts out of the data. One bad object refuses the
// whole payload: applying half of it would leave no trace of the other half.
func (s *Standard) decodePayload(a address, payload []byte, dup bool, at time.Time) ([]Received, *Refused) {
	if len(payload) > s.cfg.MaxPayload {
		return nil, Refuse(ReasonTooLarge, "%d bytes, the limit is %d", len(payload), s.cfg.MaxPayload)
	}
	if !utf8.Valid(payload) {
		return nil, Refuse(ReasonBadPayload, "not valid UTF-8")
	}
	payload = bytes.TrimSpace(payload)
	if len(payload) == 0 {
		return nil, Refuse(ReasonBadPayload, "empty: expected a JSON object or an array of objects")
	}
	if depth(payload) > s.cfg.MaxDepth {
		return nil, Refuse(ReasonBadPayload, "nested deeper than %d", s.cfg.MaxDepth)
	}
	objects, refused := split(payload, s.cfg.MaxObjects)
	if refused != nil {
		return nil, refused
	}
	out := make([]Received, len(objects))
	for i, object := range objects {
		if refused := s.decodeObject(&out[i], a, object, i, dup, at); refused != nil {
			if payload[0] == '[' {
				refused.Detail = fmt.Sprintf("object %d of %d: %s", i+1, len(objects), refused.Detail)
			}
			return nil, refused
		}
	}
	return out, nil
}

// split returns the encoded objects in a payload.
func split(payload []byte, limit int) ([]json.RawMessage, *Refused) {
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

// decodeObject reads the object at a place of the payload.
func (s *Standard) decodeObject(to *Received, a address, object json.RawMessage, place int, dup bool, at time.Time) *Refused {
	if object[0] != '{' {
		return Refuse(ReasonBadPayload, "expected a JSON object, found %q", text.Clip(string(object), 40))
	}
	var data map[string]any
	if err := json.Unmarshal(object, &data); err != nil {
		return Refuse(ReasonBadPayload, "not JSON: %v", err)
	}
	epoch, refused := takeInteger(data, "epoch", 0)
	if refused != nil {
		return refused
	}
	seq, refused := takeInteger(data, "seq", 1)
	if refused != nil {
		return refused
	}
	if epoch > 0 && seq == 0 {
		return Refuse(ReasonBadPayload, "epoch without seq")
	}
	to.ID, to.Object, to.PointTime = a.id, object, at
	to.Message = device.Message{
		Channel: a.channel, Name: a.name, Data: data, Time: at, Epoch: epoch, Seq: uint64(seq), Redelivered: dup,
	}
	if a.channel == device.ChannelStatus {
		to.Message.Connection = s.cfg.StatusWords.Connection(data["status"])
	}
	if seq == 0 { // equal objects of one array are different messages
		to.Message.Digest = digest(a.channel, a.name, object, place)
	}
	if _, ok := data["ts"]; ok {
		delete(data, "ts")
		s.setTime(to, member(object, "ts"))
	}
	return nil
}

// setTime takes over the device's own time, or reports why not.
func (s *Standard) setTime(to *Received, ts jsonobject.Value) {
	sent, fault := s.cfg.sentTime(ts, to.Message.Time)
	if fault != nil {
		to.Message.Faults = append(to.Message.Faults, *fault)
		return
	}
	to.PointTime, to.Dated = sent, true
	to.Message.Sent = sent.Truncate(time.Millisecond)
}

// member is the last value of a name in a valid object; nil: there is none.
func member(object []byte, name string) (value jsonobject.Value) {
	v, ok := jsonobject.Parse(object)
	if !ok {
		return nil
	}
	members := v.Members()
	for {
		n, v, ok := members.Next()
		if !ok {
			return value
		}
		if n.Is(name) {
			value = v
		}
	}
}

// takeInteger removes a reserved key and returns its value, or 0 if the key is
// not there.
func takeInteger(data map[string]any, key string, least float64) (int64, *Refused) {
	v, ok := data[key]
	if !ok {
		return 0, nil
	}
	delete(data, key)
	f, ok := v.(float64)
	if !ok || f < least || f > maxInteger || f != float64(int64(f)) {
		return 0, Refuse(ReasonBadPayload, "%s: expected an integer from %.0f to %d", key, least, int64(maxInteger))
	}
	return int64(f), nil
}

// depth is how deep brackets nest, outside strings. It is read before the
// payload is decoded because decoding is what must be protected.
func depth(payload []byte) int {
	deepest, now := 0, 0
	inString := false
	for i := 0; i < len(payload); i++ {
		switch c := payload[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			now++
			deepest = max(deepest, now)
		case c == '}' || c == ']':
			now--
		}
	}
	return deepest
}

// digest identifies an unnumbered message of a device over restarts of the
// bridge: 16 hexadecimal digits of a SHA-256.
func digest(channel device.Channel, name string, object []byte, place int) string {
	h := sha256.New()
	h.Write([]byte(channel))
	h.Write([]byte{0})
	h.Write([]byte(name))
	h.Write([]byte{0})
	h.Write([]byte(strconv.Itoa(place)))
	h.Write([]byte{0})
	h.Write(object)
	var sum [sha256.Size]byte
	return hex.EncodeToString(h.Sum(sum[:0])[:8])
}

// reports reports whether an update of a shadow has reported properties. What is
// not JSON has none; the twin rejects it.
func reports(payload []byte) bool {
	var update struct {
		State struct {
			Reported map[string]json.RawMessage `json:"reported"`
		} `json:"state"`
	}
	return json.Unmarshal(payload, &update) == nil && update.State.Reported != nil
}
