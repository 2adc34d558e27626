package ingest

import (
	"errors"
	"time"

	"devicetwin/bridge/history"
	"devicetwin/device"
	"devicetwin/internal/recordlog"
	"devicetwin/wire"
)

// With a log, each arrival that could be read is appended to it with the verdicts on its
// messages. Nothing is delivered before it is on the disk: so whatever a workflow has
// seen is in the log, under a position that rises from message to message of a device, and
// a workflow knows what is repeated after a crash.
//
// An arrival is acknowledged once it is on the disk, or, with Config.AckAccepted or if its source
// has a log of its own, once its messages are accepted as well.

// journal is where arrivals are appended; *recordlog.Log is one.
type journal interface {
	AppendAt(r recordlog.Record) (start, end int64, err error)
}

// record is one in the log with messages that are not accepted yet.
type record struct {
	log        string // under which its messages have their positions
	start, end int64  // end 0: it is not appended yet
	at         time.Time
	out        int          // messages that go out of it
	open       int          // and are not accepted
	device     *deviceState // of the last of them
	refused    bool
}

// durable reports that the record is on the disk.
func (r *record) durable(logged int64) bool { return r.end > 0 && r.end <= logged }

// position is that of one of the messages that go out, from 0. A record has more bytes
// than messages, so the positions of all records rise.
func (r *record) position(nth int) int64 { return r.end - int64(r.out-nth) }

// recording is what is to be appended of the arrival that is being received.
type recording struct {
	history.Arrival
	record *record
	points int // of its messages
}

// unlogged is an arrival that waits for its record, or a record for which nothing waits.
type unlogged struct {
	kind   byte
	record *record
	entry  *entry
	points int    // in it
	data   []byte // not appended yet
}

// startRecording begins the recording of an arrival.
func (c *core) startRecording(e *entry) {
	if c.journal == nil {
		return
	}
	r := &c.recorded
	clear(r.Messages)
	clear(r.Outgoing)
	r.Arrival = history.Arrival{
		Stream: e.lane.stream.name, Origin: e.Origin, At: e.At, Number: e.Number, Again: e.Again, Payload: e.Payload, Log: e.Log, Offset: e.Offset,
		Messages: r.Messages[:0], Outgoing: r.Outgoing[:0],
	}
	r.record, r.points = &record{log: c.instance, at: e.At}, 0
	c.recording = r
}

// noteMessage adds a message to the recording, and returns its place, from 1.
func (c *core) noteMessage(r *wire.Received, v history.Verdict) (of int) {
	if c.recording == nil {
		return 0
	}
	c.recording.Messages = append(c.recording.Messages, history.Message{Received: *r, Verdict: v})
	return len(c.recording.Messages)
}

// decided writes down the verdict on a message.
func (c *core) decided(of int, v history.Verdict) {
	if of > 0 {
		c.recording.Messages[of-1].Verdict = v
	}
}

// point writes the telemetry of a message, or has it written from the log.
func (c *core) point(p Point, of int) {
	if of == 0 {
		c.out.points = append(c.out.points, p)
		return
	}
	m := &c.recording.Messages[of-1]
	m.Measurement, m.Point = p.Model, p.Time
	c.recording.points++
}

// goesOut notes that an item goes out of the arrival that is being received: the message
// that has a place there as it is, or, with 0, another one. In memory is kept what there is
// room for.
func (c *core) goesOut(d *deviceState, it *item, of int) {
	if it.entry == nil || c.journal == nil {
		return
	}
	if r := c.recording; r != nil {
		it.record, it.nth = r.record, len(r.Outgoing)
		r.record.open++
		r.record.device = d
		r.Outgoing = append(r.Outgoing, history.Outgoing{ID: d.id, Message: *it.message, Of: of, Passive: it.passive})
		c.backlog++
	}
	if c.waitsForAcceptance(it.entry) {
		return
	}
	it.entry = nil
	if it.record != nil && c.pendingBytes+it.size > c.cfg.WindowBytes && ordinary(it.message) {
		it.message = nil
		return
	}
	it.counted = true
	c.pendingBytes += it.size
}

// waitsForAcceptance reports whether an arrival is acknowledged only when its messages are
// accepted.
func (c *core) waitsForAcceptance(e *entry) bool {
	return c.journal == nil || c.cfg.AckAccepted || e.Log != ""
}

// ordinary reports whether nothing but the log needs to know a message that waits.
func ordinary(m *device.Message) bool {
	return m.Channel != device.ChannelTwin && m.Channel != device.ChannelSystem
}

// endRecording appends the record of an arrival, which waits for it.
func (c *core) endRecording(e *entry) {
	r := c.recording
	c.recording = nil
	if r == nil || len(r.Messages) == 0 {
		return
	}
	r.record.out = len(r.Outgoing)
	c.encoded = r.Append(c.encoded[:0])
	e.open++
	c.keep(unlogged{kind: history.KindArrival, record: r.record, entry: e, points: r.points, data: c.encoded})
	if c.blocked.len() == 0 && c.appended-c.begunAt >= beginEvery {
		c.noteBegin(history.Begin{}, e.At)
	}
}

// keep appends a record, at once or as soon as there is room in the log.
func (c *core) keep(u unlogged) {
	if c.blocked.len() > 0 || !c.append(&u) {
		u.data = append([]byte(nil), u.data...)
		c.blocked.push(u)
	}
}

// append appends a record. False: there is no room in the log.
func (c *core) append(u *unlogged) bool {
	start, end, err := c.journal.AppendAt(recordlog.Record{Kind: u.kind, At: u.record.at, Items: u.points, Data: u.data})
	if err != nil {
		if !errors.Is(err, recordlog.ErrFull) && !errors.Is(err, recordlog.ErrClosed) {
			c.log.Error("cannot append to the log", "error", err)
		}
		return false
	}
	u.data = nil
	u.record.start, u.record.end = start, end
	c.appended, c.own = end, end
	if u.record.open > 0 {
		c.records.push(u.record)
	}
	c.unlogged.push(*u)
	switch {
	case u.kind == history.KindBegin:
		c.begunAt = start
	case u.kind == history.KindArrival:
		c.redeliverable.passed(start)
		c.recognized.note(u.entry)
	}
	return true
}

// beginEvery is how many bytes after a begin record there is another one, so that whoever
// reads on from somewhere finds the instance of what comes there.
const beginEvery = 4 << 20

// noteBegin appends a begin record of this process.
func (c *core) noteBegin(b history.Begin, now time.Time) {
	if c.journal == nil {
		return
	}
	b.Instance, b.Bridge, b.Scope, b.Accepted = c.instance, c.name, c.scope, c.cfg.AckAccepted
	c.keep(unlogged{kind: history.KindBegin, record: &record{log: c.instance, at: now.UTC()}, data: b.Append(nil)})
}

// redeliverable are places of records, one for many, the oldest of which comes before all
// arrivals that the source may still have. It may deliver again what was acknowledged, if
// the acknowledgement is lost with the connection.
type redeliverable struct {
	places fifo[int64]
	n      int // since the last place
}

const perPlace = 256

// passed notes the place of a record.
func (r *redeliverable) passed(start int64) {
	if r.n--; r.n > 0 {
		return
	}
	r.n = perPlace
	if r.places.len() > maxWindow/perPlace {
		r.places.pop()
	}
	r.places.push(start)
}

// reached notes that the log is on the disk up to a position, and that there may be room in
// it again.
func (c *core) reached(position int64, now time.Time) {
	c.logged = max(c.logged, position)
	for c.blocked.len() > 0 {
		u := c.blocked.head()
		if !c.append(&u) {
			break
		}
		c.blocked.pop()
	}
	for c.unlogged.len() > 0 && c.unlogged.head().record.durable(c.logged) {
		c.complete(c.unlogged.pop().entry)
	}
	if c.unlogged.len() == 0 {
		c.appended = max(c.appended, c.logged) // the rest is not its own
	}
	for c.logging.len() > 0 {
		d := c.logging.head()
		if !c.mayLeave(d.work) {
			break
		}
		c.queueUp(d, d.work.pending.head().entry, now)
	}
	c.dispatch(now)
}

// mayLeave reports that the first message that is pending may be delivered, as to the log.
func (c *core) mayLeave(w *backlog) bool {
	return (w.after == nil || w.after.durable(c.logged)) && c.onDisk(w.pending.head())
}

// onDisk reports that an item is on the disk of the log, or not meant to be.
func (c *core) onDisk(it item) bool { return it.record == nil || it.record.durable(c.logged) }

// settle notes that a message of a record is accepted, or refused. Nil: it was in none.
func (c *core) settle(r *record) {
	if r == nil {
		return
	}
	r.open--
	c.backlog--
	for c.records.len() > 0 && c.records.head().open == 0 {
		c.records.pop()
	}
}

// settledTo is the position before which everything is on the disk and nothing waits for
// the workflows.
func (c *core) settledTo() int64 {
	to := min(c.appended, c.logged)
	if c.records.len() > 0 {
		to = min(to, c.records.head().start)
	}
	return to
}

// noteOutcome appends that the batch of a device is done with. If that is lost, the batch
// is delivered again after a crash, and its workflow knows it. A run is appended too if it
// is another one than before.
//
// A workflow that began with a later log than that of the batch does not know it: the one
// that took the batch may have ended since. So the outcome of what an earlier process had
// in the log is not lost, and the device's next batch waits for the record that is returned.
func (c *core) noteOutcome(d *deviceState, batch []item, run string, other bool, now time.Time) (after *record) {
	upTo, log, earlier := int64(0), "", false
	for _, it := range batch {
		if it.counted {
			c.pendingBytes -= it.size
		}
		if it.record != nil && it.record.end > 0 {
			upTo, log, earlier = it.record.position(it.nth), it.record.log, it.record.log != c.instance
		}
	}
	c.took(d.id, run, log, upTo)
	o := history.Outcome{ID: d.id, UpTo: upTo, Run: run}
	switch {
	case earlier:
		return c.keepOutcome(o, now)
	case other:
		c.keepOutcome(o, now)
	case upTo > 0:
		_, _, _ = c.journal.AppendAt(recordlog.Record{Kind: history.KindOutcome, At: now.UTC(), Data: o.Append(nil)})
	}
	return nil
}

// noteEnded appends that what the workflow of a device was given does not count any more.
func (c *core) noteEnded(id device.ID, now time.Time) {
	c.keepOutcome(history.Outcome{ID: id, Ended: true}, now)
}

// keepOutcome appends an outcome that must not be missing. Nil: there is no log.
func (c *core) keepOutcome(o history.Outcome, now time.Time) *record {
	if c.journal == nil {
		return nil
	}
	r := &record{log: c.instance, at: now.UTC()}
	c.keep(unlogged{kind: history.KindOutcome, record: r, data: o.Append(nil)})
	return r
}

// unread is a message of a batch that is only in the log.
type unread struct {
	index  int   // in the batch
	record int64 // where it starts
	nth    int   // of what goes out of it
}

func newUnread(index int, it item) unread { return unread{index, it.record.start, it.nth} }

// delivery is a batch on its way, with what has to be read before.
type delivery struct {
	device.Delivery
	unread []unread
	lost   int // messages that could not be read
}

// refuseItem makes a dead letter of a message. What is acknowledged is read from the log.
func (c *core) refuseItem(it item, why *wire.Refused) {
	if it.entry != nil || it.record == nil {
		c.refuse(it.entry, why)
		return
	}
	if it.record.refused {
		return
	}
	it.record.refused = true
	c.counts.deadLetter(why.Reason).Add(1)
	c.out.unreadLetters = append(c.out.unreadLetters, unreadLetter{it.record.start, *why})
}

// unreadLetter is a dead letter whose arrival is only in the log.
type unreadLetter struct {
	record int64
	wire.Refused
}

// lost notes that messages of a device's batch could not be read from the log: what was
// left out because of them does not hold.
func (c *core) lost(id device.ID, messages int) {
	if messages == 0 {
		return
	}
	c.counts.Unreadable.Add(uint64(messages))
	c.devices.byID[id].forgetGiven()
}

// elsewhere notes that another process may have delivered messages of all devices, and may
// have left some out.
func (c *core) elsewhere(now time.Time) {
	c.noteBegin(history.Begin{Elsewhere: true}, now)
	c.unsure = now.Add(copiesCome)
	for _, d := range c.devices.byID {
		d.filter, d.given, d.leftOut = d.filter.numbersOnly(), nil, nil
	}
	for _, s := range c.streams {
		s.acknowledged = acknowledged{}
	}
}
