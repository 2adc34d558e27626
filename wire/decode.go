package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"devicetwin/device"
	"devicetwin/internal/jsonobject"
	"devicetwin/internal/text"
)

// MaxInteger is the largest integer that every JSON implementation keeps
// exactly (RFC 8259, section 6).
const MaxInteger = 1<<53 - 1

// decodePayload turns a payload, a JSON object or an array of objects, into
// messages. It takes epoch, seq and ts out of the data. One bad object refuses the
// whole payload: applying half of it would leave no trace of the other half.
func (s *Standard) decodePayload(a address, payload []byte, dup bool, at time.Time) ([]Received, *Refused) {
	if len(payload) > s.cfg.MaxPayload {
		return nil, Refuse(ReasonTooLarge, "%d bytes, the limit is %d", len(payload), s.cfg.MaxPayload)
	}
	if !utf8.Valid(payload) {
		return nil, notUTF8(payload)
	}
	payload = bytes.TrimSpace(text.WithoutMark(payload))
	if len(payload) == 0 && a.channel == device.ChannelEvents {
		payload = []byte("{}") // an event needs no data
	}
	if len(payload) == 0 {
		return nil, Refuse(ReasonBadPayload, "empty: expected a JSON object or an array of objects")
	}
	if brackets(payload) > s.cfg.MaxDepth && depth(payload) > s.cfg.MaxDepth {
		return nil, Refuse(ReasonBadPayload, "nested deeper than %d", s.cfg.MaxDepth)
	}
	if payload[0] == '{' {
		out := make([]Received, 1)
		if refused := s.decodeObject(&out[0], a, payload, 0, dup, at); refused != nil {
			return nil, refused
		}
		return out, nil
	}
	objects, refused := split(payload, s.cfg.MaxObjects)
	if refused != nil {
		return nil, refused
	}
	out := make([]Received, len(objects))
	for i, object := range objects {
		if refused := s.decodeObject(&out[i], a, object, i, dup, at); refused != nil {
			refused.Detail = fmt.Sprintf("object %d of %d: %s", i+1, len(objects), refused.Detail)
			return nil, refused
		}
	}
	return out, nil
}

func notUTF8(payload []byte) *Refused {
	if found := text.MarkOfUTF16(payload); found != "" {
		return Refuse(ReasonBadPayload, "not valid UTF-8: %s", found)
	}
	return Refuse(ReasonBadPayload, "not valid UTF-8")
}

// split returns the encoded objects in an array.
func split(payload []byte, limit int) ([]json.RawMessage, *Refused) {
	if payload[0] != '[' {
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

// decodeObject reads the object at a place of the payload. It scans the object, and
// leaves its data to Received.Complete.
func (s *Standard) decodeObject(to *Received, a address, object []byte, place int, dup bool, at time.Time) *Refused {
	if object[0] != '{' {
		return Refuse(ReasonBadPayload, "expected a JSON object, found %q", text.Clip(string(object), 40))
	}
	v, ok := jsonobject.Parse(object)
	if !ok {
		return notJSON(object)
	}
	keys := reservedIn(v)
	epoch, refused := keys.epoch.integer("epoch", 0)
	if refused != nil {
		return refused
	}
	seq, refused := keys.seq.integer("seq", 1)
	if refused != nil {
		return refused
	}
	if epoch > 0 && seq == 0 {
		return Refuse(ReasonBadPayload, "epoch without seq")
	}
	to.ID, to.Object, to.Place, to.PointTime = a.id, object, place, at
	m := &to.Message
	m.Channel, m.Name, m.Time, m.Epoch, m.Seq, m.Redelivered = a.channel, a.name, at, epoch, uint64(seq), dup
	if keys.ts != nil {
		s.setTime(to, jsonobject.Value(keys.ts))
	}
	switch {
	case a.channel == device.ChannelStatus:
		to.Complete()
		m.Connection = s.cfg.StatusWords.Connection(m.Data["status"])
	case !s.cfg.Lazy || a.channel == device.ChannelAck:
		to.Complete()
	}
	return nil
}

// notJSON is the refusal of an object that cannot be decoded. Why is what
// encoding/json says.
func notJSON(object []byte) *Refused {
	var data map[string]any
	err := json.Unmarshal(object, &data)
	if err == nil {
		err = errors.New("it cannot be read") // the two agree: see FuzzDecode
	}
	return Refuse(ReasonBadPayload, "not JSON: %v", err)
}

// setTime takes over the device's own time, or reports why not.
func (s *Standard) setTime(to *Received, ts jsonobject.Value) {
	sent, fault := s.cfg.sentTime(ts, to.Message.Time)
	if fault != nil {
		to.Message.Faults = append(to.Message.Faults, *fault)
		return
	}
	to.SetSent(sent)
}

// reserved are the values of the reserved keys of an object; nil: it does not have
// the key. The last one counts, as everywhere in JSON.
type reserved struct{ epoch, seq, ts reservedValue }

type reservedValue jsonobject.Value

func reservedIn(object jsonobject.Value) (r reserved) {
	members := object.Members()
	for {
		name, value, ok := members.Next()
		if !ok {
			return r
		}
		switch string(name.Raw()) {
		case "epoch":
			r.epoch = reservedValue(value)
		case "seq":
			r.seq = reservedValue(value)
		case "ts":
			r.ts = reservedValue(value)
		}
	}
}

// integer is the value of a reserved key, or 0 if the key is not there.
func (v reservedValue) integer(key string, least int64) (int64, *Refused) {
	if v == nil {
		return 0, nil
	}
	n, ok := jsonobject.Value(v).Integer()
	if !ok && jsonobject.Value(v).Kind() == jsonobject.Number {
		f := jsonobject.Value(v).Number() // such as 1.0 and 1e3
		if ok = 0 <= f && f <= MaxInteger && f == float64(int64(f)); ok {
			n = int64(f)
		}
	}
	if !ok || n < least {
		return 0, Refuse(ReasonBadPayload, "%s: expected an integer from %d to %d", key, least, int64(MaxInteger))
	}
	return n, nil
}

// brackets is how many there are that open. No payload nests deeper.
func brackets(payload []byte) int {
	return bytes.Count(payload, []byte("{")) + bytes.Count(payload, []byte("["))
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
