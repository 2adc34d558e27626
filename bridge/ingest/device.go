package ingest

import (
	"container/list"
	"time"

	"devicetwin/device"
)

// deviceState is what is remembered of one device. Most are idle, and there are
// many of them: what only a busy one needs is separate.
type deviceState struct {
	id     device.ID
	listed *list.Element // in deviceTable.order

	place       place
	begun       bool // something of it was queued that starts a workflow
	quarantined bool // see heldUpBy
	offline     bool // its workflow was sent an offline status, and nothing alive since
	traits      uint32
	models      *modelSet
	unsaid      bool   // its workflow was not sent the model that it named
	requests    int16  // of its shadows, that Temporal does not have yet: maxRequests at most
	batches     uint32 // made of its messages so far
	filter      filterState
	given       *given // reports of its state; nil: none
	traffic     traffic
	run         uint64    // see instance.go
	position    int64     // while it is recovered: what came before it is known
	leftOut     *leftOut  // nil: nothing was
	faults      *faultLog // nil: nothing was reported lately

	heard   time.Time // its last message that shows that it is up
	renewed time.Time // the last such message that was delivered
	reach   *reach    // nil: nothing is known of that

	delivered time.Time // when its last delivery began
	bucket    bucket

	work *backlog // nil when idle
}

// backlog is what waits to be delivered for one device.
type backlog struct {
	pending      fifo[item]
	pendingBytes int
	pendingLogs  logChanges
	after        *record // of the log, which has to be on the disk before the next batch; nil: none
	// batch is what is being delivered. It stays the same until it is accepted
	// or refused, also when it has to be tried again.
	batch  []item
	size   int    // bound of the batch's bytes in JSON
	id     string // of the batch
	loaded bool   // there is a batch
	probe  bool   // an empty one

	attempt                 int
	refusals                int // in a row, because there was no room
	failedFirst, failedLast time.Time
	err                     error // of the last attempt
	retryAt                 time.Time
	startAt                 time.Time // while it is starting
	begins                  bool      // what is pending may begin a workflow, which was not counted yet

	index int // in the heap in which the device stands
}

// item is one message on its way to the workflow, and the arrival that waits for
// it; nil: none does.
type item struct {
	message *device.Message // nil: it is only in the log
	entry   *entry
	record  *record // in the log; nil: in none
	nth     int     // of what goes out of its record
	log     string  // of its source, in which it has the position pos; "": in none
	pos     int64
	size    int
	counted bool // in core.pendingBytes
	passive bool // it starts no workflow
}

// channel is that of the message. What the bridge itself says and requests of shadows stay
// in memory.
func (it *item) channel() device.Channel {
	if it.message == nil {
		return device.ChannelTelemetry
	}
	return it.message.Channel
}

// received is when the message was.
func (it *item) received() time.Time {
	if it.message == nil {
		return it.record.at
	}
	return it.message.Time
}

func (b *backlog) add(it item) {
	b.pending.push(it)
	b.pendingBytes += it.size
	b.pendingLogs.pushed(it.logName())
}

// waiting is how many messages wait, also for the result of a delivery.
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

// exceeds reports that what is pending may be more than one batch.
func (b *backlog) exceeds(messages, bytes int) bool {
	return b.pending.len() > messages || b.pendingBytes > bytes
}

// load fills the batch from what waits, up to the given bounds, with at least
// one message: of one log, and only with what is on its disk.
func (b *backlog) load(messages, bytes int, durable int64) {
	defer b.loadedTo()
	log := ""
	for b.pending.len() > 0 && len(b.batch) < messages {
		it := b.pending.head()
		if len(b.batch) > 0 && b.size+it.size > bytes {
			return
		}
		if it.record != nil && !it.record.durable(durable) {
			return
		}
		if name := it.logName(); name != "" {
			if log != "" && log != name {
				return
			}
			log = name
		}
		b.pendingLogs.popped(it.logName())
		b.batch = append(b.batch, b.pending.pop())
		b.size += it.size
		b.pendingBytes -= it.size
	}
}

// messages are those of the batch, in a new slice, and the log in which they have their
// positions. What is not in memory is left empty, and listed.
func (b *backlog) messages() (messages []device.Message, log string, unread []unread) {
	messages = make([]device.Message, len(b.batch))
	for i, it := range b.batch {
		switch {
		case it.message != nil:
			messages[i] = *it.message
		default:
			unread = append(unread, newUnread(i, it))
		}
		switch {
		case it.log != "":
			messages[i].Pos, log = it.pos, it.log
		case it.record != nil:
			messages[i].Pos, log = it.record.position(it.nth), it.record.log
		}
	}
	return messages, log, unread
}

// failedAgain notes another failed attempt and reports whether a delivery of
// another device was accepted since the one before.
func (b *backlog) failedAgain(now, proven time.Time) (alone bool) {
	if b.failedFirst.IsZero() {
		b.failedFirst = now
	}
	alone = b.attempt > 0 && proven.After(b.failedLast)
	b.attempt++
	b.failedLast = now
	return alone
}

// deviceTable remembers the devices that sent the latest messages.
type deviceTable struct {
	limit int
	byID  map[device.ID]*deviceState
	order list.List // of *deviceState, last heard first
}

func newDeviceTable(limit int) *deviceTable {
	return &deviceTable{limit: limit, byID: make(map[device.ID]*deviceState)}
}

// get returns the device, which is new if it was not remembered.
func (t *deviceTable) get(id device.ID) *deviceState {
	if d, ok := t.byID[id]; ok {
		t.order.MoveToFront(d.listed)
		return d
	}
	d := &deviceState{id: id}
	d.listed = t.order.PushFront(d)
	t.byID[id] = d
	t.forget()
	return d
}

// forget drops the idle devices with the oldest messages until the limit holds.
// Busy ones are bounded by the window; they are passed over.
func (t *deviceTable) forget() {
	for tries := len(t.byID); len(t.byID) > t.limit && tries > 0; tries-- {
		oldest := t.order.Back()
		d := oldest.Value.(*deviceState)
		if d.place != idle {
			t.order.MoveToFront(oldest)
			continue
		}
		t.order.Remove(oldest)
		delete(t.byID, d.id)
	}
}
