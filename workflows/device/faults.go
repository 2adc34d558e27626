package device

import (
	"encoding/json"
	"slices"
	"time"

	"devicetwin/device"
	"devicetwin/internal/measure"
)

const (
	// faultsEvery is how often mere faults leave for InfluxDB: a device with a broken
	// sensor must not cost an activity for each reading.
	faultsEvery = time.Minute
	// keptFaultPoints bounds the points of faults that wait; of more, the oldest are
	// dropped.
	keptFaultPoints = 32
)

// report counts a fault that the run found in what the device sent, or in the model,
// and keeps it.
func (d *run) report(f device.Fault) {
	if d.counts != nil && !d.replaying() {
		d.counts.fault(f)
	}
	d.keep(f)
}

// keep keeps a fault, and makes a point of it. The same one again in a row only
// counts, also in the point that waits.
func (d *run) keep(f device.Fault) {
	f = f.Clipped()
	d.state.report(f)
	if d.follows(rulesCorners) && len(d.state.Faults) > 0 { // of a run before: the newer ones take their places
		d.state.Faults = slices.Delete(d.state.Faults, 0, 1)
	}
	if !d.follows(rulesMessages) {
		return
	}
	d.state.FaultPoints = device.AppendFault(d.state.FaultPoints, f)
	d.state.FaultPoints = d.state.FaultPoints[max(0, len(d.state.FaultPoints)-keptFaultPoints):]
}

// faultsDue is when the points of faults leave if nothing else does before; ok is
// false if there are none.
func (d *run) faultsDue() (at time.Time, ok bool) {
	return d.state.FaultsLeft.Add(faultsEvery), len(d.state.FaultPoints) > 0
}

// takeFaultPoints returns the points of the faults that wait. How many there were
// before separates those of one reason and one millisecond.
func (d *run) takeFaultPoints() []Point {
	var points []Point
	last := len(d.state.FaultPoints) - 1
	for i, f := range d.state.FaultPoints {
		fields := map[string]any{measure.Count: int64(max(1, f.Count)), measure.Text: f.Detail}
		if f.Topic != "" {
			fields[measure.FaultTopic] = f.Topic
		}
		if f.Value != "" {
			fields[measure.FaultValue] = f.Value
		}
		points = append(points, Point{
			Measurement: measure.DeviceFaults, Tags: d.tags(measure.TagReason, string(f.Reason)), Fields: fields,
			At: spreadTimestamps(f.At, int((d.state.ReportCount-uint64(last-i))%1_000_000)),
		})
	}
	d.state.FaultPoints = nil
	return points
}

// takeFaults keeps what the bridge found wrong with a message, and counted, and reports
// whether the message is nothing but a report of others.
func (d *run) takeFaults(m device.Message) (only bool) {
	if m.Channel == device.ChannelSystem && m.Name == device.MessageFault {
		for _, f := range m.Faults {
			d.keep(f)
		}
		return true
	}
	for _, f := range m.Faults {
		f.At, f.Topic = m.Time, m.Topic()
		d.keep(f)
	}
	return false
}

// reportStep reports the faults of a step.
func (d *run) reportStep(reason device.FaultReason, faults []string) {
	if !d.follows(rulesCorners) {
		d.state.noteFaults(faults)
		reason = device.FaultExpression
	}
	d.reportAt(d.state.Snapshot.Time(), reason, faults)
}

// notCarriedOut reports what the model, or the run itself, wanted in vain. It is found
// when the message that caused it is not at hand any more.
func (d *run) notCarriedOut(at time.Time, faults ...string) {
	if !d.follows(rulesCorners) {
		d.state.noteFaults(faults)
		return
	}
	for _, text := range faults {
		d.report(device.Fault{At: at, Reason: device.FaultAction, Detail: text})
	}
}

// reportUnknown reports an event that the device's model does not know. The bridge
// reports those that it leaves out; it delivers one whose device may run another model
// that knows it, or that is delivered because it shows that a numbering began again.
func (d *run) reportUnknown(m device.Message) {
	if !d.follows(rulesCorners) {
		return
	}
	if f, unknown := d.model.UnknownEvent(m); unknown {
		f.At, f.Topic = m.Time, m.Topic()
		d.report(f)
	}
}

// reportAt reports faults with the topic and the value of the message that caused them,
// if it was one.
func (d *run) reportAt(at time.Time, reason device.FaultReason, faults []string) {
	for _, text := range faults {
		f := device.Fault{At: at, Reason: reason, Detail: text}
		if d.cause.Kind == CauseMessage {
			f.Topic = device.Message{Channel: device.Channel(d.cause.Channel), Name: d.cause.Name}.Topic()
			if raw, err := json.Marshal(d.data); err == nil && len(d.data) > 0 {
				f.Value = string(raw)
			}
		}
		d.report(f)
	}
}
