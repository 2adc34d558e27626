package bridge

import (
	"context"
	"sync"
	"time"

	"devicetwin/device"
	"devicetwin/internal/measure"
)

// loop is the goroutine that owns the core, and the channels through which
// everybody else talks to it.
type loop struct {
	core  *core
	drain time.Duration

	inbox    chan delivery
	opened   chan *window
	closed   chan *window
	online   chan bool // a connection stands; true: with what the broker kept before this process
	results  chan signalResult
	lettered chan *entry
	looks    chan func(*core)
	ended    chan struct{} // closed when nobody listens any more
}

type signalResult struct {
	device string
	err    error
}

func newLoop(drain time.Duration) *loop {
	return &loop{
		drain:    drain,
		inbox:    make(chan delivery, 256),
		opened:   make(chan *window),
		closed:   make(chan *window),
		online:   make(chan bool),
		results:  make(chan signalResult),
		lettered: make(chan *entry),
		looks:    make(chan func(*core)),
		ended:    make(chan struct{}),
	}
}

// run works until ctx ends and what was in flight then is accepted and
// acknowledged, or the time for that is over.
func (l *loop) run(ctx context.Context) {
	defer close(l.ended)
	c := l.core
	inbox, stop := l.inbox, ctx.Done()
	var giveUp <-chan time.Time
	alarm := time.NewTimer(0)
	defer alarm.Stop()
	for {
		if giveUp != nil && l.drained() {
			break
		}
		in := inbox
		if c.full() {
			in = nil
		}
		acks, released := l.released()
		if at, ok := c.next(); ok {
			alarm.Reset(time.Until(at))
		} else {
			alarm.Stop()
		}
		select {
		case d := <-in:
			c.receive(d, time.Now())
		case acks <- released:
			c.live.outbox = nil
		case r := <-l.results:
			c.signalled(r.device, r.err, time.Now())
		case e := <-l.lettered:
			c.lettered(e)
		case f := <-l.looks:
			f(c)
		case w := <-l.opened:
			c.opened(w)
		case resumed := <-l.online:
			c.connected(resumed)
		case w := <-l.closed:
			c.closed(w)
		case <-alarm.C:
			c.elapsed(time.Now())
		case <-stop:
			inbox, stop = nil, nil
			giveUp = time.After(l.drain)
			c.hurry(time.Now())
		case <-giveUp:
			c.log.Warn("stopping with signals not accepted; the broker will deliver them again", "messages", c.held)
			if c.live != nil {
				close(c.live.acks)
			}
			return
		}
		c.attend(time.Now())
		c.counts.observe(c)
	}
	if c.live != nil {
		close(c.live.acks)
	}
}

// look lets f read the core, and returns when it has, or at the end.
func (l *loop) look(ctx context.Context, f func(*core)) {
	done := make(chan struct{})
	select {
	case l.looks <- func(c *core) { f(c); close(done) }:
		<-done
	case <-l.ended:
	case <-ctx.Done():
	}
}

// released is what can be handed to the connection now; a nil channel if
// nothing can.
func (l *loop) released() (chan<- []func(), []func()) {
	w := l.core.live
	if w == nil || len(w.outbox) == 0 {
		return nil, nil
	}
	return w.acks, w.outbox
}

// drained reports that everything received is accepted and its acknowledgement
// handed over.
func (l *loop) drained() bool {
	w := l.core.live
	return l.core.idle() && (w == nil || w.entries.len() == 0 && len(w.outbox) == 0)
}

// world carries out the core's effects.
type world struct {
	ctx     context.Context // ends when what is in flight is abandoned
	loop    *loop
	deps    Deps
	timeout time.Duration
	letters *deadLetters
	answers *answers
	running sync.WaitGroup
}

func (w *world) signal(id, model string, batch device.Batch, existing bool) {
	signal := w.deps.Signaller.Signal
	switch {
	case existing:
		signal = w.deps.Signaller.SignalExisting
	case model != "":
		signal = func(ctx context.Context, id string, batch device.Batch) error {
			return w.deps.Starter.SignalAs(ctx, id, model, batch)
		}
	}
	w.running.Go(func() {
		ctx, cancel := context.WithTimeout(w.ctx, w.timeout)
		defer cancel()
		err := signal(ctx, id, batch)
		select {
		case w.loop.results <- signalResult{id, err}:
		case <-w.loop.ended:
		}
	})
}

func (w *world) letter(l DeadLetter, e *entry) bool { return w.letters.add(l, w.lettered(e)) }

func (w *world) answer(topic string, payload []byte, e *entry) bool {
	return w.answers.add(topic, payload, w.lettered(e))
}

func (w *world) lettered(e *entry) func() {
	return func() {
		select {
		case w.loop.lettered <- e:
		case <-w.loop.ended:
		}
	}
}

func (w *world) point(device, model string, data map[string]any, at time.Time) {
	if w.deps.Points == nil {
		return
	}
	w.deps.Points.WritePoint(model, map[string]string{measure.TagDevice: device, measure.TagModel: model}, data, at)
}
