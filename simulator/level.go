package simulator

import (
	"strings"

	"devicetwin/device"
)

// crossing watches one device's telemetry for messages that cross the level. Like
// the matcher it knows nothing of the model, so that an analysis that takes such a
// message for a repetition shows as a loss.
type crossing struct {
	level Level
	over  bool
}

// take reports whether the message crosses the level.
func (c *crossing) take(m device.Message) bool {
	v, ok := fieldOf(m.Data, c.level.Field).(float64)
	if !ok || c.level.Field == "" || m.Channel != device.ChannelTelemetry {
		return false
	}
	crosses := !c.over && v > c.level.Above || c.over && v < c.level.Below
	if crosses {
		c.over = !c.over
	}
	return crosses
}

// fieldOf is the value of a field: of a name with dots, that of a member of objects.
func fieldOf(data map[string]any, name string) any {
	for {
		if v, ok := data[name]; ok {
			return v
		}
		outer, rest, ok := strings.Cut(name, ".")
		if !ok {
			return nil
		}
		data, _ = data[outer].(map[string]any)
		name = rest
	}
}
