package ingest

import (
	"time"

	"devicetwin/bridge/history"
	"devicetwin/device"
)

// A message is left out because of another one that the device's workflow was given. A
// workflow that was deleted is started again by what is delivered next, and knows
// nothing of that other message. So the filters have to notice when a workflow
// begins:
//
//   - Each accepted delivery comes with the run of the workflow that took it. A run
//     other than the one before may be of a new workflow (or the next run of the same one, which
//     costs a signal more). Then what the filters remember of messages before that
//     delivery is forgotten.
//   - Until its result is known, any delivery may have begun a workflow. So a message
//     is not left out because of another one if something was queued in between that is
//     not accepted yet, unless it leaves in the batch of that other one.
//   - While nothing is delivered, nothing shows that a workflow has ended. Ended is
//     called then.
//
// So whatever is left out would have changed nothing if the deletion had been later by
// the time that it took to notice it, and no message was between it and the beginning
// of the next workflow.

// takenBy notes that a run took the batch that was in flight, and reports whether it is
// another one than before. "" is not known.
func (d *deviceState) takenBy(run string) (other bool) {
	if run != "" {
		sum := hashOf(run)
		if other = d.run != 0 && d.run != sum; other {
			d.filter.forgetBefore(d.batches)
			d.given = nil
		}
		d.run = sum
	}
	if d.work.pending.len() == 0 { // nothing is under way any more
		d.filter.each(func(m *memory) { m.behind = false })
	}
	return other
}

// ended notes that the workflow of a device ended.
func (c *core) ended(id device.ID, now time.Time) {
	if d := c.devices.byID[id]; d != nil {
		d.workflowEnded()
		c.noteEnded(id, now)
	}
}

// endsUnknown notes that the workflows of any devices may have ended.
func (c *core) endsUnknown(now time.Time) {
	c.noteBegin(history.Begin{EndsUnknown: true}, now)
	for _, d := range c.devices.byID {
		d.workflowEnded()
	}
}

// workflowEnded forgets what the device's workflow was given.
func (d *deviceState) workflowEnded() {
	d.forgetGiven()
	d.begun = false
	d.renewed = time.Time{}
	if d.reach != nil {
		d.reach.vars, d.reach.awake = nil, 0
	}
}

// forgetBefore forgets what is remembered of messages in earlier batches than one.
func (s *filterState) forgetBefore(batch uint32) {
	s.each(func(m *memory) {
		if m.batch < batch {
			m.Reset()
		}
	})
}

// queued notes that the message that the filters saw last goes into a batch.
func (s *filterState) queued(batch uint32) {
	s.passing = true
	s.each(func(m *memory) {
		if m.Current() {
			m.batch, m.behind = batch, false
			return
		}
		m.behind = true
	})
}

// joined notes that something is queued that no filter saw, and that may begin a
// workflow.
func (s *filterState) joined() { s.each(func(m *memory) { m.behind = true }) }

// forgetUncertain forgets what is remembered of messages behind which something waits
// that may begin a workflow.
func (c *core) forgetUncertain(d *deviceState, s *filterState) {
	s.each(func(m *memory) {
		if m.behind && m.Holds() && c.leavesAfter(d, s, m.batch) {
			m.Reset()
		}
	})
}

// leavesAfter reports whether something waits that leaves after a batch.
func (c *core) leavesAfter(d *deviceState, s *filterState, batch uint32) bool {
	waits := d.place != idle && d.place != renewing // an early renewal leaves after what comes before it does
	switch {
	case !waits && !s.passing:
		return false
	case batch == d.batches+1: // the next one, if there is not too much for it, and all of it may leave
		return waits && (d.work.exceeds(c.cfg.BatchMessages, c.cfg.BatchBytes) || c.leavesInParts(d.work))
	case waits && batch == d.batches && d.work.loaded:
		return s.passing || d.work.pending.len() > 0
	}
	return true
}

// leavesInParts reports whether what is pending, with the message that is decided, may be more
// than one batch because of the log: not all of it is on the disk, or it is of two logs.
func (c *core) leavesInParts(w *backlog) bool {
	if w.pending.len() == 0 {
		return false
	}
	first := w.pending.head()
	log := first.logName()
	return !c.onDisk(w.pending.last()) || log != "" && log != c.deciding || w.pendingLogs.n > 0
}
