package history

import (
	"encoding/json"
	"fmt"
	"slices"

	"devicetwin/device"
)

// Devices returns the devices of the data of a record of KindArrival, each once, without
// decoding more of it.
func Devices(data []byte) (ids []device.ID, err error) {
	r := &reader{data: data}
	payload := r.opening().payload
	add := func(id []byte) {
		if r.err == nil && !slices.Contains(ids, device.ID(id)) {
			ids = append(ids, device.ID(id))
		}
	}
	for range r.count() {
		m := head{payload: payload}
		m.read(r)
		add(m.id)
	}
	for range r.count() {
		r.byte()
		add(r.bytes())
		r.uvarint()
		r.json(new(json.RawMessage))
	}
	if r.err != nil {
		return nil, fmt.Errorf("arrival: %w", r.err)
	}
	return ids, nil
}
