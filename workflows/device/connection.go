package device

import (
	"fmt"

	"devicetwin/device"
)

// checkStatus reports a message on the status topic that says neither that the device
// is online nor that it is offline, unless a rule of the model knows it.
func (d *run) checkStatus(m device.Message) {
	if m.Says() != device.ConnectionUnknown {
		return
	}
	if _, known := d.classify(m); known {
		return
	}
	f := device.Fault{At: m.Time, Topic: m.Topic(), Reason: device.FaultUnknownStatus}
	switch status := m.Data["status"].(type) {
	case nil:
		f.Detail = "expected a status; found none"
	case string:
		f.Detail = "expected a status word, or a rule of the model that knows this one"
	default:
		f.Detail = fmt.Sprintf("expected a status word; found %s", kindOf(status))
	}
	f.Value = valueText(m.Data, "status")
	d.report(f)
}

// kindOf names the type of a decoded JSON value for people.
func kindOf(v any) string {
	switch v.(type) {
	case bool:
		return "a boolean"
	case float64:
		return "a number"
	case []any:
		return "an array"
	}
	return "an object"
}
