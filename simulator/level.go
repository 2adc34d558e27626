package simulator

import "devicetwin/device"

// crossing watches one device's telemetry for messages that cross the level. Like
// the matcher it knows nothing of the model, so that an analysis that takes such a
// message for a repetition shows as a loss.
type crossing struct {
	level Level
	over  bool
}

// take reports whether the message crosses the level.
func (c *crossing) take(m device.Message) bool {
	v, ok := m.Data[c.level.Field].(float64)
	if !ok || c.level.Field == "" || m.Channel != device.ChannelTelemetry {
		return false
	}
	crosses := !c.over && v > c.level.Above || c.over && v < c.level.Below
	if crosses {
		c.over = !c.over
	}
	return crosses
}
