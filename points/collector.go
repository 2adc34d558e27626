package points

import (
	"context"
	"time"

	"devicetwin/internal/recordlog"
)

// reportEvery is how often drops and refusals are put into the log at most.
const reportEvery = 10 * time.Second

// collector is the goroutine of a Writer that owns its batches. One
// batch is being written at a time, so that points stay in order: first the
// head, then those in the log, then those in the queue. Without a log, or
// while it takes nothing, they wait in the queue.
type collector struct {
	w       *Writer
	filling batch
	head    *head
	queue   []batch
	bytes   int // of lines in memory: filling, in the queue, and of a head that is not in the log
	sending bool
	attempt int
	start   func(batch) // begins a request; its result comes to sent
	results chan error

	conflicts conflicts
	attention time.Time // when a conflict was last put into the log

	flat flattener
	text []byte // a line that is being written

	flush, again *time.Timer
	lostAt       time.Time // zero: InfluxDB accepts points

	reader    *logReader      // nil: there is no log
	more      <-chan struct{} // the log is to be read; nil: it is not
	due       *time.Timer     // for a batch of it that is not full
	encoder   linesEncoder
	toLog     func(recordlog.Record) (end int64, err error)
	last      int64     // while closing: the end of the log
	logLostAt time.Time // zero: the log takes points
	logAt     time.Time // when it may be tried again

	reported      uint64 // drops and refusals in the log so far
	named         []refusedPoint
	searched      bool // for a refused point, since the last report
	stopSending   context.CancelFunc
	sendCtx       context.Context
	closing       bool
	closeDeadline <-chan time.Time
}

func newCollector(ctx context.Context, w *Writer) *collector {
	c := &collector{w: w, reader: w.reader, results: make(chan error, 1), conflicts: conflicts{}}
	c.sendCtx, c.stopSending = context.WithCancel(context.WithoutCancel(ctx))
	c.start = func(b batch) {
		go func() { c.results <- w.write(c.sendCtx, b) }()
	}
	if c.reader != nil {
		c.toLog = c.reader.log.Append
	}
	for _, timer := range []**time.Timer{&c.flush, &c.again, &c.due} {
		*timer = time.NewTimer(time.Hour)
		(*timer).Stop()
	}
	return c
}

func (c *collector) run(ctx context.Context) {
	defer c.stopSending()
	report := time.NewTicker(reportEvery)
	defer report.Stop()
	figures := c.figures()
	defer figures.Stop()
	stop := ctx.Done()
	c.read() // what an earlier run left in the log
	for !c.finished() {
		select {
		case p := <-c.w.intake:
			c.take(p)
		case <-c.flush.C:
			c.enqueue()
		case err := <-c.results:
			c.sent(err)
		case <-c.again.C:
			c.send()
		case <-c.more:
			c.read()
		case <-c.due.C:
			c.proceed()
		case <-figures.C:
			c.store()
			c.show()
		case <-report.C:
			c.report()
		case <-stop:
			stop = nil
			c.close()
		case <-c.closeDeadline:
			c.abandon()
			return
		}
	}
	c.show()
	c.report()
}

// finished reports that nothing is left to do after close: all is written, or
// is in the log and has to wait for InfluxDB.
func (c *collector) finished() bool {
	switch {
	case !c.closing || c.sending || len(c.queue) > 0:
		return false
	case c.head != nil:
		return c.head.stored && c.attempt > 0
	}
	return c.reader == nil || c.reader.caughtUp() && c.reader.log.Durable() >= c.last
}

// take adds a point to the batch that is being filled.
func (c *collector) take(p queued) {
	c.w.counts.intakeBytes.Add(int64(-p.size))
	line, ok := c.line(&p)
	if !ok {
		return
	}
	if c.filling.bytes > 0 && c.filling.bytes+len(line) >= c.w.cfg.BatchBytes {
		c.enqueue()
	}
	if len(c.filling.lines) == 0 {
		c.flush.Reset(c.w.cfg.FlushEvery)
		c.filling.since = time.Now()
	}
	c.filling.add(line)
	c.account(1, len(line)+1)
	if len(c.filling.lines) >= c.w.cfg.BatchPoints {
		c.enqueue()
	}
}

// line writes a point.
func (c *collector) line(p *queued) (line string, ok bool) {
	if p.object == nil {
		return p.line(p.size)
	}
	if c.text, ok = c.flat.line(c.text[:0], p.reading(), c.w.refuse); !ok {
		return "", false
	}
	return string(c.text), true
}

// account keeps count of what waits in memory.
func (c *collector) account(points, bytes int) {
	c.bytes += bytes
	c.w.counts.queuedPoints.Add(int64(points))
	c.w.counts.queuedBytes.Add(int64(bytes))
}

// enqueue ends the batch that is being filled, and drops the oldest ones in
// memory, but for the head, if there are too many.
func (c *collector) enqueue() {
	c.flush.Stop()
	if len(c.filling.lines) == 0 {
		return
	}
	c.queue = append(c.queue, c.filling)
	c.filling = batch{}
	c.store()
	for c.bytes > c.w.linesLimit() && len(c.queue) > 1 {
		c.w.counts.dropped.Add(uint64(len(c.queue[0].lines)))
		c.unqueue()
	}
	c.proceed()
}

// proceed sends what is next, unless the head has to wait before it is tried again.
func (c *collector) proceed() {
	if c.attempt == 0 {
		c.send()
	}
}

// unqueue takes the oldest batch out of the queue.
func (c *collector) unqueue() batch {
	b := c.queue[0]
	c.queue[0] = batch{}
	c.queue = c.queue[1:]
	c.account(-len(b.lines), -b.bytes)
	return b
}

// send starts writing the head, or what is next.
func (c *collector) send() {
	if c.sending || c.sendCtx.Err() != nil {
		return
	}
	if c.head == nil && !c.next() {
		return
	}
	c.sending = true
	c.start(c.head.parts[0])
}

// next makes the oldest batch the head.
func (c *collector) next() bool {
	if b, ok := c.fromLog(); ok {
		c.head = newHead(c.conflicts.applied(b, time.Now()), true)
		return true
	}
	if len(c.queue) == 0 || c.reader != nil && !c.reader.caughtUp() {
		return false
	}
	b := c.conflicts.applied(c.unqueue(), time.Now())
	c.account(len(b.lines), b.bytes) // it stays in memory
	c.head = newHead(b, false)
	return true
}

// sent takes the result of writing the head's first part.
func (c *collector) sent(err error) {
	c.sending = false
	if c.head.naming != nil {
		c.narrowed(err)
		return
	}
	n := uint64(len(c.head.parts[0].lines))
	if err == nil {
		c.done(n, 0)
		return
	}
	c.w.counts.failures.Add(1)
	what, response := classify(err)
	switch what {
	case partial:
		if c.resolve(response.Message) {
			c.available()
			c.send()
			return
		}
		c.partly(err, refusedIn(response.Message, int(n)))
	case divide:
		if c.head.split() {
			c.send()
			return
		}
		c.name(c.head.parts[0], err)
		c.refuseAll(c.head.parts[0], err)
		c.done(0, n)
	case retry:
		c.later(err)
	}
}

// done ends the head's first part and goes on.
func (c *collector) done(written, refused uint64) {
	c.finish(written, refused)
	c.send()
}

// finish ends the head's first part, and with its last part the head.
func (c *collector) finish(written, refused uint64) {
	c.w.counts.written.Add(written)
	c.w.counts.refused.Add(refused)
	part := c.head.parts[0]
	c.head.parts = c.head.parts[1:]
	if !c.head.stored {
		c.account(-len(part.lines), -part.bytes)
	}
	if len(c.head.parts) == 0 {
		if c.head.stored {
			c.reader.cursor.Commit(c.head.end)
		}
		c.head = nil
		c.show()
	}
	c.available()
}

// close begins the end: what was taken is written, and what is in the log, nothing more
// is taken.
func (c *collector) close() {
	c.closing = true
	c.w.closed.Store(true)
	c.closeDeadline = time.After(c.w.cfg.CloseWithin)
	for n := len(c.w.intake); n > 0; n-- {
		c.take(<-c.w.intake)
	}
	c.enqueue()
	if c.reader != nil {
		c.last = c.reader.log.Stats().End
	}
	c.proceed()
}

// abandon ends without InfluxDB. What is in the log, or can still be put
// there, is kept; the rest counts as dropped.
func (c *collector) abandon() {
	c.stopSending()
	if c.sending {
		if err := <-c.results; err == nil {
			c.sent(nil)
		}
		c.sending = false
	}
	c.logAt = time.Time{}
	c.store()
	if h := c.head; h != nil && h.naming == nil && !h.stored {
		for len(h.parts) > 0 {
			c.w.counts.dropped.Add(uint64(len(h.parts[0].lines)))
			c.account(-len(h.parts[0].lines), -h.parts[0].bytes)
			h.parts = h.parts[1:]
		}
	}
	for len(c.queue) > 0 {
		c.w.counts.dropped.Add(uint64(len(c.unqueue().lines)))
	}
	c.show()
	c.report()
}

// available ends an outage: InfluxDB has accepted or rejected something.
func (c *collector) available() {
	c.attempt = 0
	if c.lostAt.IsZero() {
		return
	}
	c.w.log.Info("InfluxDB is accepting points again", "after", time.Since(c.lostAt).Round(time.Millisecond),
		"waiting", c.w.counts.waiting(), "backlog_bytes", c.w.counts.backlogBytes.Load())
	c.lostAt = time.Time{}
	c.w.counts.outage.Store(false)
}

// later waits before the head is tried again.
func (c *collector) later(err error) {
	if c.lostAt.IsZero() {
		c.lostAt = time.Now()
		c.w.counts.outage.Store(true)
		where := "memory"
		if c.reader != nil {
			where = c.reader.log.Dir()
		}
		c.w.log.Warn("InfluxDB is not accepting points; they are kept until it does", "in", where, "error", err)
	}
	wait := c.w.wait(c.attempt)
	if _, response := classify(err); response != nil && response.RetryAfter > 0 {
		wait = max(wait, min(time.Duration(response.RetryAfter)*time.Second, maxRetryAfter))
	}
	c.attempt++
	c.again.Reset(wait)
}

// maxRetryAfter bounds the pause that a server may ask for.
const maxRetryAfter = 5 * time.Minute
