package bridge

import (
	"errors"
	"log/slog"
	"strconv"
	"time"

	"devicetwin/device"
	"devicetwin/twin"
	"devicetwin/wire"
)

// effects is what the core asks of the world. None of them blocks.
type effects interface {
	// signal starts an attempt; its result comes back through core.signalled.
	// Model is the hash of the model to start a workflow with, "" for the default
	// one; existing is for a batch that must not start a workflow.
	signal(device, model string, batch device.Batch, existing bool)
	// letter takes a dead letter and reports whether core.lettered will follow.
	letter(l DeadLetter, e *entry) bool
	// answer takes an answer to a request, and reports whether core.lettered will
	// follow.
	answer(topic string, payload []byte, e *entry) bool
	// point takes the telemetry of one message.
	point(device, model string, data map[string]any, at time.Time)
}

// core decides everything between the session and Temporal: what a delivery
// means, which messages are signalled and in which batches, when a delivery is
// done. It has no goroutine, no clock and no lock: its inputs are the methods
// called by loop, one at a time, and time comes in with them.
type core struct {
	cfg     Config
	dialect wire.Dialect
	kinds   *kinds
	out     effects
	counts  *counters
	log     *slog.Logger
	wait    func(attempt int) time.Duration // backoff of signals

	instance string // tells the batches of this process from those of any other
	batches  uint64

	devices *deviceTable
	orphans orphans

	sifts      bool   // repetitions of settled classes are left out
	connection uint32 // counts the connections; see sight

	live      *window // of the current connection, or nil
	held      int     // deliveries whose memory is in use
	heldBytes int

	ready    fifo[*deviceState] // something pending, nothing in flight
	early    fifo[*deviceState] // the same, but nothing that has to be now: see renewal
	resting  deviceHeap         // the same, for which it is too early
	retries  deviceHeap         // a batch that waits to be tried again
	inFlight int
	outage   outage
	pacer    *pacer
	hurried  bool // nothing rests any more

	proven time.Time    // when the last accepted signal was sent
	stuck  int          // devices that were given up
	trying *deviceState // with an empty batch to find out whether Temporal is well, or nil

	online    bool          // the connection stands
	absent    time.Duration // in which nothing could come in, so far
	awaySince time.Time     // zero: deliveries can come in
}

func newCore(cfg Config, dialect wire.Dialect, kinds *kinds, out effects, counts *counters, log *slog.Logger, wait func(int) time.Duration) *core {
	if cfg.Naive {
		cfg.BatchMessages = 1
	}
	c := &core{
		cfg:     cfg,
		dialect: dialect,
		kinds:   kinds,
		out:     out,
		counts:  counts,
		log:     log,
		wait:    wait,
		devices: newDeviceTable(cfg.MaxDevices),
		orphans: orphans{},
		pacer:   newPacer(cfg.SignalsInFlight, cfg.LingerMax, cfg.Naive),
		resting: newResting(),
		retries: newRetries(),
		sifts:   cfg.SettledFor > 0 && !cfg.Naive && dialect.WholeDevices(cfg.Subscribe),
	}
	return c
}

// opened begins a connection.
func (c *core) opened(w *window) {
	c.live = w
	c.connection++
}

// connected notes that a connection stands. If the broker has kept the session
// since before this process began, it has messages of a time that nobody here
// knows.
func (c *core) connected(resumed bool) {
	c.online = true
	if resumed {
		c.absent += c.cfg.QuotaCatchUp
	}
}

// closed ends a connection. Its acknowledgements are void: the broker delivers
// again what it has none for. What is on its way to Temporal stays so.
func (c *core) closed(w *window) {
	w.lost = true
	w.outbox = nil
	if c.live == w {
		c.live, c.online = nil, false
	}
	before := c.orphans
	c.orphans = orphans{}
	for _, same := range before {
		for same.len() > 0 {
			// What was accepted and not delivered again by now will not be.
			if e := same.pop(); !e.done() {
				c.orphans.add(e)
			}
		}
	}
	for w.entries.len() > 0 {
		e := w.entries.pop()
		if e.done() {
			c.letGo(e)
		}
		c.orphans.add(e)
	}
}

// full reports that no delivery may be taken: the back-pressure. Each
// connection has a window of its own, so that what lost ones left behind does
// not keep out the repetitions that complete it; all together are bounded too.
func (c *core) full() bool {
	return c.live != nil && c.live.entries.len() >= c.cfg.Window ||
		c.held >= 4*c.cfg.Window ||
		c.heldBytes >= c.cfg.WindowBytes
}

// receive takes one delivery.
func (c *core) receive(d delivery, now time.Time) {
	c.counts.received.Add(1)
	if d.from.repeats(d) {
		c.counts.repeated.Add(1)
		return
	}
	if e := c.orphans.take(d); e != nil {
		c.adopt(e, d)
		return
	}
	e := &entry{delivery: d, held: true}
	c.held++
	c.heldBytes += len(d.Payload)
	e.open++ // until it is interpreted
	if d.from.lost {
		c.orphans.add(e)
	} else {
		d.from.push(e)
	}
	c.interpret(e, now)
	c.settle(e)
	if c.full() { // what rests would only keep out what could join it
		c.wake(now, true)
	}
	c.dispatch(now)
}

// adopt gives an orphan the acknowledgement of its repetition.
func (c *core) adopt(e *entry, d delivery) {
	c.counts.repeated.Add(1)
	if d.from.lost {
		c.orphans.add(e)
		return
	}
	if !e.held {
		e.held = true
		c.held++
		c.heldBytes += len(e.Payload)
	}
	e.from, e.PacketID, e.Ack = d.from, d.PacketID, d.Ack
	d.from.push(e)
	d.from.release(c.letGo)
}

// settle notes that one thing that e waited for is over.
func (c *core) settle(e *entry) {
	e.open--
	if !e.done() {
		return
	}
	if e.from.lost {
		c.letGo(e)
		return
	}
	e.from.release(c.letGo)
}

func (c *core) letGo(e *entry) {
	if e.held {
		e.held = false
		c.held--
		c.heldBytes -= len(e.Payload)
	}
}

// interpret finds out what a delivery is and queues what has to be signalled.
func (c *core) interpret(e *entry, now time.Time) {
	if e.Retained {
		// The broker's copy of an old message, sent because of our subscription:
		// nothing that happens now.
		c.counts.ignored.Add(1)
		return
	}
	received, err := c.dialect.Decode(e.Topic, e.Payload, e.Dup, e.At)
	refused := (*wire.Refused)(nil)
	switch {
	case errors.Is(err, wire.ErrForeign):
		c.counts.foreign.Add(1)
		return
	case errors.As(err, &refused):
		c.refuse(e, refused)
		return
	case err != nil:
		c.counts.ignored.Add(1)
		return
	case received[0].Message.Twin != nil:
		c.request(e, received[0], now)
		return
	}
	d := c.device(string(received[0].ID))
	e.device = d
	c.weigh(d, received, e, now)
}

func (c *core) enqueue(d *deviceState, m device.Message, e *entry, now time.Time) {
	e.open++
	d.begun = true
	it := item{m, e, messageSize(m)}
	if d.work != nil {
		c.hasten(d, now)
		d.work.add(it)
		c.grown(d)
		return
	}
	d.work = new(backlog)
	d.work.add(it)
	c.queueUp(d, now)
}

// refuse makes a dead letter of a delivery, once.
func (c *core) refuse(e *entry, ref *wire.Refused) {
	if e.letter {
		return
	}
	e.letter = true
	if c.out.letter(newDeadLetter(e.Message, ref), e) {
		e.open++
	}
}

// lettered notes that a dead letter, or an answer, is published or given up.
func (c *core) lettered(e *entry) { c.settle(e) }

// dispatch starts signals while it may. Devices take turns: one that has more
// to say after its batch joins the end of the line.
func (c *core) dispatch(now time.Time) {
	for !c.outage.closed(now) {
		d, ok := c.nextDevice()
		if !ok {
			return
		}
		w := d.work
		if !w.loaded {
			c.nextBatch(d, now)
		}
		d.signalled = now
		c.inFlight++
		c.out.signal(d.id, c.startsWith(d), device.Batch{ID: w.id, Messages: w.messages()}, w.onlyAsks())
	}
}

// nextDevice returns the device whose turn it is, if there is room for a signal.
func (c *core) nextDevice() (*deviceState, bool) {
	limit := c.outage.limit(c.pacer.inFlight())
	switch {
	case c.ready.len() == 0:
		return c.nextEarly(limit)
	case c.inFlight >= limit:
		c.pacer.bound = true
		return nil, false
	}
	return c.ready.pop(), true
}

func (c *core) startsWith(d *deviceState) string {
	if d.kind == nil || d.kind.start.Hash() == c.kinds.fallback.start.Hash() {
		return ""
	}
	return d.kind.start.Hash()
}

func (c *core) batchID() string {
	c.batches++
	return c.instance + "-" + strconv.FormatUint(c.batches, 36)
}

// signalled takes the result of an attempt.
func (c *core) signalled(id string, err error, now time.Time) {
	c.inFlight--
	d := c.devices.byID[id] // busy, therefore not forgotten
	w := d.work
	took := now.Sub(d.signalled)
	c.counts.signalSeconds.Observe(took.Seconds())
	switch {
	case err == nil:
		c.pacer.accepted(took, now)
		c.counts.signals.Add(1)
		if !w.probe {
			c.counts.batchMessages.Observe(float64(len(w.batch)))
		}
		c.proven = d.signalled
		c.recovered(now)
		c.finish(d, now, c.accepted)
	case notFound(err):
		c.pacer.accepted(took, now)
		c.recovered(now)
		d.signalled = time.Time{} // there is no workflow to be tried
		c.finish(d, now, c.unknown)
	case permanent(err):
		c.log.Error("batch refused for good", "device", id, "messages", len(w.batch), "err", err)
		d.signalled = time.Time{} // its workflow proves nothing
		d.seen.forget()
		ref := wire.Refuse(ReasonRefused, "%v", err)
		c.finish(d, now, func(it item) { c.turnDown(it, ref) })
	default:
		c.failed(d, err, now)
	}
	c.relieve(now)
	c.dispatch(now)
}

// failed lets a batch wait to be tried again.
func (c *core) failed(d *deviceState, err error, now time.Time) {
	w := d.work
	c.counts.signalFailures.Add(1)
	w.err = err
	w.retryAt = now.Add(c.wait(w.attempt))
	alone := w.failedAgain(now, c.proven)
	switch {
	case d.stuck: // which says nothing about Temporal
	case c.outage.failed(now, c.wait):
		c.log.Warn("temporal does not take signals; messages stay unacknowledged until it does", "device", d.id, "err", err)
	default:
		c.log.Debug("signal failed, to be tried again", "device", d.id, "attempt", w.attempt, "err", err)
	}
	if alone && c.holder(now) == d {
		c.giveUp(d, now)
		return
	}
	c.retries.push(d)
}

func (c *core) recovered(now time.Time) {
	if lasted, was := c.outage.over(now); was {
		c.log.Info("temporal takes signals again", "after", lasted)
	}
}

// finish ends a device's batch, with each of its messages as the outcome is.
func (c *core) finish(d *deviceState, now time.Time, each func(item)) {
	w := d.work
	batch := w.batch
	d.answered(batch)
	c.unstuck(d)
	if c.trying == d {
		c.trying = nil
	}
	*w = backlog{pending: w.pending, pendingBytes: w.pendingBytes}
	if w.pending.len() > 0 {
		c.queueUp(d, now)
	} else {
		d.work = nil
	}
	for _, it := range batch {
		each(it)
		c.settle(it.entry)
	}
}

func (c *core) accepted(it item) {
	if it.message.Channel != device.ChannelSystem {
		c.counts.events.Add(1)
	}
	it.entry.device.leased(it.message)
}

// turnDown tells of a message that no workflow gets: its sender, if that waits
// for an answer, or whoever reads the dead letters.
func (c *core) turnDown(it item, ref *wire.Refused) {
	if r := it.message.Twin; r != nil {
		c.reject(it.entry, it.message, twin.Reject(500, twin.ClientToken(r.Payload, twin.DefaultLimits())))
		return
	}
	c.refuse(it.entry, ref)
}

// elapsed makes batches ready again whose wait is over.
func (c *core) elapsed(now time.Time) {
	c.pacer.quiet(now)
	c.wake(now, false)
	for c.retries.len() > 0 && !c.retries.head().work.retryAt.After(now) {
		c.ready.push(c.retries.pop())
	}
	c.dispatch(now)
}

// next is when elapsed has something to do; ok is false if never.
func (c *core) next() (at time.Time, ok bool) {
	at, ok = c.pacer.next()
	earlier := func(t time.Time) {
		if !ok || t.Before(at) {
			at, ok = t, true
		}
	}
	if c.retries.len() > 0 {
		earlier(c.retries.head().work.retryAt)
	}
	if c.resting.len() > 0 {
		earlier(c.resting.head().signalled.Add(c.pacer.linger))
	}
	if c.ready.len()+c.early.len() > 0 && c.outage.on && c.inFlight == 0 {
		earlier(c.outage.until)
	}
	return at, ok
}

// idle reports that nothing waits for acceptance. A stuck device has nothing
// that could be accepted; it is always on its way or waiting.
func (c *core) idle() bool {
	return c.inFlight+c.ready.len()+c.resting.len()+c.retries.len() == c.stuck
}

// oldest is when the oldest unacknowledged delivery of the connection was
// received; ok is false if there is none.
func (c *core) oldest() (at time.Time, ok bool) {
	if c.live == nil || c.live.entries.len() == 0 {
		return time.Time{}, false
	}
	return c.live.entries.head().At, true
}

// permanent reports whether trying again is pointless, as the signaller says.
func permanent(err error) bool {
	var p interface{ Permanent() bool }
	return errors.As(err, &p) && p.Permanent()
}
