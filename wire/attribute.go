package wire

import (
	"strings"

	"devicetwin/internal/text"
)

// attribute adds to a refusal whose message it is, where the topic says so, and
// whether it shows that the device is up.
//
// Only a device publishes below its own topics, so what cannot be read there shows
// that it is up, with two exceptions: a topic that is not one of a device's may be
// anybody's, and a last will is published by the broker. A payload on the status
// topic with a word for offline in it may be one.
func (s *Standard) attribute(r *Refused, topic string, payload []byte) *Refused {
	rest, ok := strings.CutPrefix(topic, s.cfg.Prefix+"/")
	if !ok {
		return r
	}
	name, below, _ := strings.Cut(rest, "/")
	id, err := s.idOf(name)
	if err != nil {
		return r
	}
	r.ID, r.Topic = id, text.Clip(below, maxRefusedTopic)
	switch channel, name, _ := strings.Cut(below, "/"); channel {
	case "telemetry":
		r.Alive = name == ""
	case "status":
		r.Alive = name == "" && !s.cfg.StatusWords.OfflineIn(string(payload[:min(len(payload), s.cfg.MaxPayload)]))
	case "events":
		r.Alive = true
	case "commands":
		r.Alive = strings.HasSuffix(below, "/ack")
	}
	return r
}

// maxRefusedTopic bounds Refused.Topic, in bytes: the longest that a device may use
// is shorter.
const maxRefusedTopic = 128
