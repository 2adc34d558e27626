package dialect

import (
	"errors"
	"time"

	"devicetwin/device"
	"devicetwin/internal/text"
	"devicetwin/wire"
)

// configured is the dialect under the limits of a configuration.
func (d *Dialect) configured(c wire.Config) *Dialect {
	configured := *d
	configured.limits = limits{c.MaxPayload, c.MaxObjects}
	configured.clock = wire.Clock{MaxAhead: c.MaxClockAhead, MaxBehind: c.MaxClockBehind}
	configured.mine = c.Mine
	return &configured
}

// limits are those of one payload.
type limits struct{ payload, objects int }

// arrival is a message that was received.
type arrival struct {
	dialect *Dialect
	payload []byte
	dup     bool
	at      time.Time
}

// decode reads a message on a topic of a rule. Of one that is mapped to nothing, the error is
// wire.ErrUnmapped.
func (d *Dialect) decode(r *rule, values []string, topic string, payload []byte, dup bool, at time.Time) ([]wire.Received, error) {
	if r.ignored() || len(payload) == 0 { // without a payload, a retained message is cleared
		return nil, wire.ErrNotInput
	}
	s := &scope{rule: r, values: values}
	if len(payload) > d.limits.payload {
		return nil, d.attribute(s, topic, wire.Refuse(wire.ReasonTooLarge, "%d bytes, the limit is %d", len(payload), d.limits.payload))
	}
	received, err := r.decode(s, arrival{d, payload, dup, at})
	if err != nil {
		return nil, d.attribute(s, topic, err)
	}
	return d.own(received)
}

// attribute adds to a refusal whose message it is, where the topic says so, and whether
// it shows that the device is up: what is a device's own does, except for a last will.
func (d *Dialect) attribute(s *scope, topic string, err error) error {
	refused := (*wire.Refused)(nil)
	if !errors.As(err, &refused) {
		return err
	}
	for _, s.of = range s.rule.messages {
		if len(s.of.vars) > 0 || s.of.each != nil {
			continue
		}
		if id, err := s.of.id.fill(s.text); err == nil {
			if d.mine != nil && !d.mine(id.Name()) {
				return wire.ErrForeign
			}
			refused.ID, refused.Topic, refused.Alive = id, text.Clip(topic, maxRefusedTopic), s.of.channel != device.ChannelStatus
			break
		}
	}
	return err
}

// maxRefusedTopic bounds wire.Refused.Topic, in bytes.
const maxRefusedTopic = 128

// own are those of devices that are Config.Mine.
func (d *Dialect) own(received []wire.Received) ([]wire.Received, error) {
	if len(received) == 0 {
		return nil, wire.ErrUnmapped
	}
	if d.mine == nil {
		return received, nil
	}
	kept := received[:0]
	for _, r := range received {
		if d.mine(r.ID.Name()) {
			kept = append(kept, r)
		}
	}
	if len(kept) == 0 {
		return nil, wire.ErrForeign
	}
	return kept, nil
}

// values are those of the variables in a topic; false: it is not one of the rule's.
func (r *rule) values(topic string) ([]string, bool) {
	var few [4]string
	values := few[:len(r.topic.names):len(few)]
	if len(r.topic.names) > len(few) {
		values = make([]string, len(r.topic.names))
	}
	if !r.topic.match(topic, values) {
		return nil, false
	}
	return append([]string(nil), values...), true
}
