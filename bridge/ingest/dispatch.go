package ingest

import (
	"errors"
	"slices"
	"strconv"
	"time"

	"devicetwin/device"
	"devicetwin/wire"
)

// enqueue queues a message for its device's workflow. Its arrival waits for it;
// nil: none does.
func (c *core) enqueue(d *deviceState, m device.Message, e *entry, now time.Time) {
	c.enqueueOf(0, d, m, e, now)
}

// enqueueOf queues the message that has a place in the recording of the arrival, from 1; 0:
// it is not there.
func (c *core) enqueueOf(of int, d *deviceState, m device.Message, e *entry, now time.Time) {
	c.enqueueItem(d, item{message: &m, entry: e, size: messageSize(m), passive: reads(m)}, of, now)
}

// enqueuePassive is enqueueOf for a message that no workflow is started for.
func (c *core) enqueuePassive(of int, d *deviceState, m device.Message, e *entry, now time.Time) {
	d.tries(m.Time)
	c.enqueueItem(d, item{message: &m, entry: e, size: messageSize(m), passive: true}, of, now)
}

func (c *core) enqueueItem(d *deviceState, it item, of int, now time.Time) {
	begins := !d.begun && !it.passive
	d.begun = d.begun || begins
	if c.restoring { // it is queued from its record
		return
	}
	c.inSourceLog(&it)
	c.goesOut(d, &it, of)
	e := it.entry
	if e != nil {
		e.open++
		e.device = d
	}
	switch d.place {
	case idle:
		d.work = new(backlog)
	case renewing: // it has more to say
		d.renewNow()
	}
	d.work.begins = d.work.begins || begins
	d.work.add(it)
	switch {
	case d.place == idle || d.place == renewing:
		c.queueUp(d, e, now)
	case d.place == resting && c.fullBatch(d):
		c.move(d, ready)
	}
}

// queueUp gives a device that has something pending its place: where it waits for the log,
// in the line for a delivery, or at rest until linger has passed since its last one. A batch that
// cannot grow any more, because it is full or nothing is taken from the lane of its
// messages, has nothing to wait for.
func (c *core) queueUp(d *deviceState, e *entry, now time.Time) {
	if !c.mayLeave(d.work) {
		c.move(d, logging)
		return
	}
	if at := c.startsAt(d, now); at.After(now) {
		d.work.startAt = at
		c.move(d, starting)
		return
	}
	if c.hurried || now.Sub(d.delivered) >= c.pacer.linger || c.fullBatch(d) || c.crowded(e) {
		c.move(d, ready)
		return
	}
	c.move(d, resting)
}

// startsAt is when what is pending of a device may be delivered: at once, unless it may begin a
// workflow and there is a budget of these. A device of which nothing is known here may have a
// workflow, and counts once.
func (c *core) startsAt(d *deviceState, now time.Time) time.Time {
	if c.cfg.StartRate == 0 || !d.work.begins {
		return now
	}
	d.work.begins = false
	if c.nextStart.Before(now) {
		c.nextStart = now
	}
	at := c.nextStart
	c.nextStart = at.Add(time.Second / time.Duration(c.cfg.StartRate))
	return at
}

func (c *core) fullBatch(d *deviceState) bool {
	return d.work.full(c.cfg.BatchMessages, c.cfg.BatchBytes)
}

// crowded reports that nothing is taken from the stream that an arrival came on.
func (c *core) crowded(e *entry) bool {
	if e == nil || e.lane.stream.lane == nil {
		return c.heldTooMuch()
	}
	return c.full(e.lane.stream.lane)
}

// wake ends the rests that are over, or all of them. Those whose last delivery
// was longest ago come first.
func (c *core) wake(now time.Time, all bool) {
	for c.resting.len() > 0 && (all || now.Sub(c.resting.head().delivered) >= c.pacer.linger) {
		c.move(c.resting.head(), ready)
	}
}

// hurry ends all rests permanently: the process is about to stop.
func (c *core) hurry(now time.Time) {
	c.hurried = true
	c.wake(now, true)
	c.dispatch(now)
}

// dispatch starts deliveries while it may. Devices take turns: one that has more
// to say after its batch joins the end of the line.
func (c *core) dispatch(now time.Time) {
	c.reportFaults(now)
	for !c.outage.closed(now) {
		d := c.nextDevice()
		if d == nil {
			return
		}
		c.move(d, inFlight)
		if !d.work.loaded {
			c.nextBatch(d, now)
		}
		d.delivered = now
		messages, log, unread := d.work.messages()
		c.out.deliveries = append(c.out.deliveries, delivery{device.Delivery{
			ID:    d.id,
			Model: c.startsWith(d), Provisional: d.models == c.models.unnamed && d.models != nil,
			Batch:    device.Batch{ID: d.work.id, Log: log, Messages: messages},
			OneByOne: len(messages) > 0 && c.oneByOne(d),
			Start:    !d.work.passive() && !d.work.probe && c.modelOf(d).start.Hash() != "",
		}, unread, 0})
	}
}

// nextDevice returns the device whose turn it is, if there is room for a delivery.
func (c *core) nextDevice() *deviceState {
	limit := c.outage.limit(c.pacer.inFlight())
	switch {
	case c.ready.len() == 0:
		return c.nextRenewal(limit)
	case c.inFlight >= limit:
		c.pacer.bound = true
		return nil
	}
	return c.ready.head()
}

func (c *core) startsWith(d *deviceState) string {
	if hash := c.modelOf(d).start.Hash(); hash != c.implied {
		return hash
	}
	return ""
}

// oneByOne reports whether the model that a device may run has events processed one by one.
func (c *core) oneByOne(d *deviceState) bool {
	set := c.modelOf(d)
	return set.oneByOne || len(set.possible) == 0 && c.models.oneByOne
}

func (c *core) modelOf(d *deviceState) *modelSet {
	switch {
	case d.models != nil:
		return d.models
	case d.id.Kind() != device.KindDevice:
		return c.models.of(d.id)
	}
	return c.models.fallback
}

// nextBatch makes the batch that is delivered next: of what waits, or empty.
func (c *core) nextBatch(d *deviceState, now time.Time) {
	w := d.work
	w.loaded = true
	c.batches++
	d.batches++
	w.id = c.instance + "-" + strconv.FormatUint(c.batches, 36)
	if w.probe {
		return
	}
	w.load(c.cfg.BatchMessages, c.cfg.BatchBytes, c.logged)
	c.counts.WaitSeconds.Observe(max(0, now.Sub(w.batch[0].received())).Seconds())
}

// delivered takes the result of a delivery, with the run of the workflow that took it.
func (c *core) delivered(id device.ID, run string, err error, now time.Time) {
	d := c.devices.byID[id] // busy, therefore not forgotten
	w := d.work
	took := now.Sub(d.delivered)
	c.counts.DeliverSeconds.Observe(took.Seconds())
	refused := (*device.Refused)(nil)
	switch {
	case err == nil:
		c.pacer.accepted(took, now)
		c.counts.Deliveries.Add(1)
		if !w.probe {
			c.counts.BatchMessages.Observe(float64(len(w.batch)))
		}
		c.proven = d.delivered
		c.recovered(now)
		c.finish(d, run, d.takenBy(run), now, c.accepted)
	case errors.Is(err, device.ErrNoRoom):
		c.noRoom(d, err, now)
	case errors.Is(err, device.ErrNoTwin):
		c.pacer.accepted(took, now)
		c.recovered(now)
		d.delivered = time.Time{} // there is no workflow to be tried
		d.workflowEnded()
		c.noteEnded(id, now)
		c.finish(d, "", false, now, c.noTwin)
	case errors.As(err, &refused):
		c.log.Error("batch refused permanently", "device", id, "messages", len(w.batch), "error", err)
		d.delivered = time.Time{} // its workflow proves nothing
		d.forgetGiven()
		c.noteEnded(id, now)
		why := wire.Refuse(ReasonRefused, "%v", err)
		c.finish(d, "", false, now, func(d *deviceState, it item) { c.reject(d, it, why) })
	default:
		c.failed(d, err, now)
	}
	c.relieve(now)
	c.dispatch(now)
}

// failed lets a batch wait to be tried again.
func (c *core) failed(d *deviceState, err error, now time.Time) {
	w := d.work
	c.counts.DeliveryFailures.Add(1)
	w.err = err
	w.retryAt = now.Add(c.wait(w.attempt))
	alone := w.failedAgain(now, c.proven)
	for _, it := range w.batch {
		if it.entry != nil {
			it.entry.device = d
		}
	}
	switch {
	case d.quarantined: // which says nothing about Temporal
	case c.outage.failed(now, c.wait):
		c.log.Warn("Temporal is not accepting signals; messages "+c.waitHow(w.batch)+" until it does", "device", d.id, "error", err)
	default:
		c.log.Debug("signal failed, will retry", "device", d.id, "attempt", w.attempt, "error", err)
	}
	c.move(d, retrying)
	if alone && c.holdsUp(d, now) {
		c.quarantine(d, now)
	}
}

// noRoom lets a batch wait until the workflow has room for it. Nothing has failed: neither is
// Temporal taken to be down, nor is the device quarantined, however long that takes. What it
// holds up is the back-pressure that its model asks for.
func (c *core) noRoom(d *deviceState, err error, now time.Time) {
	w := d.work
	c.counts.NoRoom.Add(1)
	w.err, w.failedFirst, w.failedLast = err, time.Time{}, time.Time{}
	w.retryAt = now.Add(min(roomAskedFirst<<min(w.refusals, 10), roomAskedLast))
	w.refusals++
	for _, it := range w.batch {
		if it.entry != nil {
			it.entry.device = d
		}
	}
	if w.refusals == 1 {
		c.log.Debug("a device's workflow has no room for more events; they wait", "device", d.id, "messages", len(w.batch))
	}
	c.move(d, retrying)
}

// How soon it is asked again whether there is room: at first, and at the latest.
const (
	roomAskedFirst = 100 * time.Millisecond
	roomAskedLast  = 5 * time.Second
)

// waitHow is what the messages of a batch do while Temporal does not take them. Those of a source
// that has a log itself are not acknowledged before, also if they are in that of the bridge.
func (c *core) waitHow(batch []item) string {
	unacknowledged := c.journal == nil || c.cfg.AckAccepted ||
		slices.ContainsFunc(batch, func(it item) bool { return it.log != "" })
	if unacknowledged {
		return "stay unacknowledged"
	}
	return "wait in the log"
}

func (c *core) recovered(now time.Time) {
	if lasted, was := c.outage.over(now); was {
		c.log.Info("Temporal accepts signals again", "after", lasted)
	}
}

// finish ends a device's batch, with each of its messages as the outcome is. A run took it,
// perhaps another one than those before.
func (c *core) finish(d *deviceState, run string, other bool, now time.Time, each func(*deviceState, item)) {
	w := d.work
	batch := w.batch
	d.requests -= requestsIn(batch)
	c.reporting -= reportsIn(batch)
	c.endQuarantine(d)
	if c.trying == d {
		c.trying = nil
	}
	outcome := c.noteOutcome(d, batch, run, other, now)
	*w = backlog{pending: w.pending, pendingBytes: w.pendingBytes, pendingLogs: w.pendingLogs, begins: w.begins, after: outcome}
	if w.pending.len() > 0 {
		c.queueUp(d, w.pending.head().entry, now)
	} else {
		c.move(d, idle)
		d.work = nil
	}
	for _, it := range batch {
		each(d, it)
		c.complete(it.entry)
		c.settle(it.record)
	}
}

func (c *core) accepted(d *deviceState, it item) {
	if it.channel() != device.ChannelSystem {
		c.counts.Events.Add(1)
	}
	d.begun = true
	if it.message != nil {
		d.leased(*it.message)
	}
}

// reject answers a request that no workflow gets, and makes a dead letter of any
// other message.
func (c *core) reject(d *deviceState, it item, why *wire.Refused) {
	if it.asks() {
		c.rejectRequest(it.entry, d.id, *it.message, 500)
		return
	}
	d.unsaid = d.unsaid || it.message == nil || it.message.Model != ""
	c.refuseItem(it, why)
}

// elapsed does what was to be done by a time.
func (c *core) elapsed(now time.Time) {
	c.pacer.quiet(now)
	c.wake(now, false)
	for c.retries.len() > 0 && !c.retries.head().work.retryAt.After(now) {
		c.move(c.retries.head(), ready)
	}
	for c.starting.len() > 0 && !c.starting.head().work.startAt.After(now) {
		c.move(c.starting.head(), ready)
	}
	c.dispatch(now)
}

// next is when elapsed has something to do; ok is false if never.
func (c *core) next() (at time.Time, ok bool) {
	at, ok = c.pacer.next()
	earlier := func(t time.Time) {
		if !ok || t.Before(at) {
			at, ok = t, true
		}
	}
	if c.retries.len() > 0 {
		earlier(c.retries.head().work.retryAt)
	}
	if c.starting.len() > 0 {
		earlier(c.starting.head().work.startAt)
	}
	if c.resting.len() > 0 {
		earlier(c.resting.head().delivered.Add(c.pacer.linger))
	}
	if c.quiet.len() > 0 {
		earlier(c.quiet.head().faults.due)
	}
	if c.ready.len()+c.renewals.len() > 0 && c.outage.on && c.inFlight == 0 {
		earlier(c.outage.until)
	}
	return at, ok
}

// idle reports that nothing waits for acceptance. A quarantined device has nothing
// that could be accepted; it is always on its way or waiting.
func (c *core) idle() bool {
	return c.inFlight+c.ready.len()+c.resting.len()+c.retries.len()+c.logging.len()+c.starting.len() == c.quarantined
}
