package bridge

import (
	"context"
	"regexp"
	"strconv"
	"time"
)

// batch is lines that are written together.
type batch struct {
	lines []string
	bytes int
	// halved counts how often it was divided to find the line that InfluxDB
	// does not take.
	halved int
}

func (b *batch) add(line string) {
	b.lines = append(b.lines, line)
	b.bytes += len(line) + 1
}

func (b *batch) half(lines []string) batch {
	h := batch{halved: b.halved + 1}
	for _, l := range lines {
		h.add(l)
	}
	return h
}

// maxHalved bounds the search for a bad line: 64 parts.
const maxHalved = 6

// reportEvery is how often drops and refusals are put into the log at most.
const reportEvery = 10 * time.Second

// collector is the goroutine of an InfluxWriter that owns its batches. One
// batch is being written at a time, so that points stay in order.
type collector struct {
	w       *InfluxWriter
	filling batch
	queue   []batch // the first is being written or tried again
	bytes   int     // of lines, all together
	sending bool
	attempt int
	results chan error

	flush, again  *time.Timer
	lostAt        time.Time // zero: InfluxDB takes points
	reported      uint64    // drops and refusals in the log so far
	lastRefusal   error
	stopSending   context.CancelFunc
	sendCtx       context.Context
	closing       bool
	closeDeadline <-chan time.Time
}

func (c *collector) run(ctx context.Context) {
	c.sendCtx, c.stopSending = context.WithCancel(context.WithoutCancel(ctx))
	defer c.stopSending()
	c.flush, c.again = time.NewTimer(time.Hour), time.NewTimer(time.Hour)
	c.flush.Stop()
	c.again.Stop()
	report := time.NewTicker(reportEvery)
	defer report.Stop()
	stop := ctx.Done()
	for !c.closing || len(c.queue) > 0 {
		select {
		case p := <-c.w.intake:
			c.take(p)
		case <-c.flush.C:
			c.enqueue()
		case err := <-c.results:
			c.sent(err)
		case <-c.again.C:
			c.send()
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
	c.report()
}

// take adds a point to the batch that is being filled.
func (c *collector) take(p point) {
	c.w.counts.intakeBytes.Add(int64(-p.size))
	line, ok := p.line()
	if !ok {
		return
	}
	if c.filling.bytes > 0 && c.filling.bytes+len(line) >= c.w.cfg.BatchBytes {
		c.enqueue()
	}
	if len(c.filling.lines) == 0 {
		c.flush.Reset(c.w.cfg.FlushEvery)
	}
	c.filling.add(line)
	c.account(1, len(line)+1)
	if len(c.filling.lines) >= c.w.cfg.BatchPoints {
		c.enqueue()
	}
}

func (c *collector) account(points, bytes int) {
	c.bytes += bytes
	c.w.counts.queuedPoints.Add(int64(points))
	c.w.counts.queuedBytes.Add(int64(bytes))
}

// enqueue ends the batch that is being filled, and drops the oldest ones if
// there are too many.
func (c *collector) enqueue() {
	c.flush.Stop()
	if len(c.filling.lines) == 0 {
		return
	}
	c.queue = append(c.queue, c.filling)
	c.filling = batch{}
	for c.bytes > c.w.linesLimit() && len(c.queue) > 1 {
		oldest := 0
		if c.sending {
			oldest = 1 // the first is on its way
		}
		c.w.counts.dropped.Add(uint64(len(c.queue[oldest].lines)))
		c.remove(oldest)
	}
	if !c.sending && c.attempt == 0 {
		c.send()
	}
}

func (c *collector) remove(i int) {
	c.account(-len(c.queue[i].lines), -c.queue[i].bytes)
	c.queue = append(c.queue[:i], c.queue[i+1:]...)
}

// send starts writing the first batch.
func (c *collector) send() {
	if c.sending || len(c.queue) == 0 {
		return
	}
	c.sending = true
	b := c.queue[0]
	go func() { c.results <- c.w.write(c.sendCtx, b) }()
}

// sent takes the result of writing the first batch.
func (c *collector) sent(err error) {
	c.sending = false
	b := c.queue[0]
	if err == nil {
		c.done(uint64(len(b.lines)), 0)
		return
	}
	c.w.counts.failures.Add(1)
	what, answer := judge(err)
	switch what {
	case partial:
		bad := refusedIn(answer.Message, len(b.lines))
		c.lastRefusal = err
		c.done(uint64(len(b.lines))-bad, bad)
	case divide:
		if len(b.lines) == 1 || b.halved == maxHalved {
			c.lastRefusal = err
			c.done(0, uint64(len(b.lines)))
			return
		}
		c.divide(b)
		c.send()
	case retry:
		c.later(err)
	}
}

func (c *collector) divide(b batch) {
	n := len(b.lines) / 2
	halves := []batch{b.half(b.lines[:n]), b.half(b.lines[n:])}
	c.queue = append(halves, c.queue[1:]...)
}

// done ends the first batch, and with it an outage: InfluxDB has answered.
func (c *collector) done(written, refused uint64) {
	c.w.counts.written.Add(written)
	c.w.counts.refused.Add(refused)
	c.remove(0)
	c.attempt = 0
	if !c.lostAt.IsZero() {
		c.w.log.Info("influxdb takes points again", "after", time.Since(c.lostAt).Round(time.Millisecond),
			"waiting", c.w.counts.queuedPoints.Load())
		c.lostAt = time.Time{}
		c.w.counts.outage.Store(false)
	}
	c.send()
}

// later lets the first batch wait before it is tried again.
func (c *collector) later(err error) {
	if c.lostAt.IsZero() {
		c.lostAt = time.Now()
		c.w.counts.outage.Store(true)
		c.w.log.Warn("influxdb does not take points; they wait in memory, signals are not affected", "err", err)
	}
	wait := c.w.wait(c.attempt)
	if _, answer := judge(err); answer != nil && answer.RetryAfter > 0 {
		wait = max(wait, min(time.Duration(answer.RetryAfter)*time.Second, maxRetryAfter))
	}
	c.attempt++
	c.again.Reset(wait)
}

// maxRetryAfter bounds the pause that a server may ask for.
const maxRetryAfter = 5 * time.Minute

// close begins the end: what was taken is written, nothing more is taken.
func (c *collector) close() {
	c.closing = true
	c.w.closed.Store(true)
	c.closeDeadline = time.After(c.w.cfg.CloseWithin)
	for n := len(c.w.intake); n > 0; n-- {
		c.take(<-c.w.intake)
	}
	c.enqueue()
}

// abandon counts as dropped what could not be written in time.
func (c *collector) abandon() {
	c.stopSending()
	if c.sending {
		<-c.results
	}
	for len(c.queue) > 0 {
		c.w.counts.dropped.Add(uint64(len(c.queue[0].lines)))
		c.remove(0)
	}
	c.report()
}

// report tells the log what was lost since the last time.
func (c *collector) report() {
	dropped, refused := c.w.counts.dropped.Load(), c.w.counts.refused.Load()
	if dropped+refused == c.reported {
		return
	}
	c.reported = dropped + refused
	args := []any{"dropped", dropped, "refused", refused}
	if c.lastRefusal != nil {
		args = append(args, "last_refusal", clip(c.lastRefusal.Error(), 500))
	}
	c.w.log.Error("points are lost: dropped because the queue was full, or refused by influxdb (totals)", args...)
}

var droppedPattern = regexp.MustCompile(`dropped=(\d+)`)

// refusedIn reads how many points a partial write left out; at least one.
func refusedIn(message string, points int) uint64 {
	if m := droppedPattern.FindStringSubmatch(message); m != nil {
		if n, err := strconv.Atoi(m[1]); err == nil && n > 0 {
			return uint64(min(n, points))
		}
	}
	return 1
}
