package wire

import (
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"devicetwin/device"
)

// commandPayload is a command as the device reads it.
type commandPayload struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	// TS is when the command was decided, and TTLMillis its time to
	// live; both in milliseconds, TS since 1970.
	TS        int64 `json:"ts"`
	TTLMillis int64 `json:"ttl_ms,omitempty"`
	Data      any   `json:"data,omitempty"`
}

// Encode is as in Dialect: the command goes to {prefix}/{id}/commands/{name}, and that of an entity that
// is not a device below Config.EntityTopics.
func (s *Standard) Encode(id device.ID, to *device.Address, c Command) (Sending, error) {
	if to != nil {
		return Sending{}, UnknownDialect(id, to)
	}
	payload, err := json.Marshal(commandPayload{
		ID: c.ID, Name: c.Name, TS: c.At.UnixMilli(), TTLMillis: c.TTL.Milliseconds(), Data: c.Data,
	})
	if err != nil {
		return Sending{}, Refuse(ReasonBadPayload, "encode command %s (%s) for device %s: %v", c.Name, c.ID, id, err)
	}
	if id.Kind() != device.KindDevice {
		return s.encodeToEntity(id, c.Name, payload), nil
	}
	topic := s.topic(address{id: id, command: true, name: c.Name})
	return Sending{Publications: []Publication{{Topic: topic, QoS: 1, Payload: payload}}}, nil
}

// EncodeDesired is as in Dialect: devices read the shadow's own topics.
func (s *Standard) EncodeDesired(id device.ID, to *device.Address, _ []byte) ([]Publication, error) {
	if to != nil {
		return nil, UnknownDialect(id, to)
	}
	return nil, nil
}

// Questions is as in Dialect: there are none.
func (s *Standard) Questions(device.ID, *device.Address) []Publication { return nil }

// Opening is as in Dialect: there is none.
func (s *Standard) Opening() []Publication { return nil }

// DecodeCommand reads what Encode wrote, as the device does. A command must have
// an id.
func (s *Standard) DecodeCommand(topic string, payload []byte) (device.ID, Command, error) {
	a, refused := s.parse(topic)
	if refused != nil || !a.command {
		return "", Command{}, fmt.Errorf("read command %s: not the topic of a command", topic)
	}
	var read struct {
		commandPayload
		Data json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(payload, &read); err != nil {
		return "", Command{}, fmt.Errorf("read command %s: %w", topic, err)
	}
	if read.ID == "" {
		return "", Command{}, fmt.Errorf("read command %s: it has no id", topic)
	}
	c := Command{ID: read.ID, Name: a.name, TTL: time.Duration(read.TTLMillis) * time.Millisecond, Data: read.Data}
	if read.TS != 0 {
		c.At = time.UnixMilli(read.TS)
	}
	return a.id, c, nil
}

// EncodeMessage writes a message as the device publishes it: its data with its
// number and the device's own time, if it gives one.
func (s *Standard) EncodeMessage(id device.ID, m device.Message, ts time.Time) (topic string, payload []byte, err error) {
	all := make(map[string]any, len(m.Data)+3)
	maps.Copy(all, m.Data)
	if m.Seq != 0 {
		all["epoch"], all["seq"] = m.Epoch, m.Seq
	}
	if !ts.IsZero() {
		all["ts"] = ts.UnixMilli()
	}
	if payload, err = json.Marshal(all); err != nil {
		return "", nil, fmt.Errorf("encode message %d/%d of device %s: %w", m.Epoch, m.Seq, id, err)
	}
	return s.Topic(id, m.Channel, m.Name), payload, nil
}
