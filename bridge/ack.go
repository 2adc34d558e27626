package bridge

import (
	"crypto/sha256"

	"devicetwin/mqtt"
)

// delivery is a message and the connection that it came on.
type delivery struct {
	from *window
	mqtt.Message
}

// entry is a delivery until it is acknowledged. It is done once nothing that
// came of it waits for acceptance any more.
type entry struct {
	delivery
	device *deviceState // nil: it is of none, or refused
	open   int          // messages and dead letters not yet accepted
	held   bool         // counted in core.held
	// letter is set once a dead letter was made of it, so that an array of
	// objects in several refused batches makes one.
	letter bool
}

func (e *entry) done() bool { return e.open == 0 }

// window holds what one connection delivered and what is not yet acknowledged
// on it, in the order of receipt. Acknowledgements leave in that order
// [MQTT-4.6.0-2]: an entry that is done waits for all before it.
//
// Its fields below acks belong to the goroutine of the core.
type window struct {
	acks chan []func() // to the connection, which sends them
	gone chan struct{} // closed when the connection is lost

	lost    bool
	entries fifo[*entry]
	// unacked are the packet ids of the entries. A broker may deliver a message
	// again on the same connection when it has waited for long (NATS does);
	// such a repetition must not be acknowledged by itself, because the id may
	// by then belong to another message.
	unacked map[uint16]bool
	outbox  []func() // released, and not yet handed to acks
}

func newWindow() *window {
	return &window{acks: make(chan []func()), gone: make(chan struct{}), unacked: make(map[uint16]bool)}
}

func (w *window) push(e *entry) {
	w.entries.push(e)
	if e.PacketID != 0 {
		w.unacked[e.PacketID] = true
	}
}

// repeats reports whether d was delivered before on this connection.
func (w *window) repeats(d delivery) bool { return d.PacketID != 0 && w.unacked[d.PacketID] }

// release moves the acknowledgements of everything done at the head into the
// outbox and calls each for what left.
func (w *window) release(each func(*entry)) {
	for w.entries.len() > 0 && w.entries.head().done() {
		e := w.entries.pop()
		delete(w.unacked, e.PacketID)
		if e.Ack != nil {
			w.outbox = append(w.outbox, e.Ack)
		}
		each(e)
	}
}

// orphans are deliveries of lost connections that were never acknowledged. A
// broker delivers them again on the next connection, in the same order and
// with the DUP flag. What is still on its way to Temporal, or has meanwhile
// arrived there, need not go there again: the new delivery then only brings a
// valid acknowledgement.
type orphans map[orphanKey]*fifo[*entry]

type orphanKey [sha256.Size]byte

func keyOf(d delivery) orphanKey {
	h := sha256.New()
	h.Write([]byte(d.Topic))
	h.Write([]byte{0}) // no topic contains it
	h.Write(d.Payload)
	return orphanKey(h.Sum(nil))
}

func (o orphans) add(e *entry) {
	key := keyOf(e.delivery)
	same := o[key]
	if same == nil {
		same = new(fifo[*entry])
		o[key] = same
	}
	same.push(e)
}

// take returns the orphan that d repeats, oldest first, or nil.
func (o orphans) take(d delivery) *entry {
	if !d.Dup || len(o) == 0 {
		return nil
	}
	key := keyOf(d)
	same := o[key]
	if same == nil {
		return nil
	}
	e := same.pop()
	if same.len() == 0 {
		delete(o, key)
	}
	return e
}

// fifo is a queue in a ring that grows and, once empty, lets go of its memory.
type fifo[T any] struct {
	ring  []T
	first int
	n     int
}

func (q *fifo[T]) len() int { return q.n }

func (q *fifo[T]) head() T { return q.ring[q.first] }

func (q *fifo[T]) push(v T) {
	if q.n == len(q.ring) {
		grown := make([]T, max(4, 2*q.n))
		copied := copy(grown, q.ring[q.first:])
		copy(grown[copied:], q.ring[:q.first])
		q.ring, q.first = grown, 0
	}
	q.ring[(q.first+q.n)%len(q.ring)] = v
	q.n++
}

func (q *fifo[T]) pop() T {
	var zero T
	v := q.ring[q.first]
	q.ring[q.first] = zero
	q.first = (q.first + 1) % len(q.ring)
	q.n--
	if q.n == 0 {
		q.ring, q.first = nil, 0
	}
	return v
}
