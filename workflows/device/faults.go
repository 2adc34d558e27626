package device

import (
	"encoding/json"
	"time"

	"devicetwin/device"
)

// report keeps a fault of what the device sent, or of the model.
func (d *run) report(f device.Fault) { d.state.report(f) }

// takeFaults keeps what is known to be wrong with a message, and reports whether
// the message is nothing but a report of others.
func (d *run) takeFaults(m device.Message) (only bool) {
	if m.Channel == device.ChannelSystem && m.Name == device.MessageFault {
		for _, f := range m.Faults {
			d.report(f)
		}
		return true
	}
	for _, f := range m.Faults {
		f.At, f.Topic = m.Time, m.Topic()
		d.report(f)
	}
	return false
}

// reportExpressions keeps the faults of expressions, with the topic and the value of
// the message that they failed on, if it was one.
func (d *run) reportExpressions(faults []string, at time.Time) {
	for _, text := range faults {
		f := device.Fault{At: at, Reason: device.FaultExpression, Detail: text}
		if d.cause.Kind == CauseMessage {
			f.Topic = device.Message{Channel: device.Channel(d.cause.Channel), Name: d.cause.Name}.Topic()
			if raw, err := json.Marshal(d.data); err == nil && len(d.data) > 0 {
				f.Value = string(raw)
			}
		}
		d.report(f)
	}
}
