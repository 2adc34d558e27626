package device_test

import (
	"errors"
	"fmt"

	"devicetwin/device"
)

func ExampleParse() {
	for _, s := range []string{"pump-7", "site/north", "pump 7"} {
		id, err := device.Parse(s)
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Printf("%s: kind %q, name %q\n", id, id.Kind(), id.Name())
	}
	// Output:
	// pump-7: kind "", name "pump-7"
	// site/north: kind "site", name "north"
	// device id "pump 7": expected ^[a-zA-Z0-9:_-]{1,128}$
}

func ExampleRefuse() {
	change := func() error { return device.Refuse(409, "the shadow has version %d", 4) }

	err := fmt.Errorf("set the interval of pump-7: %w", change())
	var refused *device.Refused
	if errors.As(err, &refused) {
		fmt.Println(refused.Code, refused.Message)
	}
	// Output:
	// 409 the shadow has version 4
}

func ExampleCheckTags() {
	fmt.Println(device.CheckTags(map[string]string{"site": "north hall", "floor": ""}))
	// Output:
	// value of tag "floor": expected 1 to 128 bytes without control characters
}

func ExampleMessage_Alive() {
	birth := device.Message{Channel: device.ChannelStatus, Data: map[string]any{"status": "boot"}}
	will := device.Message{Channel: device.ChannelStatus, Data: map[string]any{"status": device.Offline}}
	fmt.Println(birth.Alive(), will.Alive())
	// Output:
	// true false
}
