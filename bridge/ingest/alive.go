package ingest

import (
	"slices"
	"time"

	"devicetwin/wire"
)

// A message that is refused, because it cannot be read, is too large, or is beyond
// a quota, still shows that its device is up. It renews the device's lease as any
// other message does, but starts no workflow: nothing is known of the device but its
// topic.

// hearRefused takes note of a message that could not be read, for its device.
func (c *core) hearRefused(e *entry, refused *wire.Refused, now time.Time) {
	if refused.ID == "" || !c.cfg.Partition.Owns(refused.ID.Name()) {
		return
	}
	d := c.device(refused.ID)
	d.traffic.add(1, len(e.Payload))
	if refused.Alive {
		c.renewRefused(d, e, now)
	}
	c.reportRefused(d, refused.Topic, e.Payload, e.At, refused)
}

// hearBeyondQuota takes note of messages of a device that it may not have
// signalled.
func (c *core) hearBeyondQuota(d *deviceState, received []wire.Received, e *entry, now time.Time) {
	if slices.ContainsFunc(received, func(r wire.Received) bool { return r.Message.Alive() }) {
		c.renewRefused(d, e, now)
	}
}

// renewRefused renews a lease by a message that is not delivered itself. There are
// no early renewals here, because they would start a workflow. As long as it is not
// known that there is one, it is tried once in a tolerance, so that a device
// that nobody knows does not cost a signal for each message.
func (c *core) renewRefused(d *deviceState, e *entry, now time.Time) {
	due := !d.quarantined && (d.offline || d.renews(e.At) == renewalDue)
	d.heard, d.offline = e.At, false
	switch {
	case !due:
		return
	case d.renewed.IsZero() && d.models.silentAfter > 0:
		if tried := d.tried(); !tried.IsZero() && e.At.Sub(tried) < d.models.tolerance {
			return
		}
		d.tries(e.At) // renewed follows when it is accepted
	default:
		d.renewed = e.At
	}
	m := seen(e.At)
	c.enqueueItem(d, item{message: &m, entry: e, size: messageSize(m), passive: true}, 0, now)
}
