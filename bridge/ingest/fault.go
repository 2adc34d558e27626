package ingest

import "devicetwin/device"

// report notes a fault of something that a device sent and that is not delivered
// itself.
func (c *core) report(d *deviceState, f device.Fault) {
	if n := c.counts.Faults[f.Reason]; n != nil {
		n.Add(max(1, f.Count))
	}
	_ = d
}
