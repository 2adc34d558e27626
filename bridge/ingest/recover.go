package ingest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"devicetwin/bridge/history"
	"devicetwin/device"
	"devicetwin/internal/figures"
	"devicetwin/internal/recordlog"
	"devicetwin/wire"
)

// After the end of a process, in whatever way it ended, the next one begins with what the
// checkpoint says, and rolls it forward: it decides again about each arrival in the log
// since then. Where it comes to another decision than the one that was written down, as
// after a change of models, the device's filters forget what they know, so that its next
// message is delivered. What was not accepted is queued; what was accepted without
// the log knowing it is delivered again, under the same positions.

// recovery rolls a core forward.
type recovery struct {
	c       *core
	log     *slog.Logger
	rolls   bool   // there is a checkpoint
	doubts  bool   // another process may have delivered: nothing is known of the devices any more
	damaged bool   // something is missing: what is left out because of it is not known
	settled int64  // before it nothing waits for the workflows
	from    int64  // what comes before it only says which process appended
	known   int64  // what comes before it is in the checkpoint's states of streams
	damages uint64 // of the log, before from

	begin    history.Begin // of the process whose records are read
	since    int64         // where its records begin, as far as is known
	pending  map[device.ID]*fifo[item]
	lanes    map[string]*Lane // that do not exist any more
	entries  []*entry         // whose messages are not accepted
	last     fifo[*entry]     // the last ones: as many as the source may not know to be acknowledged
	messages int              // that wait
}

// The names of the cursors of an Ingest. They hold.
const (
	signalsCursor    = "signals"
	checkpointCursor = "checkpoint"
)

// Cursors are the names of the cursors of an Ingest in its log: nobody may append before
// the log holds what these have not had (recordlog.Log.Hold).
func Cursors() []string { return []string{signalsCursor, checkpointCursor} }

// recover brings the core to where the last process ended.
func (i *Ingest) recover() error {
	c, log := i.core, i.deps.Journal
	began := time.Now()
	var err error
	if i.signals, err = log.Cursor(signalsCursor, recordlog.Holds); err != nil {
		return err
	}
	if i.checkpoints, err = log.Cursor(checkpointCursor, recordlog.Holds); err != nil {
		return err
	}
	stats := log.Stats()
	r := &recovery{
		c: c, log: i.log, settled: i.signals.Committed(), damaged: stats.Damaged > 0,
		pending: map[device.ID]*fifo[item]{}, lanes: map[string]*Lane{},
	}
	r.from = min(r.settled, max(stats.Begin, stats.Durable-unmarkedBytes))
	if head := r.checkpoint(log, stats); head != nil {
		r.rolls, r.known = true, head.From
		r.from = min(r.settled, head.From, head.Unacknowledged)
	}
	r.damages = stats.Damaged
	counts := c.counts
	c.counts, c.restoring = NewCounts(figures.NewSet("restored_")), true
	i.signals.Move(max(0, r.from-2*beginEvery))
	err = r.read(i.signals, log)
	c.counts, c.restoring = counts, false
	if err != nil {
		return fmt.Errorf("recover from the log: %w", err)
	}
	if damaged := log.Stats().Damaged - r.damages; damaged > 0 {
		r.damaged = true
		c.counts.Unreadable.Add(damaged)
	}
	c.appended, c.logged = stats.Durable, stats.Durable
	r.finish(began)
	i.before, i.recovered, i.waited, i.accepted = r.begin.Instance, stats.Durable, r.messages, c.lastAccepted
	if stats.Durable > 0 {
		i.log.Info("recovered from the log", "devices", len(c.devices.byID), "messages_waiting", r.messages,
			"checkpoint", r.rolls, "took", time.Since(began).Round(time.Millisecond))
	}
	c.noteBegin(history.Begin{}, began)
	return nil
}

// unmarkedBytes is how far the log is read back, without a checkpoint, for what the source
// may deliver again.
const unmarkedBytes = 64 << 20

// checkpoint loads the checkpoint. Nil: there is none that can be used.
func (r *recovery) checkpoint(log *recordlog.Log, stats recordlog.Stats) *checkpointHead {
	parts, err := log.ReadFile(checkpointName)
	var head checkpointHead
	if err == nil && len(parts) > 0 {
		head, err = readHead(parts, stats.Begin, stats.Durable)
	}
	if err != nil {
		r.log.Warn("the checkpoint of the log cannot be used: the next message of each device is signalled", "error", err)
		return nil
	}
	if len(parts) == 0 {
		return nil
	}
	r.doubts = r.doubts || head.Scope != r.c.scope
	for _, s := range head.Streams {
		stream := r.c.stream(s.Name)
		stream.continuity = s.Continuity
	}
	r.c.lastAccepted = head.Accepted
	if err := r.c.recognized.load(head.Recognized); err != nil {
		r.log.Warn("a part of the checkpoint cannot be read: what the broker delivers again after a long time is not recognized", "error", err)
	}
	for _, part := range parts[1:] {
		for line := range bytes.Lines(part) {
			var d savedDevice
			if err := json.Unmarshal(line, &d); err != nil {
				r.log.Warn("a device in the checkpoint cannot be read: its next message is signalled", "error", err)
				continue
			}
			r.c.load(&d)
		}
	}
	return &head
}

// read takes every record from where the cursor is.
func (r *recovery) read(cursor *recordlog.Cursor, log *recordlog.Log) error {
	for {
		e, ok, err := cursor.TryNext()
		if err != nil || !ok {
			return err
		}
		if e.Kind == history.KindBegin {
			if b, err := history.ReadBegin(e.Data); err == nil {
				r.began(b, e.Start)
			}
		}
		if e.Start < r.from {
			r.damages = log.Stats().Damaged
			continue
		}
		switch e.Kind {
		case history.KindOutcome:
			if o, err := history.ReadOutcome(e.Data); err == nil {
				r.outcome(o, e.End)
			}
		case history.KindArrival:
			a, err := history.ReadArrival(e.Data, e.At)
			if err != nil {
				r.log.Error("a record of the log cannot be read; it is passed over", "position", e.Start, "error", err)
				r.damaged = true
				continue
			}
			r.arrival(a, e)
		}
	}
}

// began takes note of a begin record.
func (r *recovery) began(b history.Begin, at int64) {
	if b.Instance != r.begin.Instance {
		r.since = at
	}
	r.begin = b
	if at < r.from {
		return
	}
	r.doubts = r.doubts || b.Scope != r.c.scope
	if b.Elsewhere || b.EndsUnknown {
		r.forget(b, at)
	}
	if b.Lost != "" && at >= r.known {
		r.c.stream(b.Lost).continuity++
	}
}

// forget forgets what was known before a begin record.
func (r *recovery) forget(b history.Begin, at int64) {
	for _, d := range r.c.devices.byID {
		if at < d.position { // the checkpoint has it
			continue
		}
		d.workflowEnded()
		if b.Elsewhere {
			d.filter, d.given, d.leftOut = d.filter.numbersOnly(), nil, nil
		}
	}
	if b.Elsewhere {
		for _, s := range r.c.streams {
			s.acknowledged = acknowledged{}
		}
	}
}

func (r *recovery) arrival(a *history.Arrival, at recordlog.Entry) {
	r.c.redeliverable.passed(at.Start)
	e := &entry{Arrival: Arrival{Origin: a.Origin, Payload: a.Payload, At: a.At, Number: a.Number, Again: a.Again, Log: a.Log, Offset: a.Offset}, lane: r.lane(a.Stream)}
	for rest := a.Messages; len(rest) > 0; {
		n := 1
		for n < len(rest) && rest[n].ID == rest[0].ID && (rest[n].Message.Twin != nil) == (rest[0].Message.Twin != nil) {
			n++
		}
		if r.c.cfg.Partition.Owns(rest[0].ID.Name()) {
			r.roll(rest[:n], e, at.End)
		} // else another bridge has it now
		rest = rest[n:]
	}
	if at.Start >= r.settled {
		r.queue(a, e, at)
	}
	e.lane.stream.acknowledged.note(e) // in order, because numbers are used again
	if at.Start >= r.known {
		r.c.recognize(e, a.Messages)
	}
	if !e.done() {
		r.entries = append(r.entries, e)
		return
	}
	if r.last.push(e); r.last.len() > r.c.cfg.Window {
		r.last.pop()
	}
}

// lane is one that is lost, of a stream.
func (r *recovery) lane(stream string) *Lane {
	l := r.lanes[stream]
	if l == nil {
		l = newLane(nil)
		l.lost, l.stream = true, r.c.stream(stream)
		r.lanes[stream] = l
	}
	return l
}

// queue queues what goes out of a record: also for devices that are another bridge's by
// now, which has not received it.
func (r *recovery) queue(a *history.Arrival, e *entry, at recordlog.Entry) {
	rec := &record{log: r.begin.Instance, start: at.Start, end: at.End, at: a.At, out: len(a.Outgoing)}
	for nth, o := range a.Outgoing {
		it := item{record: rec, nth: nth, size: messageSize(o.Message), passive: o.Passive, log: a.Log}
		if a.Log != "" {
			it.pos = o.Message.Pos
		}
		if !ordinary(&o.Message) {
			it.message = &o.Message
		}
		if a.Log != "" || r.c.cfg.AckAccepted && r.begin.Accepted { // else it was acknowledged before
			it.entry = e
			e.open++
		}
		rec.open++
		q := r.pending[o.ID]
		if q == nil {
			q = new(fifo[item])
			r.pending[o.ID] = q
		}
		q.push(it)
		r.messages++
	}
	if rec.open > 0 {
		r.c.records.push(rec)
		r.c.backlog += rec.open
	}
}

// outcome takes note of what is done with.
func (r *recovery) outcome(o history.Outcome, at int64) {
	r.took(o)
	if q := r.pending[o.ID]; q != nil {
		for q.len() > 0 && q.head().record.position(q.head().nth) <= o.UpTo {
			it := q.pop()
			if it.entry != nil {
				it.entry.open--
			}
			r.c.settle(it.record)
			r.messages--
		}
	}
	d := r.c.devices.byID[o.ID]
	if d == nil || at <= d.position {
		return
	}
	if o.Ended {
		d.workflowEnded()
	}
	if o.Run != "" {
		sum := hashOf(o.Run)
		if d.run != 0 && d.run != sum {
			d.forgetGiven()
		}
		d.run, d.begun = sum, true
	}
}

// roll decides again about messages of one device.
func (r *recovery) roll(messages []history.Message, e *entry, end int64) {
	c := r.c
	d := c.device(messages[0].ID)
	if !r.rolls || end <= d.position {
		return
	}
	received := make([]wire.Received, len(messages))
	for i := range messages {
		received[i] = messages[i].Received
		if received[i].Message.Channel == device.ChannelStatus { // as it was when it was received
			received[i].Complete()
		}
	}
	switch {
	case messages[0].Verdict == history.Refused:
		for i := range received {
			c.learn(d, &received[i].Message)
		}
		d.missed(received)
	case received[0].Message.Twin != nil:
		for i, request := range received {
			if messages[i].Verdict == history.Repeated {
				c.admit(d, request.Message, decision{settled: true}, e, e.At)
				continue
			}
			c.admitRequest(d, &request.Message, 0, e, e.At)
		}
	default:
		r.rollDevice(d, messages, received, e)
	}
}

func (r *recovery) rollDevice(d *deviceState, messages []history.Message, received []wire.Received, e *entry) {
	c := r.c
	state := d.filter.copied()
	state.passing = false
	surprised := false
	decisions := make([]decision, len(received))
	for i := range received {
		if c.learn(d, &received[i].Message) {
			state.forget()
		}
		next := c.decideOn(d, &state, e.lane.stream.continuity, &received[i])
		was := messages[i].Verdict
		if was == history.Heard && !next.deliver { // who decided that knew when and where the device was reached
			next.hear(&state)
		}
		if next.verdict() != was {
			surprised = true
			next.deliver, next.tooLate, next.settled = was == history.Delivered || was == history.Heard, was == history.TooLate, was == history.Repeated || was == history.TooLate
		}
		decisions[i] = next
	}
	d.filter = state
	for i, next := range decisions {
		c.admit(d, c.completed(d, &received[i], next), next, e, e.At)
	}
	if surprised {
		d.forgetGiven()
	}
}

// finish gives each device its place, and the arrivals that the source may deliver again
// theirs.
func (r *recovery) finish(now time.Time) {
	c := r.c
	if r.damaged || r.doubts {
		c.unsure = now.Add(copiesCome)
	}
	for at := c.devices.order.Back(); at != nil; at = at.Prev() {
		d := at.Value.(*deviceState)
		d.position = 0
		switch {
		case r.doubts:
			d.filter, d.given = d.filter.numbersOnly(), nil
		case r.damaged:
			d.forgetGiven()
			d.filter.forgetNumbers()
		}
		d.filter.each(func(m *memory) { m.batch, m.behind = 0, false })
	}
	for _, id := range slices.Sorted(maps.Keys(r.pending)) {
		if q := r.pending[id]; q.len() > 0 {
			r.wait(c.device(id), q, now)
		}
	}
	for r.last.len() > 0 { // for sources that give a message another number when they deliver it again
		e := r.last.pop()
		e.lane.stream.left.add(e)
	}
	for _, e := range r.entries {
		if !e.done() {
			c.hold(e)
			e.lane.stream.left.add(e)
		}
	}
}

// wait lets a device go on with what waits of it.
func (r *recovery) wait(d *deviceState, q *fifo[item], now time.Time) {
	d.work = new(backlog)
	for q.len() > 0 {
		it := q.pop()
		if it.asks() {
			d.requests++
		}
		it.record.device = d
		d.work.add(it)
	}
	d.filter.each(func(m *memory) {
		if m.Holds() { // nobody knows what of it is in which batch
			m.batch, m.behind = d.batches+1, true
		}
	})
	r.c.queueUp(d, nil, now)
}
