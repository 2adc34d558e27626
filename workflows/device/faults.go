package device

import (
	"encoding/json"
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

// report keeps a fault of what the device sent, or of the model, and makes a point
// of it. The same one again in a row only counts, also in the point that waits.
func (d *run) report(f device.Fault) {
	d.state.report(f)
	if !d.follows(rulesMessages) {
		return
	}
	f.Detail, f.Value = clippedText(f.Detail, device.MaxFaultDetail), clippedText(f.Value, device.MaxFaultValue)
	if n := len(d.state.FaultPoints); n > 0 {
		last := &d.state.FaultPoints[n-1]
		if last.Fault.Reason == f.Reason && last.Fault.Topic == f.Topic && last.Fault.Detail == f.Detail {
			f.Count = max(1, f.Count) + max(1, last.Fault.Count)
			last.Fault = f
			return
		}
	}
	// How many there were before separates points of one reason and one millisecond.
	d.state.FaultPoints = append(d.state.FaultPoints, FaultPoint{f, int(d.state.ReportCount % 1_000_000)})
	d.state.FaultPoints = d.state.FaultPoints[max(0, len(d.state.FaultPoints)-keptFaultPoints):]
}

// FaultPoint is a fault whose point has not left.
type FaultPoint struct {
	Fault device.Fault `json:"fault"`
	Index int          `json:"i"`
}

// faultsDue is when the points of faults leave if nothing else does before; ok is
// false if there are none.
func (d *run) faultsDue() (at time.Time, ok bool) {
	return d.state.FaultsLeft.Add(faultsEvery), len(d.state.FaultPoints) > 0
}

// takeFaultPoints returns the points of the faults that wait.
func (d *run) takeFaultPoints() []Point {
	var points []Point
	for _, p := range d.state.FaultPoints {
		fields := map[string]any{measure.Count: int64(max(1, p.Fault.Count)), measure.Text: p.Fault.Detail}
		if p.Fault.Topic != "" {
			fields[measure.FaultTopic] = p.Fault.Topic
		}
		if p.Fault.Value != "" {
			fields[measure.FaultValue] = p.Fault.Value
		}
		points = append(points, Point{
			Measurement: measure.DeviceFaults, Tags: d.tags(measure.TagReason, string(p.Fault.Reason)),
			Fields: fields, At: spreadTimestamps(p.Fault.At, p.Index),
		})
	}
	d.state.FaultPoints = nil
	return points
}

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
