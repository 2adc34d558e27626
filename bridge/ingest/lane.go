package ingest

import (
	"context"
	"errors"
	"sync"
	"time"

	"devicetwin/wire"
)

// Arrival is one message as its source received it.
type Arrival struct {
	// Origin is where it came from, in the words of its source. It is compared and
	// reported, and never read.
	Origin  string
	Payload []byte
	At      time.Time // of receipt: UTC, milliseconds
	// Number identifies the message among those of its lane that are not
	// acknowledged; 0 does not.
	Number uint64
	Again  bool // it may have been delivered before
	// Retained is the source's copy of an earlier message. Only the model that it names is
	// taken over.
	Retained bool
	Ack      func() // acknowledges it to the source; nil: nothing has to be

	// Log names the log of its source that it is a record of, such as a partition of a topic,
	// in at most device.MaxLogName bytes, and Offset is its place there, from 0 to MaxOffset.
	// Whichever process delivers it again, and from however far back, the workflows know it by
	// them. It is acknowledged only when it is accepted, also where there is a journal, because
	// another process may go on with the source's log and know nothing of what waits here. "":
	// its source has no log.
	Log    string
	Offset int64
}

// arrived is an arrival with what was read in it, until the core takes it.
type arrived struct {
	Arrival
	received []wire.Received
	err      error
}

// entry is an arrival until it is acknowledged. It is done once nothing that
// follows from it waits for acceptance any more.
type entry struct {
	Arrival
	lane *Lane
	// device is the one that the acknowledgement waits for, of several the one that
	// failed last; nil: of none.
	device *deviceState
	open   int  // messages, dead letters and rejections not yet accepted, and its record
	held   bool // counted in core.held
	noted  bool // in stream.acknowledged
	mark   mark // to be noted in stream.recognized, once the arrival is safe
	// rejected is set once a dead letter was made of it, so that an array of
	// objects in several refused batches makes one.
	rejected bool
	// Of one that is done and waits for those before it, instead of its payload.
	key leftKey
	sum uint64
}

func (e *entry) done() bool { return e.open == 0 }

// shrink lets go of the payload of an entry that is done.
func (e *entry) shrink(k *acknowledged) {
	e.key, e.sum = keyOf(&e.Arrival), k.sum(&e.Arrival)
	e.Payload = nil
}

// Lane is one ordered stream of messages that is acknowledged in order: a
// connection with a kept session, a partition of a log. An arrival that needs
// nothing more waits for all before it on its lane [MQTT-4.6.0-2], and for none on
// others.
//
// Deliver, Online and Close are called by the lane's source, one at a time.
type Lane struct {
	ingest *Ingest
	in     chan arrived
	closed chan struct{} // by Close
	sent   chan struct{} // closed when no acknowledgement is sent any more

	mutex    sync.Mutex
	released []func()      // acknowledgements to be sent
	ready    chan struct{} // there are some
	last     chan struct{} // closed when there will be no more

	// What follows belongs to the goroutine of the core.
	stream *stream
	number uint32 // of the lanes since the start
	lost   bool   // closed
	online bool
	// recognized says that core.recognized found something on it, which is reported.
	recognized bool
	entries    fifo[*entry]
	waiting    int // entries that are not done
	// unacked are the numbers of the entries. A source may deliver a message again
	// on the same lane when it has waited for long (NATS does); such a repetition
	// must not be acknowledged on its own, because its number may by then belong to
	// another message.
	unacked map[uint64]bool
	outbox  []func() // released, and not yet handed over
}

// laneRoom is how many arrivals of a lane wait for the core at most.
const laneRoom = 256

func newLane(i *Ingest) *Lane {
	return &Lane{
		ingest: i, in: make(chan arrived, laneRoom), closed: make(chan struct{}), sent: make(chan struct{}),
		ready: make(chan struct{}, 1), last: make(chan struct{}), unacked: make(map[uint64]bool),
	}
}

var errEnded = errors.New("nothing is taken any more")

// Deliver hands over one message, with what its dialect read in it: messages, or
// the error. It waits while the lane is full, which is the back-pressure, until ctx
// ends; an error means that the message was not taken.
func (l *Lane) Deliver(ctx context.Context, a Arrival, received []wire.Received, err error) error {
	select {
	case <-l.closed:
		return errEnded
	default:
	}
	select {
	case l.in <- arrived{a, received, err}:
		poke(l.ingest.arrivals)
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-l.ingest.ended:
		return errEnded
	}
}

// Online notes that messages come in. Resumed says that the source has kept every
// message since the last one that was acknowledged on the stream, and that nobody else
// has taken any.
func (l *Lane) Online(resumed bool) {
	l.ingest.do(func(c *core) { c.connected(l, resumed, time.Now()) })
}

// Sent is closed when every acknowledgement that will be sent has been: after the
// drain, or after Close.
func (l *Lane) Sent() <-chan struct{} { return l.sent }

// Close ends the lane. Its acknowledgements are void: the
// source delivers again what it has none for, on the next lane of the stream.
func (l *Lane) Close() {
	close(l.closed)
	<-l.sent
	l.ingest.do(func(c *core) { c.close(l, time.Now()) })
}

// acknowledge sends what the core releases, in its order.
func (l *Lane) acknowledge() {
	defer close(l.sent)
	var sending []func()
	for {
		select {
		case <-l.ready:
			sending = l.send(sending)
		case <-l.last:
			l.send(sending)
			return
		case <-l.closed:
			return
		}
	}
}

// send sends what was released, and returns its slice, to be used again.
func (l *Lane) send(spare []func()) []func() {
	l.mutex.Lock()
	released := l.released
	l.released = spare[:0]
	l.mutex.Unlock()
	for _, ack := range released {
		ack()
	}
	clear(released)
	return released
}

// handOver passes on what was released.
func (l *Lane) handOver() {
	if len(l.outbox) == 0 {
		return
	}
	l.mutex.Lock()
	l.released = append(l.released, l.outbox...)
	l.mutex.Unlock()
	clear(l.outbox)
	l.outbox = l.outbox[:0]
	poke(l.ready)
}

func (l *Lane) push(e *entry) {
	l.entries.push(e)
	if !e.done() {
		l.waiting++
	}
	if e.Number != 0 {
		l.unacked[e.Number] = true
	}
}

// finished notes that an entry is done.
func (l *Lane) finished(e *entry) {
	l.waiting--
	if l.entries.head() != e {
		e.shrink(&l.stream.acknowledged)
		return
	}
	l.release()
}

// repeats reports whether a was delivered before on this lane.
func (l *Lane) repeats(a *Arrival) bool { return a.Number != 0 && l.unacked[a.Number] }

// release moves the acknowledgements of everything done at the head into the
// outbox.
func (l *Lane) release() {
	for l.entries.len() > 0 && l.entries.head().done() {
		e := l.entries.pop()
		delete(l.unacked, e.Number)
		if e.Ack != nil {
			l.outbox = append(l.outbox, e.Ack)
			l.stream.acknowledged.note(e)
			l.stream.recognized.note(e)
		}
	}
}

// poke wakes whoever waits on a channel with room for one.
func poke(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
