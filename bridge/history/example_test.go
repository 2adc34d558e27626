package history_test

import (
	"fmt"
	"time"

	"devicetwin/bridge/history"
	"devicetwin/device"
	"devicetwin/wire"
)

func ExampleArrival() {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	payload := []byte(`{"seq":7,"temperature":95}`)
	arrival := history.Arrival{
		Stream: "mqtt", Origin: "devices/pump-7/telemetry", At: at, Payload: payload,
		Messages: []history.Message{{
			Received: wire.Received{ID: "pump-7", Object: payload, PointTime: at, Message: device.Message{Channel: device.ChannelTelemetry, Time: at, Seq: 7}},
			Verdict:  history.Repeated, Measurement: "pump", Point: at,
		}},
	}
	read, err := history.ReadArrival(arrival.Append(nil), at) // the time is that of its record
	if err != nil {
		panic(err)
	}
	m := read.Messages[0]
	fmt.Printf("%s: message %d of %s is %s: %s\n", read.Origin, m.Message.Seq, m.ID, m.Verdict, m.Object)
	// Output:
	// devices/pump-7/telemetry: message 7 of pump-7 is repeated: {"seq":7,"temperature":95}
}
