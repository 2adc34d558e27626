package bridge

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
	"devicetwin/internal/text"
)

// maxInteger is the largest integer that every JSON implementation keeps
// exactly (RFC 8259, section 6).
const maxInteger = 1<<53 - 1

// How far a device's clock may be from ours for its ts to be believed.
const (
	maxClockAhead  = time.Hour
	maxClockBehind = 365 * 24 * time.Hour
)

// payloadLimits bounds what decode accepts.
type payloadLimits struct {
	bytes, depth, objects int
}

// decoded is one object of a payload.
type decoded struct {
	message device.Message
	// gap stands before the message if numbers are missing there.
	gap               *device.Message
	signal, signalGap bool // as the model says
	settled           bool // not to be signalled, and perhaps only because it repeats another
	// at is the time of its point: the device's ts if there is one and it is
	// believable, else the time of arrival.
	at time.Time
}

// decode turns a payload, a JSON object or an array of objects, into messages.
// It takes epoch, seq and ts out of the data. One bad object refuses the whole
// payload: applying half of it would leave no trace of the other half.
func decode(a address, payload []byte, redelivered bool, at time.Time, limits payloadLimits) ([]decoded, *refusal) {
	if len(payload) > limits.bytes {
		return nil, refuse(ReasonTooLarge, "%d bytes, the limit is %d", len(payload), limits.bytes)
	}
	if !utf8.Valid(payload) {
		return nil, refuse(ReasonBadPayload, "not valid UTF-8")
	}
	payload = bytes.TrimSpace(payload)
	if len(payload) == 0 {
		return nil, refuse(ReasonBadPayload, "empty: expected a JSON object or an array of objects")
	}
	if depth(payload) > limits.depth {
		return nil, refuse(ReasonBadPayload, "nested deeper than %d", limits.depth)
	}
	objects, ref := split(payload, limits.objects)
	if ref != nil {
		return nil, ref
	}
	out := make([]decoded, len(objects))
	for i, object := range objects {
		if out[i], ref = decodeObject(a, object, redelivered, at); ref != nil {
			if payload[0] == '[' {
				ref.detail = fmt.Sprintf("object %d of %d: %s", i+1, len(objects), ref.detail)
			}
			return nil, ref
		}
		if out[i].message.Seq == 0 {
			// Equal objects of one array are different messages.
			out[i].message.Digest = digest(a, object, i)
		}
	}
	return out, nil
}

// split returns the texts of the objects in a payload.
func split(payload []byte, limit int) ([]json.RawMessage, *refusal) {
	switch payload[0] {
	case '{':
		return []json.RawMessage{payload}, nil
	case '[':
	default:
		return nil, refuse(ReasonBadPayload, "expected a JSON object or an array of objects, found %q", text.Clip(string(payload), 40))
	}
	var objects []json.RawMessage
	if err := json.Unmarshal(payload, &objects); err != nil {
		return nil, refuse(ReasonBadPayload, "not JSON: %v", err)
	}
	if len(objects) == 0 {
		return nil, refuse(ReasonBadPayload, "empty array: expected objects")
	}
	if len(objects) > limit {
		return nil, refuse(ReasonBadPayload, "array of %d objects, the limit is %d", len(objects), limit)
	}
	return objects, nil
}

func decodeObject(a address, object json.RawMessage, redelivered bool, at time.Time) (decoded, *refusal) {
	if object[0] != '{' {
		return decoded{}, refuse(ReasonBadPayload, "expected a JSON object, found %q", text.Clip(string(object), 40))
	}
	var data map[string]any
	if err := json.Unmarshal(object, &data); err != nil {
		return decoded{}, refuse(ReasonBadPayload, "not JSON: %v", err)
	}
	d := decoded{at: at, message: device.Message{
		Channel: a.channel, Name: a.name, Data: data, Time: at, Redelivered: redelivered,
	}}
	epoch, ref := takeInteger(data, "epoch", 0)
	if ref != nil {
		return decoded{}, ref
	}
	seq, ref := takeInteger(data, "seq", 1)
	if ref != nil {
		return decoded{}, ref
	}
	if epoch > 0 && seq == 0 {
		return decoded{}, refuse(ReasonBadPayload, "epoch without seq")
	}
	d.message.Epoch, d.message.Seq = epoch, uint64(seq)
	if ts, ok := data["ts"].(float64); ok {
		d.at = believable(ts, at)
	}
	delete(data, "ts")
	return d, nil
}

// takeInteger removes a reserved key and returns its value, or 0 if the key is
// not there.
func takeInteger(data map[string]any, key string, least float64) (int64, *refusal) {
	v, ok := data[key]
	if !ok {
		return 0, nil
	}
	delete(data, key)
	f, ok := v.(float64)
	if !ok || f < least || f > maxInteger || f != float64(int64(f)) {
		return 0, refuse(ReasonBadPayload, "%s: expected an integer from %.0f to %d", key, least, int64(maxInteger))
	}
	return int64(f), nil
}

// believable is the device's time in Unix milliseconds, or the time of arrival
// if the device's clock must be wrong.
func believable(ms float64, arrival time.Time) time.Time {
	if ms < 0 || ms > maxInteger {
		return arrival
	}
	t := time.UnixMilli(int64(ms)).UTC()
	if t.After(arrival.Add(maxClockAhead)) || t.Before(arrival.Add(-maxClockBehind)) {
		return arrival
	}
	return t
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
func digest(a address, object []byte, index int) string {
	h := sha256.New()
	h.Write([]byte(a.channel))
	h.Write([]byte{0})
	h.Write([]byte(a.name))
	h.Write([]byte{0})
	h.Write([]byte(strconv.Itoa(index)))
	h.Write([]byte{0})
	h.Write(object)
	var sum [sha256.Size]byte
	return hex.EncodeToString(h.Sum(sum[:0])[:8])
}

// pointTime is the time of a message's point. A device's clock counts
// milliseconds; below that, the message's number, or its place in the array,
// keeps points of one millisecond apart, which would otherwise replace one
// another, and gives a repeated message its old point again.
func pointTime(o decoded, index int) time.Time {
	part := uint64(index)
	if o.message.Seq > 0 {
		part = o.message.Seq % 1_000_000
	}
	return o.at.Add(time.Duration(part))
}
