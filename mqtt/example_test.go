package mqtt_test

import (
	"fmt"

	"devicetwin/mqtt"
)

func ExampleMatches() {
	fmt.Println(mqtt.Matches("devices/+/telemetry", "devices/pump-1/telemetry"))
	fmt.Println(mqtt.Matches("$share/bridges/devices/#", "devices/pump-1/status"))
	fmt.Println(mqtt.Matches("#", "$SYS/broker/uptime"))
	// Output:
	// true
	// true
	// false
}
