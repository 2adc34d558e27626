package service

import (
	"devicetwin/bridge"
	"devicetwin/device"
	"devicetwin/points"
)

// reportRefusals makes faults of their devices of what did not get into InfluxDB as it
// was sent. The writer may outlive the bridge.
func reportRefusals(of bridge.PointWriter, to interface{ Report(device.ID, device.Fault) }) {
	writer, ok := of.(*points.Writer)
	if !ok {
		return // nothing is written
	}
	writer.OnRefused(func(r points.Refusal) {
		if id, err := device.Parse(r.Device); err == nil {
			to.Report(id, faultOf(r))
		}
	})
}

// faultOf is a refusal in the words of devices. All readings are telemetry.
func faultOf(r points.Refusal) device.Fault {
	f := device.Fault{
		Topic: device.Message{Channel: device.ChannelTelemetry}.Topic(), Reason: device.FaultPoint, Detail: r.Detail, Value: r.Value,
	}
	if r.Reason == points.RefusedFields {
		f.Reason = device.FaultTooManyFields
	}
	if r.Count > 1 {
		f.Count = r.Count
	}
	return f
}
