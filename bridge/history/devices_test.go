package history

import (
	"slices"
	"testing"

	"devicetwin/device"
	"devicetwin/wire"
)

func TestDevicesOfAnArrival(t *testing.T) {
	message := func(id device.ID) Message {
		return Message{Received: wire.Received{ID: id, Object: []byte(`{"a":1}`)}, Measurement: "pump"}
	}
	a := Arrival{Origin: "x", Payload: []byte(`[{"a":1},{"a":1}]`), Messages: []Message{message("a"), message("b"), message("a")}}
	a.Outgoing = []Outgoing{{ID: "c", Message: device.Message{Channel: device.ChannelSystem, Data: map[string]any{"x": 1.0}}}, {ID: "b", Of: 2}}
	data := a.Append(nil)
	ids, err := Devices(data)
	if want := []device.ID{"a", "b", "c"}; err != nil || !slices.Equal(ids, want) {
		t.Errorf("%v, %v; want %v", ids, err, want)
	}
	for n := range data {
		if ids, err := Devices(data[:n]); err == nil {
			t.Fatalf("%d of %d bytes: %v", n, len(data), ids)
		}
	}
	data[0] = 99
	if _, err := Devices(data); err == nil {
		t.Error("another version was read")
	}
}
