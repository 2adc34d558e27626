package ingest

import (
	"time"

	"devicetwin/device"
)

// maxReported bounds the faults from elsewhere that wait for the core.
const maxReported = 256

// reported is a fault that was found outside of the core.
type reported struct {
	id    device.ID
	fault device.Fault
}

// Report reports a fault of something that a device sent and that was found after it
// had left the Ingest: InfluxDB refused a value, for example. A fault without At is of
// now. It goes to the device's workflow as other faults do, unless the device belongs to
// another partition. Report never blocks, and may be called before Run and after it:
// what there is no room for is only counted.
func (i *Ingest) Report(id device.ID, f device.Fault) {
	select {
	case <-i.ended:
		i.core.dropReport(f)
		return
	default:
	}
	select {
	case i.reported <- reported{id, f}:
	default:
		i.core.dropReport(f)
	}
}

// takeReported takes what waits of the faults from elsewhere.
func (i *Ingest) takeReported(now time.Time) {
	for range len(i.reported) {
		i.core.reportElsewhere(<-i.reported, now)
	}
	i.core.dispatch(now)
}

// dropReported counts what was reported too late.
func (i *Ingest) dropReported() {
	for range len(i.reported) {
		i.core.dropReport((<-i.reported).fault)
	}
}

// reportElsewhere notes a fault that was found outside of the core.
func (c *core) reportElsewhere(r reported, now time.Time) {
	if !c.cfg.Partition.Owns(r.id.Name()) {
		// Another bridge delivers to it, and two must not at once.
		c.dropReport(r.fault)
		return
	}
	if r.fault.At.IsZero() {
		r.fault.At = now.UTC()
	}
	c.report(c.device(r.id), r.fault)
}

// dropReport counts a fault that reaches no workflow. It may be called from any
// goroutine.
func (c *core) dropReport(f device.Fault) {
	c.countFault(f)
	c.counts.FaultReportsDropped.Add(1)
}
