package points

import (
	"errors"
	"time"
)

// logRetry is how long a log that is not accepting points is left alone.
const logRetry = time.Second

// figuresEvery is how often the figures of the log are brought up to date, apart from
// when something was written.
const figuresEvery = time.Second

// figures ticks if there is a log to be shown.
func (c *collector) figures() *time.Ticker {
	t := time.NewTicker(figuresEvery)
	if c.reader == nil {
		t.Stop()
	}
	return t
}

var errLogFailing = errors.New("its disk takes nothing")

// store moves what waits in memory into the log, in order.
func (c *collector) store() {
	now := time.Now()
	if c.reader == nil || now.Before(c.logAt) {
		return
	}
	if h := c.head; h != nil && !h.stored && h.naming == nil {
		if c.sending {
			return // what is newer may not get before it
		}
		c.queue = append(h.parts, c.queue...)
		c.head = nil
	}
	if len(c.queue) == 0 {
		return
	}
	for len(c.queue) > 0 {
		if err := c.append(c.queue[0], now); err != nil {
			c.logFailed(err, now)
			return
		}
		c.unqueue()
	}
	if !c.logLostAt.IsZero() {
		c.reader.messages.Info("the log is accepting points again", "after", now.Sub(c.logLostAt).Round(time.Millisecond))
		c.logLostAt = time.Time{}
	}
}

// append puts a batch into the log. If the disk takes nothing, the log's memory is left
// to others: as long as the batch waits here, it can still go to InfluxDB.
func (c *collector) append(b batch, now time.Time) error {
	if c.reader.log.Stats().Failing {
		return errLogFailing
	}
	at := b.since
	if at.IsZero() {
		at = now
	}
	for lines := range recordsOf(b.lines) {
		if _, err := c.toLog(c.encoder.record(lines, at)); err != nil {
			return err // a part of it that was taken will be written twice
		}
	}
	return nil
}

func (c *collector) logFailed(err error, now time.Time) {
	c.w.counts.logFailures.Add(1)
	c.logAt = now.Add(logRetry)
	if c.logLostAt.IsZero() {
		c.logLostAt = now
		c.reader.messages.Error("the log is not accepting points; they wait in memory", "error", err)
	}
}

// read prepares the next batch of what is in the log.
func (c *collector) read() {
	if c.reader == nil {
		return
	}
	c.more = c.reader.fill()
	c.proceed()
}

// fromLog takes the next batch of the log. The one after it is prepared while this one
// is being sent.
func (c *collector) fromLog() (b batch, ok bool) {
	if c.reader == nil {
		return batch{}, false
	}
	b, ok, wait := c.reader.pop(time.Now(), c.closing)
	if wait > 0 {
		c.due.Reset(wait)
	}
	if ok && c.more == nil {
		c.more = atOnce
	}
	return b, ok
}

// show makes the figures of the log visible to others.
func (c *collector) show() {
	if c.reader == nil {
		return
	}
	counts, since := c.w.counts, c.reader.since()
	if c.head != nil && c.head.stored {
		since = c.head.since
	}
	ms := int64(0) // no moment
	if !since.IsZero() {
		ms = since.UnixMilli()
	}
	counts.backlogSince.Store(ms)
	counts.backlogBytes.Store(c.reader.cursor.Backlog())
	lost, shown := c.reader.lost(), c.reader.shown
	counts.dropped.Add(lost.Items - shown.Items)
	counts.logDropped.Add(lost.Items - shown.Items)
	counts.logDamages.Store(lost.Damages)
	c.reader.shown = lost
}
