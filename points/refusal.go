package points

import "time"

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

// keptValue bounds Refusal.Value, in bytes.
const keptValue = 128

func clippedValue(v []byte) string { return string(clipped(v, keptValue)) }

// refusing adds what a refusal of the reading has to say of it.
func (r Reading) refusing(report func(Refusal)) func(Refusal) {
	return func(f Refusal) {
		f.Device, f.Model, f.Time = r.Device, r.Model, r.Time
		f.Value = clippedValue([]byte(f.Value))
		report(f)
	}
}
