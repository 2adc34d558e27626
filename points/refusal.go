package points

import (
	"time"

	"devicetwin/internal/measure"
	"devicetwin/internal/text"
)

// Refusal is something of a device that did not become what was meant: it was
// beyond a bound, or InfluxDB refused it permanently.
type Refusal struct {
	Device, Model string
	Time          time.Time // of the point
	Reason        RefusalReason
	Detail        string // for people
	Value         string // what it was of, or its beginning
	Count         uint64 // values or points; 0 is one
}

// RefusalReason says why something was refused.
type RefusalReason string

// The reasons of refusals.
const (
	RefusedByInfluxDB RefusalReason = "refused"         // InfluxDB did not take the point
	RefusedBound      RefusalReason = "bound"           // a string or a name is too long
	RefusedFields     RefusalReason = "too_many_fields" // more than MaxFields
)

// Bounds of Refusal.Value and Refusal.Detail, in bytes.
const (
	keptValue  = 128
	keptDetail = 256
)

func clippedValue(v []byte) string { return string(clipped(v, keptValue)) }

// refusing adds what a refusal of the reading has to say of it.
func (r Reading) refusing(report func(Refusal)) func(Refusal) {
	return func(f Refusal) {
		f.Device, f.Model, f.Time = r.Device, r.Model, r.Time
		f.Value = clippedValue([]byte(f.Value))
		report(f)
	}
}

// refuseAll reports the points of readings that InfluxDB did not take, together for
// each device.
func (c *collector) refuseAll(b batch, err error) {
	var all []*Refusal
	of := map[string]*Refusal{}
	for _, line := range b.lines {
		p := parseLine(line)
		model, device := p.tag(measure.TagModel), p.tag(measure.TagDevice)
		if device == "" || p.measurement != model {
			continue // one of the service's own
		}
		series := line[:p.from]
		if of[series] == nil {
			of[series] = &Refusal{Device: device, Model: model, Time: p.time, Reason: RefusedByInfluxDB,
				Detail: text.Clip(err.Error(), keptDetail), Value: clippedValue([]byte(line[p.from:p.to]))}
			all = append(all, of[series])
		}
		of[series].Count++
	}
	for _, r := range all {
		c.w.refuse(*r)
	}
}
