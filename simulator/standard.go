package simulator

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"devicetwin/device"
	"devicetwin/wire"
)

// Standard is the speech of devices that were made for the service.
func Standard(dialect *wire.Standard) Speech { return standardSpeech{dialect} }

type standardSpeech struct{ dialect *wire.Standard }

func (s standardSpeech) Voice(id device.ID, i Identity) Voice {
	return standardVoice{dialect: s.dialect, id: id, bare: i.Unnumbered}
}

func (s standardSpeech) Numbers() bool { return true }
func (s standardSpeech) Times() bool   { return true }

func (s standardSpeech) Owns(prefix, topic string) bool {
	return strings.HasPrefix(topic, strings.TrimSuffix(s.dialect.Topic(device.ID(prefix), device.ChannelStatus, ""), "/status"))
}

type standardVoice struct {
	dialect *wire.Standard
	id      device.ID
	bare    bool // without numbers
}

func (v standardVoice) Say(m device.Message, ts time.Time) ([]Utterance, error) {
	topic, payload, err := v.dialect.EncodeMessage(v.id, m, ts)
	if err != nil {
		return nil, err
	}
	u, err := v.identified(Utterance{Topic: topic, Payload: payload, Means: []device.Message{m}}, m.Time)
	return []Utterance{u}, err
}

func (v standardVoice) Will() (Utterance, error) {
	m := device.Message{Channel: device.ChannelStatus, Data: map[string]any{"status": "offline"}}
	return v.identified(Utterance{
		Topic: v.dialect.Topic(v.id, m.Channel, ""), Payload: []byte(`{"status":"offline"}`), Means: []device.Message{m},
	}, time.Now())
}

// identified adds that by which the service knows a message without a number.
func (v standardVoice) identified(u Utterance, at time.Time) (Utterance, error) {
	if !v.bare {
		return u, nil
	}
	read, err := v.dialect.Decode(u.Topic, u.Payload, false, at)
	if err != nil {
		return u, fmt.Errorf("read the device's own message: %w", err)
	}
	u.Means[0].Digest = read[0].Message.Digest
	return u, nil
}

func (v standardVoice) Noise(text string) Utterance {
	return Utterance{Topic: v.dialect.Topic(v.id, device.ChannelTelemetry, ""), Payload: []byte(text)}
}

func (v standardVoice) Filter() string { return v.dialect.CommandFilter(v.id) }

func (v standardVoice) Hear(topic string, payload []byte, at time.Time) (Command, error) {
	_, read, err := v.dialect.DecodeCommand(topic, payload)
	if err != nil {
		return Command{}, err
	}
	c := Command{ID: read.ID, Name: read.Name, Issued: read.At, Received: at}
	data := struct {
		Credentials any `json:"credentials"`
	}{&c.Credentials}
	if raw, ok := read.Data.(json.RawMessage); ok && len(raw) > 0 {
		if err := json.Unmarshal(raw, &data); err != nil {
			return Command{}, fmt.Errorf("read command %s: %w", topic, err)
		}
	}
	return c, nil
}

func (v standardVoice) Answer(c Command, status, reason string) []device.Message {
	data := map[string]any{"id": c.ID, "status": status}
	if reason != "" {
		data["reason"] = reason
	}
	return []device.Message{{Channel: device.ChannelAck, Name: c.Name, Data: data}}
}
