package ingest

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"devicetwin/bridge/history"
	"devicetwin/device"
	"devicetwin/wire"
)

// core decides everything between the lanes and the sink: which messages go to
// their device's workflow and in which batches, and when an arrival is done.
//
// It has no goroutine, no clock and no lock. Its inputs are the methods open,
// connected, close, receive, delivered, published, elapsed and hurry, called one at
// a time, and time comes in with them. Its outputs are data, which the caller
// takes from out after one or a few inputs, and carries out: see output. Acknowledgements
// are in each lane's outbox, in order.
type core struct {
	cfg    Config
	models *assignment
	// implied is the hash of the model that the sink takes where a delivery names none.
	implied string
	counts  *Counts
	log     *slog.Logger
	wait    func(attempt int) time.Duration // backoff of deliveries
	out     output

	scope    string // which devices' messages come in, and by which rules they are left out
	instance string // distinguishes the batches of this process from those of any other
	batches  uint64

	devices    *deviceTable
	recognized *recognized
	streams    []*stream
	lanes      []*Lane // open ones
	opened     uint32  // lanes so far

	decisions []decision     // memory of take
	scratch   filterState    // memory of take
	selected  map[string]any // memory of decideOn
	times     *pointTimes
	traits    *traitTable
	surveyed  time.Time // when traffic was taken, or began
	unsure    time.Time // until then, copies of what was left out before may come

	sifts     bool // repetitions of settled classes are left out
	held      int  // arrivals whose memory is in use
	heldBytes int

	queues  // devices by their place
	outage  outage
	pacer   *pacer
	hurried bool // nothing rests any more

	journal       journal    // nil: there is no log
	restoring     bool       // what is received was, by an earlier process
	recording     *recording // of the arrival that is being received; nil: it is not recorded
	recorded      recording  // memory of it
	encoded       []byte     // memory of endRecording
	blocked       fifo[unlogged]
	unlogged      fifo[unlogged]
	nextStart     time.Time     // when another workflow may be started
	deciding      string        // the log in which the arrival that is decided has its positions
	extra         int64         // see before
	records       fifo[*record] // with messages that are not accepted
	own           int64         // after the last record that was appended here
	appended      int64         // the same, or what others appended since
	logged        int64         // before it everything is on the disk
	logBytes      int64         // that the log may have
	backlog       int           // messages in the log that are not accepted
	name          string        // of the bridge, in the log
	begunAt       int64         // of the last begin record
	redeliverable redeliverable
	lastAccepted  Accepted
	pendingBytes  int // of messages in memory for which no arrival waits

	faulty    []*deviceState     // with a first fault, which is reported at once
	quiet     fifo[*deviceState] // that have reported faults, by when they may again
	reporting int                // reports in the queues
	misread   bool               // an expression, on the message that was decided last
	late      bool               // that message came too late to be applied

	moving moving // devices that are moved to other versions of their models

	proven      time.Time    // when the last accepted delivery was started
	quarantined int          // devices
	trying      *deviceState // with an empty batch to find out whether Temporal is well, or nil
}

// output is what the core wants to have done, in order within each list, since it
// was last reset.
type output struct {
	// deliveries are to be started. The result of each comes back by delivered.
	deliveries []delivery
	points     []Point
	// Each of these comes back by published, once it is published or given up.
	letters    []outgoing[DeadLetter]
	rejections []outgoing[Rejection]
	// questions are asked if there is room for them; nothing waits for them.
	questions []Question
	// unreadLetters are dead letters for which nothing waits.
	unreadLetters []unreadLetter
}

// outgoing is a value that an arrival waits for.
type outgoing[T any] struct {
	value T
	entry *entry
}

// Point is the telemetry of one message.
type Point struct {
	ID     device.ID
	Model  string // its name
	Object []byte // encoded, with wire.ReservedKeys
	Time   time.Time
}

// DeadLetter is an arrival that was refused.
type DeadLetter struct {
	Arrival
	wire.Refused
}

// Rejection is a request of the shadow protocol that no workflow answers.
type Rejection struct {
	ID      device.ID
	Request device.Message
	Code    int // as in HTTP: 404, 413, 429, 500
	At      time.Time
}

// reset empties the lists and keeps their memory.
func (o *output) reset() {
	clear(o.deliveries)
	clear(o.points)
	clear(o.letters)
	clear(o.rejections)
	clear(o.unreadLetters)
	clear(o.questions)
	o.questions = o.questions[:0]
	o.unreadLetters = o.unreadLetters[:0]
	o.deliveries, o.points, o.letters, o.rejections = o.deliveries[:0], o.points[:0], o.letters[:0], o.rejections[:0]
}

func newCore(cfg Config, models *assignment, wholeDevices bool, counts *Counts, log *slog.Logger, wait func(int) time.Duration) *core {
	if cfg.Naive {
		cfg.BatchMessages = 1
	}
	return &core{
		cfg:        cfg,
		models:     models,
		implied:    models.fallback.start.Hash(),
		counts:     counts,
		log:        log,
		wait:       wait,
		selected:   map[string]any{},
		devices:    newDeviceTable(cfg.MaxDevices),
		recognized: newRecognized(cfg.Recognized, cfg.RecognizedFor),
		queues:     newQueues(),
		pacer:      newPacer(cfg.SignalsInFlight, cfg.LingerMax, cfg.Naive),
		times:      newPointTimes(),
		traits:     newTraitTable(),
		sifts:      cfg.SettledFor > 0 && !cfg.Naive && wholeDevices,
	}
}

// stream returns the stream of a name, which is new if there was none.
func (c *core) stream(name string) *stream {
	for _, s := range c.streams {
		if s.name == name {
			return s
		}
	}
	s := &stream{name: name, left: leftovers{}, recognized: c.recognized}
	c.streams = append(c.streams, s)
	return s
}

// open begins a lane of a stream.
func (c *core) open(l *Lane, name string) {
	c.opened++
	l.number = c.opened
	l.stream = c.stream(name)
	l.stream.lane = l
	c.lanes = append(c.lanes, l)
}

// connected notes that messages come in on a lane. Resumed says that its source has kept
// every message since the last one on the stream; if that was before this process began,
// they are of a time that nobody here knows.
func (c *core) connected(l *Lane, resumed bool, now time.Time) {
	l.online = true
	s := l.stream
	switch {
	case !resumed:
		s.continuity++
		c.noteBegin(history.Begin{Lost: s.name}, now)
		if c.cfg.Partition.Of > 1 { // meanwhile, its share may have been another one's
			c.elsewhere(now)
		}
	case !s.heard:
		s.absent += c.cfg.QuotaCatchUp
	}
	s.heard = true
}

// close ends a lane. What is on its way to the sink stays so.
func (c *core) close(l *Lane, now time.Time) {
	for len(l.in) > 0 { // its source has handed them over
		a := <-l.in
		c.receive(l, a, now)
	}
	l.lost, l.online = true, false
	l.outbox = nil
	for i, open := range c.lanes {
		if open == l {
			c.lanes = append(c.lanes[:i:i], c.lanes[i+1:]...)
		}
	}
	s := l.stream
	if s.lane == l {
		s.lane = nil
	}
	s.renew()
	for l.entries.len() > 0 {
		s.left.add(l.entries.pop())
	}
}

// full reports that nothing may be taken from a lane: the back-pressure. Each
// lane has a window of its own, so that what closed ones left behind does not keep
// out the repetitions that complete it; all together are bounded too. What waits for
// nothing but its turn to be acknowledged costs no more than its place: of that there
// may be many times as much, up to what the protocol has numbers for.
func (c *core) full(l *Lane) bool {
	return l.waiting >= c.cfg.Window || l.entries.len() >= min(turnsPerWindow*c.cfg.Window, maxWindow) || c.heldTooMuch() || c.blocked.len() > 0
}

// turnsPerWindow is how many arrivals may wait for their turn to be acknowledged, for each
// one that the window has room for.
const turnsPerWindow = 16

func (c *core) heldTooMuch() bool {
	return c.held >= 4*c.cfg.Window || c.heldBytes >= c.cfg.WindowBytes
}

// attend notes for each stream whether messages can come in from now on.
func (c *core) attend(now time.Time) {
	for _, s := range c.streams {
		s.attend(s.lane != nil && s.lane.online && !c.full(s.lane), now)
	}
}

// receive takes one arrival.
func (c *core) receive(l *Lane, a arrived, now time.Time) {
	c.lookAtMoves(now)
	c.counts.Received.Add(1)
	if l.repeats(&a.Arrival) {
		c.counts.Repeated.Add(1)
		return
	}
	if e := l.stream.left.take(&a.Arrival); e != nil {
		c.adopt(e, l, a.Arrival)
		return
	}
	e := &entry{Arrival: a.Arrival, lane: l, open: 1} // until it is interpreted
	c.hold(e)
	c.stand(e)
	switch { // what repeats only needs its acknowledgement
	case l.stream.acknowledged.repeats(&a.Arrival):
		c.counts.Repeated.Add(1)
	case a.err == nil && c.recognizes(e, a.received):
	default:
		c.interpret(e, a.received, a.err, now)
	}
	c.complete(e)
	if c.full(l) { // what rests would only keep out what could join it
		c.wake(now, true)
	}
	c.dispatch(now)
}

// recognizes reports whether an arrival, that could be read, is a repetition of what came in long
// ago. If not, it is to be remembered.
func (c *core) recognizes(e *entry, received []wire.Received) bool {
	e.mark = c.recognized.mark(&e.Arrival, anyUnnumbered(received))
	if !c.recognized.repeats(e.mark) {
		return false
	}
	e.mark = mark{}
	c.counts.Repeated.Add(1)
	c.counts.Recognized.Add(1)
	if l := e.lane; !l.recognized {
		l.recognized = true
		c.log.Info("the broker delivers again what was acknowledged long ago; it is left out", "origin", e.Origin)
	}
	c.log.Debug("left out, because it was acknowledged long ago", "origin", e.Origin, "number", e.Number)
	return true
}

// stand puts an arrival into the order of its lane.
func (c *core) stand(e *entry) {
	if e.lane.lost {
		e.lane.stream.left.add(e)
		return
	}
	e.lane.push(e)
}

// adopt gives an arrival of a closed lane the acknowledgement of its repetition.
func (c *core) adopt(e *entry, l *Lane, a Arrival) {
	c.counts.Repeated.Add(1)
	if !l.lost {
		if !e.done() {
			c.hold(e)
		}
		e.lane, e.Number, e.Ack, e.noted = l, a.Number, a.Ack, false
	}
	c.stand(e)
	l.release()
}

// complete notes that one thing that e waited for is over. Nil waits for nothing.
func (c *core) complete(e *entry) {
	if e == nil {
		return
	}
	e.open--
	if !e.done() {
		return
	}
	c.letGo(e)
	switch {
	case !e.lane.lost:
		e.lane.finished(e)
	case e.Log != "": // another process may have its stream now, and keep it
		e.Payload = nil
	}
}

func (c *core) hold(e *entry) {
	if !e.held {
		e.held = true
		c.held++
		c.heldBytes += len(e.Payload)
	}
}

func (c *core) letGo(e *entry) {
	if e.held {
		e.held = false
		c.held--
		c.heldBytes -= len(e.Payload)
	}
}

// interpret queues what has to be delivered of an arrival.
func (c *core) interpret(e *entry, received []wire.Received, err error, now time.Time) {
	if e.Retained {
		if received = c.ofRetained(received); len(received) == 0 {
			c.counts.Ignored.Add(1)
			if refused := (*wire.Refused)(nil); errors.As(err, &refused) { // which it was when it was not a copy yet
				c.log.Debug("retained message ignored", "origin", e.Origin, "reason", refused.Reason, "detail", refused.Detail)
			}
			return
		}
	}
	if err != nil {
		refused := (*wire.Refused)(nil)
		switch {
		case errors.As(err, &refused):
			c.refuse(e, refused)
			c.hearRefused(e, refused, now)
		case errors.Is(err, wire.ErrForeign):
			c.counts.Foreign.Add(1)
		case errors.Is(err, wire.ErrUnmapped):
			c.counts.Unmapped.Add(1)
		default:
			c.counts.Ignored.Add(1)
		}
		return
	}
	if refused := c.locate(e, received); refused != nil {
		c.refuse(e, refused)
		return
	}
	c.startRecording(e)
	for len(received) > 0 {
		id, request := received[0].ID, received[0].Message.Twin != nil
		n := 1
		for n < len(received) && received[n].ID == id && (received[n].Message.Twin != nil) == request {
			n++
		}
		c.interpretDevice(e, id, received[:n], now)
		received = received[n:]
	}
	c.endRecording(e)
}

// ofRetained are those of the messages of a retained copy that count: what devices reported
// of their state, in a dialect of theirs. Of a birth, at most the model does.
func (c *core) ofRetained(received []wire.Received) (counts []wire.Received) {
	for i := range received {
		r := &received[i]
		if twin := r.Message.Twin; twin == nil || twin.Reply != "" {
			c.learnRetained(r)
			continue
		}
		r.Message.Stale = true
		counts = append(counts, *r)
	}
	return counts
}

// interpretDevice takes consecutive messages of one device.
func (c *core) interpretDevice(e *entry, id device.ID, received []wire.Received, now time.Time) {
	c.before(&received[0].Message)
	switch {
	case !c.cfg.Partition.Owns(id.Name()): // else its dialect has passed over it
		c.counts.Foreign.Add(1)
	case received[0].Message.Twin != nil:
		for i := range received {
			c.request(e, &received[i], now)
		}
	default:
		c.take(c.device(id), received, e, now)
	}
}

// device returns the device, which is new if it was not remembered.
func (c *core) device(id device.ID) *deviceState {
	d := c.devices.get(id)
	if d.models == nil {
		d.models = c.models.of(id)
	}
	return d
}

// refuse makes a dead letter of an arrival, once.
func (c *core) refuse(e *entry, refused *wire.Refused) {
	if e == nil || e.rejected {
		return
	}
	e.rejected = true
	e.open++
	c.counts.deadLetter(refused.Reason).Add(1)
	c.log.Debug("message refused", "origin", e.Origin, "reason", refused.Reason, "detail", refused.Detail)
	c.out.letters = append(c.out.letters, outgoing[DeadLetter]{DeadLetter{e.Arrival, *refused}, e})
}

// published notes that a dead letter or a rejection is published or given up.
func (c *core) published(e *entry) { c.complete(e) }

// oldest is when the oldest unacknowledged arrival of the lanes was received; ok
// is false if there is none.
func (c *core) oldest() (at time.Time, ok bool) {
	for _, l := range c.lanes {
		if l.entries.len() > 0 && (!ok || l.entries.head().At.Before(at)) {
			at, ok = l.entries.head().At, true
		}
	}
	return at, ok
}

// trace logs each message that was received and understood, on the debug level,
// for whoever looks for a message that is missing.
func (c *core) trace(r *wire.Received) {
	ctx := context.Background()
	if !c.log.Enabled(ctx, slog.LevelDebug) {
		return
	}
	r.Identify()
	m := &r.Message
	words := []slog.Attr{
		slog.String("device", string(r.ID)), slog.Int64("epoch", m.Epoch), slog.Uint64("seq", m.Seq), slog.String("channel", string(m.Channel)),
	}
	if m.Seq == 0 {
		words = append(words, slog.String("digest", m.Digest))
	}
	c.log.LogAttrs(ctx, slog.LevelDebug, "received", words...)
}
