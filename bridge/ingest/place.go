package ingest

import "container/heap"

// place is where a device stands. move is the only function that changes it.
//
//	idle ──▶ logging ──▶ resting ──▶ ready ──▶ inFlight ──▶ idle
//	  │                                ▲  ▲       │
//	  ├──▶ renewing ───────────────────┤  └── retrying
//	  └──▶ starting ───────────────────┘
//
// Without a log nothing is logging, and without a budget of new workflows nothing is starting; with both, a device goes
// from logging to starting. From inFlight a device that has more to say goes on to
// logging, resting or ready, and one whose delivery failed to retrying.
type place uint8

const (
	idle     place = iota // nothing waits; it may be forgotten
	renewing              // nothing but an early renewal of its lease, which waits for a quiet moment
	logging               // what it says next is not on the disk of the log
	resting               // a batch that may still grow
	ready                 // a batch that waits for its turn
	inFlight              // a batch on its way to the sink
	retrying              // a batch that waits to be delivered again
	starting              // a batch that begins a workflow, which waits for the budget of these
)

func (p place) String() string {
	return [...]string{"idle", "renewing", "logging", "resting", "ready", "in flight", "retrying", "starting"}[p]
}

// queues are the devices that are not idle, by their place.
type queues struct {
	// renewals also has devices that have left: they are passed over when their turn
	// comes.
	renewals fifo[*deviceState]
	logging  fifo[*deviceState] // by when they began to wait
	resting  deviceHeap         // by their last delivery; linger is the same for all
	ready    fifo[*deviceState]
	inFlight int
	retries  deviceHeap         // by when they are to be tried again
	starting fifo[*deviceState] // by when they may be
}

func newQueues() queues {
	return queues{
		resting: deviceHeap{before: func(a, b *deviceState) bool { return a.delivered.Before(b.delivered) }},
		retries: deviceHeap{before: func(a, b *deviceState) bool { return a.work.retryAt.Before(b.work.retryAt) }},
	}
}

// move takes a device from its place to another one. From logging, ready and starting only the
// head may leave. What decides a device's order may not change while it is in a heap.
func (q *queues) move(d *deviceState, to place) {
	switch d.place {
	case logging:
		if q.logging.pop() != d {
			panic("ingest: a device left the line before its turn")
		}
	case resting:
		q.resting.remove(d)
	case ready:
		if q.ready.pop() != d {
			panic("ingest: a device left the line before its turn")
		}
	case inFlight:
		q.inFlight--
	case retrying:
		q.retries.remove(d)
	case starting:
		if q.starting.pop() != d {
			panic("ingest: a device left the line before its turn")
		}
	}
	d.place = to
	switch to {
	case renewing:
		q.renewals.push(d)
	case logging:
		q.logging.push(d)
	case resting:
		q.resting.push(d)
	case ready:
		q.ready.push(d)
	case inFlight:
		q.inFlight++
	case retrying:
		q.retries.push(d)
	case starting:
		q.starting.push(d)
	}
}

// deviceHeap holds busy devices in an order. Each knows its index in it
// (backlog.index), so that it can be removed before its turn; no device is in two
// heaps.
type deviceHeap struct {
	all    []*deviceState
	before func(a, b *deviceState) bool
}

func (h *deviceHeap) len() int { return len(h.all) }

// head is the device whose turn is next.
func (h *deviceHeap) head() *deviceState { return h.all[0] }

func (h *deviceHeap) push(d *deviceState)   { heap.Push((*heapOrder)(h), d) }
func (h *deviceHeap) remove(d *deviceState) { heap.Remove((*heapOrder)(h), d.work.index) }

// heapOrder is what package heap works on.
type heapOrder deviceHeap

func (h *heapOrder) Len() int           { return len(h.all) }
func (h *heapOrder) Less(i, j int) bool { return h.before(h.all[i], h.all[j]) }

func (h *heapOrder) Swap(i, j int) {
	h.all[i], h.all[j] = h.all[j], h.all[i]
	h.all[i].work.index, h.all[j].work.index = i, j
}

func (h *heapOrder) Push(v any) {
	d := v.(*deviceState)
	d.work.index = len(h.all)
	h.all = append(h.all, d)
}

func (h *heapOrder) Pop() any {
	end := len(h.all) - 1
	d := h.all[end]
	h.all[end] = nil
	h.all = h.all[:end]
	return d
}
