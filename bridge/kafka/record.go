package kafka

import (
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"devicetwin/device"
	"devicetwin/wire"
)

// Records reads records by dialects; *dialect.Records is it.
type Records interface {
	// Topics are those that are read.
	Topics() []string
	// Name is what a record is published on, as dialects read it.
	Name(topic string, key []byte) string
	// Decode reads a record with a value: see wire.Dialect.
	Decode(name string, value []byte, again bool, at time.Time) ([]wire.Received, error)
	// Entity is that which the name says.
	Entity(name string) (device.ID, error)
}

// EventDeleted is the name of the event that a record without a value is.
const EventDeleted = "deleted"

// read makes the messages of a record. The time of those that have none of their own is that of
// the record, as far as it can be believed.
func (s *Source) read(r *kgo.Record, again bool, at time.Time) (name string, received []wire.Received, err error) {
	name = s.records.Name(r.Topic, r.Key)
	if len(r.Value) == 0 {
		received, err = s.deletion(name, again, at)
	} else {
		received, err = s.records.Decode(name, r.Value, again, at)
	}
	sent := r.Timestamp.UTC()
	if err != nil || s.clock.Doubt(sent, at) != "" {
		return name, received, err
	}
	for i := range received {
		if !received[i].Dated {
			received[i].SetSent(sent)
		}
	}
	return name, received, nil
}

var noMembers = []byte("{}")

// deletion is the event of a record without a value.
func (s *Source) deletion(name string, again bool, at time.Time) ([]wire.Received, error) {
	id, err := s.records.Entity(name)
	if err != nil {
		return nil, err
	}
	r := wire.Received{
		ID: id, Object: noMembers, PointTime: at,
		Message: device.Message{Channel: device.ChannelEvents, Name: EventDeleted, Data: map[string]any{}, Time: at, Redelivered: again},
	}
	r.Identify()
	return []wire.Received{r}, nil
}
