package ingest

import (
	"devicetwin/device"
	"devicetwin/wire"
)

// A source may have a log of its own, as a partition of a topic is: see Arrival.Log. Its
// records have their places there, whichever process receives them and whatever else it knows. So
// they are the positions by which workflows know what is delivered again (device.Batch.Log), in
// place of those in the journal, which another process does not know.
//
// The position of a message is made of the offset of its record, its place among the
// messages of the record, and what comes before it of what the bridge itself says. Another
// process may say more or less of that, or leave out other messages, so the position may not
// depend on what goes out.
const (
	placeBits = 11
	extraBits = 3
	extras    = 1<<extraBits - 1
)

// Bounds of a record of a source's log.
const (
	MaxMessages = 1 << placeBits                         // in it
	MaxOffset   = int64(1)<<(63-placeBits-extraBits) - 1 // 5.6e14
)

// locate gives the messages of an arrival their positions in the log of its source, if that
// has one. It refuses what cannot have any.
func (c *core) locate(e *entry, received []wire.Received) *wire.Refused {
	if e.Log == "" {
		c.deciding, c.extra = "", 0
		if c.journal != nil {
			c.deciding = c.instance
		}
		return nil
	}
	c.deciding = e.Log
	switch {
	case len(received) > MaxMessages:
		return wire.Refuse(wire.ReasonTooLarge, "%d messages in a record, the limit is %d", len(received), MaxMessages)
	case e.Offset < 0 || e.Offset > MaxOffset:
		return wire.Refuse(wire.ReasonTooLarge, "offset %d, the limit is %d", e.Offset, MaxOffset)
	}
	for i := range received {
		received[i].Message.Pos = (e.Offset<<placeBits|int64(i))<<extraBits | extras
	}
	return nil
}

// before notes that what the bridge itself says from now on comes before a message.
func (c *core) before(m *device.Message) {
	if m.Pos > 0 {
		c.extra = m.Pos &^ extras
	}
}

// inSourceLog gives an item its position in the log of its source, if that has one. There is
// room for more than what may come before one message: a gap, what was held back, and a renewal.
func (c *core) inSourceLog(it *item) {
	if it.entry == nil || it.entry.Log == "" {
		return
	}
	if it.message.Pos == 0 {
		c.extra++
		it.message.Pos = c.extra
	}
	it.log, it.pos = it.entry.Log, it.message.Pos
}

// logName is that of the log in which an item has its position; "": in none.
func (it *item) logName() string {
	switch {
	case it.log != "":
		return it.log
	case it.record != nil:
		return it.record.log
	}
	return ""
}

// logChanges counts how often what is pending changes from one log to another: such messages
// are in two batches.
type logChanges struct {
	n           int
	first, last string // log of the message that left last, or is next; and of the one that came last
}

func (l *logChanges) pushed(log string) {
	if log == "" {
		return
	}
	if l.last != "" && l.last != log {
		l.n++
	}
	if l.last = log; l.first == "" {
		l.first = log
	}
}

func (l *logChanges) popped(log string) {
	if log == "" {
		return
	}
	if l.first != log {
		l.n--
	}
	l.first = log
}

// loadedTo notes that a batch is loaded.
func (b *backlog) loadedTo() {
	if b.pending.len() == 0 {
		b.pendingLogs = logChanges{}
		return
	}
	next := b.pending.head()
	b.pendingLogs.popped(next.logName())
}
