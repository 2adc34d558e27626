package ingest

import (
	"slices"
	"time"

	"devicetwin/wire"
)

// Acknowledgements leave in order, so a device whose deliveries fail holds up all
// others on its lane once the window behind its oldest message is full. If then its
// deliveries have failed for Config.StuckAfter while Temporal accepts those of
// others, it is quarantined: what waits of it becomes dead letters, and so does
// what it sends, until Temporal accepts a delivery for it again. Empty batches,
// which hold up nobody and mean nothing to a workflow, find that out.

// heldUpBy is the failing device that has held up a full lane for too long, or nil.
func (c *core) heldUpBy(l *Lane, now time.Time) *deviceState {
	if c.cfg.StuckAfter == 0 || l.entries.len() == 0 || !c.full(l) {
		return nil
	}
	return c.failing(l.entries.head().device, now)
}

// failing is a device whose deliveries have failed for too long, or nil.
func (c *core) failing(d *deviceState, now time.Time) *deviceState {
	if d == nil || d.quarantined || d.work == nil || d.work.failedFirst.IsZero() || now.Sub(d.work.failedFirst) < c.cfg.StuckAfter {
		return nil
	}
	return d
}

// heldShare is the part of the log that what waits for one device may keep from being
// removed.
const heldShare = 2

// logHeldUpBy is the failing device whose oldest message keeps too much of the log, or nil:
// once the log is full, nothing is taken any more. So it is not as much of a hurry as with a
// lane.
func (c *core) logHeldUpBy(now time.Time) *deviceState {
	if c.cfg.StuckAfter == 0 || c.logBytes == 0 || c.records.len() == 0 || c.appended-c.records.head().start < c.logBytes/heldShare {
		return nil
	}
	return c.failing(c.records.head().device, now)
}

// holdsUp reports whether a device has held up a lane, or the log, for too long.
func (c *core) holdsUp(d *deviceState, now time.Time) bool {
	return c.logHeldUpBy(now) == d || slices.ContainsFunc(c.lanes, func(l *Lane) bool { return c.heldUpBy(l, now) == d })
}

// relieve quarantines devices that hold up the others if Temporal is known to be
// well, and otherwise tries whether it is.
func (c *core) relieve(now time.Time) {
	for _, l := range c.lanes {
		c.relieveOf(c.heldUpBy(l, now), now)
	}
	c.relieveOf(c.logHeldUpBy(now), now)
}

func (c *core) relieveOf(d *deviceState, now time.Time) {
	switch {
	case d == nil || d.place != retrying: // or it is being tried again now
	case c.proven.After(d.work.failedLast):
		c.quarantine(d, now)
	default:
		c.tryAnother()
	}
}

// tryAnother sends an empty batch to a device that was delivered to before and is
// idle now, because nothing else will be delivered while the window is full. If
// none of the recently active ones is so, an outage cannot be distinguished from one stuck device,
// and is assumed.
func (c *core) tryAnother() {
	if c.trying != nil {
		return
	}
	next := c.devices.order.Front()
	for range triedDevices {
		if next == nil {
			return
		}
		if d := next.Value.(*deviceState); d.place == idle && !d.delivered.IsZero() {
			d.work = &backlog{probe: true}
			c.move(d, ready)
			c.trying = d
			return
		}
		next = next.Next()
	}
}

// triedDevices bounds the search for a device to try.
const triedDevices = 1000

// quarantine makes dead letters of all that waits of a device that is to be
// retried.
func (c *core) quarantine(d *deviceState, now time.Time) {
	w := d.work
	lasted := now.Sub(w.failedFirst).Round(time.Millisecond)
	items := slices.Clone(w.batch)
	for w.pending.len() > 0 {
		items = append(items, w.pending.pop())
	}
	c.log.Error("device is quarantined: its waiting messages become dead letters, because everything else waits behind them",
		"device", d.id, "messages", len(items), "failing_for", lasted, "error", w.err)
	d.quarantined = true
	d.forgetGiven()
	c.quarantined++
	c.move(d, idle)
	d.work = &backlog{probe: true, attempt: w.attempt, retryAt: now.Add(c.wait(w.attempt))}
	c.move(d, retrying)
	d.requests -= requestsIn(items)
	c.reporting -= reportsIn(items)
	c.noteEnded(d.id, now)
	c.noteOutcome(d, items, "", false, now)
	why := wire.Refuse(ReasonQuota, "the device's workflow took no signal for %v, and everything else waited behind it: %v", lasted, w.err)
	for _, it := range items {
		c.reject(d, it, why)
		c.complete(it.entry)
		c.settle(it.record)
	}
}

// endQuarantine takes messages of a device again.
func (c *core) endQuarantine(d *deviceState) {
	if d.quarantined {
		d.quarantined = false
		c.quarantined--
		c.log.Info("device is out of quarantine: its workflow accepts signals again", "device", d.id)
	}
}
