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
func (s standardSpeech) Names() bool   { return true }

func (s standardSpeech) Owns(prefix, topic string) bool {
	return strings.HasPrefix(topic, strings.TrimSuffix(s.dialect.Topic(device.ID(prefix), device.ChannelStatus, ""), "/status"))
}

type standardVoice struct {
	dialect *wire.Standard
	id      device.ID
	bare    bool // without numbers
}

func (v standardVoice) Say(m device.Message, ts time.Time) ([]Utterance, error) {
	u, err := v.utter(m, ts)
	return []Utterance{u}, err
}

func (v standardVoice) Will() (Utterance, error) {
	m := device.Message{Channel: device.ChannelStatus, Data: map[string]any{"status": "offline"}, Time: time.Now()}
	return v.utter(m, time.Time{})
}

// utter writes a message, with that by which the service knows one without a number.
func (v standardVoice) utter(m device.Message, ts time.Time) (Utterance, error) {
	topic, payload, err := v.dialect.EncodeMessage(v.id, m, ts)
	if err != nil {
		return Utterance{}, err
	}
	if v.bare {
		read, err := v.dialect.Decode(topic, payload, false, m.Time)
		if err != nil {
			return Utterance{}, fmt.Errorf("read the device's own message: %w", err)
		}
		m.Digest = read[0].Message.Digest
	}
	return Utterance{Topic: topic, Payload: payload, Means: []device.Message{m}}, nil
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
