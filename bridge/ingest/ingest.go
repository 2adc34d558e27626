package ingest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"devicetwin/device"
	"devicetwin/internal/backoff"
	"devicetwin/internal/recordlog"
)

// Sink makes batches durable for the workflows of devices.
type Sink interface {
	// Deliver returns once the batch is durable, with the run of the workflow that took
	// it: another one than before may be of a workflow that knows nothing of what was
	// delivered earlier. It is "" if that is not known, as of a delivery that
	// starts no workflow. Deliver is called from many
	// goroutines, though never twice at once for one device. After an error the
	// same batch is delivered again, unchanged, until it is accepted, but for two
	// errors: device.ErrNoTwin, of a delivery that does not start a workflow where
	// there is none; and a *device.Refused, which is permanent.
	Deliver(ctx context.Context, d device.Delivery) (run string, err error)
}

// Outlet takes what does not go to the sink. Its methods never block.
type Outlet interface {
	// Point takes the telemetry of a message. Its object may be read later.
	Point(Point)
	// DeadLetter reports whether there is room for it; then done is called, from
	// another goroutine, once it is published or given up. So does Reject.
	DeadLetter(l DeadLetter, done func()) bool
	Reject(r Rejection, done func()) bool
	// Ask asks a device what is asked after its birth, if there is room for that.
	Ask(Question)
}

// Deps is what an Ingest works with.
type Deps struct {
	// Model is that of devices that are given no other. Nil: such devices are refused,
	// unless they have a workflow; then rules or birth messages are needed.
	Model  Model
	Models []Model // the other ones that devices may run, older versions too
	// Kinds are the models of entities that are not devices, by their kinds; those of other kinds
	// are refused. They are among Models, too.
	Kinds map[device.Kind]Model
	// Kept are versions that devices may still run, and that none starts with.
	Kept []Model
	// Defaults are as in Assignment.
	Defaults []Model
	// NameModels says that the sink has no model of its own for deliveries that name none: then
	// every delivery that may start a workflow names its model.
	NameModels bool
	// WholeDevices says that every message of a device comes in here, if one does.
	// Only then repetitions that can do nothing are left out.
	WholeDevices bool
	Sink         Sink
	Outlet       Outlet
	// Journal keeps what is received, until it is accepted and longer. It is open as long
	// as Run works. Nil: nothing is kept, and acknowledged is what is accepted.
	Journal *recordlog.Log
	Name    string // of the bridge, in the journal
	// Scope says which messages come in, in the words of the source: with another one, what
	// an earlier process knew of devices is not good any more.
	Scope  string
	Counts *Counts
	Log    *slog.Logger
}

// Ingest takes arrivals from lanes and delivers batches of messages to the
// workflows of devices. Its methods may be called from any goroutine.
type Ingest struct {
	core *core
	cfg  Config
	deps Deps
	log  *slog.Logger

	arrivals  chan struct{} // poked when a lane has one
	results   chan result
	published chan *entry
	inputs    chan func(*core)
	reported  chan reported
	ended     chan struct{} // closed when nobody listens any more

	// With a log:
	signals, checkpoints *recordlog.Cursor
	before               string // the instance of the process before; "": it is not known
	recovered            int64  // where the log ended then
	waited               int    // messages, then
	accepted             Accepted
	saver                saver
	growth               growth

	deliveries sync.WaitGroup
}

// result is that of a delivery.
type result struct {
	id   device.ID
	run  string
	lost int // messages of the batch, which could not be read from the log
	err  error
}

// New checks the configuration and prepares an Ingest; Run makes it work.
func New(cfg Config, deps Deps) (*Ingest, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if deps.Sink == nil {
		return nil, errors.New("a sink is needed")
	}
	models, err := Assignment{
		Model: deps.Model, Models: deps.Models, Kinds: deps.Kinds, Kept: deps.Kept, Defaults: deps.Defaults, Rules: cfg.ModelRules,
	}.assignment(cfg)
	if err != nil {
		return nil, err
	}
	c := newCore(cfg, models, deps.WholeDevices, deps.Counts, deps.Log, backoff.New(cfg.RetryMin, cfg.RetryMax))
	c.instance = rand.Text()
	c.times.start()
	if deps.NameModels {
		c.implied = ""
	}
	i := &Ingest{
		core: c, cfg: cfg, deps: deps, log: deps.Log,
		arrivals:  make(chan struct{}, 1),
		results:   make(chan result),
		published: make(chan *entry),
		inputs:    make(chan func(*core)),
		reported:  make(chan reported, maxReported),
		ended:     make(chan struct{}),
	}
	if deps.Journal == nil {
		return i, nil
	}
	c.journal, c.name = deps.Journal, deps.Name
	c.logBytes = deps.Journal.MaxBytes()
	c.scope = fmt.Sprintf("%v %s %v", cfg.Partition, deps.Scope, cfg.SettledFor)
	if err := i.recover(); err != nil {
		return nil, err
	}
	return i, nil
}

// Open begins a lane of a stream. Lanes of one stream are of one source, one after
// the other: what was not acknowledged on one is delivered again on the next. A device's
// messages come on one stream. Nil after the end of Run.
func (i *Ingest) Open(stream string) *Lane {
	l := newLane(i)
	if !i.do(func(c *core) { c.open(l, stream) }) {
		return nil
	}
	go l.acknowledge()
	return l
}

// Silent counts the devices that sent no message for longer than their model's
// liveness allows.
func (i *Ingest) Silent(now time.Time) (n int) {
	i.do(func(c *core) { n = c.silent(now) })
	return n
}

// Ended notes that the workflows of devices ended: they were deleted, or terminated. What
// the devices send next starts new ones, which know nothing of what was delivered
// before. Devices that are not known here are passed over. Ended waits for Run to begin,
// until ctx ends.
func (i *Ingest) Ended(ctx context.Context, ids ...device.ID) {
	i.whenItRuns(ctx, func(c *core) {
		for _, id := range ids {
			c.ended(id, time.Now())
		}
	})
}

// EndsUnknown notes that workflows of any devices may have ended. It waits as Ended does.
func (i *Ingest) EndsUnknown(ctx context.Context) {
	i.whenItRuns(ctx, func(c *core) { c.endsUnknown(time.Now()) })
}

// do runs an input of the core and returns when it is done; false: nobody listens
// any more.
func (i *Ingest) do(input func(*core)) bool { return i.whenItRuns(context.Background(), input) }

// whenItRuns is do, until ctx ends: Run may not have begun. False: it was not done.
func (i *Ingest) whenItRuns(ctx context.Context, input func(*core)) bool {
	done := make(chan struct{})
	select {
	case i.inputs <- func(c *core) { input(c); close(done) }:
		<-done
		return true
	case <-i.ended:
		return false
	case <-ctx.Done():
		return false
	}
}

// Run works until ctx ends. Then it takes nothing any more, and returns when all
// that was received is accepted and its acknowledgements are handed over, or when
// abandon ends. It is called once.
func (i *Ingest) Run(ctx, abandon context.Context) {
	attempts, cancel := context.WithCancel(abandon)
	i.loop(ctx, abandon, attempts)
	close(i.ended)
	i.dropReported()
	for _, l := range i.core.lanes {
		close(l.last)
	}
	cancel()
	i.deliveries.Wait()
	i.closeLog()
}

// loop owns the core.
func (i *Ingest) loop(ctx, abandon, attempts context.Context) {
	c := i.core
	c.surveyed = time.Now()
	stop, reported := ctx.Done(), i.reported
	alarm := time.NewTimer(0)
	defer alarm.Stop()
	for {
		logged := i.followLog()
		i.carryOut(attempts)
		c.attend(time.Now())
		c.counts.observe(c)
		if stop == nil && i.drained() {
			return
		}
		i.saveLog(time.Now())
		if stop != nil && i.anyArrivals() {
			poke(i.arrivals)
		}
		if at, ok := c.next(); ok {
			alarm.Reset(time.Until(at))
		} else {
			alarm.Stop()
		}
		select {
		case <-i.arrivals:
			if stop != nil {
				i.takeArrivals()
			}
		case r := <-i.results:
			c.lost(r.id, r.lost)
			c.delivered(r.id, r.run, r.err, time.Now())
		case e := <-i.published:
			c.published(e)
		case input := <-i.inputs:
			input(c)
		case r := <-reported:
			c.reportElsewhere(r, time.Now())
			i.takeReported(time.Now())
		case <-alarm.C:
			c.elapsed(time.Now())
		case <-logged: // see followLog
		case <-i.saver.more:
			i.saver.step(i)
		case err := <-i.saver.written:
			i.saver.ended(i, err)
		case <-stop:
			stop, reported = nil, nil
			i.takeReported(time.Now())
			c.hurry(time.Now())
		case <-abandon.Done():
			i.log.Warn("stopping with signals not accepted; the broker will deliver them again", "messages", c.held)
			return
		}
	}
}

// turn is how many arrivals of a lane are taken before others have their turn.
const turn = 64

// takeArrivals takes what waits in lanes that have room.
func (i *Ingest) takeArrivals() {
	now := time.Now()
	for _, l := range i.core.lanes {
		for n := min(len(l.in), turn); n > 0 && !i.core.full(l); n-- {
			i.core.receive(l, <-l.in, now)
		}
	}
}

// anyArrivals reports whether a lane that has room has arrivals.
func (i *Ingest) anyArrivals() bool {
	for _, l := range i.core.lanes {
		if len(l.in) > 0 && !i.core.full(l) {
			return true
		}
	}
	return false
}

// carryOut does what the core wants to have done.
func (i *Ingest) carryOut(attempts context.Context) {
	out := &i.core.out
	for _, d := range out.deliveries {
		i.deliveries.Go(func() { i.deliver(attempts, d) })
	}
	for _, l := range out.unreadLetters {
		i.deadLetterOf(l)
	}
	if i.deps.Outlet != nil {
		for _, p := range out.points {
			i.deps.Outlet.Point(p)
		}
		for _, q := range out.questions {
			i.deps.Outlet.Ask(q)
		}
	}
	letters, rejections := out.letters, out.rejections
	for _, l := range letters {
		if i.deps.Outlet == nil || !i.deps.Outlet.DeadLetter(l.value, i.whenPublished(l.entry)) {
			i.core.published(l.entry)
		}
	}
	for _, r := range rejections {
		if i.deps.Outlet == nil || !i.deps.Outlet.Reject(r.value, i.whenPublished(r.entry)) {
			i.core.published(r.entry)
		}
	}
	out.reset()
	for _, l := range i.core.lanes {
		l.handOver()
	}
}

func (i *Ingest) whenPublished(e *entry) func() {
	return func() {
		select {
		case i.published <- e:
		case <-i.ended:
		}
	}
}

func (i *Ingest) deliver(attempts context.Context, d delivery) {
	ctx, cancel := context.WithTimeout(attempts, i.core.cfg.SignalTimeout)
	defer cancel()
	run := ""
	err := i.read(&d)
	if err == nil {
		run, err = i.deps.Sink.Deliver(ctx, d.Delivery)
	}
	select {
	case i.results <- result{d.ID, run, d.lost, err}:
	case <-i.ended:
	}
}

// drained reports that everything received is accepted and its acknowledgement
// handed over.
func (i *Ingest) drained() bool {
	for _, l := range i.core.lanes {
		if l.entries.len() > 0 {
			return false
		}
	}
	// With a log, what waits for a server that does not answer can wait there.
	if c := i.core; c.journal != nil && !c.cfg.AckAccepted && c.outage.on {
		return true
	}
	return i.core.idle()
}
