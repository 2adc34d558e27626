package device

import "devicetwin/device"

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

// reportExpressions keeps the faults of expressions, with the topic of the message
// that they failed on, if it was one.
func (d *run) reportExpressions(faults []string) {
	topic := ""
	if d.cause.Kind == CauseMessage {
		topic = device.Message{Channel: device.Channel(d.cause.Channel), Name: d.cause.Name}.Topic()
	}
	for _, text := range faults {
		d.report(device.Fault{At: d.state.Snapshot.Time(), Topic: topic, Reason: device.FaultExpression, Detail: text})
	}
}
