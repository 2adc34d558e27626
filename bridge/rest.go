package bridge

import "time"

// queueUp gives a device that has something pending its place: in the line for
// a signal, or at rest until linger has passed since its last one. A batch that
// cannot grow any more, for itself or because nothing is taken, has nothing to
// wait for.
func (c *core) queueUp(d *deviceState, now time.Time) {
	if c.hurried || c.full() || now.Sub(d.signalled) >= c.pacer.linger || d.work.full(c.cfg.BatchMessages, c.cfg.BatchBytes) {
		c.ready.push(d)
		return
	}
	c.resting.push(d)
}

// grown ends a rest when the batch has become full.
func (c *core) grown(d *deviceState) {
	if d.work.rest > 0 && d.work.full(c.cfg.BatchMessages, c.cfg.BatchBytes) {
		c.resting.remove(d)
		c.ready.push(d)
	}
}

// wake ends the rests that are over, or all of them. Those whose last signal
// was longest ago come first.
func (c *core) wake(now time.Time, all bool) {
	for c.resting.len() > 0 && (all || now.Sub(c.resting.head().signalled) >= c.pacer.linger) {
		c.ready.push(c.resting.pop())
	}
}

// hurry ends all rests for good: the bridge is about to stop.
func (c *core) hurry(now time.Time) {
	c.hurried = true
	c.wake(now, true)
	c.dispatch(now)
}

// newResting orders devices by their last signal. Linger is the same for all, so
// the order holds while linger changes.
func newResting() deviceHeap {
	return newDeviceHeap(
		func(a, b *deviceState) bool { return a.signalled.Before(b.signalled) },
		func(w *backlog) *int { return &w.rest })
}
