package bridge

import (
	"container/list"
	"time"

	"devicetwin/device"
)

// deviceState is what the bridge remembers of one device. Most are idle, and there
// are many of them: what only a busy one needs stands apart.
type deviceState struct {
	id    string
	place *list.Element

	kind    *kind
	begun   bool // something of it was signalled
	seen    sight
	leftOut *leftOut // nil: nothing was

	heard   time.Time // its last message that shows that it is up
	renewed time.Time // the last such message that was signalled

	signalled time.Time // when its last attempt to signal began
	bucket    bucket
	stuck     bool // given up: see holder
	requests  int  // of its shadows, that Temporal does not have yet

	work *backlog // nil when idle
}

// backlog is what waits to be signalled for one device.
type backlog struct {
	pending      fifo[item]
	pendingBytes int
	// batch is what is being signalled. It stays the same until it is accepted
	// or refused, also when it has to be tried again.
	batch  []item
	size   int    // bound of the batch's bytes in JSON
	id     string // of the batch
	loaded bool   // there is a batch
	probe  bool   // an empty one

	attempt                 int
	failedFirst, failedLast time.Time
	err                     error // of the last attempt
	retryAt                 time.Time

	// Places in core.resting and core.retries, from 1; 0: not there.
	rest, retry int
	// early: nothing is pending but an early renewal, which waits in core.early.
	early bool
}

// item is one message on its way to the workflow, and the delivery that waits
// for it.
type item struct {
	message device.Message
	entry   *entry
	size    int
}

func (b *backlog) add(it item) {
	b.pending.push(it)
	b.pendingBytes += it.size
}

// waiting is how many messages wait, also for the result of a signal.
func (b *backlog) waiting() int {
	if b == nil {
		return 0
	}
	return len(b.batch) + b.pending.len()
}

// full reports that what is pending makes up a whole batch.
func (b *backlog) full(messages, bytes int) bool {
	return b.pending.len() >= messages || b.pendingBytes >= bytes
}

// load fills the batch from what waits, up to the given bounds, with at least
// one message.
func (b *backlog) load(messages, bytes int) {
	for b.pending.len() > 0 && len(b.batch) < messages {
		size := b.pending.head().size
		if len(b.batch) > 0 && b.size+size > bytes {
			return
		}
		b.batch = append(b.batch, b.pending.pop())
		b.size += size
		b.pendingBytes -= size
	}
}

// deviceTable remembers the devices that were heard last.
type deviceTable struct {
	limit int
	byID  map[string]*deviceState
	order list.List // of *deviceState, last heard first
}

func newDeviceTable(limit int) *deviceTable {
	return &deviceTable{limit: limit, byID: make(map[string]*deviceState)}
}

// get returns the device, which is new if it was not remembered.
func (t *deviceTable) get(id string) *deviceState {
	if d, ok := t.byID[id]; ok {
		t.order.MoveToFront(d.place)
		return d
	}
	d := &deviceState{id: id}
	d.place = t.order.PushFront(d)
	t.byID[id] = d
	t.forget()
	return d
}

// forget drops idle devices that were heard longest ago until the limit holds.
// Busy ones are bounded by the window; they are passed over.
func (t *deviceTable) forget() {
	for tries := len(t.byID); len(t.byID) > t.limit && tries > 0; tries-- {
		oldest := t.order.Back()
		d := oldest.Value.(*deviceState)
		if d.work != nil {
			t.order.MoveToFront(oldest)
			continue
		}
		t.order.Remove(oldest)
		delete(t.byID, d.id)
	}
}
