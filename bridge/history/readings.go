package history

import (
	"fmt"
	"time"

	"devicetwin/device"
)

// Reading is the telemetry of one message.
type Reading struct {
	Measurement string
	ID          device.ID
	Object      []byte // encoded, with wire.ReservedKeys
	At          time.Time
}

// EachReading hands on the telemetry in the data of a record of KindArrival, without
// decoding more of it.
func EachReading(data []byte, yield func(Reading)) error {
	r := &reader{data: data}
	payload := r.opening().payload
	for range r.count() {
		m := head{payload: payload}
		m.read(r)
		if r.err == nil && m.measurement != nil {
			yield(Reading{string(m.measurement), device.ID(m.id), m.object, m.point})
		}
	}
	if r.err != nil {
		return fmt.Errorf("arrival: %w", r.err)
	}
	return nil
}
