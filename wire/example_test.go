package wire_test

import (
	"errors"
	"fmt"
	"time"

	"devicetwin/wire"
)

func ExampleStandard_Decode() {
	dialect, err := wire.New(wire.DefaultConfig())
	if err != nil {
		panic(err)
	}
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	received, err := dialect.Decode("devices/pump-1/telemetry", []byte(`[{"epoch":1,"seq":7,"t":20.5},{"epoch":1,"seq":8,"t":21}]`), false, at)
	for _, r := range received {
		fmt.Println(r.ID, r.Message.Channel, r.Message.Seq, r.Message.Data["t"], err)
	}
	_, err = dialect.Decode("devices/pump-1/telemetri", []byte(`{}`), false, at)
	var refused *wire.Refused
	fmt.Println(errors.As(err, &refused), refused.Reason)
	// Output:
	// pump-1 telemetry 7 20.5 <nil>
	// pump-1 telemetry 8 21 <nil>
	// true bad_topic
}

func ExampleStandard_Encode() {
	dialect, err := wire.New(wire.DefaultConfig())
	if err != nil {
		panic(err)
	}
	sending, err := dialect.Encode("pump-1", nil, wire.Command{ID: "c-1", Name: "reboot", At: time.UnixMilli(1772366400000)})
	for _, p := range sending.Publications {
		fmt.Println(p.Topic, string(p.Payload), err)
	}
	// Output: devices/pump-1/commands/reboot {"id":"c-1","name":"reboot","ts":1772366400000} <nil>
}
