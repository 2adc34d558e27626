package wire

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"devicetwin/device"
	"devicetwin/internal/jsonobject"
)

// Received is one message of a device. Its Data and Digest may be missing until
// Complete is called: see Config.Lazy.
type Received struct {
	ID      device.ID
	Message device.Message
	// Object is the message as it was encoded, if it is a JSON object: part of the
	// payload. It includes the members ReservedKeys.
	Object []byte
	// PointTime is the time of the message's point, if it is telemetry: the
	// device's own, if it gives one that can be believed, as exact as it is; else that
	// of the arrival. Several messages may have the same.
	PointTime time.Time
	// Dated says that PointTime is the device's.
	Dated bool

	Place int // of the object in its payload, from 0
	// Named is the id that its sender gave it; "" without one. See SetSenderID.
	Named string
}

// SetSenderID takes over the id that the sender gave the message. Messages of two channels, or
// with two names, are different ones, also with one id. "": it has no id.
func (r *Received) SetSenderID(id string) {
	if r.Named = id; id != "" {
		r.Message.SenderID = digest(r.Message.Channel, r.Message.Name, []byte(id), 0)
	}
}

// SetSent takes over the device's own time.
func (r *Received) SetSent(t time.Time) {
	r.PointTime, r.Dated = t, true
	r.Message.Sent = t.Truncate(time.Millisecond)
}

// Complete decodes the data of the message, and makes its digest.
func (r *Received) Complete() {
	if r.Message.Data == nil && r.Object != nil {
		r.Message.Data = r.decode()
	}
	r.Identify()
}

// decode is the data of a valid object.
func (r *Received) decode() map[string]any {
	var data map[string]any
	if err := json.Unmarshal(r.Object, &data); err != nil {
		return map[string]any{} // it was valid when it was received
	}
	for _, key := range reservedKeys {
		delete(data, key)
	}
	return data
}

// Identify makes the digest of a message that has no number.
func (r *Received) Identify() {
	if m := &r.Message; m.Seq == 0 && m.Digest == "" && r.Object != nil { // equal objects of one array are different messages
		m.Digest = digest(m.Channel, m.Name, r.Object, r.Place)
	}
}

// Select decodes the members of the message's data that have one of the names, into
// a map that has nothing else. It is false if the data is not to be had so, and has to be
// complete.
func (r *Received) Select(names map[string]bool, into map[string]any) bool {
	if r.Message.Data != nil || r.Object == nil {
		return false
	}
	members := jsonobject.Value(r.Object).Members()
	for {
		name, value, ok := members.Next()
		if !ok {
			return true
		}
		if key := name.Raw(); names[string(key)] && !slices.Contains(reservedKeys, string(key)) {
			into[string(key)] = value.Decoded()
		}
	}
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
