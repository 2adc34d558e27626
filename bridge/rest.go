package bridge

import (
	"container/heap"
	"time"
)

// queueUp gives a device that has something pending its place: in the line for
// a signal, or at rest until linger has passed since its last one. A batch that
// cannot grow any more, for itself or because nothing is taken, has nothing to
// wait for.
func (c *core) queueUp(d *device, now time.Time) {
	if c.hurried || c.full() || now.Sub(d.signalled) >= c.pacer.linger || d.work.full(c.cfg.BatchMessages, c.cfg.BatchBytes) {
		c.ready.push(d)
		return
	}
	heap.Push(&c.resting, d)
}

// grown ends a rest when the batch has become full.
func (c *core) grown(d *device) {
	if d.work.rest > 0 && d.work.full(c.cfg.BatchMessages, c.cfg.BatchBytes) {
		heap.Remove(&c.resting, d.work.rest-1)
		c.ready.push(d)
	}
}

// wake ends the rests that are over, or all of them. Those whose last signal
// was longest ago come first.
func (c *core) wake(now time.Time, all bool) {
	for len(c.resting) > 0 && (all || now.Sub(c.resting[0].signalled) >= c.pacer.linger) {
		c.ready.push(heap.Pop(&c.resting).(*device))
	}
}

// hurry ends all rests for good: the bridge is about to stop.
func (c *core) hurry(now time.Time) {
	c.hurried = true
	c.wake(now, true)
	c.dispatch(now)
}

// restHeap orders resting devices by their last signal. Linger is the same for
// all, so the order holds while linger changes.
type restHeap []*device

func (h restHeap) Len() int           { return len(h) }
func (h restHeap) Less(i, j int) bool { return h[i].signalled.Before(h[j].signalled) }
func (h restHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].work.rest, h[j].work.rest = i+1, j+1
}

func (h *restHeap) Push(v any) {
	d := v.(*device)
	*h = append(*h, d)
	d.work.rest = len(*h)
}

func (h *restHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	last.work.rest = 0
	return last
}
