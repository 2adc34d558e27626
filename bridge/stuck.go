package bridge

import (
	"slices"
	"time"

	"devicetwin/device"
	"devicetwin/wire"
)

// Acknowledgements leave in order, so a device whose signals fail holds up all
// others once the window behind its oldest message is full. If then its signals
// have failed for Config.StuckAfter while Temporal takes those of others, it is
// stuck: what waits of it becomes dead letters, and so does what it sends,
// until Temporal takes a signal for it again. Empty batches, which hold up
// nobody and mean nothing to a workflow, find that out.

// failedAgain notes another failed attempt of a device's batch and reports
// whether the signal of another device was accepted since the one before.
func (w *backlog) failedAgain(now, proven time.Time) (alone bool) {
	if w.failedFirst.IsZero() {
		w.failedFirst = now
	}
	alone = w.attempt > 0 && proven.After(w.failedLast)
	w.attempt++
	w.failedLast = now
	return alone
}

// holder is the failing device that holds up all others for too long, or nil.
func (c *core) holder(now time.Time) *deviceState {
	if c.cfg.StuckAfter == 0 || c.live == nil || c.live.entries.len() == 0 || !c.full() {
		return nil
	}
	d := c.live.entries.head().device
	if d == nil || d.stuck || d.work == nil || d.work.failedFirst.IsZero() || now.Sub(d.work.failedFirst) < c.cfg.StuckAfter {
		return nil
	}
	return d
}

// relieve gives up on a device that holds up the others if Temporal is known to
// be well, and otherwise tries whether it is.
func (c *core) relieve(now time.Time) {
	d := c.holder(now)
	switch {
	case d == nil || d.work.retry == 0: // or it is being tried again now
	case c.proven.After(d.work.failedLast):
		c.retries.remove(d)
		c.giveUp(d, now)
	default:
		c.tryAnother()
	}
}

// tryAnother sends an empty batch to a device that was signalled before and is
// idle now, because nothing else will be signalled while the window is full. If
// none of those heard last is so, an outage cannot be told from one stuck
// device, and is assumed.
func (c *core) tryAnother() {
	if c.trying != nil {
		return
	}
	place := c.devices.order.Front()
	for range triedDevices {
		if place == nil {
			return
		}
		if d := place.Value.(*deviceState); d.work == nil && !d.signalled.IsZero() {
			d.work = &backlog{probe: true}
			c.ready.push(d)
			c.trying = d
			return
		}
		place = place.Next()
	}
}

// triedDevices bounds the search for a device to try.
const triedDevices = 1000

// giveUp makes dead letters of all that waits of a device.
func (c *core) giveUp(d *deviceState, now time.Time) {
	w := d.work
	lasted := now.Sub(w.failedFirst).Round(time.Millisecond)
	items := slices.Clone(w.batch)
	for w.pending.len() > 0 {
		items = append(items, w.pending.pop())
	}
	c.log.Error("device is stuck: what waited of it becomes dead letters, because everything else waits behind it",
		"device", d.id, "messages", len(items), "failing_for", lasted, "err", w.err)
	d.stuck = true
	d.seen.forget()
	c.stuck++
	d.work = &backlog{probe: true, attempt: w.attempt, retryAt: now.Add(c.wait(w.attempt))}
	c.retries.push(d)
	d.answered(items)
	ref := wire.Refuse(ReasonQuota, "the device's workflow took no signal for %v, and everything else waited behind it: %v", lasted, w.err)
	for _, it := range items {
		c.turnDown(it, ref)
		c.settle(it.entry)
	}
}

// unstuck takes messages of a device again.
func (c *core) unstuck(d *deviceState) {
	if d.stuck {
		d.stuck = false
		c.stuck--
		c.log.Info("device takes signals again", "device", d.id)
	}
}

// nextBatch makes the batch that is signalled next: of what waits, or empty.
func (c *core) nextBatch(d *deviceState, now time.Time) {
	w := d.work
	w.loaded = true
	w.id = c.batchID()
	if w.probe {
		return
	}
	w.load(c.cfg.BatchMessages, c.cfg.BatchBytes)
	c.counts.waitSeconds.Observe(max(0, now.Sub(w.batch[0].message.Time)).Seconds())
}

// messages are those of a batch, in a new slice.
func (w *backlog) messages() []device.Message {
	messages := make([]device.Message, len(w.batch))
	for i, it := range w.batch {
		messages[i] = it.message
	}
	return messages
}
