package ingest

import (
	"context"

	"devicetwin/device"
)

// Forget drops what is remembered of devices that were deleted with all their data, so that
// the next checkpoint has nothing of them. Those of which messages are on their way are
// passed over. What a device sends next is taken as that of one that is not known. Forget
// waits for Run to begin, until ctx ends.
func (i *Ingest) Forget(ctx context.Context, ids ...device.ID) {
	i.whenItRuns(ctx, func(c *core) {
		if c.forgetDevices(ids) {
			i.saver.last = -1 // a checkpoint is due, also if nothing comes
		}
	})
}

// forgetDevices reports whether anything was remembered of them.
func (c *core) forgetDevices(ids []device.ID) (known bool) {
	for _, id := range ids {
		if c.lastAccepted.ID == id {
			c.lastAccepted, known = Accepted{}, true
		}
		known = c.devices.drop(id) || known
	}
	return known
}

// drop forgets a device, unless it is busy. It reports whether it was remembered.
func (t *deviceTable) drop(id device.ID) bool {
	d := t.byID[id]
	if d == nil || d.place != idle {
		return false
	}
	t.order.Remove(d.listed)
	delete(t.byID, id)
	return true
}
